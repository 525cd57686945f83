// Loading and following data of the API.

import { useEffect, useRef, useState } from "./preact.js";
import { isRefused, onSignOut } from "./api.js";
import { loadDestinations } from "./destination_store.js";

export { useData, useFormer, useReload, refresh, usePolling };

// Pauses between requests that find nothing new, in milliseconds: they grow from the first to the
// last.
const FIRST_PAUSE_MS = 4000;
const LAST_PAUSE_MS = 15000;

// Data that was shown before, by key: pages that are opened again show it until it is loaded.
const shownBefore = new Map();
const MAX_SHOWN_BEFORE = 30;
onSignOut(() => shownBefore.clear());

// Functions that load the data of the page again.
const reloads = new Set();

// Loads everything that the page shows again. Throws the problem if something could not be loaded.
async function refresh() {
  const problems = await Promise.all([
    loadDestinations().then(
      () => null,
      (problem) => problem,
    ),
    ...[...reloads].map((reload) => reload()),
  ]);
  const problem = problems.find(Boolean);
  if (problem) throw problem;
}

// Loads data, and again when `key` changes. Returns `{data, problem, isLoading, reload, setData}`.
// Data is never that of another key. If it cannot be loaded again, it is kept unless the API
// refuses it. `reload` returns why.
function useData(key, load) {
  const [state, setState] = useState({ key: null });
  // Responses to former requests are discarded.
  const latest = useRef(0);
  const present = useRef({});
  present.current = { key, load };
  const reload = async () => {
    // An update that began under a former key ends now.
    if (present.current.key !== key) return null;
    const request = (latest.current += 1);
    try {
      const data = await present.current.load();
      shownBefore.delete(key);
      shownBefore.set(key, data);
      if (shownBefore.size > MAX_SHOWN_BEFORE) shownBefore.delete(shownBefore.keys().next().value);
      if (request === latest.current) setState({ key, data });
      return null;
    } catch (problem) {
      const kept = (before) => (before.key === key && !isRefused(problem) ? before.data : undefined);
      if (request === latest.current && !problem.isStale) setState((before) => ({ key, problem, data: kept(before) }));
      return problem;
    }
  };
  useEffect(() => {
    setState({ key, data: shownBefore.get(key), isLoading: true });
    reload();
    reloads.add(reload);
    return () => {
      latest.current += 1;
      reloads.delete(reload);
    };
  }, [key]);
  const setData = (data) => setState((before) => (before.key === key && before.data ? { ...before, data } : before));
  const shown = state.key === key ? state : { data: shownBefore.get(key), isLoading: true };
  return { isLoading: false, ...shown, reload, setData };
}

// Returns data, or what was shown before while it is loaded.
function useFormer({ data, isLoading }) {
  const former = useRef(undefined);
  if (data) former.current = data;
  return data ?? (isLoading ? former.current : undefined);
}

// Loads data again when something that it depends on has changed.
function useReload({ reload }, ...dependencies) {
  const isMounted = useRef(false);
  useEffect(() => {
    if (isMounted.current) reload();
    isMounted.current = true;
  }, dependencies);
}

// Repeats an action that returns whether it found something new. Pauses grow while it finds
// nothing, from `first` to `longest` milliseconds, and start anew when it does. A hidden page
// pauses. The action gets a function that returns whether its result is still wanted. Returns the
// problem that the last run had, and a function that runs it now, which returns its problem. A
// refused request is not repeated.
function usePolling(action, { isActive = true, first = FIRST_PAUSE_MS, longest = LAST_PAUSE_MS, key = "" } = {}) {
  const [problem, setProblem] = useState(null);
  const present = useRef(action);
  present.current = action;
  const runNow = useRef(() => {});
  useEffect(() => {
    setProblem(null);
    if (!isActive) return undefined;
    let timer = null;
    let isStopped = false;
    let isRunning = false;
    let wait = first;
    const run = async () => {
      clearTimeout(timer);
      if (isStopped || isRunning || document.hidden) return null;
      isRunning = true;
      let failure = null;
      try {
        const foundNew = await present.current(() => !isStopped);
        wait = foundNew ? first : Math.min(wait * 2, longest);
      } catch (thrown) {
        failure = thrown;
        wait = longest;
      }
      isRunning = false;
      if (isStopped || failure?.isStale) return null;
      setProblem(failure);
      if (!failure || !isRefused(failure)) timer = setTimeout(run, wait);
      return failure;
    };
    runNow.current = run;
    const show = () => {
      if (!document.hidden) run();
    };
    document.addEventListener("visibilitychange", show);
    timer = setTimeout(run, wait);
    return () => {
      isStopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", show);
    };
  }, [isActive, first, longest, key]);
  return { problem, retry: () => runNow.current() };
}
