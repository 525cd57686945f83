// Client of the API at the origin of this page, and the session: the key, the environment, and what
// the key may do. The key is in the memory of this module, and in the storage of the tab only on
// request.

import { createStore, useStore } from "./store.js";

export {
  session,
  call,
  find,
  callDelete,
  readPage,
  etagOf,
  query,
  segment,
  signIn,
  signOut,
  restoreSession,
  useSession,
  onSignOut,
  isRefused,
  fieldProblem,
  staleError,
};

const base = new URL(".", location.href);
const API_KEY_PATTERN = /^tn_(live|test)_[0-9A-Za-z]{49}$/;
// The modal has the same origin. Only keys that cannot change anything are stored, in this tab.
const STORED_KEY = "tenon-read-key";

// Storage of the tab. Without it, because the browser blocks it, no key is kept.
let tabStorage = null;
try {
  tabStorage = sessionStorage;
} catch {
  // A SecurityError.
}

// Session `{key, environment, mayChange, controller}`, or `{reason}` why there is none, or
// `{isRestoring}`.
const session = createStore({});
const useSession = () => useStore(session);

// Calls a function when the session ends, so that nothing of it is shown to the next one who signs
// in.
const onSignOut = (forget) =>
  session.subscribe(() => {
    if (!session.value.key) forget();
  });

// Returns the problem of a field of a form, like one that the API has found.
const fieldProblem = (name, detail) => Object.assign(new Error(), { errors: [{ pointer: `/${name}`, detail }] });

// Signs in. Throws an error if the key is refused. With `remember`, a key with the scope `read`
// survives a reload.
async function signIn(key, remember) {
  if (!API_KEY_PATTERN.test(key)) throw fieldProblem("key", "must be an API key: tn_live_… or tn_test_…");
  const candidate = { key, controller: new AbortController() };
  const environment = await call("GET", "environment", undefined, { caller: candidate });
  const { scope } = environment;
  if (remember && scope !== "read")
    throw fieldProblem("key", `has the scope \`${scope}\`. Only a key with the scope \`read\` can be kept`);
  if (remember) tabStorage?.setItem(STORED_KEY, key);
  else tabStorage?.removeItem(STORED_KEY);
  session.set({ ...candidate, environment, mayChange: scope === "manage" });
}

// Ends the session and aborts its requests.
function signOut(reason) {
  session.value.controller?.abort();
  tabStorage?.removeItem(STORED_KEY);
  session.set({ reason });
}

// Signs in with the key that was kept, if there is one.
async function restoreSession() {
  const key = tabStorage?.getItem(STORED_KEY);
  if (!key) return;
  session.set({ isRestoring: true });
  try {
    await signIn(key, true);
  } catch (problem) {
    // Also if the key must not be kept.
    if (problem.isKeyRefused || problem.errors) signOut(problem.message);
    else session.set({ reason: `${problem.message} Reload the page to sign in again.` });
  }
}

// Keys of requests that were not answered, by what was sent. Sent again within a few minutes, it is
// the same request.
const UNANSWERED_MS = 300000;
// Longer than API Gateway waits for a function, and long enough for a large page.
const TIME_LIMIT_MS = 90000;
const unanswered = new Map();
onSignOut(() => unanswered.clear());

const newRequestKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

// Entity tags of the documents that were received.
const etags = new WeakMap();
const etagOf = (document) => etags.get(document);

function rememberUnanswered(sent, requestKey) {
  unanswered.set(sent, requestKey);
  setTimeout(() => {
    if (unanswered.get(sent) === requestKey) unanswered.delete(sent);
  }, UNANSWERED_MS);
}

// Keeps a number that JavaScript would round as it was written, for `JSON.stringify`, if the
// browser can.
const keepExact =
  JSON.rawJSON &&
  ((_, value, { source }) =>
    typeof value === "number" && source.length > 15 && String(value) !== source ? JSON.rawJSON(source) : value);

const staleError = () => Object.assign(new Error("The session has ended."), { isStale: true });

