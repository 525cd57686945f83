"""Forms of the modal: steps, values, errors, and what was entered."""

import functools
import json
from typing import Any

import pytest
from browser import ENTER, ESCAPE
from deployed import NewEnvironment
from modal import SHOP_ACCOUNT, Site, User, form_field
from modal_servers import INVALID, Outcome
from serving import Response
from waiting import wait


def fill_ledger(site: Site, code: str) -> None:
    """Fills the steps of the ledger up to the review."""
    site.see("Step 1 of 5")
    site.fill({"Host": "https://ledger.example", "Code": code})
    site.click("Continue", "Step 2 of 5", "Mail account")
    site.fill({"Mail password": "hidden-password"})
    site.click("Continue", "Step 3 of 5")
    site.fill({"Note 2": "Second note"})
    site.click("Continue", "Step 4 of 5", "Items")
    site.click("Continue", "Step 5 of 5", "Check what you entered.")


def test_button_that_shows_a_secret_names_its_field(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    assert site.browser.label(".secret button") == "Show Access token"


def test_long_form_has_steps_and_a_review(site: Site, user: User) -> None:
    site.show("Step 1 of 5", integrationId="erp")
    site.click("Continue", "Enter a value.")
    assert "Enter a value." in site.error("Host")
    fill_ledger(site, "123")
    shown = site.text()
    assert [text in shown for text in ("https://ledger.example", "123", "Second note", "Hidden", "None")] == [True] * 5
    assert "hidden-password" not in shown
    site.click("Back", "Step 4 of 5")
    site.toggle("Items")
    site.click("Continue", "Step 5 of 5", "Invoices")
    assert "Items" not in site.text()
    # The server finds an error of the first step.
    site.click("Install", "Step 1 of 5", "Please check the marked fields.")
    assert "does not have the expected form" in site.error("Code")
    assert site.find("return document.activeElement === inputOf('Code')")
    assert site.value("Host") == "https://ledger.example"
    fill_ledger(site, "1234")
    site.click("Install", "Ledger is installed.")
    stored = user.installation("erp")
    assert stored["settings"] == {"note2": "Second note"}
    assert [workflow["active"] for workflow in stored["workflows"]] == [True]
    assert set(stored["credentialIds"]) == {"erp/main", "mail"}
    site.click("Done")
    site.wait_closed()
    site.events("ready", "installed", "close")


def test_enter_continues_to_the_next_step(site: Site, user: User) -> None:
    site.show("Step 1 of 5", integrationId="erp")
    site.fill({"Host": "https://ledger.example", "Code": "1234"})
    site.browser.press(ENTER)
    site.see("Step 2 of 5")


def test_second_click_of_a_double_click_is_not_for_the_next_step(site: Site, user: User) -> None:
    site.show("Step 1 of 5", integrationId="erp")
    fill_ledger(site, "1234")
    site.click("Back", "Step 4 of 5")
    site.find("""const click = (name, detail) => buttonOf(name).dispatchEvent(new MouseEvent("click", { bubbles: true, detail }));
      click("Continue", 1);
      click("Install", 2);""")
    site.see("Step 5 of 5", "Check what you entered.")
    site.click("Back", "Step 4 of 5")
    assert site.front.lines("PUT") == []


def test_refusals_that_a_repetition_may_end_say_so(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    for status, text in [
        (429, "Please try again shortly."),
        (503, "went wrong on our side"),
        (409, "went wrong on our side"),
    ]:
        site.front.fault(
            "PUT",
            Response.of('{"type": "urn:tenon:problem:too-many-workflows"}', "application/problem+json", status),
            times=1,
        )
        site.click("Install", text)
    site.click("Install", "Shop is installed.")


def test_prefill_fills_all_but_secrets(site: Site, user: User) -> None:
    prefill = {
        "settings": {"region": "us", "batch": 7, "mail": True, "unknown": 1},
        "credentials": {"shop": {"address": "https://prefilled.example", "token": "shpat_prefilled"}},
    }
    site.show("Access token", integrationId="shop", prefill=prefill)
    values = [site.value(label) for label in ("Region", "Orders per run", "Send a summary", "Address", "Access token")]
    assert values == ["us", "7", True, "https://prefilled.example", ""]
    # Prefilled values are not input that can be lost.
    site.click("Close")
    site.wait_closed()


def test_wrong_values_are_found_before_they_are_sent(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    site.fill({"Address": "acme", "Orders per run": "1,000"})
    site.toggle("Orders")
    site.toggle("Stock")
    site.click("Install", "Enter a number without", "https://", "Choose at least one workflow.")
    assert [bool(site.error(label)) for label in ("Address", "Orders per run", "Access token")] == [True, True, False]
    assert "Choose at least one workflow." in site.error("Orders")
    site.fill({"Orders per run": "1e999"})
    site.click("Install")
    wait(
        lambda: site.error("Orders per run") == "Please check this value: \u2264 9007199254740991",
        "error of the number",
    )
    site.fill({"Orders per run": "7"})
    site.toggle("Stock")
    # The errors of former values are gone, those of other fields are not.
    labels = ("Orders per run", "Orders", "Address")
    assert [bool(site.error(label)) for label in labels] == [False, False, True]
    assert "Choose at least one workflow." not in site.text()
    site.toggle("Stock")
    # A URL, but not of a web page.
    site.fill({"Address": "shop.example:443/admin"})
    site.click("Install")
    wait(lambda: "https://" in site.error("Address"), "error of the address")
    assert site.front.lines("PUT") == []
    # In German a comma begins the decimals.
    site.run("modal.close()")
    site.show("Access token", integrationId="shop", lang="de", prefill={"settings": {"batch": 2.5}})
    assert site.value("Orders per run") == "2,5"
    site.fill_shop()
    site.fill({"Orders per run": "1.000"})
    site.click("Installieren", "Geben Sie eine Zahl ohne")  # typos:ignore
    site.fill({"Orders per run": "1000,5"})
    site.click("Installieren", "Die Integration „Shop“ ist installiert.")  # typos:ignore
    assert user.installation()["settings"]["batch"] == 1000.5


# Numbers as people write them, and texts that are none, or several, by the language of the browser.
NUMBERS: dict[str, tuple[dict[str, float], list[str]]] = {
    "en-US": (
        {"7": 7, "1.5": 1.5, "2,5": 2.5, "0,125": 0.125, ",25": 0.25, "\uff11\uff10\uff10\uff10": 1000, "1 001": 1001}
        | {"12\u2019345.5": 12345.5, "\u22123": -3, "+.5": 0.5, "1e3": 1000, "2.125": 2.125},
        [
            "1,000",
            "1.5.2",
            "12 34",
            "0 125",
            "1,000.5",
            "1e999",
            "10\u00b2",
            "x",
            ".",
            "-",
            "10223456789012345",
            "10223456789012345.0",
            "1e20",
        ],
    ),
    "de-DE": (
        {"1,5": 1.5, "2.5": 2.5, "1,125": 1.125, "0.125": 0.125, "1 000,5": 1000.5},
        ["1.000", "12.345", "1.000,5"],
    ),
    # Its decimals begin with a point.
    "de-CH": ({"1.5": 1.5, "1.125": 1.125, "1\u2019000": 1000}, ["1,125"]),
    # Not a code of a language.
    "en-US@posix": ({"1.5": 1.5}, ["1,000"]),
    # The page has no texts in these languages.
    "cs-CZ": ({"1,5": 1.5, "1,125": 1.125, "1\u00a0000,5": 1000.5}, ["1.000"]),
    "cs-CZ,cs,en-US,en": ({"1,125": 1.125}, ["1.000"]),
    "fa": ({"1.5": 1.5}, ["1,000"]),
}


@pytest.mark.parametrize("language", NUMBERS)
def test_numbers_are_read_as_people_write_them(site: Site, user: User, language: str) -> None:
    def is_saved(number: float) -> bool:
        return user.installation()["settings"].get("batch") == number

    user.install()
    source = f"Object.defineProperty(navigator, 'languages', {{ get: () => {language.split(',')} }});"
    with site.browser.preloaded(source):
        site.load()
        site.show("Orders per run", integrationId="shop")
        save = "Speichern" if language.startswith("de") else "Save"
        numbers, others = NUMBERS[language]
        for entered, number in numbers.items():
            site.fill({"Orders per run": entered})
            site.click(save)
            wait(functools.partial(is_saved, number), entered)
        for entered in others:
            site.fill({"Orders per run": entered})
            site.click(save)
            assert site.error("Orders per run"), entered
    assert user.installation()["settings"]["batch"] == number


def test_errors_of_fields_that_the_page_does_not_know_are_shown(site: Site, user: User) -> None:
    """The integration has changed since the form was opened."""
    errors = [{"pointer": "/settings/plan", "detail": "is required"}, {"pointer": "", "detail": "is too long"}]
    problem = Response.of(json.dumps({"status": 422, "errors": errors}), "application/problem+json", 422)
    site.show("Install", integrationId="chat")
    site.front.fault("PUT", problem, times=1)
    site.click("Install", "plan: Please check this value: is required", "Please check this value: is too long")
    site.click("Install", "Chat is installed.")


def test_form_of_a_changed_integration_is_loaded_again(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    body: dict[str, Any] = {"name": "Plans", "workflows": [{"key": "main", "name": "Main work"}]}
    environment.call("PUT", "/integrations/plans", body, 201)
    user = site.sign_in(site.new_user(environment))
    site.show("Install", integrationId="plans")
    plan = form_field("plan", "Plan", required=True)
    environment.call("PUT", "/integrations/plans", body | {"settings": [plan]})
    site.click("Install", "plan: Please check this value: is required")
    site.click("Reload the form", "Plan")
    site.fill({"Plan": "basic"})
    site.click("Install", "Plans is installed.")
    # The same happens to an installation.
    site.click("Manage", "Save")
    size = form_field("size", "Size", required=True)
    environment.call("PUT", "/integrations/plans", body | {"settings": [plan, size]})
    site.fill({"Plan": "full"})
    site.click("Save", "size: Please check this value: is required")
    site.click("Reload the form", "Size")
    assert site.value("Plan") == "full"
    site.fill({"Size": "10"})
    site.click("Save", "Your changes are saved.")
    assert user.installation("plans")["settings"] == {"plan": "full", "size": "10"}


def test_what_was_entered_is_kept_when_the_form_is_loaded_again(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    plan, key = (
        form_field("plan", "Plan", "select", options=[{"value": "a", "label": "A"}]),
        form_field("key", "Key", "secret"),
    )
    workflows = [{"key": name, "name": f"{name} work"} for name in ("Main", "Other")]
    types = [{"type": "shop", "name": "Shop account", "fields": [key]}]
    body: dict[str, Any] = {"name": "Plans", "workflows": workflows, "credentialTypes": types, "settings": [plan]}
    environment.call("PUT", "/integrations/plans", body, 201)
    user = site.sign_in(site.new_user(environment))
    site.show("Install", integrationId="plans")
    size = form_field("size", "Size", required=True)
    environment.call("PUT", "/integrations/plans", body | {"settings": [plan, size]})
    lines = "-----BEGIN KEY-----\nAAAA\n-----END KEY-----"
    site.paste("Key", lines)
    site.choose("Plan", "A")
    site.toggle("Other work")
    site.click("Install", "size: Please check this value: is required")
    site.click("Reload the form", "Size")
    site.fill({"Size": "10"})
    site.click("Install", "Plans is installed.")
    stored = user.installation("plans")
    assert stored["settings"] == {"plan": "a", "size": "10"}
    assert [workflow["key"] for workflow in stored["workflows"] if workflow["active"]] == ["Main"]
    assert user.reveal(stored["credentialIds"]["shop"]) == {"key": lines}


def test_setting_that_needs_attention_is_not_reported_as_saved(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    code = form_field("code", "Code", required=True)
    old, new = ({"value": value, "label": value.title()} for value in ("old", "new"))
    mode = form_field("mode", "Mode", "select", options=[old, new])
    body: dict[str, Any] = {"name": "Codes", "workflows": [{"key": "main", "name": "Main work"}]}
    environment.call("PUT", "/integrations/codes", body | {"settings": [code, mode]}, 201)
    user = site.sign_in(site.new_user(environment))
    user.install("codes", credentials={}, settings={"code": "abc", "mode": "old"})
    changed = [code | {"pattern": "[0-9]+"}, mode | {"options": [new]}]
    environment.call("PUT", "/integrations/codes", body | {"settings": changed})
    site.show("Check the setting “Code”.", "Check the setting “Mode”.", integrationId="codes")
    site.click("Save", "does not have the expected format")
    site.fill({"Code": "123"})
    site.click("Save", "Your changes are saved.")
    assert "Check the setting" not in site.text()
    assert user.installation("codes")["settings"] == {"code": "123"}


def test_only_settings_that_the_user_has_changed_are_stored(site: Site, user: User) -> None:
    """Others may have been changed elsewhere meanwhile, or have values that inputs cannot show."""
    user.install(credentials={"shop": {"data": SHOP_ACCOUNT}}, settings={"region": "eu", "batch": 9007199254740993})
    site.show("Connected", integrationId="shop")
    user.call("PUT", "/installations/shop", {"settings": {"region": "us"}})
    site.toggle("Send a summary")
    site.click("Save", "Your changes are saved.")
    assert user.installation()["settings"] == {"region": "us", "batch": 9007199254740993, "mail": True}
    site.fill({"Orders per run": ""})
    site.click("Save")
    # The message of the first change may still be shown.
    cleared = {"region": "us", "mail": True}
    wait(lambda: user.installation()["settings"] == cleared, "the number is cleared")


def test_pasted_secret_keeps_its_lines(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    key = "-----BEGIN KEY-----\nMC4CAQAwBQYDK2Vw\n-----END KEY-----\n"
    fields = [form_field("key", "Key", "secret", required=True), form_field("token", "Token", "secret", required=True)]
    body = {
        "name": "Signer",
        "credentialTypes": [{"type": "signer", "name": "Signer account", "fields": fields}],
        "workflows": [{"key": "main", "name": "Main work"}],
    }
    environment.call("PUT", "/integrations/signer", body, 201)
    user = site.sign_in(site.new_user(environment))
    site.show("Install", integrationId="signer")
    site.paste("Key", key)
    # A text of one line often comes with a line break.
    site.paste("Token", "token\n")
    site.click("Install", "Signer is installed.")
    assert user.reveal(user.installation("signer")["credentialIds"]["signer"]) == {"key": key, "token": "token"}


def test_what_was_typed_is_not_lost_without_asking(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, "Status code 401")
    site.show("Shop", "Installed")
    site.click("Shop", "Connected", "What went wrong")
    release = site.front.hold("PUT /workflows/deactivate")
    site.toggle("Orders")
    site.fill({"Orders per run": "5"})
    release.set()
    site.see("Orders is paused.")
    leave = ["Reconnect", "Back", "Close"]
    for name in leave:
        site.click(name, "Discard what you entered?")
        site.click("Keep editing")
    site.find("visible('.errors button')[0].click()")
    site.see("Discard what you entered?")
    site.browser.press(ESCAPE)
    wait(lambda: "Discard" not in site.text(), "the dialog is closed")
    site.browser.press(ESCAPE)
    site.see("Discard what you entered?")
    site.click("Keep editing")
    assert site.value("Orders per run") == "5"
    site.click("Reconnect", "Discard what you entered?")
    site.click("Discard", "Reconnect Shop account")
    site.click("Back", "Connected")
    site.browser.press(ESCAPE)
    site.wait_closed()


def test_form_that_was_left_does_not_disturb_the_next_one(site: Site, user: User) -> None:
    site.show("Shop")
    site.click("Shop", "Access token")
    site.fill_shop()
    release = site.front.hold("PUT")
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), "request")
    site.click("Back", "Leave while this is being saved?")
    site.click("Leave", "Ledger")
    site.click("Ledger", "Step 1 of 5")
    site.fill({"Host": "https://ledger.example"})
    release.set()
    site.events("ready", "installed")
    site.enter()
    assert site.value("Host") == "https://ledger.example"
    site.click("Close", "Discard what you entered?")


@pytest.mark.parametrize("outcome", ["forward", INVALID], ids=["saved", "rejected"])
def test_form_that_was_left_does_not_take_over_a_view_that_loads(
    site: Site, user: User, outcome: Response | Outcome
) -> None:
    site.show("Shop")
    site.click("Shop", "Access token")
    site.fill_shop()
    end_save = site.front.hold("PUT", outcome)
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), "request")
    end_load = site.front.hold("GET /session")
    site.click("Back", "Leave while this is being saved?")
    site.click("Leave")
    wait(lambda: site.front.faults[-1].left == 0, "request of the next view")
    end_save.set()
    responses = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/installations/'))"
    site.browser.wait(f"return {responses}.length > 0")
    site.browser.run("await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    assert site.find("return inputOf('Access token').matches('[inert] *')")
    end_load.set()
    site.see("Ledger")
    assert "Shop is installed." not in site.text()


def test_form_is_sent_once_and_cannot_be_changed_meanwhile(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    release = site.front.hold("PUT", "close")
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), "request")
    assert site.find("return document.querySelector('main').inert")
    release.set()
    site.see("You seem to be offline")
    assert site.find("return document.querySelector('main').inert") is False
    site.click("Install", "Shop is installed.")


def test_fields_may_have_names_of_object_members(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    settings = [form_field(name, name.title()) for name in ("constructor", "valueOf", "toString")]
    account = {"type": "__proto__", "name": "Odd account", "fields": [form_field("token", "Token")]}
    body = {
        "name": "Odd",
        "credentialTypes": [account],
        "settings": settings,
        "workflows": [{"key": "odd", "name": "Odd work"}],
    }
    environment.call("PUT", "/integrations/odd", body, 201)
    user = site.sign_in(site.new_user(environment))
    site.show("Constructor", integrationId="odd", prefill={"settings": {"valueOf": "7"}})
    assert [site.value(name) for name in ("Constructor", "Valueof", "Tostring")] == ["", "7", ""]
    site.fill({"Token": "t"})
    site.click("Install", "Odd is installed.")
    installed = user.installation("odd")
    assert installed["settings"] == {"valueOf": "7"}
    assert list(installed["credentialIds"]) == ["__proto__"]


def test_hints_are_shown_completely(site: Site, user: User) -> None:
    user.fail(user.install(), "out of stock")
    site.show("Fill the stock of your shop.", view="errors")
    assert (
        site.find("const hint = document.querySelector('.message'); return hint.scrollHeight - hint.clientHeight") == 0
    )


def test_leaving_a_form_that_is_being_sent_is_confirmed_although_nothing_was_entered(site: Site, user: User) -> None:
    site.show("Chat")
    site.click("Chat", "Install")
    release = site.front.hold("PUT")
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), "request")
    site.click("Back", "Leave while this is being saved?")
    site.click("Wait")
    site.click("Back", "Leave while this is being saved?")
    release.set()
    site.see("Chat is installed.")
    # Nothing is left to save.
    site.browser.wait("return document.querySelector('dialog') === null")


def test_question_about_a_form_that_is_being_sent_ends_when_it_is_refused(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    release = site.front.hold("PUT", "close")
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), "request")
    site.click("Close", "Leave while this is being saved?")
    release.set()
    site.see("You seem to be offline")
    site.browser.wait("return document.querySelector('dialog') === null")
    site.click("Close", "Discard what you entered?")
    site.click("Keep editing")
    assert site.value("Access token") == SHOP_ACCOUNT["token"]
