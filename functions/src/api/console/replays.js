// Replays: start, progress, and the list of a destination.

import { Fragment, h, useState } from "./preact.js";
import { call, readPage, segment, session, staleError, useSession } from "./api.js";
import { useData, usePolling } from "./data.js";
import { changeDestination, destinationPath, refreshDestinations } from "./destination_store.js";
import { openForm } from "./dialogs.js";
import { Choices } from "./forms.js";
import { announce, openDialogs } from "./messages.js";
import { go, link, rememberPage, useAddress } from "./route.js";
import { createStore, useStore } from "./store.js";
import { RangeFields } from "./time_range.js";
import { isoTime, Time } from "./times.js";
import { Badge, Button, Empty, LiveNotice, PageLinks, plural, Problem, Skeleton, Table } from "./ui.js";

export { startReplay, replayStarter, replayNow, showReplays, openReplay, ReplayList };

const FOLLOWED_REPLAY_MS = 10000;
// Time within which a replay counts what is pending, before it is sent in any case.
const COUNTING_MS = 8000;

// Number of replays that were started here, after which lists of replays are loaded again.
const replayStarts = createStore(0);

// Opens the list of replays of a destination.
const showReplays = (destinationId) => go(link(["destinations", destinationId], { view: "replays" }));

// Starts a replay, and returns its id. With `follows`, waits a while for its end and announces it.
async function startReplay(destinationId, selection, { follows = false } = {}) {
  const { replayId } = await call("POST", `${destinationPath(destinationId)}/replay`, selection);
  replayStarts.set(replayStarts.value + 1);
  announce("The replay has started.");
  if (!follows) return replayId;
  const ended = await follow(replayId, FOLLOWED_REPLAY_MS, ({ status }) => status !== "running");
  if (!ended) announce("The replay is still running: see the replays of the destination.", 20000);
  else if (ended.found) announce(`Replayed: ${ended.delivered} delivered, ${ended.failed} not delivered.`, 20000);
  else announce("Nothing to replay: the destination does not want it.", 20000);
  return replayId;
}

