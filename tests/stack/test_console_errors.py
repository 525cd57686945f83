"""Errors in the console: chart, filters, groups and live updates."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from browser import ENTER, SHIFT, TAB, Browser
from console import Console
from emulator import Emulator
from stack import Stack
from waiting import wait

pytestmark = pytest.mark.console

UNAUTHORIZED, LIMITED, TIMEOUT = "Request failed with status code 401", "status code 429 from Slack", "timeout of 30 s"


class Seed:
    """Errors of two users: Joe has installed the shop, and Ann has a workflow of her own."""

    def __init__(self, console: Console) -> None:
        environment = console.environment
        shop = {"name": "Shop", "workflows": [{"key": "orders", "name": "Shop orders"}]}
        environment.call("PUT", "/integrations/shop", shop, 201)
        self.joe = console.user("joe", email="joe@acme.example")
        self.ann = console.user("ann", email="ann@acme.example")
        settings: dict[str, Any] = {"credentials": {}, "settings": {}}
        installed = environment.call("PUT", f"/users/{self.joe}/installations/shop", settings, 201)
        self.shop = installed["workflows"][0]["workflowId"]
        self.slack = console.workflow(self.ann, "Notify sales")
        self.first = console.record(self.shop, *[UNAUTHORIZED] * 3)[0]
        console.record(self.slack, LIMITED, LIMITED, TIMEOUT, blockType="alloy.slack")
        old = datetime.now(UTC) - timedelta(hours=30)
        console.record(self.slack, "an old error", createdAt=old.isoformat())


@pytest.fixture
def console(browser: Browser, emulator: Emulator, stack: Stack) -> Iterator[Console]:
    """The console, with an environment of its own."""
    with Console(browser, emulator, stack).opened() as console:
        yield console


@pytest.fixture(scope="module")
def shared(browser: Browser, emulator: Emulator, stack: Stack) -> tuple[Console, Seed]:
    """A console whose errors do not change, for all tests that only read them."""
    console = Console(browser, emulator, stack)
    return console, Seed(console)


@pytest.fixture
def reader(shared: tuple[Console, Seed]) -> Iterator[Console]:
    """The console, with errors of two users that do not change."""
    with shared[0].opened() as console:
        yield console


@pytest.fixture
def seed(shared: tuple[Console, Seed]) -> Seed:
    """Errors of the console that only reads."""
    return shared[1]


# ------------------------------------------------------------------------------------------
# Chart and time ranges


def bars(console: Console) -> list[dict[str, int]]:
    """Returns the place of each bar of the chart on the page."""
    script = """return [...document.querySelectorAll(".chart .bar")].map((bar) => {
        const { x, y, width, height } = bar.getBoundingClientRect();
        return { x: Math.round(x + width / 2), y: Math.round(y + height / 2) };
    })"""
    return console.browser.run(script)


def point(console: Console, bar: dict[str, int]) -> None:
    """Moves the mouse to a bar."""
    console.browser.cdp("Input.dispatchMouseEvent", type="mouseMoved", **bar)


def test_bars_select_a_time_range(console: Console) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    now = datetime.now(UTC)
    early, late = now - timedelta(hours=20), now - timedelta(hours=2)
    console.record(workflow, "one", "two", "three", createdAt=early.isoformat())
    console.record(workflow, "four", "five", createdAt=late.isoformat())
    console.record(workflow, "six")
    console.sign_in()
    console.see("6 errors · times in")
    paths = [line.split("?")[0] for line in console.requests()]
    assert paths.count("GET /errors/groups") == 1
    assert "GET /logs" not in paths[: paths.index("GET /errors/groups")]
    first, second, _ = bars(console)
    point(console, first)
    console.see("3 errors, ")
    point(console, second)
    console.see("2 errors, ")
    console.browser.drag((first["x"], first["y"]), (second["x"] - 20, second["y"]), (second["x"], second["y"]))
    console.see("5 errors · times in")
    selected = console.parameters()
    since, until = (datetime.fromisoformat(selected[name]) for name in ("since", "until"))
    assert since <= early
    assert late < until < now
    assert "range" not in selected
    assert len(console.requests("GET /errors/groups")) == 2
    console.see(f"{since:%b %-d}")
    # The range can be changed by hand.
    console.click(f"{since:%b %-d}")
    console.fill("Until", "")
    console.click("Show", "6 errors")
    assert console.parameters().keys() == {"since"}
    console.browser.run("history.back()")
    console.see("5 errors")
    assert console.parameters() == selected


def test_time_axis_marks_round_local_times(console: Console) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    console.record(workflow, "first", createdAt=(datetime.now(UTC) - timedelta(days=6)).isoformat())
    console.record(workflow, "last")
    labels = "return [...document.querySelectorAll('.chart svg > text')].map((label) => label.textContent)"
    console.sign_in("#/errors?range=24h")
    console.see("1 error ·")
    hours = console.browser.run(labels)
    assert len(hours) >= 4
    # Midnight is marked with its date.
    assert sum(":00" not in label for label in hours) <= 1
    console.open("#/errors?range=7d")
    console.see("2 errors ·")
    days = console.browser.run(labels)
    assert len(set(days)) == len(days) >= 3
    assert all(":" not in label for label in days)


def test_keyboard_selects_a_time_range(console: Console) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    # The chart begins at a full minute: one to two minutes before this error.
    console.record(workflow, "first", createdAt=(datetime.now(UTC) - timedelta(minutes=14)).isoformat())
    console.record(workflow, "last")
    console.sign_in("#/errors?range=15m")
    console.see("2 errors")
    console.browser.run("document.querySelector('.chart svg').focus()")

    def press(key: str, modifiers: int = 0) -> None:
        console.browser.cdp("Input.dispatchKeyEvent", type="keyDown", key=key, modifiers=modifiers)

    shift = 8
    press("ArrowRight")
    console.see(" errors, ")
    for _ in range(7):
        press("ArrowRight", shift)
    console.browser.wait("return document.querySelector('.chart .selection') !== null")
    console.browser.press(ENTER)
    console.see("1 error ·")
    since, until = (datetime.fromisoformat(console.parameters()[name]) for name in ("since", "until"))
    assert timedelta(minutes=1.9) < until - since < timedelta(minutes=2.5)
    assert console.browser.run("return document.activeElement.localName") == "svg", "to choose a shorter range"


def test_former_chart_and_groups_stay_until_another_range_is_loaded(console: Console) -> None:
    console.record(console.workflow(console.user("joe"), "Orders"), "status code 401")
    console.sign_in("#/errors")
    console.see("1 error ·", "status code 401")
    console.hold("GET /errors/groups")
    console.click("7 d")
    console.browser.wait("return document.querySelectorAll('[aria-busy] .chart, [aria-busy] table').length === 2")
    console.see("Live", "status code 401")
    console.gone("Not live")
    console.release()
    console.browser.wait("return document.querySelector('[aria-busy]') === null")
    console.see("1 error ·", "status code 401")


def test_panel_that_was_closed_is_not_opened_by_going_back(console: Console) -> None:
    console.record(console.workflow(console.user("joe"), "Orders"), "status code 401")
    console.sign_in("#/users")
    console.open("#/errors?view=list")
    console.click("status code 401", "Happened")
    where = console.fragment()
    console.click("Close")
    console.gone("Happened")
    assert console.fragment() == "#/errors?view=list"
    console.browser.run("history.back()")
    console.browser.wait("return location.hash === '#/users'")
    # Without a page before, closing replaces the address.
    console.load(where)
    console.sign_in(where)
    console.see("Happened")
    console.click("Close")
    console.gone("Happened")
    assert console.fragment() == "#/errors?view=list"


def test_presets_set_the_time_range(reader: Console) -> None:
    reader.sign_in()
    reader.see(UNAUTHORIZED)
    reader.gone("an old error")
    for title, (name, minutes) in {
        "7 d": ("7d", 10080),
        "15 min": ("15m", 15),
        "1 h": ("1h", 60),
        "24 h": ("24h", 1440),
    }.items():
        reader.forget()
        reader.click(title)
        assert reader.parameters() == {"range": name}
        assert reader.find("return named('a', arguments[0]).ariaCurrent", title) == "true"
        [request] = reader.requests("GET /errors/groups")
        since = datetime.fromisoformat(request.split("since=")[1].replace("%3A", ":"))
        assert abs(datetime.now(UTC) - since - timedelta(minutes=minutes)) < timedelta(minutes=3)
        reader.see(UNAUTHORIZED)
        assert ("an old error" in reader.text()) == (name == "7d")


# ------------------------------------------------------------------------------------------
# Filters


def test_filters_narrow_groups_list_and_chart(reader: Console, seed: Seed) -> None:
    reader.sign_in()
    reader.see("6 errors")

    def narrows(shown: str, *hidden: str, **parameters: str) -> None:
        reader.see(shown)
        reader.gone(*hidden)
        assert reader.parameters() == parameters
        reader.click("Newest first", shown, "Workflow")
        reader.gone(*hidden)
        reader.click("Groups", shown, "Affected")
        reader.click("Clear filters", "6 errors", UNAUTHORIZED, LIMITED, TIMEOUT)
        assert reader.parameters() == {}
        assert reader.value("Block type") == reader.value("Status code") == reader.value("User") == ""

    reader.choose("Block type", "alloy.slack")
    reader.see("3 errors")
    narrows(LIMITED, UNAUTHORIZED, blockType="alloy.slack")
    reader.find("fieldOf('Integration').focus()")
    reader.choose("Integration", "Shop")
    reader.see("3 errors")
    narrows(UNAUTHORIZED, LIMITED, TIMEOUT, integrationId="shop")
    reader.choose("Status code", "429")
    narrows(LIMITED, UNAUTHORIZED, TIMEOUT, status="429")
    reader.fill("Search loaded errors", "TIMEOUT")
    narrows(TIMEOUT, UNAUTHORIZED, LIMITED, text="TIMEOUT")
    for name in ("joe", "JOE@acme.example", seed.joe):
        reader.fill("User", name)
        reader.see("3 errors")
        narrows(UNAUTHORIZED, LIMITED, TIMEOUT, userId=name)
    assert [line for line in reader.requests("GET /errors/groups") if "status" in line or "text" in line] == []


def test_chips_name_and_remove_filters(reader: Console, seed: Seed) -> None:
    reader.sign_in(f"#/errors?userId={seed.ann}&workflowId={seed.slack}&view=list")
    reader.see("User ann", "Workflow Notify sales")
    reader.click("Remove the filter: User ann")
    reader.gone("User ann")
    assert reader.parameters() == {"workflowId": seed.slack, "view": "list"}
    # The link is gone.
    assert reader.focused() == "Errors"
    reader.click("Clear filters", UNAUTHORIZED, LIMITED)
    assert reader.parameters() == {"view": "list"}


def test_group_shows_its_errors_and_whom_it_affects(console: Console) -> None:
    Seed(console)
    other = console.workflow(console.user("mia"), "Returns")
    console.record(other, UNAUTHORIZED)
    console.sign_in()
    console.click(UNAUTHORIZED, "Group of similar errors", "4 errors")
    console.see("2 affected workflows: ", "Shop orders", "Returns", "2 affected users: ", "joe", "mia")
    console.rows(4)
    console.gone(LIMITED, "ann")
    console.click("mia", "Errors of this user")
    console.browser.run("history.back()")
    console.see("Group of similar errors")
    console.click("All groups", LIMITED)
    assert console.parameters() == {}


def test_group_whose_errors_are_not_loaded_names_no_users(console: Console) -> None:
    Seed(console)
    console.record(console.workflow(console.user("mia"), "Returns"), UNAUTHORIZED)
    console.sign_in()
    console.see(UNAUTHORIZED)
    console.set_offline(True, "GET /logs")
    console.click(UNAUTHORIZED, "2 affected users", "The API is unreachable.")
    shown = console.text()
    assert [text for text in ("affected users:", "and others") if text in shown] == []


def test_error_shows_everything_and_leads_to_related_errors(reader: Console, seed: Seed) -> None:
    reader.sign_in("#/errors?view=list&blockType=alloy.shopify")
    reader.click(UNAUTHORIZED, "Happened", "Recorded", "run-1", "block-1", "Deliveries", "No destinations")
    reader.see("joe", "Shop orders")
    assert reader.focused() == "Error"
    opened = reader.parameters()
    assert opened.pop("error")
    assert opened == {"view": "list", "blockType": "alloy.shopify"}
    reader.browser.run("history.back()")
    reader.gone("Happened")
    assert reader.parameters() == opened
    reader.browser.run("history.forward()")
    reader.see("Happened")
    reader.click("Close")
    reader.gone("Happened")
    assert reader.parameters() == opened
    reader.open(f"#/errors?error={seed.first}")
    reader.click("Errors of this user", UNAUTHORIZED)
    reader.gone(LIMITED, "Happened")
    assert reader.parameters() == {"view": "list", "userId": seed.joe, "range": "7d"}
    # A click beside the panel closes it, and one on its scroll bar does not.
    reader.open(f"#/errors?error={seed.first}")
    reader.see("Happened")
    press = "document.querySelector('.panel').dispatchEvent(new MouseEvent('mousedown', { clientX: arguments[0] }))"
    reader.browser.run(press, reader.browser.run("return innerWidth - 2"))
    reader.see("Happened")
    reader.browser.run(press, 2)
    reader.gone("Happened")
    reader.open("#/errors?error=" + "0" * 24)
    reader.see("not found")
    reader.click("Close")


def test_reload_and_back_keep_filters_page_and_open_error(console: Console) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    now = datetime.now(UTC)
    times = ((now - timedelta(minutes=index)).isoformat() for index in range(60))
    console.record(workflow, *({"error": f"error {index:02}.", "createdAt": at} for index, at in enumerate(times)))
    key = console.key("read")
    console.click("Stay signed in")
    console.sign_in("#/errors?view=list&blockType=alloy.shopify", key)
    console.see("error 00.", "error 49.")
    console.gone("error 50.")
    console.click("Older errors", "error 50.", "error 59.")
    console.gone("error 00.")
    assert "since" in console.parameters(), "the cursor belongs to this range, whatever the time"
    console.click("error 55.", "Happened")
    where = console.fragment()
    console.browser.run("history.back()")
    console.browser.wait("return !location.hash.includes('error=') && location.hash.includes('cursor=')")
    console.gone("Happened")
    console.see("error 50.")
    console.browser.run("history.forward()")
    console.see("Happened", "error 55.")
    assert console.fragment() == where
    console.load(where)
    console.see("Happened", "error 50.", "error 55.")
    assert console.fragment() == where
    console.click("Close")
    console.gone("Happened")
    console.see("error 50.")
    assert console.value("Block type") == "alloy.shopify"
    console.click("Newest", "error 00.")
    assert console.parameters() == {"view": "list", "blockType": "alloy.shopify"}


# ------------------------------------------------------------------------------------------
# Live updates


@pytest.mark.parametrize("view", ["", "?view=list"])
def test_new_errors_appear_by_themselves(console: Console, view: str) -> None:
    seed = Seed(console)
    console.sign_in(f"#/errors{view}")
    console.see("6 errors", "Live")
    console.record(seed.slack, "disk is full")
    console.skip_until("disk is full", "7 errors")
    console.announced("1 new error.")
    console.record(seed.slack, "disk is full", "no space left on device")
    console.skip_until("no space left on device", "9 errors")
    console.announced("2 new errors.")
    console.click("Follow new errors", "Not live")
    console.forget()
    console.record(seed.slack, "unseen error")
    console.skip(60)
    assert console.requests("GET /logs") == []
    console.click("Follow new errors", "Live")
    console.skip_until("unseen error")


def test_rows_stay_while_the_user_moves_over_them(console: Console) -> None:
    seed = Seed(console)
    console.sign_in("#/errors?view=list")
    console.rows(6)
    place = "const { x, y } = document.querySelectorAll('tbody tr')[arguments[0]].getBoundingClientRect(); return { x: x + 5, y: y + 5 }"
    console.forget()
    console.record(seed.slack, "disk is full")
    for step in range(12):
        point(console, console.browser.run(place, step % 2))
        console.skip(2)
    assert console.requests("GET /logs") != []
    console.rows(6)
    # The pointer rests.
    console.skip_until("disk is full", "7 errors")
    console.announced("1 new error.")
    # With the keyboard, too.
    console.browser.run("document.querySelector('h1').focus()")
    while console.browser.run("return !document.activeElement.closest('tbody')"):
        console.browser.press(TAB)
    console.forget()
    console.record(seed.slack, "no space left on device")
    for _ in range(12):
        console.browser.press(SHIFT)
        console.skip(2)
    assert console.requests("GET /logs") != []
    console.rows(7)
    console.skip_until("no space left on device", "8 errors")


def test_errors_appear_whatever_time_an_engine_names(console: Console) -> None:
    seed = Seed(console)
    now = datetime.now(UTC)
    # The clock of one engine is ahead.
    console.record(seed.shop, "from the future", createdAt=(now + timedelta(minutes=4)).isoformat())
    console.sign_in("#/errors?view=list")
    console.see("from the future", "Live")
    console.skip(30)
    console.record(seed.slack, "at present")
    console.skip_until("at present", "8 errors")
    console.record(seed.slack, "reported late", createdAt=(now - timedelta(minutes=10)).isoformat())
    console.skip_until("reported late", "9 errors")


def test_update_that_fails_keeps_what_is_shown_and_is_repeated(console: Console) -> None:
    seed = Seed(console)
    console.sign_in("#/errors")
    console.see("6 errors", UNAUTHORIZED, "Live")
    console.set_offline(True, "GET /errors/groups")
    console.record(seed.slack, "disk is full")
    console.skip_until("The API is unreachable.")
    console.see("6 errors", UNAUTHORIZED, "Not live")
    console.set_offline(False)
    console.skip_until("disk is full", "7 errors", "Live")
    console.gone("The API is unreachable.")
    console.announced("1 new error.")


def test_errors_of_an_execution_are_found(console: Console) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    console.record(workflow, "first of run 7", "second of run 7", executionId="run-7")
    console.record(workflow, "of run 8", executionId="run-8")
    console.sign_in("#/errors?view=list")
    console.see("of run 8")
    console.fill("Execution", "run-7")
    console.gone("of run 8")
    console.click("first of run 7", "Errors of this execution")
    console.click("Close")
    console.click("Clear filters", "of run 8")
    console.click("of run 8", "Errors of this execution")
    console.click("Errors of this execution")
    console.gone("first of run 7")
    assert console.parameters()["executionId"] == "run-8"


def test_error_is_found_by_its_id(console: Console) -> None:
    [error] = console.record(console.workflow(console.user("joe"), "Orders"), "connection refused")
    console.sign_in()
    console.fill("Error", f" {error} ")
    console.see("Happened", "connection refused")
    assert console.parameters() == {"error": error}
    console.click("Close")
    console.gone("Happened")
    console.fill("Error", "0" * 24)
    console.see("not found")


def test_filter_that_is_being_typed_survives_an_update(console: Console) -> None:
    seed = Seed(console)
    console.sign_in("#/errors")
    console.see("6 errors", "Live")
    console.find("fieldOf('User').focus(); document.execCommand('insertText', false, 'an')")
    console.record(seed.slack, "disk is full")
    console.skip_until("disk is full", "7 errors")
    assert console.value("User") == "an"
    # The field keeps the focus when it filters.
    console.find("fieldOf('User').focus(); document.execCommand('insertText', false, 'n')")
    console.browser.press(ENTER)
    console.see("4 errors")
    assert console.focused() == "User"
    console.click("Remove the filter: User ann")
    console.see("7 errors")
    assert console.value("User") == ""


def test_late_update_of_a_former_view_changes_nothing(console: Console) -> None:
    seed = Seed(console)
    console.sign_in("#/errors")
    console.see("6 errors", "Live")
    hold = """const { fetch } = window;
        window.fetch = async (url, options) => {
          const response = await fetch(url, options);
          if (url.pathname.endsWith("/logs")) await new Promise((resolve) => { window.release = resolve; });
          return response;
        };"""
    console.browser.run(hold)
    console.record(seed.slack, "disk is full")
    console.skip(10)
    console.browser.wait("return typeof release === 'function'")
    console.open("#/errors?userId=nobody")
    console.see("userId: must be the id")
    console.browser.run("release()")
    console.requests()
    console.see("userId: must be the id", "Not live")
    assert console.messages() == []


def test_past_range_is_not_followed(reader: Console) -> None:
    since, until = (datetime.now(UTC) - timedelta(hours=hours) for hours in (3, 2))
    reader.sign_in(f"#/errors?since={since:%Y-%m-%dT%H:%M:%SZ}&until={until:%Y-%m-%dT%H:%M:%SZ}")
    reader.see("Nothing failed in this time range.", "Not live")
    reader.forget()
    reader.skip(60)
    assert [line for line in reader.requests() if "/destinations" not in line] == []


@pytest.mark.parametrize("view", ["groups", "list"])
def test_refused_filter_shows_its_problem_and_nothing_else(reader: Console, view: str) -> None:
    reader.sign_in(f"#/errors?view={view}")
    reader.see(UNAUTHORIZED)
    reader.fill("User", "nobody")
    reader.see("userId: must be the id", "Not live")
    assert reader.text().count("userId: must be the id") == 1
    reader.gone(UNAUTHORIZED, LIMITED, "Try again")
    reader.rows(0)
    reader.forget()
    reader.skip(120)
    assert [line for line in reader.requests() if "/destinations" not in line] == []
    reader.fill("User", "joe")
    reader.see(UNAUTHORIZED, "Live")
    reader.gone("userId: must be the id")
    reader.open("#/users?status=absent")
    reader.see("status: must be")
    assert reader.text().count("must be") == 1


def test_failed_live_updates_are_reported_until_they_work(console: Console) -> None:
    seed = Seed(console)
    stopped = "Live updates have stopped: The API is unreachable."
    console.sign_in()
    console.see("Live")
    console.set_offline(True)
    console.skip(20)
    console.see(stopped, "Not live", UNAUTHORIZED)
    console.forget()
    console.skip(120)
    attempts = len(console.requests())
    assert attempts > 1
    console.see(stopped, UNAUTHORIZED)
    console.click("Try now")
    wait(lambda: len(console.requests()) > attempts, "another attempt")
    console.announced("The API is unreachable.")
    console.see(stopped)
    console.set_offline(False)
    console.record(seed.slack, "recorded meanwhile")
    console.skip_until("recorded meanwhile")
    console.gone("Live updates have stopped")
    console.see("Live")
    # At the list of destinations, too.
    console.open("#/destinations")
    console.see("No destinations")
    console.set_offline(True)
    console.skip(20)
    console.see(stopped)
    console.set_offline(False)
    console.click("Try now")
    console.gone("Live updates have stopped")


def test_failed_page_can_be_loaded_again(reader: Console) -> None:
    reader.sign_in("#/users")
    reader.see("joe")
    reader.set_offline(True)
    reader.open("#/errors")
    reader.see("The API is unreachable.", "Not live")
    reader.click("Try again")
    reader.announced("The API is unreachable.")
    reader.set_offline(False)
    reader.click("Try again", UNAUTHORIZED, "Live")
    # The message is gone.
    reader.skip(20)
    reader.gone("The API is unreachable.")
    # A response that breaks off is no empty list.
    reader.cut("GET /users")
    reader.open("#/users?status=active")
    reader.see("The API is unreachable.")
    reader.cut(None)
    reader.click("Try again", "joe")
