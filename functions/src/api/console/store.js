// Values that several components show.

import { useLayoutEffect, useState } from "./preact.js";

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
  const { value } = store;
  useLayoutEffect(() => {
    const redraw = () => setChanges((changes) => changes + 1);
    // It may have changed since it was rendered.
    if (store.value !== value) redraw();
    return store.subscribe(redraw);
  }, [store]);
  return value;
}
