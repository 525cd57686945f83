"""Demonstration: an installation and its events, and an error on the customer's bus."""

import base64
import json
import secrets
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import customer
import jwt
import standardwebhooks
import tenon
from catalogue import INSTALLATION_ERRORS, OTHER_INTEGRATIONS, SHOPIFY
from emulator import CUSTOMER_ACCOUNT, REGION, Emulator
from stack import Stack
from terminal import BOLD, DIM, GREEN, PLAIN

ERROR = {
    "executionId": "6155ac246093840013297377",
    "blockId": "edb4e8e8-1e0e-4fac-84fd-9f9d4855ce93",
    "blockType": "alloy.shopify",
    "error": "Error: Request failed with status code 403",
}
# Maximum length of a response body that is printed.
MAX_PRINTED = 400

Json = dict[str, Any]


class Demonstration:
    """Runs the steps against a stack. Checks every statement that it prints."""

    def __init__(self, emulator: Emulator, stack: Stack) -> None:
        self.emulator, self.stack, self.number = emulator, stack, 0

    def run(self) -> dict[str, str]:
        """Runs all steps. Returns the settings for scripts."""
        self.step("Create two environments and their API keys with functions that only IAM may invoke")
        acme = tenon.make_environment(self.emulator, self.stack, "acme-production", "live")
        other = tenon.make_environment(self.emulator, self.stack, "other-production", "live")
        backend_key = tenon.make_key(self.emulator, self.stack, acme, "backend", ["manage"])
        engine_key = tenon.make_key(self.emulator, self.stack, acme, "engine", ["engine"])
        other_key = tenon.make_key(self.emulator, self.stack, other, "backend", ["manage"])
        self.say(f"environment acme-production: {acme}, back-end key: {backend_key[:12]}…")
        backend, engine = (tenon.Api(self.stack.url, key) for key in (backend_key, engine_key))

        self.step("Create a user")
        user = self.call(backend, "POST", "/users", {"email": "joe.smoe@acme.example"}, expect=201)
        taken = self.call(backend, "POST", "/users", {"email": "Joe.Smoe@acme.example"}, expect=409)
        self.check("the response names the email address as taken", taken["errors"][0]["pointer"] == "/email")
        self.call(tenon.Api(self.stack.url, other_key), "GET", f"/users/{user['userId']}", expect=404)
        self.check("an API key of another environment cannot read the user", True)

        self.step("Issue a user token for the embedded modal")
        token = self.call(backend, "GET", f"/users/{user['userId']}/token")["token"]
        self.verify_token(token, user["userId"])

        self.step(f"Prepare the customer's AWS account ({CUSTOMER_ACCOUNT}): a bus, a rule, a queue, and access keys")
        name = f"tenon-demo-{secrets.token_hex(3)}"
        bus = customer.make_bus(self.emulator, name)
        keys = customer.make_keys(self.emulator, name, name)
        self.say(f"bus {name}, access key {keys.access_key_id}")

        self.step("Save the bus and its access keys as a destination")
        settings = {
            "type": "eventbridge",
            "region": REGION,
            "eventBusName": name,
            "credentials": {"accessKeyId": keys.access_key_id, "secretAccessKey": keys.secret_access_key},
            "events": ["error", "installation.*", "workflow.*"],
            "enabled": True,
        }
        destination = self.call(backend, "POST", "/destinations", settings, expect=201, hide=keys.secret_access_key)
        self.say(f"verified: {destination['verified']} ({destination['verification'].split(' (')[0]})")
        path = f"/destinations/{destination['destinationId']}"
        shown = json.dumps(self.call(backend, "GET", path))
        self.check(
            "the response masks the access key id and omits the secret",
            keys.access_key_id not in shown and keys.secret_access_key not in shown,
        )
        self.check_encryption(acme, destination["destinationId"], keys)

        self.save_integration(backend)
        installed = self.show_installation(backend, engine, user["userId"], bus)

        self.step("Create a workflow of the user")
        new_workflow = {"userId": user["userId"], "name": "Refunds to Shopify"}
        workflow = self.call(backend, "POST", "/workflows", new_workflow, expect=201)["workflowId"]

        self.step("Record an error as the engine: it arrives on the customer's bus")
        recorded_at = time.monotonic()
        recorded = self.call(engine, "POST", f"/workflows/{workflow}/errors", ERROR, expect=202)
        event = bus.receive(30)
        milliseconds = round((time.monotonic() - recorded_at) * 1000)
        if event is None:
            sys.exit("   ✗ the event did not arrive in the customer's queue within 30 seconds")
        self.check("the event arrived in the customer's queue", True)
        self.show("event in the customer's queue", event)
        self.check("it contains the recorded error", event["detail"]["_id"] == recorded["ids"][0])
        self.say(f"time from the request to the arrival: {GREEN}{milliseconds} ms{PLAIN}")

        self.step("Disable the destination: the next error is stored but not delivered")
        self.call(backend, "PATCH", path, {"enabled": False})
        error = {**ERROR, "error": "Error: recorded while disabled"}
        self.call(engine, "POST", f"/workflows/{workflow}/errors", error, expect=202)
        listed = self.call(backend, "GET", f"/workflows/{workflow}/errors")["errors"]
        self.check("both errors are listed", {item["error"] for item in listed} == {error["error"], ERROR["error"]})
        self.check("no event arrives within five seconds", bus.receive(5) is None)
        self.call(backend, "PATCH", path, {"enabled": True})
        self.show_webhook(backend, engine, workflow)
        self.record_errors(engine, installed["workflows"])

        return {
            "TENON_URL": self.stack.url,
            "TENON_BACKEND_KEY": backend_key,
            "TENON_ENGINE_KEY": engine_key,
            "TENON_OTHER_BACKEND_KEY": other_key,
            "TENON_ENVIRONMENT": acme,
            **self.emulator.environment(),
            "TENON_WORKFLOW": workflow,
        }

    def save_integration(self, backend: tenon.Api) -> None:
        """Saves an integration with two workflows, and others for the catalogue."""
        self.step("Save integrations in the catalogue")
        self.call(backend, "PUT", "/integrations/shopify", SHOPIFY, expect=201)
        for integration_id, integration in OTHER_INTEGRATIONS.items():
            saved = backend.call("PUT", f"/integrations/{integration_id}", integration)
            self.check(f"{integration['name']} is saved too", saved.status == 201)

    def record_errors(self, engine: tenon.Api, workflows: list[Json]) -> None:
        """Records errors of the last hours for the workflows of an installation."""
        self.step("Record errors of the installed workflows, which the embedded modal shows")
        now = datetime.now(UTC)
        for workflow, texts in zip(workflows, INSTALLATION_ERRORS, strict=True):
            errors = [
                {
                    **ERROR,
                    "executionId": f"e-{number}",
                    "error": text,
                    "createdAt": (now - timedelta(minutes=37 * number)).isoformat(),
                }
                for number, text in enumerate(texts)
            ]
            self.call(engine, "POST", f"/workflows/{workflow['workflowId']}/errors", {"errors": errors}, expect=202)

    def show_installation(self, backend: tenon.Api, engine: tenon.Api, user: str, bus: customer.Bus) -> Json:
        """Installs an integration as the user, with its events, and changes its credential."""
        with customer.Endpoint(answers=[204]) as endpoint:
            self.step("Save a webhook that receives the events of installations, workflows and credentials")
            subscribed = ["installation.*", "workflow.*", "credential.*"]
            settings = {"type": "webhook", "url": endpoint.url, "events": subscribed}
            webhook = self.call(backend, "POST", "/destinations", settings, expect=201, hide_field="secret")

            self.step("Install the integration with a token of the user that may install it only")
            limits = {"mode": "install", "integrations": ["shopify"]}
            limited = self.call(backend, "POST", f"/users/{user}/token", limits, hide_field="token")["token"]
            page, path = tenon.Api(self.stack.url, limited), f"/users/{user}/installations/shopify"
            wrong = self.connect(page, path, "not-a-token", 422)
            self.check("the response names the invalid field", wrong["errors"][0]["pointer"].endswith("/data/token"))
            installed = self.connect(page, path, "shpat_1", 201)
            self.check("two workflows are active", [one["active"] for one in installed["workflows"]] == [True, True])
            self.call(page, "DELETE", path, expect=403)
            self.check("the token may not uninstall", True)

            self.step("Receive the events of the installation at the webhook and on the customer's bus")
            self.show_events(endpoint, webhook["secret"], bus, user)
            self.call(backend, "DELETE", f"/destinations/{webhook['destinationId']}")
        self.show_credential(engine, page, path, installed)
        return installed

    def connect(self, page: tenon.Api, path: str, secret: str, expect: int) -> Json:
        """Connects an account of the user, which installs the integration if necessary."""
        body = {"credentials": {"shopify": {"data": {"token": secret}}}, "settings": {"batch": 50}}
        return self.call(page, "PUT", path, body, expect, hide=secret)

    def show_events(self, endpoint: customer.Endpoint, secret: str, bus: customer.Bus, user: str) -> None:
        """Receives the events of an installation with two workflows and a credential."""
        requests = [request for _ in range(4) if (request := endpoint.receive(30))]
        sent = [bus_event for _ in range(3) if (bus_event := bus.receive(30, source="tenon.events"))]
        self.say("at the webhook: " + ", ".join(request.headers["x-tenon-event"] for request in requests))
        self.say("on the bus: " + ", ".join(bus_event["detail-type"] for bus_event in sent))
        signature = standardwebhooks.Webhook(secret)
        events = {event["_id"]: event for one in requests for event in [signature.verify(one.body, one.headers)]}
        self.check("the Standard Webhooks library accepts each signature", len(events) == len(requests))
        types = sorted(event["type"] for event in events.values())
        expected = ["credential.created", "installation.created", "workflow.created", "workflow.created"]
        self.check("each change has one event at the webhook", types == expected)
        changes = [event for event in events.values() if event["type"] != "credential.created"]
        same = all(events.get(bus_event["detail"]["_id"]) == bus_event["detail"] for bus_event in sent)
        self.check("the bus has the same ones, without the credential", same and len(sent) == len(changes))
        self.show("an event", next(event for event in changes if event["workflowId"]))
        self.check("each names the user", all(event["actor"] == {"userId": user} for event in events.values()))
        self.check("each has a revision", all(event["data"]["revision"] >= 1 for event in events.values()))
        self.check("none has the secret", "shpat_" not in json.dumps([*events.values(), *sent]))

    def show_credential(self, engine: tenon.Api, page: tenon.Api, path: str, installed: Json) -> None:
        """Changes the credential of an installation as the engine, and repairs it as the user."""
        self.step("Reveal, replace and invalidate the credential as the engine")
        credential = f"/users/{installed['userId']}/credentials/{installed['credentialIds']['shopify']}"
        revealed = self.call(engine, "POST", f"{credential}/reveal", hide_field="data")
        self.check("the engine reads the data", revealed["data"] == {"token": "shpat_1"})
        self.call(engine, "PUT", credential, {"data": {"token": "shpat_2"}}, hide="shpat_2")
        revealed = self.call(engine, "POST", f"{credential}/reveal", hide_field="data")
        self.check("the credential has new data and the same id", revealed["data"] == {"token": "shpat_2"})
        reason = {"status": "invalid", "reason": "401 from the shop"}
        self.call(engine, "POST", f"{credential}/status", reason)
        broken = self.call(page, "GET", path)
        self.show("what needs attention", broken["attention"])
        self.check("the installation needs attention", broken["status"] == "needs-attention")
        repaired = self.connect(page, path, "shpat_3", 200)
        self.check("connecting again repairs it", repaired["status"] == "active")

    def show_webhook(self, backend: tenon.Api, engine: tenon.Api, workflow: str) -> None:
        """Sends an error to a webhook that rejects it at first."""
        self.step("Deliver to a webhook that returns 500 at first: the second attempt follows after five seconds")
        with customer.Endpoint(answers=[500, 204]) as endpoint:
            settings = {"type": "webhook", "url": endpoint.url, "description": "Demonstration endpoint"}
            webhook = self.call(backend, "POST", "/destinations", settings, expect=201, hide_field="secret")
            path = f"/destinations/{webhook['destinationId']}"
            error = {**ERROR, "error": "Error: sent to the webhook"}
            recorded = self.call(engine, "POST", f"/workflows/{workflow}/errors", error, expect=202)
            first, second = endpoint.receive(30), endpoint.receive(30)
            if first is None or second is None:
                sys.exit("   ✗ the webhook did not receive two requests within a minute")
            self.check("the webhook received the error twice", True)
            headers = {name: text for name, text in second.headers.items() if name.startswith(("webhook-", "x-tenon-"))}
            self.show("headers of the second request", headers)
            verified = standardwebhooks.Webhook(webhook["secret"]).verify(second.body, second.headers)
            self.check("the Standard Webhooks library accepts the signature", verified["_id"] == recorded["ids"][0])
            delivery = self.wait_for_delivery(backend, path)
            self.show("the delivery", delivery)
            statuses = [attempt["status"] for attempt in delivery["attempts"]]
            self.check("it lists both attempts", statuses == [500, 204])
            self.call(backend, "DELETE", path)

    def wait_for_delivery(self, backend: tenon.Api, path: str) -> Json:
        """Waits for a successful delivery of a destination, and returns it."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = backend.call("GET", f"{path}/deliveries?status=delivered").body["data"]
            if found:
                return found[0]
            time.sleep(0.1)
        sys.exit("   ✗ the delivery is not listed within 30 seconds")

    def verify_token(self, token: str, user_id: str) -> None:
        """Verifies a user token with PyJWT and the published key set."""
        keys = jwt.PyJWKClient(f"{self.stack.url}/.well-known/jwks.json")
        key = keys.get_signing_key_from_jwt(token)
        options: Any = {"require": ["exp", "iat", "iss", "sub"]}
        claims = jwt.decode(token, key.key, algorithms=["ES256"], audience="tenon", options=options)
        self.show("claims, verified by PyJWT with the published key set", claims)
        self.check(
            "the token names the user and is valid for at most 30 minutes",
            claims["sub"] == user_id and claims["exp"] - claims["iat"] <= 1800,
        )

    def check_encryption(self, environment: str, destination: str, keys: customer.Keys) -> None:
        """Checks that the stored item does not contain the access keys."""
        key = {"pk": {"S": f"env#{environment}#destinations"}, "sk": {"S": f"destination#{destination}"}}
        item = self.emulator.client("dynamodb").get_item(TableName=self.stack.outputs["DirectoryTable"], Key=key)[
            "Item"
        ]
        ciphertext = item["target"]["M"]["eventbridge"]["M"]["credentials"]["M"]["ciphertext"]["B"]
        self.say(f"stored in DynamoDB: {DIM}{base64.b64encode(ciphertext).decode()[:60]}…{PLAIN}")
        text = repr(item)
        self.check(
            "the stored item contains neither the access key id nor the secret in plain text",
            keys.access_key_id not in text and keys.secret_access_key not in text,
        )

    def step(self, title: str) -> None:
        """Prints the title of the next step."""
        self.number += 1
        print(f"\n{BOLD}{self.number}. {title}{PLAIN}", flush=True)

    def call(
        self,
        api: tenon.Api,
        method: str,
        path: str,
        body: Json | None = None,
        expect: int = 200,
        hide: str = "",
        hide_field: str = "",
    ) -> Json:
        """Calls the API and prints the exchange, except for a hidden text and response field."""
        sent = _shorten(body) if body is not None else ""
        print(f"   → {method} {path} {DIM}{sent.replace(hide, '…') if hide else sent}{PLAIN}")
        response = api.call(method, path, body)
        shown = {name: "…" if name == hide_field else value for name, value in response.body.items()}
        print(f"   ← {response.status} {DIM}{_shorten(shown)}{PLAIN}", flush=True)
        if response.status != expect:
            sys.exit(f"   ✗ expected status {expect}: {response.body}")
        return response.body

    def show(self, title: str, value: Any) -> None:
        """Prints a value as indented JSON."""
        text = json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n     ")
        print(f"   {title}:\n     {DIM}{text}{PLAIN}", flush=True)

    def say(self, text: str) -> None:
        """Prints a line."""
        print(f"   {text}", flush=True)

    def check(self, statement: str, holds: bool) -> None:
        """Prints a statement that holds, and exits otherwise."""
        if not holds:
            sys.exit(f"   ✗ {statement}")
        print(f"   {GREEN}✓{PLAIN} {statement}", flush=True)


def _shorten(body: Json) -> str:
    text = json.dumps(body, ensure_ascii=False)
    return text if len(text) <= MAX_PRINTED else text[:MAX_PRINTED] + "…"
