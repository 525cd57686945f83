"""Views of the modal: catalogue, search, errors and ways back."""

import json

from browser import ESCAPE
from modal import SHOP_ACCOUNT, Site, User
from serving import Response
from tenon import Api
from waiting import wait


def test_two_modals_do_not_disturb_each_other(site: Site, user: User) -> None:
    site.run(
        "for (const id of ['first', 'second']) document.body.append(Object.assign(document.createElement('div'), { id }))"
    )
    site.run("window.reports = []")
    for place, integration in (("first", "shop"), ("second", "chat")):
        site.browser.leave_frames()
        site.browser.run(
            """const [id, integrationId] = arguments;
            const report = (name) => ({ [name]: () => reports.push([id, name]) });
            window[id] = opener({ token, integrationId, mount: document.getElementById(id), on: { ...report("ready"), ...report("installed"), ...report("close") } });""",
            place,
            integration,
        )
    site.enter("#first iframe")
    site.see("Access token")
    site.fill_shop()
    site.enter("#second iframe")
    site.click("Install", "Chat is installed.")
    site.enter("#first iframe")
    site.click("Install", "Shop is installed.")
    site.browser.leave_frames()
    site.browser.run("first.close()")
    site.enter("#second iframe")
    site.click("Manage", "Chat updates")
    reports = site.run("return reports")
    assert sorted(reports[:2]) == [["first", "ready"], ["second", "ready"]]
    assert reports[2:] == [["second", "installed"], ["first", "installed"], ["first", "close"]]


def test_view_that_fails_leads_back_to_the_one_before(site: Site, user: User) -> None:
    user.fail(user.install(), "Error: 500")
    site.show("Show errors", inline=True)
    site.front.fault("GET /errors/groups", Response.of("{}", "application/json", 503))
    site.click("Show errors", "Try again")
    attempts = len(site.front.lines("GET /errors/groups"))
    site.click("Try again")
    wait(lambda: len(site.front.lines("GET /errors/groups")) > attempts, "another attempt")
    site.see("Something went wrong")
    site.click("Back", "Chat")
    site.click("Chat", "Install")
    site.click("Back", "Shop")
    site.front.repair()
    site.click("Shop", "Error: 500")


# Names of the integrations in the catalogue.
CARDS = "return visible('.card strong').map(({ innerText }) => innerText)"


def test_catalogue_begins_with_what_needs_attention_and_is_installed(site: Site, user: User) -> None:
    user.break_account(user.install(), "401 from the shop")
    user.install("forms", workflows=["main"])
    paused = user.install("contacts", workflows=["main"])["workflows"][0]["workflowId"]
    user.environment.call("PUT", "/workflows/deactivate", {"userId": user.id, "workflowId": paused})
    site.show("Shop", "Needs attention", "Paused", "Installed")
    assert site.find(CARDS) == ["Shop", "Contacts", "Forms", "Calendar", "Chat", "Ledger"]
    site.search("c")
    assert site.find(CARDS) == ["Contacts", "Calendar", "Chat", "Ledger"]


def test_search_finds_names_and_descriptions(site: Site, user: User) -> None:
    site.show("Shop", "Ledger", "Chat")
    assert site.find(CARDS) == ["Calendar", "Chat", "Contacts", "Forms", "Ledger", "Shop"]
    for text, found in (("cha", ["Chat"]), ("INVOICES ", ["Ledger"]), ("\uff43\uff48\uff41", ["Chat"]), ("zzz", [])):
        site.search(text)
        assert site.find(CARDS) == found
    site.see("No integration matches “zzz”.")
    # The first Escape clears the search.
    site.browser.press(ESCAPE)
    site.browser.wait("return document.querySelector('[type=search]').value === ''")
    assert len(site.find(CARDS)) == 6
    site.browser.press(ESCAPE)
    site.wait_closed()


def test_cut_session_does_not_break_the_page(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, "an error")
    session = Api(site.environment.backend.url, user.token()).call("GET", "/session").body
    cut = {**session, "workflows": [], "credentials": [], "truncated": True}
    site.front.fault("GET /session", Response.of(json.dumps(cut), "application/json"))
    site.show("an error", "1 time", integrationId="shop")
    site.run("modal.close()")
    site.show("an error", view="errors")
    # A response that ends early is a failure of the network.
    site.run("modal.close()")
    site.front.repair()
    site.front.fault("GET /session", Response.of(json.dumps(session)[:-20], "application/json"), times=1)
    site.show("You seem to be offline", integrationId="shop")
    site.click("Try again", "Connected")
    site.front.fault("PUT", Response.of('{"integrationId": "sh', "application/json"), times=1)
    site.fill({"Orders per run": "3"})
    site.click("Save", "You seem to be offline")
    site.click("Save", "Your changes are saved.")
    assert [event["name"] for event in site.events()] == ["ready", "close"] * 2 + ["ready", "updated"]


def test_catalogue_for_an_integration_leads_back(site: Site, user: User) -> None:
    site.show("Shop", "Chat", view="catalogue", integrationId="chat")
    site.click("Chat", "Install")
    site.click("Back", "Ledger")
    site.run("modal.close()")
    # Without the catalogue there is nowhere to go back to.
    site.show("Install", view="installation", integrationId="chat")
    assert site.find("return buttonOf('Back') ?? null") is None
    site.click("Install", "Chat is installed.")
    site.click("Manage", "Chat updates")
    site.click("Uninstall", "Uninstall Chat?")
    site.click("Uninstall", "Chat is uninstalled.", "Install")
    site.run("modal.close()")
    site.show("Nothing went wrong", view="errors", integrationId="chat")
    site.click("Back", "Install")


