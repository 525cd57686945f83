// Addresses of the pages: everything that a page shows is in the fragment of the URL, which no
// server gets.

import { useEffect } from "./preact.js";
import { createStore, useStore } from "./store.js";

export { address, link, go, useAddress, changed, useTitle };

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
  return { parts, parameters: Object.fromEntries(new URLSearchParams(parameters)) };
}

const address = createStore(parseFragment());
addEventListener("hashchange", () => address.set(parseFragment()));
const useAddress = () => useStore(address);

// Returns the fragment of a page. Empty parameters are omitted.
function link(parts, parameters = {}) {
  const filled = Object.entries(parameters).filter(([, value]) => value);
  const search = filled.length ? `?${new URLSearchParams(filled)}` : "";
  return `#/${parts.map(encodeURIComponent).join("/")}${search}`;
}

// Returns the fragment of the present page with other parameters. A null removes a parameter.
const changed = (changes) => link(address.value.parts, { ...address.value.parameters, ...changes });

// Opens a page. `replace` keeps the present one out of the history.
function go(fragment, { replace = false } = {}) {
  if (fragment === location.hash) return;
  if (replace) {
    history.replaceState(null, "", fragment);
    address.set(parseFragment());
  } else {
    location.hash = fragment;
  }
}

// Sets the title of the document.
function useTitle(title) {
  useEffect(() => {
    document.title = `${title} · Tenon console`;
  }, [title]);
}
