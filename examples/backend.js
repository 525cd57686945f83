// Part of a back end that embeds the modal: tokens of a user of Tenon.

import process from "node:process";

const { TENON_URL, TENON_BACKEND_KEY } = process.env;
if (!TENON_URL || !TENON_BACKEND_KEY) throw new Error("TENON_URL and TENON_BACKEND_KEY are not set: see README.md");

// The key must not be sent over a network without TLS.
const { protocol, hostname } = new URL(TENON_URL);
if (protocol !== "https:" && !["127.0.0.1", "localhost"].includes(hostname))
  throw new Error("TENON_URL must be an https URL");

export { TENON_URL, userToken };

async function post(path, body) {
  const headers = { authorization: `Bearer ${TENON_BACKEND_KEY}`, "content-type": "application/json" };
  try {
    const options = { redirect: "error", signal: AbortSignal.timeout(30_000) };
    const response = await fetch(TENON_URL + path, { ...options, method: "POST", headers, body: JSON.stringify(body) });
    return { status: response.status, body: await response.json() };
  } catch (error) {
    const cause = error.cause?.code ?? (error.cause ?? error).message;
    throw new Error(`no JSON response from Tenon, check TENON_URL: ${cause}`, { cause: error });
  }
}

// Returns a token of the user for pages of these origins. Creates the user if necessary.
async function userToken(username, origins) {
  // API Gateway decodes a path before it routes it, so that such a name could lead to another
  // endpoint.
  if (!username || /^\.+$|[%/\\?#\p{Cc}]/u.test(username))
    throw new Error("the username has characters that no name has");
  const path = `/users/${encodeURIComponent(username)}/token`;
  let response = await post(path, { origins });
  if (response.status === 404) {
    const created = await post("/users", { username });
    // Another request may have created the user meanwhile.
    if (created.status !== 201 && created.body.type !== "urn:tenon:problem:user-exists") throw refusal(created);
    response = await post(path, { origins });
  }
  if (response.status !== 200) throw refusal(response);
  return response.body.token;
}

function refusal({ status, body }) {
  return new Error(`Tenon returned ${status}: ${body.message}`);
}
