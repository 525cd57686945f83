// Events: what changed, and who changed it.

import { Fragment, h } from "./preact.js";
import { query, readPage } from "./api.js";
import { useData } from "./data.js";
import { Chips, FilterField, FilterSelect } from "./forms.js";
import { useNames, UserField, UserLink, WorkflowLink } from "./names.js";
import { Actor, EventPanel } from "./record_panels.js";
import { changed, goBackTo, link, useAddress, useTitle } from "./route.js";
import { pagesOf, RangeChoice, rangeOf } from "./time_range.js";
import { Time } from "./times.js";
import { Code, Empty, Loading, PageLinks, Table } from "./ui.js";

export { EventsPage };

const EVENT_TYPES = [
  "installation.created",
  "installation.updated",
  "installation.deleted",
  "workflow.created",
  "workflow.updated",
  "workflow.activated",
  "workflow.deactivated",
  "workflow.deleted",
  "credential.created",
  "credential.replaced",
  "credential.invalid",
  "credential.valid",
  "credential.deleted",
  "user.disabled",
  "user.enabled",
  "user.deleted",
];

// Name of a changed object.
const objectName = ({ name, username, integrationId }) => name ?? username ?? integrationId ?? "";

function EventsPage() {
  const { parameters } = useAddress();
  const { type = "", userId = "", workflowId, integrationId, cursor, event } = parameters;
  useTitle("Events");
  const request = { type, userId, workflowId, integrationId, cursor, limit: 50 };
  const { range: preset, since, until } = parameters;
  const events = useData(`events ${query({ ...request, preset, since, until })}`, async () => {
    // A preset ends now. The cursor of the next page is that of this range.
    const range = rangeOf(parameters, "7d");
    return { ...(await readPage("events", { ...request, ...range })), range };
  });
  const isFiltered = type || userId || workflowId || integrationId;
  const { workflows } = useNames();
  const chips = [
    workflowId && ["workflowId", `Workflow ${workflows.get(workflowId) ?? workflowId}`],
    integrationId && ["integrationId", `Integration ${integrationId}`],
  ].filter(Boolean);
  return h(
    Fragment,
    {},
    h("h1", { tabIndex: -1 }, "Events"),
    h("div", { class: "row" }, h(RangeChoice, { parameters, fallback: "7d" })),
    h(
      "div",
      { class: "filters" },
      h(FilterSelect, { label: "Type", name: "type", options: EVENT_TYPES.map((name) => [name]) }),
      h(UserField),
      h(FilterField, { label: "Event", name: "event" }),
      isFiltered &&
        h(
          "div",
          { class: "row" },
          h(Chips, { chips }),
          h(
            "a",
            { href: link(["events"], { range: parameters.range, since: parameters.since, until: parameters.until }) },
            "Clear filters",
          ),
        ),
    ),
    h(Loading, { of: events, rows: 8 }),
    events.data &&
      (events.data.data.length
        ? h(
            Table,
            { titles: ["Time", "Event", "Object", "User", "By"] },
            events.data.data.map((found) =>
              h(
                "tr",
                { key: found._id },
                h("td", { class: "nowrap" }, h(Time, { at: found.createdAt })),
                h("td", {}, h("a", { href: changed({ event: found._id }) }, h(Code, { text: found.type }))),
                h(
                  "td",
                  { class: "text" },
                  found.workflowId && !found.type.endsWith("deleted")
                    ? h(WorkflowLink, { id: found.workflowId, formerName: found.data.name })
                    : objectName(found.data),
                ),
                h("td", { "data-label": "User:" }, h(UserLink, { id: found.userId })),
                h("td", { class: "nowrap", "data-label": "By:" }, h(Actor, found)),
              ),
            ),
          )
        : h(
            Empty,
            { title: "No events", cursor: events.data.cursor },
            isFiltered ? "No event in this time range matches the filters." : "Nothing changed in this time range.",
          )),
    h(PageLinks, {
      cursor: events.data?.cursor,
      older: "Older events",
      ...pagesOf(parameters, events.data?.range ?? {}, "7d"),
    }),
    event && h(EventPanel, { id: event, key: event, close: () => goBackTo(changed({ event: null })) }),
  );
}
