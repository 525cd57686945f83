// Times, as the page shows and reads them.

import { Fragment, h } from "./preact.js";
import { createStore, useStore } from "./store.js";

export { Time, TIME_FIELD, localInput, isoTime, zoneAt };

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
const RELATIVE = new Intl.RelativeTimeFormat("en", { style: "short" });
const [LONG_ZONE, SHORT_ZONE] = ["long", "short"].map(
  (timeZoneName) => new Intl.DateTimeFormat(undefined, { timeZoneName }),
);

// Returns the name of the time zone at a time: it differs in summer.
const zoneAt = (time, format = SHORT_ZONE) =>
  format.formatToParts(time).find(({ type }) => type === "timeZoneName").value;

// Returns a time relative to now: "5 min. ago", "in 2 hr."
function relativeTime(time, now = Date.now()) {
  const seconds = Math.round((new Date(time) - now) / 1000);
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  return RELATIVE.format(Math.trunc(seconds / size), unit);
}

// Present time, which changes every ten seconds.
const clock = createStore(Date.now());
setInterval(() => {
  if (!document.hidden) clock.set(Date.now());
}, 10000);

// Shows a time relative to now, with the exact one and the time zone as its title: after the text
// `before`, or the text `past` when it is over.
function Time({ at, before, past }) {
  const now = Math.max(useStore(clock), Date.now());
  if (!at) return h("span", { class: "quiet" }, "never");
  const date = new Date(at);
  if (past && date <= now) return past;
  return h(
    Fragment,
    {},
    before,
    h(
      "time",
      { datetime: at, title: `${date.toLocaleString()} (${zoneAt(date, LONG_ZONE)})\n${at}` },
      relativeTime(at, now),
    ),
  );
}

// Properties of a field for a time in the time zone of the browser.
const TIME_FIELD = { type: "datetime-local", step: 1, max: "9999-12-31T23:59" };

// Converts between the value of such a field and ISO 8601. Some browsers accept later years, which
// JavaScript does not read.
function isoTime(local) {
  if (local && !localInput(local)) throw new Error("Enter a year with four digits.");
  return local && new Date(local).toISOString();
}
function localInput(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime())
    ? ""
    : new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}
