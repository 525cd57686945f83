// Missed deliveries of a destination that is disabled or fails, and how they are sent afterwards.

import { Fragment, h } from "./preact.js";
import { onSignOut, readPage, useSession } from "./api.js";
import { useData, useReload } from "./data.js";
import { changeDestination, destinationPath, refreshDestinations } from "./destination_store.js";
import { confirmAction, openForm } from "./dialogs.js";
import { Choices, Field } from "./forms.js";
import { announce } from "./messages.js";
import { replayStarter, showReplays } from "./replays.js";
import { rememberPage } from "./route.js";
import { createStore, useStore } from "./store.js";
import { isoTime, localInput, Time, TIME_FIELD } from "./times.js";
import { Button, Notice, plural } from "./ui.js";

export { Missed, disableDestination, enableDestination };

// Number of missed deliveries that are counted.
const COUNTED = 100;

// Start of the time in which a destination was disabled, by its id, if what was recorded then was
// not sent.
const unsentSince = createStore(new Map());
onSignOut(() => unsentSince.set(new Map()));
const forgetUnsent = (destinationId) =>
  unsentSince.set(new Map([...unsentSince.value].filter(([id]) => id !== destinationId)));

// Numbers of the first deliveries that were cancelled or failed, `[status, number, hasMore]`.
async function loadMissed(destinationId) {
  const statuses = ["cancelled", "failed"];
  const pages = await Promise.all(
    statuses.map((status) => readPage(`${destinationPath(destinationId)}/deliveries`, { status, limit: COUNTED })),
  );
  return pages
    .map(({ data, cursor }, index) => [statuses[index], data.length, Boolean(cursor)])
    .filter(([, count]) => count > 0);
}

const missedText = ([status, count, hasMore]) =>
  hasMore ? `${count} or more ${status} deliveries` : plural(count, `${status} delivery`, `${status} deliveries`);

// What an enabled destination has not got, and will not get by itself.
function Missed({ destination, name }) {
  const {
    destinationId,
    enabled,
    health: { pending, lastSuccessAt },
  } = destination;
  const { mayChange } = useSession();
  const since = useStore(unsentSince).get(destinationId);
  const loaded = useData(`missed ${destinationId}`, async () => (enabled ? loadMissed(destinationId) : []));
  useReload(loaded, enabled, pending > 0, lastSuccessAt);
  const missed = loaded.data ?? [];
  if (!enabled || (!missed.length && !since)) return null;
  return h(
    Notice,
    { kind: "warn" },
    h(
      "p",
      {},
      missed.length > 0 && `Not sent: ${missed.map(missedText).join(" and ")}. `,
      since &&
        h(Fragment, {}, "What was recorded while it was disabled, since ", h(Time, { at: since }), ", was not sent."),
    ),
    mayChange &&
      h(
        Button,
        { action: async () => openMissed(destinationId, { title: `Send what ${name} missed?`, missed, since }) },
        "Replay these",
      ),
  );
}

// Offers to send what a destination missed: the counted deliveries, and what was recorded since it
// was disabled.
function openMissed(destinationId, { title, missed, since }) {
  const startReplays = replayStarter(destinationId);
  openForm(
    {
      title,
      submit: "Send",
      cancel: "Not now",
      send: async (values, form, close) => {
        const isHere = rememberPage();
        const chosen = form.getAll("missed");
        const statuses = chosen.filter((choice) => choice !== "recorded");
        const sendsRecorded = chosen.includes("recorded");
        if (!chosen.length) throw new Error("Choose what to send, or “Not now”.");
        await startReplays(
          [
            statuses.length > 0 && Object.fromEntries(statuses.map((status) => [status, true])),
            sendsRecorded && { since: isoTime(values.since) },
          ].filter(Boolean),
        );
        if (sendsRecorded) forgetUnsent(destinationId);
        close();
        if (isHere()) showReplays(destinationId);
      },
    },
    h(Choices, {
      label: "Send",
      name: "missed",
      chosen: [...missed.map(([status]) => status), "recorded"],
      options: [
        ...missed.map((one) => [one[0], missedText(one)]),
        since && ["recorded", "What was recorded while it was disabled"],
      ].filter(Boolean),
    }),
    since &&
      h(Field, {
        ...TIME_FIELD,
        label: "Disabled since",
        name: "since",
        required: true,
        isWide: true,
        value: localInput(since),
        hint: "Errors and events recorded since then are sent.",
      }),
  );
}

function disableDestination({ destinationId, health: { pending } }, name) {
  confirmAction({
    title: `Disable ${name}?`,
    submit: "Disable",
    text: h(
      Fragment,
      {},
      h(
        "p",
        {},
        pending > 0
          ? h(
              Fragment,
              {},
              "It cancels ",
              h("strong", {}, plural(pending, "queued delivery", "queued deliveries")),
              ". ",
            )
          : "Nothing is queued. ",
        "Sending stops within a minute.",
      ),
      h(
        "p",
        {},
        "Errors are recorded as before. When you enable it again, you can send what was cancelled and what was recorded meanwhile.",
      ),
    ),
    action: async () => {
      await changeDestination(destinationId, { enabled: false });
      announce(`${name} is disabled.`);
      await refreshDestinations();
    },
  });
}

// Enables a destination, and offers to send what it missed.
async function enableDestination({ destinationId, disabledAt }, name) {
  const isHere = rememberPage();
  await changeDestination(destinationId, { enabled: true });
  announce(`${name} is enabled.`);
  // However the dialog is closed.
  const since = unsentSince.value.get(destinationId) ?? disabledAt;
  unsentSince.set(new Map([...unsentSince.value, [destinationId, since]]));
  await refreshDestinations();
  const missed = await loadMissed(destinationId);
  if (isHere()) openMissed(destinationId, { title: `${name} is enabled. Send what it missed?`, missed, since });
}
