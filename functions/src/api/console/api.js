// The API at this page's own origin. The key is in this module's memory, and nowhere else.

export { API_KEY_PATTERN, session, newSession, startSession, endSession, call, query, encodeSegment };

const base = new URL(".", location.href);
const API_KEY_PATTERN = /^tn_(live|test)_[0-9A-Za-z]{49}$/;

// What goes on for a key until its holder signs out: requests that are under way then are dropped.
let session = null;

const newSession = (key) => ({ key, controller: new AbortController() });

function startSession(candidate) {
  session = candidate;
}

function endSession() {
  session?.controller.abort();
  session = null;
}

// Sends a request. What is refused is thrown, with the problem document's words, fields and policy.
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
    throw caller.controller.signal.aborted ? staleError() : new Error("The API cannot be reached.");
  }
  if (caller.controller.signal.aborted) throw staleError();
  if (response.ok) return document;
  const message = { 401: "The key is missing.", 403: document.detail ?? "This key is not accepted." }[response.status]
    ?? document.detail ?? document.message ?? `The API answered ${response.status}.`;
  throw Object.assign(new Error(message), { status: response.status, errors: document.errors, policy: document.policy });
}

// A query string of what is not empty.
const query = (parts) => {
  const filled = Object.entries(parts).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return filled.length ? `?${new URLSearchParams(filled)}` : "";
};

const encodeSegment = encodeURIComponent;
