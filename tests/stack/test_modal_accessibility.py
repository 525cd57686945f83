"""The modal with a keyboard, with assistive technology, and on small screens."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import ESCAPE, TAB
from deployed import Environment, NewEnvironment
from modal import LANGUAGES, Site, User, form_field, offer_account_of_the_app
from modal_servers import UNAUTHORIZED


def test_focus_moves_to_new_views_and_back_to_the_host(site: Site, user: User) -> None:
    focused = "return document.activeElement.localName"
    site.run("document.getElementById('opener').focus(); document.getElementById('opener').click()")
    site.enter()
    site.see("Shop", "Ledger")
    # The first view leaves the focus where it is.
    assert site.browser.run(focused) == "body"
    site.click("Ledger", "Step 1 of 5")
    assert site.browser.run(focused) == "h1"
    site.click("Back", "Shop")
    assert site.find("return document.activeElement === buttonOf('Ledger')")
    for name, text in (("Chat", "Install"), ("Install", "Chat is installed.")):
        site.click(name, text)
        assert site.browser.run(focused) == "h1", name
    site.click("Manage", "Chat updates")
    site.click("Uninstall", "Uninstall Chat?")
    assert site.find("return document.activeElement === buttonOf('Cancel')")
    site.browser.press(ESCAPE)
    site.browser.wait("return document.querySelector('dialog') === null")
    assert site.find("return document.activeElement === buttonOf('Uninstall')")
    site.toggle("Chat updates")
    site.see("Chat updates is paused.")
    assert site.find("return document.activeElement === inputOf('Chat updates')")
    site.browser.press(ESCAPE)
    site.wait_closed()
    assert site.browser.run("return document.activeElement.id") == "opener"


LONG = {
    "name": "W" * 128,
    "description": "Description " * 80,
    "credentialTypes": [
        {
            "type": "long",
            "name": "Long account name " * 7,
            "fields": [
                form_field("first", "Z" * 128, help="Help" * 100, required=True),
                form_field("secret", "Secret", "secret", placeholder="P" * 100),
                form_field("options", "Options", "select", options=[{"value": "a", "label": "M" * 128}]),
                form_field("agreed", "Agreed" * 20, "boolean"),
            ],
        }
    ],
    "settings": [form_field(f"setting{index}", f"Setting {index}") for index in range(6)],
    "workflows": [{"key": f"w{index}", "name": "Workflow" * 20, "description": "D" * 300} for index in range(2)],
}

# Rules that depend on the theme or the width.
VISUAL = ["color-contrast", "target-size", "link-in-text-block", "scrollable-region-focusable"]

AXE = """const [tags, rules, isFirst] = arguments;
const only = isFirst ? { type: "tag", values: tags } : { type: "rule", values: rules };
const { violations, passes } = await axe.run(document, { runOnly: only, resultTypes: ["violations"] });
const wide = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility()
  && element.id !== "status" && element.getBoundingClientRect().right > innerWidth + 0.5);
