// Time range of a list: presets that end now, and a custom one.

import { Fragment, h, useEffect, useRef, useState } from "./preact.js";
import { fieldProblem } from "./api.js";
import { Field, Form } from "./forms.js";
import { changed, go } from "./route.js";
import { isoTime, localInput, TIME_FIELD, zoneAt } from "./times.js";

export { RangeChoice, RangeFields, rangeOf, pagesOf };

// Time ranges by name, in minutes.
const RANGES = { "15m": ["15 min", 15], "1h": ["1 h", 60], "24h": ["24 h", 1440], "7d": ["7 d", 10080] };

// Returns the name of the preset in the address, if it exists, or that of the fallback.
const presetOf = (range, fallback) => (Object.hasOwn(RANGES, range ?? "") ? range : fallback);

// Returns the bounds of a time range for the API: since and until, or those of a preset that ends
// now.
function rangeOf({ range, since, until }, fallback) {
  if (since || until) return { since, until };
  const [, minutes] = RANGES[presetOf(range, fallback)];
  // Whole minutes: a request for the same range has the same address for a while.
  return { since: new Date(Math.floor(Date.now() / 60000 - minutes) * 60000).toISOString() };
}

// Returns what the links of a list need. The range of its pages stays as it is: a preset keeps its
// name, for the newest page.
const pagesOf = ({ range, since, until }, present, fallback) => ({
  fallback,
  range: since || until ? { range, since, until } : { range: presetOf(range, fallback), ...present },
});

// Presets of the time range, and a custom one.
function RangeChoice({ parameters, fallback }) {
  const [isOpen, setOpen] = useState(false);
  const button = useRef(null);
  const card = useRef(null);
  useEffect(() => {
    card.current?.querySelector("input").focus();
  }, [isOpen]);
  const { since, until } = parameters;
  const present = since || until ? "custom" : presetOf(parameters.range, fallback);
  return h(
    Fragment,
    {},
    h(
      "div",
      { class: "segments", role: "group", "aria-label": "Time range" },
      Object.entries(RANGES).map(([name, [title]]) =>
        h(
          "a",
          {
            key: name,
            href: changed({ range: name, since: null, until: null, cursor: null }),
            "aria-current": name === present ? "true" : undefined,
            onClick: () => setOpen(false),
          },
          title,
        ),
      ),
      h(
        "button",
        {
          ref: button,
          type: "button",
          "aria-expanded": String(isOpen),
          "aria-current": present === "custom" ? "true" : undefined,
          onClick: () => setOpen(!isOpen),
        },
        present === "custom" ? rangeText(since, until) : "Custom",
      ),
    ),
    isOpen &&
      h(
        "div",
        {
          ref: card,
          class: "card wide",
          onKeyDown: ({ key }) => {
            if (key !== "Escape") return;
            setOpen(false);
            button.current.focus();
          },
        },
        h(
          Form,
          {
            submit: "Show",
            send: async (values) => {
              const [from, to] = [values.since, values.until].map(isoTime);
              if (to && to <= from) throw fieldProblem("until", "must be after the start");
              setOpen(false);
              go(changed({ range: null, since: from, until: to, cursor: null }));
            },
          },
          h(RangeFields, { since: since ?? rangeOf(parameters, fallback).since, until }),
        ),
      ),
  );
}

// Fields of a form for a time range, in the time zone of the browser.
function RangeFields({ since, until }) {
  return h(
    Fragment,
    {},
    h(Field, {
      ...TIME_FIELD,
      label: "Since",
      name: "since",
      required: true,
      value: localInput(since),
      hint: `Times in ${zoneAt(new Date(since))}`,
    }),
    h(Field, {
      ...TIME_FIELD,
      label: "Until",
      name: "until",
      value: until ? localInput(until) : "",
      hint: "Now, if it is empty",
    }),
  );
}

function rangeText(since, until) {
  const text = (time) =>
    new Date(time).toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  return `${since ? text(since) : "…"} – ${until ? text(until) : "now"}`;
}
