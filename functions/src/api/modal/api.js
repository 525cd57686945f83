// Client of the API at the origin of this page. The token is stored in the memory of this module
// only.

export {
  call,
  claims,
  readClaims,
  acceptToken,
  forgetToken,
  renewToken,
  onTokenDue,
  RequestError,
  exchangeTicket,
  isRenewable,
  deferred,
};

const base = new URL(".", location.href);
const RENEW_BEFORE_MS = 60_000;
const MIN_AGE_MS = 10_000;
// Longest time of a timer of browsers.
const MAX_TIMER_MS = 2 ** 31 - 1;
// Answers of the host may take as long as a sign-in service.
const RENEWAL_TIMEOUT_MS = 30_000;
const REQUEST_TIMEOUT_MS = 30_000;

let token = null;
let claims = null;
let renewalTimer;
// Time from which the token has to be renewed.
let dueAt = 0;
// Renewal in progress: its promise, and the function that ends it.
let renewal = null;
let askHost = null;

// Failure of a request. `kind` is `offline`, `session`, `invalid` (with `errors`), `conflict` (the
// same request may succeed), `changed` (it cannot), `gone`, `forbidden`, `busy`, `failed`, or
// `stale` if the user has changed since.
class RequestError extends Error {
  constructor(kind, { detail = "", errors = [] } = {}) {
    super(detail || kind);
    Object.assign(this, { kind, errors });
  }
}

// Sets the function that asks the host for a token. Without it, the token is not renewed.
function onTokenDue(ask) {
  askHost = ask;
}

const isRenewable = () => askHost !== null;

// Returns the claims of a token, or null. The API verifies it; the page needs its lifetime and
// limits only.
function readClaims(text) {
  try {
    const [, payload] = text.split(".");
    const bytes = Uint8Array.from(atob(payload.replaceAll("-", "+").replaceAll("_", "/")), (letter) =>
      letter.charCodeAt(0),
    );
    const read = JSON.parse(new TextDecoder().decode(bytes));
    return typeof read.sub === "string" && read.exp > read.iat ? read : null;
  } catch {
    return null;
  }
}

// Stores a token, which may be null if the host has none, and plans its renewal. Returns whether it
// is usable.
function acceptToken(received) {
  const read = readClaims(received);
  if (read) {
    [token, claims] = [received, read];
    // The clock of the device may be wrong, so that the lifetime counts from now. A token that was
    // issued earlier is renewed when the API refuses it.
    const age = Math.max((claims.exp - claims.iat) * 1000 - RENEW_BEFORE_MS, MIN_AGE_MS);
    dueAt = Date.now() + age;
    clearTimeout(renewalTimer);
    if (askHost) renewalTimer = setTimeout(() => renewToken().catch(() => {}), Math.min(age, MAX_TIMER_MS));
  }
  renewal?.end(read ? null : "session");
  return read !== null;
}

// Forgets the token. Requests that wait for another one end without a message.
function forgetToken() {
  [token, claims] = [null, null];
  clearTimeout(renewalTimer);
  renewal?.end("stale");
}

// Returns a promise with the functions that settle it. `Promise.withResolvers` does the same in
// newer browsers.
function deferred() {
  const settle = {};
  const promise = new Promise((resolve, reject) => {
    Object.assign(settle, { resolve, reject });
  });
  return { promise, ...settle };
}

// Asks the host for a token. Requests that need one at the same time share it.
function renewToken() {
  if (!askHost) return Promise.reject(new RequestError("session"));
  if (!renewal) {
    const { promise, resolve, reject } = deferred();
    const timer = setTimeout(() => renewal?.end("session"), RENEWAL_TIMEOUT_MS);
    const end = (failure) => {
      clearTimeout(timer);
      renewal = null;
      if (failure) reject(new RequestError(failure));
      else resolve();
    };
    renewal = { promise, end };
    askHost();
  }
  return renewal.promise;
}

document.addEventListener("visibilitychange", () => {
  const isDue = claims && Date.now() >= dueAt;
  if (document.visibilityState === "visible" && isDue) renewToken().catch(() => {});
});

async function request(method, path, body, bearer, headers) {
  try {
    return await fetch(new URL(path, base), {
      method,
      headers: {
        ...(bearer && { authorization: `Bearer ${bearer}` }),
        ...(body && { "content-type": "application/json" }),
        ...headers,
      },
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
  } catch {
    throw new RequestError("offline");
  }
}

const UNAUTHORIZED = "urn:tenon:problem:unauthorized";

// API Gateway refuses a token with a message, and without a problem document. It remembers valid
// tokens for some time, so that the API itself refuses one that has expired meanwhile. A proxy may
// refuse a request in any form.
async function isTokenRefused(response) {
  if (![401, 403].includes(response.status)) return false;
  const refusal = await response
    .clone()
    .json()
    .catch(() => null);
  return refusal?.type ? refusal.type === UNAUTHORIZED : Boolean(refusal?.message);
}

const KINDS = { 403: "forbidden", 404: "gone", 410: "gone", 412: "changed", 422: "invalid", 429: "busy" };
const CONFLICT = "urn:tenon:problem:concurrent-modification";

async function documentOf(response) {
  const read = await response.json().catch(() => null);
  if (!response.ok)
    throw new RequestError(read?.type === CONFLICT ? "conflict" : (KINDS[response.status] ?? "failed"), read ?? {});
  // The response has ended early.
  if (read === null) throw new RequestError("offline");
  return read;
}

// Sends a request with the token and returns the document. A refused token is renewed once. Neither
// the request nor the response of a user reaches another one.
async function call(method, path, body, headers) {
  if (!token) await renewToken();
  const used = token;
  const { sub: user } = claims;
  let response = await request(method, path, body, used, headers);
  if (await isTokenRefused(response)) {
    // Another request may have renewed the token in the meantime.
    if (token === used) await renewToken();
    checkUser(user);
    response = await request(method, path, body, token, headers);
    if (await isTokenRefused(response)) throw new RequestError("session");
  }
  return documentOf(response).finally(() => checkUser(user));
}

function checkUser(user) {
  if (claims?.sub !== user) throw new RequestError("stale");
}

// Exchanges the ticket of an install link for a token.
async function exchangeTicket(ticket) {
  const { token: received } = await documentOf(await request("POST", "tickets", { ticket }));
  if (!acceptToken(received)) throw new RequestError("failed");
}