return [
  ...passes.length ? [] : ["nothing was checked"],
  ...violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(" ")}`),
  ...wide.map((element) => `wider than ${innerWidth} pixels: ${element.outerHTML.slice(0, 200)}`),
  ...document.documentElement.scrollWidth > innerWidth ? ["scrolls sideways"] : [],
];"""

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def check_view(site: Site, name: str) -> None:
    """Checks the accessibility of the present view in both themes and at two widths."""
    problems = list[str]()
    axe = Path(os.environ["TENON_AXE"]).read_text()
    if not site.browser.run("return typeof axe === 'object'"):
        site.browser.run(axe)
    for theme, width in (("light", 1280), ("dark", 1280), ("dark", 360), ("light", 360)):
        site.browser.resize(width, 800)
        site.browser.prefer(theme)
        script = "return innerWidth === arguments[0] && document.documentElement.dataset.scheme === arguments[1]"
        site.browser.wait(script, 720 if width > 720 and site.browser.run("return parent !== window") else width, theme)
        first = (theme, width) == ("light", 1280)
        problems += [f"{name} {theme} {width}: {problem}" for problem in site.browser.run(AXE, TAGS, VISUAL, first)]
    assert problems == []


@pytest.fixture
def views(site: Site) -> Iterator[Site]:
    """Resets the preferences of the browser."""
    yield site
    site.browser.prefer("light")
    site.browser.resize(1000, 800)


def test_views_of_an_integration_are_accessible(views: Site, other_environment: Environment) -> None:
    site = views
    other_environment.call("PATCH", "/environment", {"modal": {"lang": None, "theme": None}})
    other_environment.call("PUT", "/integrations/long", LONG, 201)
    user = site.sign_in(site.new_user(other_environment))
    site.show("Step 1 of 4", integrationId="long")
    site.click("Continue", "Enter a value.")
    check_view(site, "step with an error")
    site.fill({"Z" * 128: "x" * 200})
    for step in range(2, 5):
        site.click("Continue", f"Step {step} of 4")
    check_view(site, "review")
    site.browser.press(ESCAPE)
    site.see("Discard what you entered?")
    check_view(site, "dialog")
    site.click("Keep editing")
    site.click("Install", "is installed.")
    check_view(site, "result")
    installed = user.installation("long")
    user.fail(installed, "E" * 300, "line\n" * 30)
    user.break_account(installed, "R" * 300, "long")
    site.click("Manage", "Needs attention")
    site.find("visible('summary').forEach((summary) => summary.click())")
    site.front.fault("PUT", UNAUTHORIZED)
    site.click("Save", "Your session has ended.")
    check_view(site, "installation")
    site.click("Reconnect", "Reconnect Long account name")
    check_view(site, "reconnect")
    site.run("modal.close()")
    for lang, (_, status, *_) in LANGUAGES.items():
        site.show(status, integrationId="long", mode="read", lang=lang)
        check_view(site, f"installation without changes in {lang}")
        site.run("modal.close()")


def test_views_of_accounts_that_the_app_connects_are_accessible(views: Site, new_environment: NewEnvironment) -> None:
    site = views
    user, connect = offer_account_of_the_app(site, new_environment)
    site.show("Connect this account in the app", integrationId="shop", lang="en")
    check_view(site, "missing account")
    connect("first")
    site.click("Try again", "Account to use")
    site.click("Install", "Shop is installed.")
    user.break_account(user.installation(), "revoked")
    connect("second")
    site.click("Manage", "revoked")
    site.click("Reconnect", "Account to use")
    check_view(site, "choice of another account")


def test_catalogue_and_pages_that_end_are_accessible(views: Site, user: User) -> None:
    site = views
    installed = user.install()
    user.fail(installed, "status code 401", "an error")
    user.install("chat", workflows=["main"])
    site.show("Shop", "Ledger", "2 errors", lang="en")
    check_view(site, "catalogue")
    site.click("Show errors", "The shop no longer accepts the token.")
    check_view(site, "errors")
    site.run("modal.close()")
    site.host.next_tokens = [None]
    site.show("Your session has ended.")
    check_view(site, "session end")
    site.browser.go(site.install_link(user))
    site.see("Continue only if you expected it.")
    check_view(site, "install link")
    site.click("Continue", "Chat updates")
    check_view(site, "page of an install link")


def test_tab_reaches_every_control(site: Site, user: User) -> None:
    """No control is behind the sticky header or buttons, and the focus is visible."""
    name = "const nameIn = (element) => element.ariaLabel ?? element.labels?.[0]?.innerText ?? element.innerText;"
    focused = f"""{name} const element = document.activeElement;
        const {{ x, y, width, height }} = element.getBoundingClientRect();
        const isReachable = element.contains(document.elementFromPoint(x + width / 2, y + height / 2));
        return [nameIn(element), isReachable, getComputedStyle(element).outlineStyle]"""
    site.browser.resize(360, 500)
    site.show("Access token", integrationId="shop")
    for text in ("Access token", "Not working"):
        site.see(text)
        wanted = site.find(
            f"{name} document.querySelector('h1').focus(); return visible('button, input, select').map(nameIn)"
        )
        assert len(wanted) > 7
        reached = list[list[Any]]()
        for _ in wanted:
            site.browser.press(TAB)
            reached.append(site.browser.run(focused))
        assert reached == [[label, True, "solid"] for label in wanted]
        site.run("modal.close()")
        if text == "Access token":
            user.break_account(user.install(), "expired")
            site.show(integrationId="shop")