// Sends a request and returns the document. With `ifMatch`, it succeeds only if the object still
// has this entity tag. With `isExact`, no number of the document is rounded. Throws an error with
// the message, fields and policy of the problem document if the request fails. A key that is no
// longer valid ends the session.
async function call(method, path, body, { caller = session.value, ifMatch, isExact } = {}) {
  if (!caller.key) throw staleError();
  const text = body && JSON.stringify(body);
  const sent = `${path} ${text}`;
  const requestKey = method === "POST" && (unanswered.get(sent) ?? newRequestKey());
  let response;
  let document;
  try {
    response = await fetch(new URL(path, base), {
      method,
      headers: {
        authorization: `Bearer ${caller.key}`,
        ...(body && { "content-type": "application/json" }),
        ...(ifMatch && { "if-match": ifMatch }),
        ...(requestKey && { "idempotency-key": requestKey }),
      },
      body: text,
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      // Older browsers have no time limit.
      signal:
        AbortSignal.any?.([caller.controller.signal, AbortSignal.timeout(TIME_LIMIT_MS)]) ?? caller.controller.signal,
    });
    const received = await response.text();
    // API Gateway and proxies refuse requests without JSON. A success without it was cut off.
    if (response.ok || response.headers.get("content-type")?.includes("json"))
      document = JSON.parse(received, isExact ? keepExact : undefined);
    else document = {};
  } catch {
    if (caller.controller.signal.aborted) throw staleError();
    if (requestKey) rememberUnanswered(sent, requestKey);
    throw new Error("The API is unreachable.");
  }
  if (caller.controller.signal.aborted) throw staleError();
  if (requestKey) {
    // Another attempt may still run.
    const isOpen =
      response.status >= 500 || response.status === 429 || document.type?.endsWith(":idempotency-key-in-progress");
    if (isOpen) rememberUnanswered(sent, requestKey);
    else unanswered.delete(sent);
  }
  if (response.ok) {
    etags.set(document, response.headers.get("etag"));
    return document;
  }
  // API Gateway refuses a key with a message, and without a problem document. A proxy may refuse a
  // request in any form.
  if ([401, 403].includes(response.status) && document.message && !document.type) {
    if (caller.key === session.value.key) {
      signOut("The API no longer accepts this key. It may have been revoked.");
      throw staleError();
    }
    throw Object.assign(new Error("The API does not accept this key."), {
      status: response.status,
      isKeyRefused: true,
    });
  }
  if (response.status === 412)
    throw Object.assign(new Error("Someone else has changed this meanwhile. Read it again, then repeat your change."), {
      status: response.status,
    });
  const message = document.detail ?? document.message ?? `The API returned status ${response.status}.`;
  throw Object.assign(new Error(message), {
    status: response.status,
    errors: document.errors,
    policy: document.policy,
  });
}

const nullIfNotFound = (problem) => {
  if (problem.status !== 404) throw problem;
  return null;
};

// Returns a document, or null if it does not exist.
const find = (path) => call("GET", path).catch(nullIfNotFound);

// Deletes something, which someone else may have deleted meanwhile.
const callDelete = (path) => call("DELETE", path).catch(nullIfNotFound);

// Whether the API refused a request, which fails again if it is repeated.
const isRefused = ({ status }) => status >= 400 && status < 500 && status !== 429;

// Returns a query string of the values that are not empty.
const query = (parts) => {
  const filled = Object.entries(parts).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return filled.length ? `?${new URLSearchParams(filled)}` : "";
};

// Pages of a list that are read until one has items. A request searches a bounded number of items,
// so that its page may be empty although others match.
const MAX_EMPTY_PAGES = 10;

async function readPage(path, parameters) {
  let page;
  let { cursor } = parameters;
  for (let read = 0; read < MAX_EMPTY_PAGES; read += 1) {
    page = await call("GET", `${path}${query({ ...parameters, cursor })}`);
    cursor = page.cursor;
    if (!cursor || (page.data ?? page.errors).length) break;
  }
  return page;
}

// Returns a part of a path. API Gateway decodes paths before it routes them, so that these
// characters could lead to another endpoint; no id or name contains them.
function segment(text) {
  if (!text || /^\.+$|[%/\\?#\p{Cc}]/u.test(text))
    throw Object.assign(new Error(`Not an id: ${text}`), { status: 404 });
  return encodeURIComponent(text);
}
