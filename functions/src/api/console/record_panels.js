// Panels over the page with the details of an error or event, and its deliveries.

import { Fragment, h } from "./preact.js";
import { call, segment } from "./api.js";
import { useData } from "./data.js";
import { Deliveries } from "./deliveries.js";
import { Dialog } from "./dialogs.js";
import { UserLink, WorkflowLink } from "./names.js";
import { link } from "./route.js";
import { Time } from "./times.js";
import { Code, CopyButton, Id, Json, Problem, Properties, Skeleton } from "./ui.js";

export { ErrorPanel, EventPanel, Actor };

const RECENT_MS = 7 * 86400 * 1000;

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
