// Deliveries: those of a destination by status, and those of an error or event by destination.

import { Fragment, h, useEffect, useState } from "./preact.js";
import { readPage, useSession } from "./api.js";
import { useData, usePolling, useReload } from "./data.js";
import { destinationPath, loadDestinations, useDestinations } from "./destination_store.js";
import { destinationName } from "./names.js";
import { openReplay, startReplay } from "./replays.js";
import { changed, link, useAddress } from "./route.js";
import { Time } from "./times.js";
import { Badge, Button, CopyButton, Empty, excerpt, Loading, PageLinks, plural, Table } from "./ui.js";

export { DeliveryList, Deliveries };

const PAGE_SIZE_OF_DELIVERIES = 50;
// Longest pause between updates of pending deliveries: the last retries are hours apart.
const LONGEST_PAUSE_MS = 60000;
const NOT_LISTED =
  "Deliveries that succeeded at the first attempt are not listed: open an error to see its deliveries.";
// Kinds of badges by status of a delivery.
const DELIVERY_KINDS = { delivered: "good", pending: "warn", failed: "bad", cancelled: "quiet" };

const STATUSES = [
  ["", "All"],
  ["pending", "Pending"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
  ["delivered", "Delivered later"],
];

// Deliveries by status. Chosen ones can be replayed.
function DeliveryList({ destination, name }) {
  const { mayChange } = useSession();
  const {
    parameters: { status = "", cursor },
  } = useAddress();
  const { destinationId, health, enabled } = destination;
  const load = () =>
    readPage(`${destinationPath(destinationId)}/deliveries`, { status, cursor, limit: PAGE_SIZE_OF_DELIVERIES });
  const deliveries = useData(`deliveries ${destinationId} ${status} ${cursor ?? ""}`, load);
  const [chosen, setChosen] = useState(new Set());
  useEffect(() => setChosen(new Set()), [status, cursor]);
  // Deliveries have changed if the health has.
  useReload(deliveries, JSON.stringify([health, enabled]));
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
                health,
                pick: isSelectable && { isChosen: chosen.has(idOf(delivery)), toggle: () => toggle(idOf(delivery)) },
              }),
            ),
          )
        : h(
            Empty,
            { title: "No deliveries", cursor: deliveries.data.cursor },
            status ? `There are no ${status} deliveries.` : NOT_LISTED,
          )),
    all.length > 0 && !status && h("p", { class: "quiet" }, NOT_LISTED),
    h(PageLinks, { cursor: deliveries.data?.cursor, older: "Older deliveries" }),
  );
}

// Time of the next attempt at a destination with this health, if it is known: not before it
// receives any. A delivery that is due waits until the circuit closes.
function NextAttempt({ at, health }) {
  if (!at) return h("span", { class: "quiet" }, "none");
  const next = [at, health?.nextAttemptAt ?? at].toSorted().at(-1);
  const past = health?.circuit === "closed" ? "being sent" : "after the next success";
  return h(Time, { at: next, past: h("span", { class: "quiet" }, past) });
}

function DeliveryRow({ delivery: { errorId, eventId, status, attempts, nextAttemptAt }, health, pick }) {
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
    h("td", { class: "nowrap", "data-label": "Next attempt:" }, h(NextAttempt, { at: nextAttemptAt, health })),
  );
}

// Returns whether a destination sends a type of records: "error", or that of an event.
const subscribesTo = ({ events }, type) =>
  events.some((one) => (one.endsWith(".*") ? type.startsWith(one.slice(0, -1)) : one === type));

// Deliveries of an error or event, by destination. Any of them can be sent again.
function Deliveries({ deliveries, type, ids, reload }) {
  const { list, problem } = useDestinations();
  const { mayChange } = useSession();
  usePolling(
    async () => {
      // It returns a problem, which is no news.
      await reload();
    },
    { isActive: deliveries.some(({ status }) => status === "pending"), longest: LONGEST_PAUSE_MS },
  );
  const known = new Map(deliveries.map((delivery) => [delivery.destinationId, delivery]));
  const all = [...new Set([...(list ?? []).map(({ destinationId }) => destinationId), ...known.keys()])];
  return h(
    "section",
    { class: "stack", "aria-label": "Deliveries" },
    h("h3", {}, "Deliveries"),
    !list && h(Loading, { of: { problem, isLoading: !problem, reload: loadDestinations }, rows: 1 }),
    all.length
      ? all.map((destinationId) => {
          const destination = list?.find((one) => one.destinationId === destinationId);
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
                : h(
                    "span",
                    { class: "quiet" },
                    list ? "Deleted destination" : `Destination …${destinationId.slice(-6)}`,
                  ),
              h(
                Badge,
                { kind: DELIVERY_KINDS[delivery?.status] },
                delivery?.status ?? (destination && !isSubscribed ? "not subscribed" : "not sent"),
              ),
            ),
            delivery && h(Attempts, { ...delivery, health: destination?.health }),
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
      : list && h(Empty, { title: "No destinations" }),
  );
}

// Attempts of a delivery, newest first.
const Attempts = ({ attempts, nextAttemptAt, health }) =>
  h(
    "ol",
    { class: "attempts" },
    nextAttemptAt && h("li", { class: "quiet" }, "Next attempt: ", h(NextAttempt, { at: nextAttemptAt, health })),
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
