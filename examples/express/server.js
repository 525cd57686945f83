// Back end of an app that embeds the modal: gives its page tokens of the signed-in user, and
// receives webhooks.

import { Buffer } from "node:buffer";
import process from "node:process";

import { Tenon, TenonError, verifyWebhook, WebhookVerificationError } from "@tenon/node";
import express from "express";

const { TENON_URL, TENON_BACKEND_KEY, WEBHOOK_SECRET, PORT = "8081" } = process.env;
if (!TENON_URL || !TENON_BACKEND_KEY || !WEBHOOK_SECRET) {
  console.error("TENON_URL, TENON_BACKEND_KEY or WEBHOOK_SECRET is not set: see README.md");
  process.exit(1);
}

const tenon = new Tenon({ url: TENON_URL, key: TENON_BACKEND_KEY });
const app = express();

// Your app takes the user from its session. Usernames ignore case: encode ids that differ in case
// only.
const signedInUser = (_request) => ({ username: "u-42", fullName: "Joe Smoe" });

// Both names lead to this server.
const ORIGINS = [`http://127.0.0.1:${PORT}`, `http://localhost:${PORT}`];

// Returns a token of a user for the pages of this app. Creates the user of Tenon on the first call.
async function userToken({ username, fullName }) {
  const input = { path: { user: username }, body: { origins: ORIGINS } };
  try {
    return (await tenon.call("POST", "/users/{user}/token", input)).token;
  } catch (error) {
    if (!(error instanceof TenonError && error.type === "not-found")) throw error;
  }
  await tenon.call("POST", "/users", { body: { username, fullName } }).catch((error) => {
    if (error.type !== "user-exists") throw error; // a concurrent request has created the user
  });
  return (await tenon.call("POST", "/users/{user}/token", input)).token;
}

// Express 5 passes a rejected promise to its error handler.
// oxlint-disable-next-line no-async-endpoint-handlers
app.get("/my/tenon-token", async (request, response) => {
  const token = await userToken(signedInUser(request));
  response.set("cache-control", "no-store").type("text").send(token);
});

// The signature is that of the body as it was received: no parser of JSON may run before.
app.post("/webhooks", express.raw({ type: "application/json", limit: "1mb" }), (request, response) => {
  if (!Buffer.isBuffer(request.body)) {
    console.error("rejected webhook: it is not application/json, or a parser ran before");
    return response.sendStatus(415);
  }
  try {
    const record = verifyWebhook(WEBHOOK_SECRET, request.body, request.headers);
    // Your app stores the record before it responds. A record may arrive more than once, with the
    // same `_id`.
    console.log("type" in record ? `event ${record.type}` : `error ${record.error}`, record._id);
    response.sendStatus(204);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.error("rejected webhook:", error.message);
    response.sendStatus(401);
  }
});

app.get("/", (_request, response) => {
  response.send(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Integrations</title>
<button id="connect">Integrations</button>
<script type="module">
  import { open } from "${TENON_URL}/tenon.js";
  const token = async () => {
    const response = await fetch("/my/tenon-token");
    if (!response.ok) throw new Error("token: status " + response.status);
    return response.text();
  };
  document.getElementById("connect").onclick = () => open({ token });
</script>
</html>`);
});

// Express recognizes an error handler by its four parameters.
app.use((error, _request, response, next) => {
  if (response.headersSent) return next(error);
  // Such as a body that is too large.
  const isOfCaller = error.status >= 400 && error.status < 500 && !(error instanceof TenonError);
  if (!isOfCaller) console.error(error);
  response.sendStatus(isOfCaller ? error.status : 502);
});

// Express 5 passes an error, such as a port in use, to the callback.
app.listen(Number(PORT), "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`open http://127.0.0.1:${PORT}`);
});
