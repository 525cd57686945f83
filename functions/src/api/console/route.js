// Addresses of the pages: everything that a page shows is in the fragment of the URL, which no
// server gets.

import { useEffect } from "./preact.js";
import { createStore, useStore } from "./store.js";

export { link, go, goBackTo, rememberPage, useAddress, changed, isReturn, useTitle };

// Time within which a page that is opened again must become long enough to be scrolled.
const SCROLL_MS = 5000;

// Returns the parts of the path and the parameters in the fragment: `#/users/1?status=active`.
function parseFragment() {
  const [path, parameters = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path
    .split("/")
    .filter(Boolean)
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
  // Times that the API would refuse are ignored.
  const isTime = (value) => /^\d{4}-.*(Z|[+-]\d\d:\d\d)$/i.test(value) && !Number.isNaN(Date.parse(value));
  const isValid = ([name, value]) => !["since", "until"].includes(name) || isTime(value);
  return { parts, parameters: Object.fromEntries([...new URLSearchParams(parameters)].filter(isValid)) };
}

const address = createStore(parseFragment());
const useAddress = () => useStore(address);

// Entries of the history by position: the fragment of each, and where its page was scrolled to when
// it was left. The state of an entry has its position.
const entries = new Map();
let position = history.state?.position ?? 0;
let fragment = location.hash;
// Whether the present page was opened by going back or forward.
let isReturned = false;
let isGoingBack = false;
// Where the page will be scrolled to, `{top, stop}`, as long as it is too short.
let scrolling = null;
const isReturn = () => isReturned;

history.scrollRestoration = "manual";
history.replaceState({ position }, "");
// Also fires between two entries with the same fragment.
addEventListener("popstate", () => {
  isGoingBack = false;
  entries.set(position, { fragment, top: scrolling?.top ?? scrollY });
  scrolling?.stop();
  isReturned = history.state !== null;
  position = isReturned ? history.state.position : position + 1;
  history.replaceState({ position }, "");
  ({ hash: fragment } = location);
  address.set(parseFragment());
  const entry = entries.get(position);
  if (isReturned && entry?.fragment === fragment) scrollBack(entry.top);
});

// Scrolls to where a page was left, as soon as it is long enough, unless the user does something.
function scrollBack(top) {
  const watched = new AbortController();
  const stop = () => {
    clearTimeout(timeout);
    observer.disconnect();
    watched.abort();
    scrolling = null;
  };
  const observer = new ResizeObserver(() => {
    scrollTo(0, top);
    if (Math.abs(scrollY - top) < 2) stop();
  });
  const timeout = setTimeout(stop, SCROLL_MS);
  scrolling = { top, stop };
  observer.observe(document.body);
  for (const type of ["wheel", "touchstart", "pointerdown", "keydown"])
    addEventListener(type, stop, { signal: watched.signal });
}

// Returns the fragment of a page. Empty parameters are omitted.
function link(parts, parameters = {}) {
  const filled = Object.entries(parameters).filter(([, value]) => value);
  const search = filled.length ? `?${new URLSearchParams(filled)}` : "";
  return `#/${parts.map(encodeURIComponent).join("/")}${search}`;
}

// Returns the fragment of the present page with other parameters. A null removes a parameter.
const changed = (changes) => link(address.value.parts, { ...address.value.parameters, ...changes });

// Opens a page. `replace` keeps the present one out of the history.
function go(target, { replace = false } = {}) {
  if (target === location.hash) return;
  if (replace) {
    history.replaceState({ position }, "", target);
    fragment = target;
    address.set(parseFragment());
  } else {
    location.hash = target;
  }
}

// Returns a function that says whether the page is still shown as it is, with the same tab, filters
// and panel. What a request opens when it ends must not take the user away from anything else.
function rememberPage() {
  const { hash } = location;
  return () => location.hash === hash;
}

// Closes a part of a page, which leaves a fragment: goes back if the page was opened from there, so
// that the history does not lead to what was closed.
function goBackTo(target) {
  if (entries.get(position - 1)?.fragment !== target) {
    go(target, { replace: true });
  } else if (!isGoingBack) {
    isGoingBack = true;
    history.back();
  }
}

// Sets the title of the document.
function useTitle(title) {
  useEffect(() => {
    document.title = `${title} · Tenon console`;
  }, [title]);
}
