// Details of an error and of an event, with their deliveries, in a panel over the page.

import { Fragment, h } from "./preact.js";
import { call, segment, useSession } from "./api.js";
import { useData, useDestinations } from "./data.js";
import { Dialog } from "./dialogs.js";
import { destinationName, UserLink, WorkflowLink } from "./names.js";
import { startReplay } from "./replays.js";
import { link } from "./route.js";
import { Time } from "./times.js";
import { Badge, Button, Code, CopyButton, Empty, Id, Json, Problem, Properties, Skeleton } from "./ui.js";

export { ErrorPanel, EventPanel, Actor, DELIVERY_KINDS };

const RECENT_MS = 7 * 86400 * 1000;

// Kinds of badges by status of a delivery.
const DELIVERY_KINDS = { delivered: "good", pending: "warn", failed: "bad", cancelled: "quiet" };

function ErrorPanel({ id, close }) {
  const error = useData(`error ${id}`, () => call("GET", `errors/${segment(id)}`));
  const { deliveries, ...found } = error.data ?? {};
  // A range that has this error.
  const isRecent = Date.now() - Date.parse(found.createdAt) < RECENT_MS;
  const errorsOf = (filter) =>
    link(["errors"], { view: "list", ...filter, ...(isRecent ? { range: "7d" } : { since: found.createdAt }) });
  return h(
    Dialog,
    { title: "Error", close, isPanel: true },
    h(Problem, { problem: error.problem, retry: error.reload }),
    error.data
      ? h(
          Fragment,
          {},
          h(
            "div",
            { class: "code" },
            h("pre", { tabIndex: 0, role: "group", "aria-label": "Error text" }, found.error),
            h(CopyButton, { text: found.error, label: "Copy error text" }),
          ),
          h(Properties, {
            pairs: [
              ["Happened", h(Time, { at: found.createdAt })],
              ["Recorded", h(Time, { at: found.updatedAt })],
              ["User", h(UserLink, { id: found.userId })],
              ["Workflow", h(WorkflowLink, { id: found.workflowId })],
              ["Block type", h(Code, { text: found.blockType })],
              ["Block", h(Id, { id: found.blockId, name: "block" })],
              ["Execution", h(Id, { id: found.executionId, name: "execution" })],
              ["Id", h(Id, { id: found._id })],
            ],
          }),
          h(
            "p",
            { class: "row" },
            h("a", { href: errorsOf({ workflowId: found.workflowId }) }, "Errors of this workflow"),
            h("a", { href: errorsOf({ userId: found.userId }) }, "Errors of this user"),
            h("a", { href: errorsOf({ executionId: found.executionId }) }, "Errors of this execution"),
          ),
          h(Deliveries, { deliveries, type: "error", ids: { errorIds: [found._id] }, reload: error.reload }),
          h(Json, { title: "JSON", value: found }),
        )
      : error.isLoading && h(Skeleton),
  );
}

function EventPanel({ id, close }) {
  const event = useData(`event ${id}`, () => call("GET", `events/${segment(id)}`, undefined, { isExact: true }));
  const { deliveries, ...found } = event.data ?? {};
  return h(
    Dialog,
    { title: "Event", close, isPanel: true },
    h(Problem, { problem: event.problem, retry: event.reload }),
    event.data
      ? h(
          Fragment,
          {},
          h(Properties, {
            pairs: [
              ["Type", h(Code, { text: found.type })],
              ["Happened", h(Time, { at: found.createdAt })],
              ["User", h(UserLink, { id: found.userId })],
              found.workflowId && ["Workflow", h(WorkflowLink, { id: found.workflowId })],
              found.integrationId && [
                "Integration",
                h("a", { href: link(["integrations", found.integrationId]) }, found.integrationId),
              ],
              [
                "By",
                found.actor?.keyId
                  ? h(Fragment, {}, "API key ", h(Id, { id: found.actor.keyId, name: "key id" }))
                  : h(Actor, { actor: found.actor }),
              ],
              ["Id", h(Id, { id: found._id })],
            ],
          }),
          h(Deliveries, { deliveries, type: found.type, ids: { eventIds: [found._id] }, reload: event.reload }),
          h(Json, { title: "Data", value: found.data, isOpen: true }),
        )
      : event.isLoading && h(Skeleton),
  );
}

// Author of a change: a user, or an API key.
const Actor = ({ actor }) =>
  actor?.userId
    ? h(UserLink, { id: actor.userId })
    : h(
        "span",
        {},
        actor ? "API key " : "Tenon",
        actor && h("code", { title: actor.keyId }, `…${actor.keyId.slice(-6)}`),
      );

// Returns whether a destination sends a type of records: "error", or that of an event.
const subscribesTo = ({ events }, type) =>
  events.some((one) => (one.endsWith(".*") ? type.startsWith(one.slice(0, -1)) : one === type));

// Deliveries of an error or event, by destination. Any of them can be sent again.
function Deliveries({ deliveries, type, ids, reload }) {
  const { list = [] } = useDestinations();
  const { mayChange } = useSession();
  const known = new Map(deliveries.map((delivery) => [delivery.destinationId, delivery]));
  const all = [...new Set([...list.map(({ destinationId }) => destinationId), ...known.keys()])];
  return h(
    "section",
    { class: "stack", "aria-label": "Deliveries" },
    h("h3", {}, "Deliveries"),
    all.length
      ? all.map((destinationId) => {
          const destination = list.find((one) => one.destinationId === destinationId);
          const delivery = known.get(destinationId);
          const isSubscribed = destination && subscribesTo(destination, type);
          const verb = delivery ? "Send again" : "Send";
          return h(
            "div",
            { key: destinationId, class: "card dense" },
            h(
              "div",
              { class: "row spread" },
              destination
                ? h("a", { href: link(["destinations", destinationId]) }, destinationName(destination))
                : h("span", { class: "quiet" }, "Deleted destination"),
              h(
                Badge,
                { kind: DELIVERY_KINDS[delivery?.status] },
                delivery?.status ?? (destination && !isSubscribed ? "not subscribed" : "not sent"),
              ),
            ),
            delivery && h(Attempts, delivery),
            mayChange &&
              isSubscribed &&
              destination.enabled &&
              h(
                "div",
                {},
                h(
                  Button,
                  {
                    label: `${verb} to ${destinationName(destination)}`,
                    action: async () => {
                      await startReplay(destinationId, ids, { follows: true });
                      await reload();
                    },
                  },
                  verb,
                ),
              ),
          );
        })
      : h(Empty, { title: "No destinations" }),
  );
}

// Attempts of a delivery, newest first.
const Attempts = ({ attempts, nextAttemptAt }) =>
  h(
    "ol",
    { class: "attempts" },
    nextAttemptAt &&
      h(
        "li",
        { class: "quiet" },
        h(Time, { at: nextAttemptAt, before: "Next attempt ", past: "Waits until the destination accepts an attempt" }),
      ),
    attempts
      .toReversed()
      .map(({ at, status, latencyMs, response }) =>
        h(
          "li",
          { key: at },
          h(
            "span",
            { class: "row" },
            h(Badge, { kind: status >= 200 && status < 300 ? "good" : "bad" }, status ?? "no response"),
            h(Time, { at }),
            h("span", { class: "quiet" }, `${latencyMs.toLocaleString()} ms`),
          ),
          response && h("code", { class: "block" }, response),
        ),
      ),
  );