const pause = (milliseconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

// Reads a replay until a condition is met. Returns it, or undefined after a time in milliseconds. A
// request that fails says nothing about the replay, which continues.
async function follow(replayId, longest, condition) {
  const { key } = session.value;
  const end = Date.now() + longest;
  for (let wait = 400; Date.now() < end; wait = Math.min(wait * 1.5, 1500)) {
    await pause(wait);
    if (session.value.key !== key) throw staleError();
    const replay = await call("GET", `replays/${segment(replayId)}`).catch((problem) => {
      if (problem.isStale) throw problem;
    });
    if (replay && condition(replay)) return replay;
  }
  return undefined;
}

// Returns a function that starts a replay of each selection. Those that it has started are not
// started again when it is repeated after a failure.
function replayStarter(destinationId) {
  const started = new Set();
  return async (selections) => {
    for (const selection of selections) {
      const text = JSON.stringify(selection);
      if (started.has(text)) continue;
      await startReplay(destinationId, selection);
      started.add(text);
    }
  };
}

// Ends the wait of all pending deliveries: first counts them in a replay, which shows the progress,
// then closes the circuit, so that they are sent.
async function replayNow({ destinationId, health: { pending } }) {
  const isHere = rememberPage();
  const replayId = await startReplay(destinationId, { pending: true });
  // A dialog that was opened meanwhile ends with the page.
  if (isHere() && !openDialogs.value.length) showReplays(destinationId);
  await follow(replayId, COUNTING_MS, ({ status, found }) => status !== "running" || found >= pending);
  // Someone may have disabled it meanwhile.
  const { enabled } = await call("GET", destinationPath(destinationId));
  if (enabled) await changeDestination(destinationId, { enabled: true });
  await refreshDestinations();
}

// Asks what a destination gets again. `selected` has ids of errors and events, if some were chosen.
function openReplay(destination, name, selected) {
  const count = selected ? selected.errorIds.length + selected.eventIds.length : 0;
  const startReplays = replayStarter(destination.destinationId);
  openForm(
    {
      title: `Replay to ${name}`,
      submit: "Start replay",
      send: async (values, form, close) => {
        const isHere = rememberPage();
        await startReplays(selectionsOf(values, form, selected));
        close();
        if (isHere()) showReplays(destination.destinationId);
      },
    },
    h(ReplayFields, { count }),
  );
}

// Returns what is entered, as requests for replays.
function selectionsOf({ kind, since, until }, form, selected) {
  if (kind === "range") return [{ since: isoTime(since), ...(until && { until: isoTime(until) }) }];
  if (kind === "selected")
    return Object.entries(selected)
      .filter(([, ids]) => ids.length)
      .map(([member, ids]) => ({ [member]: ids }));
  const statuses = form.getAll("statuses");
  if (!statuses.length) throw new Error("Choose at least one status.");
  return [Object.fromEntries(statuses.map((status) => [status, true]))];
}

function ReplayFields({ count }) {
  const [kind, setKind] = useState(count ? "selected" : "status");
  const choice = (value, title) =>
    h(
      "label",
      { class: "check wide" },
      h("input", { type: "radio", name: "kind", value, checked: kind === value, onChange: () => setKind(value) }),
      title,
    );
  return h(
    Fragment,
    {},
    count > 0 && choice("selected", `The ${plural(count, "selected delivery", "selected deliveries")}`),
    choice("status", "All deliveries that are"),
    kind === "status" &&
      h(
        "div",
        { class: "indent wide" },
        h(Choices, {
          label: "Status",
          name: "statuses",
          chosen: ["failed", "cancelled"],
          options: [
            ["failed", "failed: all attempts were used up"],
            ["cancelled", "cancelled: the destination was disabled"],
            ["pending", "pending: without waiting for the next attempt"],
          ],
        }),
      ),
    choice("range", "Everything that was recorded in a time range, also what has been delivered"),
    kind === "range" && h("div", { class: "indent wide form" }, h(RangeFields, { since: Date.now() - 3600000 })),
    h(
      "p",
      { class: "wide quiet" },
      "The filter of the destination applies. The receiver recognizes what it has already by its id.",
    ),
  );
}

// Says what a replay sends.
function requestText({ since, until, errorIds, eventIds, pending, failed, cancelled }) {
  if (errorIds) return plural(errorIds.length, "error");
  if (eventIds) return plural(eventIds.length, "event");
  if (since || until) return h(Fragment, {}, "Recorded ", h(Time, { at: since }), " to ", h(Time, { at: until }));
  return `${[pending && "pending", failed && "failed", cancelled && "cancelled"].filter(Boolean).join(", ")} deliveries`;
}

// Replays of a destination with their progress.
function ReplayList({ destinationId }) {
  const { mayChange } = useSession();
  const {
    parameters: { cursor },
  } = useAddress();
  const load = () => readPage(`${destinationPath(destinationId)}/replays`, { limit: 20, cursor });
  const replays = useData(`replays ${destinationId} ${cursor ?? ""} ${useStore(replayStarts)}`, load);
  const isRunning = replays.data?.data.some(({ status }) => status === "running");
  const live = usePolling(
    async () => {
      const page = await load();
      replays.setData(page);
      return true;
    },
    { isActive: Boolean(isRunning), key: `${destinationId} ${cursor}` },
  );
  const problem = h(Problem, { problem: replays.problem, retry: replays.reload });
  if (!replays.data) return replays.problem ? problem : h(Skeleton);
  const { data } = replays.data;
  return h(
    Fragment,
    {},
    problem,
    h(LiveNotice, { live }),
    data.length
      ? h(
          Table,
          { titles: ["Started", "Request", "Status", "Progress", ""] },
          data.map(({ replayId, request, status, found, delivered, failed, createdAt }) =>
            h(
              "tr",
              { key: replayId },
              h("td", { class: "nowrap", "data-label": "Started" }, h(Time, { at: createdAt })),
              h("td", {}, requestText(request)),
              h(
                "td",
                {},
                h(
                  Badge,
                  { kind: { running: "info", done: failed ? "warn" : "good", cancelled: "quiet" }[status] },
                  status,
                ),
              ),
              h(
                "td",
                {},
                h("progress", {
                  max: Math.max(found, 1),
                  value: found ? delivered + failed : Number(status === "done"),
                  "aria-label": "Progress",
                }),
                h(
                  "span",
                  { class: "quiet block" },
                  found || status === "running"
                    ? `${delivered.toLocaleString()} of ${found.toLocaleString()} delivered${failed ? `, ${failed.toLocaleString()} not` : ""}`
                    : "Nothing to replay",
                ),
              ),
              h(
                "td",
                {},
                mayChange &&
                  status === "running" &&
                  h(
                    Button,
                    {
                      action: async () => {
                        await call("DELETE", `replays/${segment(replayId)}`);
                        announce("The replay is cancelled.");
                        await replays.reload();
                      },
                    },
                    "Cancel",
                  ),
              ),
            ),
          ),
        )
      : h(
          Empty,
          { title: "No replays", cursor: replays.data.cursor },
          "A replay sends errors and events again: those of a time range, or those that were not delivered.",
        ),
    h(PageLinks, { cursor: replays.data.cursor, older: "Older replays" }),
  );
}
