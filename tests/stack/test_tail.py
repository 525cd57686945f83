"""`make tail` while the API is unavailable. The test of the API's logs follows a stack."""

import http.client
import urllib.error
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from settings import follows_local_run, settings
from tail import Feed, error_line, event_line, show
from tenon import Api, Response

USER, WORKFLOW, KEY = ("6b052e443aadb2a32613736d", "6b052e463aadb2a326137370", "6b052e433aadb2a32613736a")


class Unreliable(Api):
    """API with the given records, of which some lists are unavailable."""

    def __init__(self) -> None:
        super().__init__("")
        self.records: dict[str, list[dict[str, Any]]] = {"errors": [], "data": []}
        self.failures: dict[str, Response | Exception] = {}

    def call(self, _method: str, path: str, _body: dict[str, Any] | None = None) -> Response:
        """Returns the records of a list since a time, or the newest ones."""
        parts = urlsplit(path)
        if failure := self.failures.get(parts.path):
            if isinstance(failure, Exception):
                raise failure
            return failure
        query = parse_qs(parts.query)
        [since], [limit] = query.get("since", [""]), query["limit"]
        member = {"/logs": "errors", "/events": "data"}[parts.path]
        found = [one for one in self.records[member] if one["createdAt"] >= since]
        return Response(200, {member: found[-int(limit) :]})

    def add(self, member: str, **others: Any) -> None:
        """Adds a record of now."""
        id_ = str(sum(map(len, self.records.values())))
        record = {"_id": id_, "createdAt": datetime.now(UTC).isoformat(), "workflowId": WORKFLOW, **others}
        self.records[member].append(record)


def test_a_list_that_fails_neither_hides_the_other_nor_loses_records(capsys: pytest.CaptureFixture[str]) -> None:
    api = Unreliable()
    feeds = [
        Feed(api, "/logs", "errors", error_line, has_started=True),
        Feed(api, "/events", "data", event_line, has_started=True),
    ]

    def printed() -> list[str]:
        show(feeds)
        return [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()]

    def change(number: int) -> None:
        api.add("errors", blockType="alloy.shopify", error=f"error-{number}")
        actor = {"keyId": f"key-{number}"}
        api.add("data", type="workflow.updated", userId=USER, integrationId=None, actor=actor)

    change(0)
    assert printed() == ["error-0", "key-0"]
    for failure in (Response(503, {}), urllib.error.URLError("refused"), http.client.IncompleteRead(b"{")):
        for path, first, second in (("/logs", "key", "error"), ("/events", "error", "key")):
            number = len(api.records["data"])
            api.failures = {path: failure}
            change(number)
            assert printed() == [f"{first}-{number}"]
            assert printed() == []
            api.failures = {}
            assert printed() == [f"{second}-{number}"]
            assert printed() == []


def test_earlier_records_are_printed_as_soon_as_they_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    api = Unreliable()
    api.add("errors", blockType="alloy.shopify", error="earlier", createdAt="2026-11-24T05:00:00.000Z")
    feeds = [Feed(api, "/logs", "errors", error_line)]
    api.failures = {"/logs": Response(503, {})}
    show(feeds)
    assert capsys.readouterr().out == ""
    api.failures = {}
    show(feeds)
    show(feeds)
    assert capsys.readouterr().out.count("earlier") == 1


def test_recent_records_are_printed_in_order_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    api = Unreliable()
    for number in range(25):
        api.add("errors", blockType="alloy.shopify", error=f"error-{number}")
    feeds = [Feed(api, "/logs", "errors", error_line)]
    show(feeds)
    printed = [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert printed == [f"error-{number}" for number in range(25)]
    show(feeds)
    assert capsys.readouterr().out == ""


def test_a_local_stack_that_is_replaced_is_waited_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Unreliable()
    feeds = [Feed(api, "/logs", "errors", error_line, has_started=True)]
    api.failures = {"/logs": Response(404, {"message": "Not Found"})}
    saved = {"TENON_URL": "http://127.0.0.1:1/v1", "TENON_BACKEND_KEY": "former"}
    monkeypatch.setattr("settings.saved_settings", lambda: saved)

    def follow(**own: str) -> None:
        for name in saved:
            monkeypatch.delenv(name, raising=False)
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        follows_local_run.cache_clear()

    # A shell may have read the settings of the local run.
    for own in ({}, dict(saved)):
        follow(**own)
        show(feeds)
        assert settings() == ("http://127.0.0.1:1/v1", "former")
    saved |= {"TENON_URL": "http://127.0.0.1:2/v1", "TENON_BACKEND_KEY": "present"}
    show(feeds)
    assert settings() == ("http://127.0.0.1:2/v1", "present")
    assert capsys.readouterr().err.count("The API returned 404: Not Found. Trying again …") == 1

    # Another environment of the same run is followed.
    follow(TENON_URL="http://127.0.0.1:2/v1", TENON_BACKEND_KEY="other")
    assert settings() == ("http://127.0.0.1:2/v1", "other")
    # A wrong URL or key of one's own is not waited for.
    follow(TENON_URL="https://api.example.com")
    with pytest.raises(SystemExit, match="The API returned 404: Not Found"):
        show(feeds)


def test_an_event_is_a_line_with_its_subject_and_actor() -> None:
    event: dict[str, Any] = {
        "_id": "0",
        "type": "workflow.activated",
        "createdAt": "2026-11-24T05:00:00.000Z",
        "userId": USER,
        "workflowId": WORKFLOW,
        "integrationId": "shopify",
        "actor": {"keyId": KEY},
    }
    line = event_line(event)
    assert line.endswith(f"workflow {WORKFLOW} integration shopify by key {KEY}")
    assert line.startswith(f"2026-11-24T05:00:00.000Z {USER} workflow.activated ")
    of_user = {**event, "type": "user.deleted", "workflowId": None, "integrationId": None, "actor": None}
    assert event_line(of_user).endswith(f"{USER} user.deleted by unknown")
