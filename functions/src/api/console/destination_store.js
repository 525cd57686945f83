// Destinations of the environment, which several pages show.

import { call, onSignOut, query } from "./api.js";
import { createStore, useStore } from "./store.js";

export { addDestination, loadDestinations, refreshDestinations, useDestinations };

// All destinations, at most 20: `{list, problem}`; without a list until they are loaded.
const destinations = createStore({});
const useDestinations = () => useStore(destinations);
onSignOut(() => destinations.set({}));

// Number of the last request for the destinations. The response to an earlier one may be older.
let lastLoad = 0;

// Loads the destinations. Returns whether they changed.
async function loadDestinations() {
  const load = (lastLoad += 1);
  const before = JSON.stringify(destinations.value.list);
  try {
    const { data } = await call("GET", `destinations${query({ limit: 100 })}`);
    if (load !== lastLoad) return false;
    const isChanged = JSON.stringify(data) !== before;
    if (isChanged || destinations.value.problem) destinations.set({ list: data });
    return isChanged;
  } catch (problem) {
    if (load !== lastLoad) return false;
    if (!problem.isStale) destinations.set({ ...destinations.value, problem });
    throw problem;
  }
}

// Adds a destination that was just created to those that are shown, until they are loaded again.
const addDestination = (created) =>
  destinations.set({ ...destinations.value, list: [created, ...(destinations.value.list ?? [])] });

// Loads the destinations after a change, which has succeeded even if they cannot be loaded: pages
// show why.
const refreshDestinations = () => loadDestinations().catch(() => {});
