// A destination: its health, and tabs with its deliveries, replays and settings.

import { Fragment, h, useEffect, useState } from "./preact.js";
import { call, useSession } from "./api.js";
import { usePolling } from "./data.js";
import { destinationPath, loadDestinations, refreshDestinations, useDestinations } from "./destination_store.js";
import { DeliveryList } from "./deliveries.js";
import { editDestination } from "./destination_forms.js";
import { DestinationSettings } from "./destination_settings.js";
import { HealthBadge, HealthText } from "./health.js";
import { destinationName } from "./names.js";
import { disableDestination, enableDestination, Missed } from "./outage.js";
import { ErrorPanel, EventPanel } from "./record_panels.js";
import { openReplay, ReplayList, replayNow } from "./replays.js";
import { openRoleSteps } from "./role.js";
import { changed, goBackTo, link, useAddress, useTitle } from "./route.js";
import { Time } from "./times.js";
import {
  Badge,
  Button,
  Empty,
  excerpt,
  LiveNotice,
  Notice,
  plural,
  Problem,
  Properties,
  Skeleton,
  Tabs,
  Toggle,
} from "./ui.js";

export { DestinationPage };

function DestinationPage({ id }) {
  const { list, problem } = useDestinations();
  const {
    parameters: { view = "deliveries", error, event },
  } = useAddress();
  const destination = list?.find(({ destinationId }) => destinationId === id);
  const name = destination ? destinationName(destination) : "Destination";
  useTitle(name);
  // The list may be older than the destination.
  const [isLoaded, setLoaded] = useState(false);
  const load = async () => {
    const isChanged = await loadDestinations();
    setLoaded(true);
    return isChanged;
  };
  useEffect(() => {
    load().catch(() => {});
  }, []);
  const live = usePolling(load);
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
          h(Problem, { problem, retry: load }),
          isLoaded && !problem
            ? h(Empty, { title: "Destination not found" }, "It may have been deleted.")
            : !problem && h(Skeleton),
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
      h(Missed, { destination, name }),
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
              setTest(await call("POST", `${destinationPath(destinationId)}/test`));
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
