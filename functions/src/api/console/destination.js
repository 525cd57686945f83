// A destination: its health, its deliveries, replays and settings.

import { Fragment, h, useEffect, useMemo, useRef, useState } from "./preact.js";
import { call, onSignOut, readPage, segment, useSession } from "./api.js";
import { loadDestinations, refreshDestinations, useData, useDestinations, usePolling } from "./data.js";
import { editDestination, DestinationSettings } from "./destination_forms.js";
import { confirmAction, Dialog, openDialog } from "./dialogs.js";
import { DELIVERY_KINDS, ErrorPanel, EventPanel } from "./error.js";
import { Choices, Field, Form } from "./forms.js";
import { HealthBadge, HealthText } from "./health.js";
import { announce } from "./messages.js";
import { destinationName } from "./names.js";
import { openReplay, ReplayList, replayNow, replayStarter, showReplays } from "./replays.js";
import { openRoleSteps } from "./role.js";
import { changed, goBackTo, link, useAddress, useTitle } from "./route.js";
import { createStore, useStore } from "./store.js";
import { isoTime, localInput, Time } from "./times.js";
import {
  Badge,
  Button,
  CopyButton,
  Empty,
  excerpt,
  LiveNotice,
  Loading,
  Notice,
  PageLinks,
  plural,
  Problem,
  Properties,
  Skeleton,
  Table,
  Tabs,
  Toggle,
} from "./ui.js";

export { DestinationPage };

const PAGE_SIZE_OF_DELIVERIES = 50;
const COUNTED = 100;

function DestinationPage({ id }) {
  const { list, problem } = useDestinations();
  const {
    parameters: { view = "deliveries", error, event },
  } = useAddress();
  const destination = list?.find(({ destinationId }) => destinationId === id);
  const name = destination ? destinationName(destination) : "Destination";
  useTitle(name);
  useEffect(() => {
    loadDestinations().catch(() => {});
  }, []);
  const live = usePolling(loadDestinations);
  const closePanel = () => goBackTo(changed({ error: null, event: null }));
  return h(
    Fragment,
    {},
    h("a", { class: "back", href: link(["destinations"]) }, "Destinations"),
    destination
      ? h(
          Fragment,
          {},
          h(Overview, { destination, name }),
          h(LiveNotice, { live }),
          h(Tabs, {
            label: "Destination",
            present: view,
            tabs: [
              ["deliveries", "Deliveries", link(["destinations", id])],
              ["replays", "Replays", link(["destinations", id], { view: "replays" })],
              ["settings", "Settings", link(["destinations", id], { view: "settings" })],
            ],
          }),
          view === "replays" && h(ReplayList, { destinationId: id }),
          view === "settings" && h(DestinationSettings, { destination, name }),
          view === "deliveries" && h(DeliveryList, { destination, name }),
        )
      : h(
          Fragment,
          {},
          h("h1", { tabIndex: -1 }, name),
          h(Problem, { problem, retry: loadDestinations }),
          list ? h(Empty, { title: "Destination not found" }, "It may have been deleted.") : !problem && h(Skeleton),
        ),
    error && h(ErrorPanel, { id: error, key: error, close: closePanel }),
    event && h(EventPanel, { id: event, key: event, close: closePanel }),
  );
}

// Answers of AWS that new keys or another role may change.
const REFUSED_ACCESS =
  /InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|Signature|Expired|AccessDenied|assume/i;

// Health with what can be done about it.
function Overview({ destination, name }) {
  const { mayChange } = useSession();
  const { enabled, health, verified, type, url, region, eventBusName, credentials } = destination;
  const { pending, lastFailure, failingSince } = health;
  const isFailing = ["failing", "retrying"].includes(health.status);
  const needsAccess = type === "eventbridge" && isFailing && REFUSED_ACCESS.test(lastFailure?.response ?? "");
  const replaceAccess = h(
    Button,
    { key: "access", kind: needsAccess ? "primary" : "", action: async () => editDestination(destination, "access") },
    "Replace keys or role",
  );
  return h(
    Fragment,
    {},
    h(
      "div",
      { class: "row spread" },
      h("h1", { tabIndex: -1 }, name),
      h(
        "div",
        { class: "row" },
        h("span", {}, enabled ? "Enabled" : "Disabled"),
        h(Toggle, {
          isOn: enabled,
          disabled: !mayChange,
          label: `Send to ${name}`,
          action: async () => (enabled ? disableDestination(destination, name) : enableDestination(destination, name)),
        }),
      ),
    ),
    h(
      "section",
      { class: "card", "aria-label": "Health" },
      h("div", { class: "row" }, h(HealthBadge, destination), h(HealthText, { destination })),
      lastFailure &&
        h(
          "p",
          {},
          "Last failure ",
          h(Time, { at: lastFailure.at }),
          ": ",
          h("strong", {}, lastFailure.status ?? "no response"),
          " ",
          h("code", {}, excerpt(lastFailure.response)),
        ),
      failingSince &&
        isFailing &&
        h(
          "p",
          {},
          h(
            "a",
            { href: link(["errors"], { since: failingSince }) },
            "Errors since then, with the users and workflows concerned",
          ),
        ),
      h(Properties, {
        pairs: [
          ["Queued", pending.toLocaleString()],
          ["Last success", h(Time, { at: health.lastSuccessAt })],
          ["Last failure", h(Time, { at: health.lastFailureAt })],
        ],
      }),
      h(Missed, { destination, name, key: `${enabled} ${pending > 0} ${health.lastSuccessAt}` }),
      h(
        TestEvent,
        { destination, isFailing, key: JSON.stringify([url, region, eventBusName, credentials, enabled]) },
        credentials?.roleArn &&
          !enabled &&
          h(
            Button,
            { kind: verified ? "" : "primary", action: async () => openRoleSteps(destination) },
            "Set up the role",
          ),
        needsAccess && replaceAccess,
        pending > 0 &&
          enabled &&
          h(
            Button,
            { kind: needsAccess ? "" : "primary", action: () => replayNow(destination) },
            `Send ${plural(pending, "queued delivery", "queued deliveries")} now`,
          ),
        enabled && h(Button, { action: async () => openReplay(destination, name) }, "Replay …"),
        type === "eventbridge" && isFailing && !needsAccess && replaceAccess,
      ),
    ),
  );
}