def test_back_leads_to_the_place_that_was_left(site: Site, user: User) -> None:
    site.browser.resize(360, 300)
    site.show("Shop", "Chat")
    site.search("c")
    site.click("Contacts", "Install")
    assert site.browser.run("return scrollY") == 0
    # A view that fails leads back as well.
    site.click("Back", "Calendar")
    site.front.fault("GET /integrations/chat", Response.of("{}", "application/json", 503), times=1)
    for name in ("Contacts", "Chat"):
        site.find("buttonOf(arguments[0]).scrollIntoView({ block: 'center' })", name)
        top = site.browser.run("return scrollY")
        assert top > 0
        site.click(name, "Install" if name == "Contacts" else "Something went wrong")
        site.click("Back", "Calendar")
        assert site.find("return document.activeElement === buttonOf(arguments[0])", name)
        assert site.browser.run("return scrollY") == top
    assert site.find(CARDS) == ["Calendar", "Chat", "Contacts", "Ledger"]
    assert site.browser.run("return document.querySelector('[type=search]').value") == "c"


def test_back_leads_to_the_card_in_a_page_in_place_too(site: Site, user: User) -> None:
    site.browser.resize(360, 300)
    site.show("Shop", "Chat", inline=True)
    site.click("Ledger", "Step 1 of 5")
    site.click("Back", "Calendar")
    assert site.find("return document.activeElement === buttonOf('Ledger')")
    in_sight = "const frame = document.querySelector('iframe'); const top = frame.getBoundingClientRect().top + arguments[0]; return top >= 0 && top < innerHeight"
    top = site.browser.run("return document.activeElement.getBoundingClientRect().top")
    site.browser.leave_frames()
    site.browser.wait(in_sight, top)


def test_number_of_errors_that_are_not_all_counted_is_a_lower_limit(site: Site, user: User) -> None:
    user.fail(user.install(), "one", "two words")
    groups = Api(site.environment.backend.url, user.token()).call("GET", "/errors/groups").body
    site.front.fault("GET /errors/groups", Response.of(json.dumps({**groups, "complete": False}), "application/json"))
    site.show("In the last seven days: 2+ errors")


def test_errors_of_deleted_workflows_are_not_shown(site: Site, user: User) -> None:
    user.fail(user.install(), "Status code 401")
    site.show("In the last seven days: 1 error")
    site.run("modal.close()")
    user.call("DELETE", "/installations/shop")
    site.show("Shop")
    assert "error" not in site.text()


def test_an_error_without_text_is_shown_by_the_type_of_its_block(site: Site, user: User) -> None:
    user.fail(user.install(), " ", block="send.mail")
    site.show("send.mail", view="errors")


def test_errors_have_hints_counts_and_details(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, *[f"Request failed with status code 401 at https://shop.example/{n}" for n in (1, 2)])
    user.fail(installed, "status code 429", block="rate")
    user.fail(installed, "TypeError: x is undefined\n    at run (/app/shop.js:10:5)", block="code")
    site.show("In the last seven days", view="errors")
    site.see(
        "The shop no longer accepts the token.", "Orders · 2 times · Last seen just now", "The shop limits requests."
    )
    site.see("TypeError: x is undefined")
    assert "status code" not in site.text()
    # Only the hint leads to the account, while it is valid.
    assert site.find("return visible('.errors button').length") == 1
    site.find("visible('summary').forEach((summary) => summary.click())")
    site.see(
        "http\nRequest failed with status code 401 at https://shop.example/",
        "rate\nstatus code 429",
        "code\nTypeError",
    )
    user.break_account(installed, "401 from the shop")
    site.run("modal.close()")
    # Once the account is invalid, the view says so once.
    site.show("What went wrong", "The shop limits requests.", view="errors", integrationId="shop")
    described = "return visible('main button').map((button) => document.getElementById(button.getAttribute('aria-describedby')).innerText)"
    assert site.find(described) == [
        "Shop no longer has access to your account.",
        "The shop no longer accepts the token.",
    ]
    assert site.find("return visible('.primary').length") == 0
    site.click("Reconnect", "Shop account no longer works: 401 from the shop")
    site.click("Back", "What went wrong", "The shop limits requests.")
    assert site.find("return document.activeElement === buttonOf('Reconnect')")
    site.click("Reconnect", "Shop account no longer works: 401 from the shop")
    site.fill({"Address": SHOP_ACCOUNT["address"], "Access token": "shpat_2"})
    site.click("Reconnect", "Shop account is connected again.", "Connected")
    assert user.installation()["status"] == "active"
    site.run("modal.close()")
    # A view has one primary button.
    user.break_account(installed, "401 from the shop")
    site.show("Not working", "What went wrong", integrationId="shop")
    assert site.find("return visible('.primary').map(nameOf)") == ["Reconnect"]
    assert site.find("return buttonOf('Save').matches('.primary')") is False
    assert site.browser.run("return document.querySelectorAll('.errors button').length") == 1
    site.click("Reconnect", "Shop account no longer works: 401 from the shop")
    site.fill({"Address": SHOP_ACCOUNT["address"], "Access token": "shpat_2"})
    site.click("Reconnect", "Shop account is connected again.", "Connected")
    site.run("modal.close()")
    # What happened before does not ask for the account again.
    site.show("The shop no longer accepts the token.", view="errors")
    assert site.find("return visible('.errors button').length") == 0
    site.run("modal.close()")
    site.sign_in(site.new_user())
    site.show("Nothing went wrong in the last seven days.", view="errors")
    site.click("Back", "Shop", "Chat")
