// Destinations of the environment, which several pages show.

import { call, onSignOut, query, segment } from "./api.js";
import { createStore, useStore } from "./store.js";

export { addDestination, changeDestination, destinationPath, loadDestinations, refreshDestinations, useDestinations };

const destinationPath = (id) => `destinations/${segment(id)}`;
const changeDestination = (id, changes) => call("PATCH", destinationPath(id), changes);

// All destinations, at most 20: `{list, problem}`; without a list until they are loaded.
const destinations = createStore({});
const useDestinations = () => useStore(destinations);
onSignOut(() => destinations.set({}));

// The last load of the destinations. The response to an earlier one may be older.
let lastLoad = null;

// Loads the destinations. Returns whether they changed. A load ends with those that began later.
function loadDestinations() {
  const load = readDestinations(() => load !== lastLoad);
  lastLoad = load;
  return load;
}

async function readDestinations(isSuperseded) {
  const before = JSON.stringify(destinations.value.list);
  const { data, problem } = await call("GET", `destinations${query({ limit: 100 })}`).catch((thrown) => ({
    problem: thrown,
  }));
  if (isSuperseded()) return lastLoad;
  if (problem) {
    if (!problem.isStale) destinations.set({ ...destinations.value, problem });
    throw problem;
  }
  const isChanged = JSON.stringify(data) !== before;
  if (isChanged || destinations.value.problem) destinations.set({ list: data });
  return isChanged;
}

// Adds a destination that was just created to those that are shown, until they are loaded again.
function addDestination(created) {
  const { list } = destinations.value;
  const isOther = ({ destinationId }) => destinationId !== created.destinationId;
  if (list) destinations.set({ ...destinations.value, list: [created, ...list.filter(isOther)] });
}

// Loads the destinations after a change, which has succeeded even if they cannot be loaded: pages
// show why.
const refreshDestinations = () => loadDestinations().catch(() => {});