// Buttons of a destination, with one that sends a test event. Its result replaces that of the last
// verification, which a failure contradicts.
function TestEvent({ destination: { destinationId, verified, verification }, isFailing, children }) {
  const { mayChange } = useSession();
  const [test, setTest] = useState(null);
  return h(
    Fragment,
    {},
    !isFailing &&
      test?.delivered !== false &&
      h(
        "p",
        {},
        h(Badge, { kind: verified ? "good" : "warn" }, verified ? "verified" : "not verified"),
        " ",
        withTimes(verification),
      ),
    test &&
      h(
        Notice,
        { kind: test.delivered ? "good" : "bad", role: "status" },
        h(
          "p",
          {},
          h("strong", {}, test.delivered ? "Test event delivered" : "Test event not delivered"),
          " ",
          h(Time, { at: test.attempt.at }),
          `: ${test.attempt.status ?? "no response"} in ${test.attempt.latencyMs.toLocaleString()} ms. `,
          h("code", {}, excerpt(test.attempt.response)),
        ),
      ),
    mayChange &&
      h(
        "div",
        { class: "row" },
        children,
        h(
          Button,
          {
            action: async () => {
              setTest(null);
              setTest(await call("POST", `destinations/${segment(destinationId)}/test`));
              await refreshDestinations();
            },
          },
          "Send test event",
        ),
      ),
  );
}

// Returns a text of the API, with its times as those of the console.
const withTimes = (text) =>
  text
    .split(/(?:at )?(\d{4}-\d\d-\d\dT[\d:.]+Z)/)
    .map((part, index) => (index % 2 ? h(Time, { key: index, at: part }) : part));

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
    statuses.map((status) => readPage(`destinations/${segment(destinationId)}/deliveries`, { status, limit: COUNTED })),
  );
  return pages
    .map(({ data, cursor }, index) => [statuses[index], data.length, Boolean(cursor)])
    .filter(([, count]) => count > 0);
}

const missedText = ([status, count, hasMore]) =>
  hasMore ? `${count} or more ${status} deliveries` : plural(count, `${status} delivery`, `${status} deliveries`);

// What an enabled destination has not got, and will not get by itself.
function Missed({ destination, name }) {
  const { destinationId, enabled } = destination;
  const { mayChange } = useSession();
  const since = useStore(unsentSince).get(destinationId);
  const { data: missed = [] } = useData(`missed ${destinationId}`, async () =>
    enabled ? loadMissed(destinationId) : [],
  );
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
  openDialog((close) =>
    h(
      Dialog,
      { title, close },
      h(
        Form,
        {
          submit: "Send",
          secondary: h(Button, { action: async () => close() }, "Not now"),
          send: async (values, form) => {
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
            showReplays(destinationId);
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
            label: "Disabled since",
            name: "since",
            type: "datetime-local",
            step: 1,
            required: true,
            isWide: true,
            value: localInput(since),
            hint: "Errors and events recorded since then are sent.",
          }),
      ),
    ),
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
      await call("PATCH", `destinations/${segment(destinationId)}`, { enabled: false });
      announce(`${name} is disabled.`);
      await refreshDestinations();
    },
  });
}

// Enables a destination, and offers to send what it missed.
async function enableDestination({ destinationId, disabledAt }, name) {
  await call("PATCH", `destinations/${segment(destinationId)}`, { enabled: true });
  // However the dialog is closed.
  const since = unsentSince.value.get(destinationId) ?? disabledAt;
  unsentSince.set(new Map([...unsentSince.value, [destinationId, since]]));
  const missed = await loadMissed(destinationId);
  await refreshDestinations();
  announce(`${name} is enabled.`);
  openMissed(destinationId, { title: `${name} is enabled. Send what it missed?`, missed, since });
}

