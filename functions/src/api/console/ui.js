// Components that pages share. Data from the API becomes text and never markup.

import { Fragment, h, useRef, useState } from "./preact.js";
import { isRefused } from "./api.js";
import { announce, announceProblem, problemTexts } from "./messages.js";
import { changed, useAddress } from "./route.js";

export {
  Icon,
  Badge,
  Button,
  CopyButton,
  Code,
  Id,
  Properties,
  Notice,
  Problem,
  LiveNotice,
  Loading,
  Empty,
  Skeleton,
  Table,
  Section,
  Tabs,
  PageLinks,
  Toggle,
  Json,
  useId,
  excerpt,
  plural,
  download,
};

const ICONS = {
  errors: "M12 8v5m0 3v.01M10.3 3.9 2.5 17.4A2 2 0 0 0 4.2 20.4h15.6a2 2 0 0 0 1.7-3L13.7 3.9a2 2 0 0 0-3.4 0z",
  destinations: "M4 12h13m-5-6 6 6-6 6M20 5v14",
  events: "M4 6h16M4 12h16M4 18h10",
  integrations: "M9 3v5m6-5v5M6 8h12v4a6 6 0 0 1-12 0zM12 18v3",
  installations: "M12 3v11m-4-4 4 4 4-4M5 17v3h14v-3",
  users: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21a8 8 0 0 1 16 0",
  environment: "M4 7h10m4 0h2M4 17h2m4 0h10M16 4.5v5M8 14.5v5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  close: "M6 6l12 12M18 6 6 18",
  menu: "M4 7h16M4 12h16M4 17h16",
};

const Icon = ({ name }) =>
  h("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));

const excerpt = (text, length = 240) =>
  text.trim() ? `${text.slice(0, length)}${text.length > length ? "…" : ""}` : "(no text)";
const plural = (count, one, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;

const Badge = ({ kind = "quiet", children }) => h("span", { class: `badge ${kind}` }, children);

// Properties of a control whose action runs once at a time. It keeps the focus meanwhile, and its
// failure, which it throws or returns, is announced.
function useAction(action) {
  const [isBusy, setBusy] = useState(false);
  // The second click of a double click may come before the control is drawn again.
  const isRunning = useRef(false);
  const run = async () => {
    if (isRunning.current) return;
    isRunning.current = true;
    setBusy(true);
    try {
      const failure = await action();
      if (failure instanceof Error) throw failure;
    } catch (problem) {
      announceProblem(problem);
    }
    isRunning.current = false;
    setBusy(false);
  };
  return { onClick: run, "aria-disabled": isBusy ? "true" : undefined };
}

const Button = ({ action, kind = "", label, children, ...properties }) =>
  h(
    "button",
    { type: "button", class: kind, "aria-label": label, title: label, ...properties, ...useAction(action) },
    children,
  );

// A button that copies a text.
function CopyButton({ text, label, children }) {
  return h(
    Button,
    {
      kind: children ? "" : "subtle square",
      label: children ? undefined : (label ?? "Copy"),
      action: async () => {
        try {
          await navigator.clipboard.writeText(text);
        } catch {
          throw new Error("The browser does not allow this page to copy. Select the text and copy it yourself.");
        }
        announce("Copied.");
      },
    },
    children ?? h(Icon, { name: "copy" }),
  );
}

// Shows the name of a type in one line.
const Code = ({ text }) => h("code", { class: "line", title: text }, text);

// Shows an id, with a button that copies it.
const Id = ({ id, name = "id" }) =>
  h("span", { class: "id" }, h("code", {}, id), h(CopyButton, { text: id, label: `Copy ${name}` }));

// Shows names with values. Pairs without a value are omitted.
const Properties = ({ pairs }) =>
  h(
    "dl",
    { class: "properties" },
    pairs
      .filter((pair) => pair && pair[1] !== null && pair[1] !== undefined)
      .map(([name, value]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, value))),
  );

const Notice = ({ kind = "", children, ...properties }) =>
  h("div", { class: `notice ${kind}`, ...properties }, children);

// Shows why something could not be loaded.
const Problem = ({ problem, retry }) =>
  problem &&
  h(
    Notice,
    { kind: "bad", role: "alert" },
    h(
      "p",
      {},
      problemTexts(problem).map((text) => h("span", { key: text, class: "block" }, text)),
    ),
    retry && !isRefused(problem) && h(Button, { action: retry }, "Try again"),
  );

// Says that the page does not show what is new, until it does again.
const LiveNotice = ({ live: { problem, retry } }) =>
  problem &&
  h(
    Notice,
    { kind: "warn", role: "status" },
    h("p", {}, h("strong", {}, "Live updates have stopped: "), problem.message),
    h(Button, { action: async () => retry() }, "Try now"),
  );

// What is shown for a list without items, or for a page without items before others, which a cursor
// leads to.
const Empty = ({ title, cursor, children }) =>
  h(
    "div",
    { class: "empty" },
    h("strong", {}, title),
    cursor ? h("p", {}, "The newest ones do not match. Older ones may.") : children && h("p", {}, children),
  );

const Skeleton = ({ rows = 4 }) =>
  h(
    "div",
    { class: "skeleton", "aria-hidden": "true" },
    Array.from({ length: rows }, (_, row) => h("div", { key: row })),
  );

// Problem of data that could not be loaded, or lines in its place until it is.
const Loading = ({ of: { data, problem, isLoading, reload }, rows }) =>
  h(Fragment, {}, h(Problem, { problem, retry: reload }), !data && isLoading && h(Skeleton, { rows }));

const Section = ({ title, actions, children, ...properties }) =>
  h(
    "section",
    { class: "card", "aria-label": title, ...properties },
    h("div", { class: "row spread" }, h("h2", {}, title), actions && h("div", { class: "row" }, actions)),
    children,
  );

// Table whose titles are texts, or header cells if they have more. Its children are the rows.
const Table = ({ titles, children }) =>
  h(
    "div",
    { class: "table" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          titles.map((title) => (typeof title === "string" ? h("th", { key: title }, title) : title)),
        ),
      ),
      h("tbody", {}, children),
    ),
  );

