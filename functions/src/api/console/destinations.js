// Destinations: all of them with their health, and a new one.

import { Fragment, h, useEffect } from "./preact.js";
import { useSession } from "./api.js";
import { usePolling } from "./data.js";
import { loadDestinations, refreshDestinations, useDestinations } from "./destination_store.js";
import { openNewDestination } from "./destination_forms.js";
import { HealthBadge, HealthText } from "./health.js";
import { destinationName } from "./names.js";
import { link, useTitle } from "./route.js";
import { Badge, Button, Empty, LiveNotice, Problem, Skeleton, Table } from "./ui.js";

export { DestinationsPage };

function DestinationsPage() {
  const { list, problem } = useDestinations();
  const { mayChange } = useSession();
  useTitle("Destinations");
  useEffect(() => {
    refreshDestinations();
  }, []);
  const live = usePolling(loadDestinations);
  const create =
    mayChange && h(Button, { kind: "primary", action: async () => openNewDestination() }, "Add destination");
  return h(
    Fragment,
    {},
    h("div", { class: "row spread" }, h("h1", { tabIndex: -1 }, "Destinations"), create),
    list ? h(LiveNotice, { live }) : h(Problem, { problem, retry: loadDestinations }),
    !list && !problem && h(Skeleton),
    list &&
      (list.length
        ? h(
            Table,
            { titles: ["Destination", "Health", "", "Sends"] },
            list
              .toSorted((one, other) => rank(one) - rank(other))
              .map((destination) =>
                h(
                  "tr",
                  { key: destination.destinationId },
                  h(
                    "td",
                    { class: "text" },
                    h(
                      "a",
                      { href: link(["destinations", destination.destinationId]) },
                      h("strong", {}, destinationName(destination)),
                    ),
                    h("span", { class: "quiet block" }, targetText(destination)),
                  ),
                  h("td", {}, h(HealthBadge, destination)),
                  h(
                    "td",
                    {},
                    h(HealthText, { destination }),
                    !destination.verified &&
                      destination.enabled &&
                      h("span", { class: "block" }, h(Badge, { kind: "warn" }, "not verified")),
                  ),
                  h("td", { "data-label": "Sends" }, sendsText(destination)),
                ),
              ),
          )
        : h(
            Empty,
            { title: "No destinations" },
            "A destination gets every error as it is recorded: a webhook, or an Amazon EventBridge bus.",
          )),
  );
}

// Place in the list: what needs attention comes first.
const rank = ({ health: { status } }) => ["failing", "retrying", "healthy", "disabled"].indexOf(status);

// The URL or bus is the name of a destination without one.
const targetText = ({ name, ...target }) =>
  `${target.type === "webhook" ? "Webhook" : "EventBridge"}${name ? ` ${destinationName(target)}` : ""}`;

const sendsText = ({ events, filter }) =>
  `${events.map((type) => (type === "error" ? "errors" : type)).join(", ")}${filter && Object.keys(filter).length ? ", filtered" : ""}`;