const STATUSES = [
  ["", "All"],
  ["pending", "Pending"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
  ["delivered", "Delivered on retry"],
];

// Deliveries by status. Chosen ones can be replayed.
function DeliveryList({ destination, name }) {
  const { mayChange } = useSession();
  const {
    parameters: { status = "", cursor },
  } = useAddress();
  const { destinationId, health, enabled } = destination;
  const load = () =>
    readPage(`destinations/${segment(destinationId)}/deliveries`, { status, cursor, limit: PAGE_SIZE_OF_DELIVERIES });
  const deliveries = useData(`deliveries ${destinationId} ${status} ${cursor ?? ""}`, load);
  const [chosen, setChosen] = useState(new Set());
  useEffect(() => setChosen(new Set()), [status, cursor]);
  // Deliveries have changed if the health has.
  const state = useMemo(() => JSON.stringify([health, enabled]), [health, enabled]);
  const shownState = useRef(state);
  useEffect(() => {
    if (shownState.current === state) return;
    shownState.current = state;
    deliveries.reload();
  }, [state]);
  const all = deliveries.data?.data ?? [];
  const idOf = ({ errorId, eventId }) => errorId ?? eventId;
  const toggle = (id) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  const isSelectable = mayChange && enabled;
  // Those that are still listed.
  const picked = isSelectable ? all.filter((delivery) => chosen.has(idOf(delivery))) : [];
  const isAllPicked = picked.length === all.length;
  const selected = () => ({
    errorIds: picked.map(({ errorId }) => errorId).filter(Boolean),
    eventIds: picked.map(({ eventId }) => eventId).filter(Boolean),
  });
  return h(
    Fragment,
    {},
    h(
      "div",
      { class: "row spread" },
      h(
        "div",
        { class: "segments", role: "group", "aria-label": "Status" },
        STATUSES.map(([value, title]) =>
          h(
            "a",
            {
              key: value,
              href: changed({ status: value || null, cursor: null }),
              "aria-current": value === status ? "true" : undefined,
            },
            title,
          ),
        ),
      ),
      picked.length > 0 &&
        h(
          Button,
          { kind: "primary", action: async () => openReplay(destination, name, selected()) },
          `Replay ${plural(picked.length, "selected delivery", "selected deliveries")}`,
        ),
    ),
    h(Loading, { of: deliveries, rows: 6 }),
    deliveries.data &&
      (all.length
        ? h(
            Table,
            {
              titles: [
                isSelectable &&
                  h(
                    "th",
                    { class: "pick" },
                    h("input", {
                      type: "checkbox",
                      "aria-label": "Select all",
                      checked: isAllPicked,
                      onChange: () => setChosen(new Set(isAllPicked ? [] : all.map(idOf))),
                    }),
                  ),
                "Record",
                "Status",
                "Last attempt",
                "Attempts",
                "Next attempt",
              ],
            },
            all.map((delivery) =>
              h(DeliveryRow, {
                key: idOf(delivery),
                delivery,
                pick: isSelectable && { isChosen: chosen.has(idOf(delivery)), toggle: () => toggle(idOf(delivery)) },
              }),
            ),
          )
        : h(
            Empty,
            { title: "No deliveries", cursor: deliveries.data.cursor },
            status
              ? `There are no ${status} deliveries.`
              : "What is delivered at the first attempt is not listed: open an error to see its deliveries.",
          )),
    h(PageLinks, { cursor: deliveries.data?.cursor, older: "Older deliveries" }),
  );
}

// A delivery that is due waits until the destination accepts a probe.
const NextAttempt = ({ at }) =>
  at
    ? h(Time, { at, past: h("span", { class: "quiet" }, "after the next success") })
    : h("span", { class: "quiet" }, "none");

function DeliveryRow({ delivery: { errorId, eventId, status, attempts, nextAttemptAt }, pick }) {
  const last = attempts.at(-1);
  const id = errorId ?? eventId;
  return h(
    "tr",
    {},
    pick &&
      h(
        "td",
        { class: "pick" },
        h("input", { type: "checkbox", checked: pick.isChosen, onChange: pick.toggle, "aria-label": `Select ${id}` }),
      ),
    h(
      "td",
      { class: "nowrap" },
      h(
        "a",
        { href: changed(errorId ? { error: id } : { event: id }), title: id },
        `${errorId ? "Error" : "Event"} …${id.slice(-6)}`,
      ),
      h(CopyButton, { text: id, label: `Copy id ${id}` }),
    ),
    h("td", {}, h(Badge, { kind: DELIVERY_KINDS[status] }, status)),
    h(
      "td",
      { class: "text" },
      last
        ? h(
            Fragment,
            {},
            h("strong", {}, last.status ?? "no response"),
            " ",
            h(Time, { at: last.at }),
            last.response && h("code", { class: "block" }, excerpt(last.response, 120)),
          )
        : h("span", { class: "quiet" }, "none yet"),
    ),
    h("td", { "data-label": "Attempts:" }, attempts.length),
    h("td", { class: "nowrap", "data-label": "Next attempt:" }, h(NextAttempt, { at: nextAttemptAt })),
  );
}
