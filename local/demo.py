"""The main job, step by step: an error that an engine records arrives on a customer's own EventBridge bus."""

import base64
import json
import secrets
import sys
import time

import jwt
import standardwebhooks

import customer
import tenon
from emulator import CUSTOMER_ACCOUNT, REGION, Emulator
from stack import Stack

BOLD, DIM, GREEN, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")
ERROR = {
    "executionId": "6155ac246093840013297377",
    "blockId": "edb4e8e8-1e0e-4fac-84fd-9f9d4855ce93",
    "blockType": "alloy.shopify",
    "error": "Error: Request failed with status code 403",
}


class Demonstration:
    """Runs the steps against a stack. Every claim that it prints is checked; one that does not hold ends it."""

    def __init__(self, emulator: Emulator, stack: Stack):
        self.emulator, self.stack, self.number = emulator, stack, 0

    def run(self) -> dict[str, str]:
        """Runs all steps. Returns the settings that scripts need."""
        self.step("Two environments and their API keys, by functions that only IAM may invoke")
        acme = tenon.make_environment(self.emulator, self.stack, "acme-production", "live")
        other = tenon.make_environment(self.emulator, self.stack, "other-production", "live")
        backend_key = tenon.make_key(self.emulator, self.stack, acme, "backend", ["manage"])
        engine_key = tenon.make_key(self.emulator, self.stack, acme, "engine", ["engine"])
        other_key = tenon.make_key(self.emulator, self.stack, other, "backend", ["manage"])
        self.say(f"acme-production is {acme}; the key of its back end begins with {backend_key[:12]}…")
        backend, engine = (tenon.Api(self.stack.url, key) for key in (backend_key, engine_key))

        self.step("A user for each person who uses an integration")
        user = self.call(backend, "POST", "/users", {"email": "joe.smoe@acme.example"}, expect=201)
        taken = self.call(backend, "POST", "/users", {"email": "Joe.Smoe@acme.example"}, expect=409)
        self.check("the refusal names the e-mail", taken["errors"][0]["pointer"] == "/email")
        self.call(tenon.Api(self.stack.url, other_key), "GET", f"/users/{user['userId']}", expect=404)
        self.check("another environment's key does not see the user", True)

        self.step("A short-lived user token for the embedded modal")
        token = self.call(backend, "GET", f"/users/{user['userId']}/token")["token"]
        self.verify(token, user["userId"])

        self.step("A workflow of the user")
        workflow = self.call(backend, "POST", "/workflows", {"userId": user["userId"], "name": "Orders to Shopify"}, expect=201)

        self.step(f"The customer's own AWS account ({CUSTOMER_ACCOUNT}): a bus, a rule, a queue, and keys for the bus")
        name = f"tenon-demo-{secrets.token_hex(3)}"
        bus = customer.make_bus(self.emulator, name)
        keys = customer.make_keys(self.emulator, "tenon-demo", "tenon-demo-*")
        self.say(f"bus {name}, access key {keys.access_key_id}")

        self.step("Settings: the keys and the bus are saved as a destination")
        credentials = {"accessKeyId": keys.access_key_id, "secretAccessKey": keys.secret_access_key}
        settings = {"type": "eventbridge", "region": REGION, "eventBusName": name, "credentials": credentials, "enabled": True}
        destination = self.call(backend, "POST", "/destinations", settings, expect=201, hide=keys.secret_access_key)
        self.say(f"verified: {destination['verified']}: {destination['verification'].split(' (')[0]}")
        path = f"/destinations/{destination['destinationId']}"
        shown = self.call(backend, "GET", path)
        self.check("the key id is masked and the secret is not there", keys.access_key_id not in json.dumps(shown)
                   and keys.secret_access_key not in json.dumps(shown))  # fmt: skip
        self.look_into_the_table(acme, destination["destinationId"], keys)

        self.step("The engine records an error; DynamoDB Streams carries it to the customer's bus")
        recorded_at = time.monotonic()
        recorded = self.call(engine, "POST", f"/workflows/{workflow['workflowId']}/errors", ERROR, expect=202)
        event = bus.receive(30)
        milliseconds = round((time.monotonic() - recorded_at) * 1000)
        self.check("the event has arrived in the customer's queue", event is not None)
        self.show("the queue of the other account received", event)
        self.check("it is the error that was recorded", event["detail"]["_id"] == recorded["ids"][0])
        self.say(f"from the request to its arrival: {GREEN}{milliseconds} ms{PLAIN}")

        self.step("The toggle goes off: the next error is stored and listed, and does not arrive")
        self.call(backend, "PATCH", path, {"enabled": False})
        self.call(engine, "POST", f"/workflows/{workflow['workflowId']}/errors", {**ERROR, "error": "Error: switched off"}, expect=202)
        listed = self.call(backend, "GET", f"/workflows/{workflow['workflowId']}/errors")["errors"]
        self.check("both errors are listed", {error["error"] for error in listed} == {"Error: switched off", ERROR["error"]})
        self.check("nothing arrives within five seconds", bus.receive(5) is None)
        self.call(backend, "PATCH", path, {"enabled": True})
        self.show_webhook(backend, engine, workflow["workflowId"])

        return {
            "TENON_URL": self.stack.url,
            "TENON_BACKEND_KEY": backend_key,
            "TENON_ENGINE_KEY": engine_key,
            "TENON_OTHER_BACKEND_KEY": other_key,
            "TENON_ENVIRONMENT": acme,
            **self.emulator.environment(),
            "TENON_WORKFLOW": workflow["workflowId"],
        }

    def show_webhook(self, backend: tenon.Api, engine: tenon.Api, workflow: str) -> None:
        """Sends an error to an endpoint that refuses it at first."""
        self.step("A webhook, to an endpoint that answers 500 at first: the second attempt comes after five seconds")
        with customer.Endpoint(answers=[500, 204]) as endpoint:
            settings = {"type": "webhook", "url": endpoint.url, "description": "the customer's own endpoint"}
            webhook = self.call(backend, "POST", "/destinations", settings, expect=201, hide_answer="secret")
            path = f"/destinations/{webhook['destinationId']}"
            error = {**ERROR, "error": "Error: to the webhook"}
            recorded = self.call(engine, "POST", f"/workflows/{workflow}/errors", error, expect=202)
            first, second = endpoint.receive(30), endpoint.receive(30)
            self.check("the error has arrived, twice", first is not None and second is not None)
            headers = {name: second.headers[name] for name in second.headers if name.startswith(("webhook-", "x-tenon-"))}
            self.show("the endpoint received, beside the error itself", headers)
            verified = standardwebhooks.Webhook(webhook["secret"]).verify(second.body, second.headers)
            self.check("Standard Webhooks' own library verifies the signature", verified["_id"] == recorded["ids"][0])
            delivery = self.delivered(backend, path)
            self.show("the deliveries tell", delivery)
            self.check("of both attempts", [attempt["status"] for attempt in delivery["attempts"]] == [500, 204])
            self.call(backend, "DELETE", path)

    def delivered(self, backend: tenon.Api, path: str) -> dict:
        """Waits for the delivery that has succeeded at last."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = backend.call("GET", f"{path}/deliveries?status=delivered").body["data"]
            if found:
                return found[0]
            time.sleep(0.1)
        sys.exit("   ✗ the delivery is told of")

    def verify(self, token: str, user_id: str) -> None:
        """Verifies a token with another implementation of JWT, from nothing but the published key set."""
        keys = jwt.PyJWKClient(f"{self.stack.url}/.well-known/jwks.json")
        key = keys.get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key.key, algorithms=["ES256"], audience="tenon", options={"require": ["exp", "iat", "iss", "sub"]})
        self.show("PyJWT reads, by the published JWKS", claims)
        self.check("the token is the user's and lasts at most 30 minutes", claims["sub"] == user_id and claims["exp"] - claims["iat"] <= 1800)

    def look_into_the_table(self, environment: str, destination: str, keys: customer.Keys) -> None:
        """Reads the stored item as someone would who got hold of the table."""
        key = {"pk": {"S": f"env#{environment}#destinations"}, "sk": {"S": f"destination#{destination}"}}
        item = self.emulator.client("dynamodb").get_item(TableName=self.stack.outputs["DirectoryTable"], Key=key)["Item"]
        ciphertext = item["target"]["M"]["eventbridge"]["M"]["credentials"]["M"]["ciphertext"]["B"]
        self.say(f"the item in the table holds {DIM}{base64.b64encode(ciphertext).decode()[:60]}…{PLAIN}")
        everything = repr(item)
        self.check("neither the key id nor the secret is in it in the clear",
                   keys.access_key_id not in everything and keys.secret_access_key not in everything)  # fmt: skip

    def step(self, title: str) -> None:
        self.number += 1
        print(f"\n{BOLD}{self.number}. {title}{PLAIN}", flush=True)

    def call(self, api: tenon.Api, method: str, path: str, body: dict | None = None, expect: int = 200, hide: str = "",
             hide_answer: str = "") -> dict:  # fmt: skip
        sent = json.dumps(body, ensure_ascii=False) if body is not None else ""
        print(f"   → {method} {path} {DIM}{sent.replace(hide, '…') if hide else sent}{PLAIN}")
        answer = api.call(method, path, body)
        shown = {name: "…" if name == hide_answer else value for name, value in answer.body.items()}
        print(f"   ← {answer.status} {DIM}{_short(shown)}{PLAIN}", flush=True)
        if answer.status != expect:
            sys.exit(f"expected {expect}: {answer.body}")
        return answer.body

    def show(self, title: str, value) -> None:
        text = json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n     ")
        print(f"   {title}:\n     {DIM}{text}{PLAIN}", flush=True)

    def say(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def check(self, claim: str, holds: bool) -> None:
        if not holds:
            sys.exit(f"   ✗ {claim}")
        print(f"   {GREEN}✓{PLAIN} {claim}", flush=True)


def _short(body: dict) -> str:
    text = json.dumps(body, ensure_ascii=False)
    return text if len(text) <= 400 else text[:400] + "…"
