"""Back end of an app that embeds the modal.

Gives its page tokens of the signed-in user, and receives webhooks.
"""

import os
import sys

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse
from tenon_client import Tenon, TenonError, WebhookVerificationError, verify_webhook
from tenon_client.models import CreateToken

TENON_URL, WEBHOOK_SECRET = os.environ.get("TENON_URL", ""), os.environ.get("WEBHOOK_SECRET", "")
TENON_BACKEND_KEY, PORT = os.environ.get("TENON_BACKEND_KEY", ""), int(os.environ.get("PORT", "8082"))
if not (TENON_URL and TENON_BACKEND_KEY and WEBHOOK_SECRET):
    sys.exit("TENON_URL, TENON_BACKEND_KEY or WEBHOOK_SECRET is not set: see README.md")

# Maximum size of a webhook's body, in bytes. A record is smaller.
MAX_BODY = 1_000_000

tenon = Tenon(TENON_URL, TENON_BACKEND_KEY)
app = FastAPI()

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Integrations</title>
<button id="connect">Integrations</button>
<script type="module">
  import { open } from "{{TENON_URL}}/tenon.js";
  const token = async () => {
    const response = await fetch("/my/tenon-token");
    if (!response.ok) throw new Error("token: status " + response.status);
    return response.text();
  };
  document.getElementById("connect").onclick = () => open({ token });
</script>
</html>"""


def user_token(username: str, full_name: str) -> str:
    """Returns a token of a user for the pages of this app. Creates the user on the first call."""
    # Both names lead to this server.
    limits: CreateToken = {"origins": [f"http://{host}:{PORT}" for host in ("127.0.0.1", "localhost")]}
    try:
        return tenon.create_token(username, limits)["token"]
    except TenonError as error:
        if error.type != "not-found":
            raise
    try:
        tenon.create_user({"username": username, "fullName": full_name})
    except TenonError as error:
        if error.type != "user-exists":  # else a concurrent request has created the user
            raise
    return tenon.create_token(username, limits)["token"]


@app.exception_handler(httpx.TransportError)
@app.exception_handler(TenonError)
def failed(_request: Request, error: Exception) -> PlainTextResponse:
    """Responds if Tenon cannot be reached or refuses a request."""
    print(f"Tenon: {error}", flush=True)
    return PlainTextResponse("failed", 502)


@app.get("/my/tenon-token")
def token() -> PlainTextResponse:
    """Returns a token. Your app takes the user from its session."""
    return PlainTextResponse(user_token("u-42", "Joe Smoe"), headers={"Cache-Control": "no-store"})


@app.post("/webhooks", status_code=204)
async def webhook(request: Request) -> None:
    """Receives an error or an event.

    Your app stores the record before it responds. A record may arrive more than once, with the same
    `_id`.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413)
    try:
        record = verify_webhook(WEBHOOK_SECRET, bytes(body), request.headers)
    except WebhookVerificationError as error:
        print(f"rejected webhook: {error}", flush=True)
        raise HTTPException(401) from None
    print(f"event {record['type']}" if "type" in record else f"error {record['error']}", record["_id"], flush=True)


@app.get("/")
def page() -> HTMLResponse:
    """Returns the page."""
    return HTMLResponse(PAGE.replace("{{TENON_URL}}", TENON_URL))


if __name__ == "__main__":
    print(f"open http://127.0.0.1:{PORT}", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