// Links between the views of a page: `[name, title, address]`.
const Tabs = ({ label, tabs, present }) =>
  h(
    "nav",
    { class: "tabs", "aria-label": label },
    tabs.map(([name, title, address]) =>
      h("a", { key: name, href: address, "aria-current": name === present ? "page" : undefined }, title),
    ),
  );

// Links of a list: to its newest page, and to the next one, which `cursor` names. `range` is the
// time range of the list, if it has one: a cursor belongs to it, while a preset ends now.
// `fallback` is the preset without a name in the address.
function PageLinks({ cursor, older, range, fallback }) {
  const { parameters } = useAddress();
  const preset = parameters.range && {
    since: null,
    until: null,
    range: parameters.range === fallback ? null : parameters.range,
  };
  return h(
    "div",
    { class: "row" },
    parameters.cursor && h("a", { class: "button", href: changed({ cursor: null, ...preset }) }, "Newest"),
    cursor && h("a", { class: "button", href: changed({ cursor, ...range }) }, older),
  );
}

// A switch whose action decides on its state.
const Toggle = ({ isOn, label, action, disabled }) =>
  h(
    "button",
    {
      type: "button",
      role: "switch",
      class: "switch",
      "aria-checked": String(isOn),
      "aria-label": label,
      title: label,
      disabled,
      ...useAction(action),
    },
    h("span", {}),
  );

// Shows a JSON value, folded at first.
function Json({ title, value, isOpen = false }) {
  const text = JSON.stringify(value, null, 2);
  return h(
    "details",
    { open: isOpen },
    h("summary", {}, title),
    h(
      "div",
      { class: "code" },
      h("pre", { tabIndex: 0, role: "group", "aria-label": title }, text),
      h(CopyButton, { text, label: `Copy ${title}` }),
    ),
  );
}

// Saves a text as a file of the browser.
function download(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}

let lastId = 0;

function useId(prefix) {
  const id = useRef(null);
  id.current ??= `${prefix}-${(lastId += 1)}`;
  return id.current;
}
