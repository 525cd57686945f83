// The API at this page's own origin. The key is in this module's memory, and nowhere else.

const base = new URL(".", location.href);
const KEY = /^tn_(live|test)_[0-9A-Za-z]{49}$/;

// What goes on for a key until its holder signs out: requests that are under way then are dropped.
let session = null;

const newSession = (key) => ({ key, ended: new AbortController() });

function endSession() {
  session?.ended.abort();
  session = null;
}

// Sends a request. What is refused is thrown, with the problem document's words, fields and policy.
async function call(method, path, body, mine = session) {
  const over = () => Object.assign(new Error(), { stale: true });
  if (!mine) throw over();
  let answer;
  let document;
  try {
    answer = await fetch(new URL(path, base), {
      method,
      headers: { authorization: `Bearer ${mine.key}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal: mine.ended.signal,
    });
    document = await answer.json().catch(() => ({}));
  } catch {
    throw mine.ended.signal.aborted ? over() : new Error("The API cannot be reached.");
  }
  if (mine.ended.signal.aborted) throw over();
  if (answer.ok) return document;
  const message = { 401: "The key is missing.", 403: document.detail ?? "This key is not accepted." }[answer.status]
    ?? document.detail ?? document.message ?? `The API answered ${answer.status}.`;
  throw Object.assign(new Error(message), { status: answer.status, errors: document.errors, policy: document.policy });
}

// A query string of what is not empty.
const query = (parts) => {
  const filled = Object.entries(parts).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return filled.length ? `?${new URLSearchParams(filled)}` : "";
};

const segment = encodeURIComponent;
