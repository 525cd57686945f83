// Values that several components show.

import { useEffect, useState } from "./preact.js";

export { createStore, useStore };

// Creates a store: a value, and the functions that are called after each change.
function createStore(initial) {
  const listeners = new Set();
  const store = {
    value: initial,
    set(value) {
      store.value = value;
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return store;
}

// Returns the value of a store. The component is rendered again after each change.
function useStore(store) {
  const [, setChanges] = useState(0);
  useEffect(() => store.subscribe(() => setChanges((changes) => changes + 1)), [store]);
  return store.value;
}
