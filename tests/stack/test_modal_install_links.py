"""The page of an install link."""

from modal import Site, User
from modal_servers import FORBIDDEN
from serving import Response


def test_another_install_link_in_the_same_tab_is_read(site: Site, user: User) -> None:
    link = site.install_link(user)
    site.browser.go(f"{site.front.origin}/modal#ticket=incomplete")
    site.click("Continue", "This link is incomplete.")
    site.browser.go(link)
    site.see("Continue only if you expected it.")
    site.click("Continue", "Chat")


def test_install_link_works_once_and_only_after_continue(site: Site, user: User) -> None:
    link = site.install_link(user, "shop")
    site.browser.go(link)
    site.see("Connect an integration", "Continue only if you expected it.")
    assert site.front.lines("POST") == []
    site.front.fault("POST /tickets", "close", times=1)
    site.click("Continue", "You seem to be offline")
    # A user that was created by email address does not know its username, which is generated.
    # Its name cannot change the sentence in which it is shown.
    user.call("PATCH", "", {"email": "joe@acme.example", "fullName": "Joe\u2069\u202e Doe"})
    owner = "belongs to the account Joe Doe (joe@acme.example) of acme. Continue only if you know both."
    site.click("Continue", "Access token", owner)
    assert site.browser.run("return [location.hash, document.activeElement.localName]") == ["#used", "h1"]
    assert [name for name in ("Back", "Close", "Uninstall") if site.find("return buttonOf(arguments[0])", name)] == []
    site.fill_shop("wrong")
    site.click("Install", "does not have the expected form")
    site.fill_shop()
    site.click("Install", "Shop is installed.", "You can close this page now.")
    assert user.installation()["status"] == "active"
    # The token is not renewed, and not stored.
    assert len(site.front.lines("POST")) == 2
    site.browser.run("location.reload()")
    site.see("This link has been used. If the integration is installed, nothing else is needed.")
    site.browser.go(f"{site.front.origin}/modal?again{link[link.index('#') :]}")
    site.click("Continue", "This link has already been used or has expired.")
    assert site.browser.run("return document.activeElement.localName") == "h1"


def test_right_to_left_name_does_not_change_the_order_of_a_sentence(site: Site, user: User) -> None:
    user.call("PATCH", "", {"email": "dana@acme.example", "fullName": "\u05d3\u05e0\u05d4"})
    site.browser.go(site.install_link(user, "shop"))
    site.click("Continue", "the account \u2068\u05d3\u05e0\u05d4 (dana@acme.example)\u2069 of acme.")


def test_refusal_by_a_proxy_does_not_end_the_session(site: Site, user: User) -> None:
    site.browser.go(site.install_link(user))
    site.click("Continue", "Chat")
    site.front.fault("PUT", Response.of("<h1>Access denied</h1>", "text/html", 403), times=1)
    site.click("Install", "You are not allowed to do this.")
    site.click("Install", "Chat is installed.")


def test_expired_session_of_an_install_link_ends(site: Site, user: User) -> None:
    site.browser.go(site.install_link(user))
    site.click("Continue", "Chat")
    site.front.fault("PUT", FORBIDDEN)
    site.click("Install", "Your session has ended.", "Ask the sender for a new one.")
    assert len(site.front.lines("PUT")) == 1
    assert site.find("return buttonOf('Try again') ?? null") is None


def test_wrong_install_links_say_why(site: Site, user: User) -> None:
    for fragment, text in (
        ("", "Open this page from a link that you received"),
        ("#ticket=", "Open this page from a link that you received"),
        ("#ticket=abc", "This link is incomplete."),
        (f"#ticket={'A' * 43}", "This link has already been used or has expired."),
    ):
        site.browser.go("about:blank")
        site.browser.go(f"{site.front.origin}/modal?utm_source=mail{fragment}")
        if len(fragment) > len("#ticket="):
            site.click("Continue")
        site.see(text)
        assert site.find("return visible('button, input').length") == 0
