// Client of the API at the origin of this page. The key is stored in the memory of this module
// only.

export { API_KEY_PATTERN, session, newSession, startSession, endSession, call, query, encodeSegment };

const base = new URL(".", location.href);
const API_KEY_PATTERN = /^tn_(live|test)_[0-9A-Za-z]{49}$/;

// Signed-in session, or null. Signing out aborts its pending requests.
let session = null;

const newSession = (key) => ({ key, controller: new AbortController() });

function startSession(candidate) {
  session = candidate;
}

function endSession() {
  session?.controller.abort();
  session = null;
}

// Sends a request and returns the document. Throws an error with the message, fields and policy of
// the problem document if the request fails.
async function call(method, path, body, caller = session) {
  const staleError = () => Object.assign(new Error(), { stale: true });
  if (!caller) throw staleError();
  let response;
  let document;
  try {
    response = await fetch(new URL(path, base), {
      method,
      headers: { authorization: `Bearer ${caller.key}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal: caller.controller.signal,
    });
    document = await response.json().catch(() => ({}));
  } catch {
    throw caller.controller.signal.aborted ? staleError() : new Error("The API is unreachable.");
  }
  if (caller.controller.signal.aborted) throw staleError();
  if (response.ok) return document;
  const message = { 401: "The API key is missing.", 403: document.detail ?? "Invalid API key." }[response.status]
    ?? document.detail ?? document.message ?? `The API returned status ${response.status}.`;
  throw Object.assign(new Error(message), { status: response.status, errors: document.errors, policy: document.policy });
}

// Returns a query string of the values that are not empty.
const query = (parts) => {
  const filled = Object.entries(parts).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return filled.length ? `?${new URLSearchParams(filled)}` : "";
};

const encodeSegment = encodeURIComponent;
