// Components that pages share. Data from the API becomes text and never markup.

import { createContext, Fragment, h, useContext, useLayoutEffect, useRef, useState } from "./preact.js";
import { isRefused, onSignOut } from "./api.js";
import { changed, useAddress } from "./route.js";
import { createStore, useStore } from "./store.js";

export {
  Icon,
  Time,
  relativeTime,
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
  Field,
  FilterField,
  Chips,
  Choices,
  Form,
  Dialog,
  openDialog,
  Dialogs,
  confirmAction,
  announce,
  Messages,
  Json,
  excerpt,
  plural,
  localInput,
  isoTime,
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

const excerpt = (text, length = 240) => (text.length > length ? `${text.slice(0, length)}…` : text) || "(no text)";
const plural = (count, one, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
const RELATIVE = new Intl.RelativeTimeFormat("en", { style: "short" });
const ZONE = new Intl.DateTimeFormat(undefined, { timeZoneName: "long" })
  .formatToParts()
  .find(({ type }) => type === "timeZoneName").value;

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
  if (past && new Date(at) <= now) return past;
  return h(
    Fragment,
    {},
    before,
    h("time", { datetime: at, title: `${new Date(at).toLocaleString()} (${ZONE})\n${at}` }, relativeTime(at, now)),
  );
}

// Converts between the value of a datetime-local field, in the time zone of the browser, and ISO
// 8601.
const isoTime = (local) => (local ? new Date(local).toISOString() : "");
function localInput(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime())
    ? ""
    : new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

const Badge = ({ kind = "quiet", children }) => h("span", { class: `badge ${kind}` }, children);

// Properties of a control whose action runs once at a time. It keeps the focus meanwhile, and its
// failure is announced.
function useAction(action) {
  const [isBusy, setBusy] = useState(false);
  // The second click of a double click may come before the control is drawn again.
  const isRunning = useRef(false);
  const run = async () => {
    if (isRunning.current) return;
    isRunning.current = true;
    setBusy(true);
    try {
      await action();
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
        await navigator.clipboard.writeText(text);
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

const fieldText = ({ pointer, detail }) => (pointer.length > 1 ? `${pointer.slice(1)}: ${detail}` : detail);

// Shows why something could not be loaded.
const Problem = ({ problem, retry }) =>
  problem &&
  h(
    Notice,
    { kind: "bad", role: "alert" },
    h(
      "p",
      {},
      problem.message,
      problem.errors?.map((error) => h("span", { key: error.pointer, class: "block" }, fieldText(error))),
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

// Problems of the fields of a form, by the last part of their pointers.
const FieldProblems = createContext({});
let lastId = 0;

function useId(prefix) {
  const id = useRef(null);
  id.current ??= `${prefix}-${(lastId += 1)}`;
  return id.current;
}

// A labeled field, with the problem that the API or the form has found.
function Field({ label, name, hint, options, text, isWide, value, ...properties }) {
  const id = useId("field");
  const problem = useContext(FieldProblems)[name];
  const common = {
    id,
    name,
    "aria-describedby": hint || problem ? `${id}-hint` : undefined,
    "aria-invalid": problem ? "true" : undefined,
    "aria-required": properties.required ? "true" : undefined,
    ...properties,
    required: undefined,
  };
  const input =
    (options &&
      h(
        "select",
        common,
        options.map(([option, title]) =>
          h("option", { key: option, value: option, selected: option === value }, title),
        ),
      )) ||
    (text && h("textarea", { ...common, spellcheck: false, defaultValue: value })) ||
    h("input", { autocomplete: "off", spellcheck: false, ...common, defaultValue: value });
  return h(
    "div",
    { class: `field ${isWide ? "wide" : ""}` },
    h(
      "label",
      { for: id },
      h("span", {}, label, properties.required && h("span", { class: "quiet", "aria-hidden": "true" }, " *")),
    ),
    input,
    (hint || problem) &&
      h("p", { id: `${id}-hint`, class: "quiet" }, problem && h("b", { class: "error block" }, problem), hint),
  );
}

// Checkboxes of one name: `[value, label]`.
function Choices({ label, name, options, chosen = [], ...properties }) {
  const problem = useContext(FieldProblems)[name];
  return h(
    "fieldset",
    { class: "wide" },
    h("legend", {}, label),
    options.map(([value, title]) =>
      h(
        "label",
        { key: value, class: "check" },
        h("input", { type: "checkbox", name, value, defaultChecked: chosen.includes(value), ...properties }),
        title,
      ),
    ),
    problem && h("p", { class: "error", role: "alert" }, h("b", {}, problem)),
  );
}

// A text by which a list is filtered. What is being typed is kept until `value` changes.
function FilterField({ label, value, children, ...properties }) {
  const input = useRef(null);
  useLayoutEffect(() => {
    input.current.value = value;
  }, [value]);
  return h(
    "label",
    {},
    label,
    h("input", { ref: input, autocomplete: "off", spellcheck: false, ...properties }),
    children,
  );
}

// Filters without a field, `[parameter, title]`, each with a link that removes it.
const Chips = ({ chips }) =>
  chips.map(([name, title]) =>
    h(
      "a",
      {
        key: name,
        class: "chip",
        href: changed({ [name]: null, cursor: null }),
        "aria-label": `Remove the filter: ${title}`,
      },
      title,
      " ×",
    ),
  );

// A form that sends its values and shows what is wrong with them. Fields with `required` are
// checked before. What is being sent cannot be changed.
function Form({ submit, send, children, kind = "primary", secondary }) {
  const [problems, setProblems] = useState({ fields: {} });
  const [isBusy, setBusy] = useState(false);
  const form = useRef(null);
  // The field that was used last: the fields lose the focus while they are sent.
  const used = useRef(null);
  useLayoutEffect(() => {
    if (isBusy) return;
    // The fields are rendered after the form.
    setTimeout(() => {
      const lost = document.activeElement === document.body ? used.current : null;
      (form.current?.querySelector("[aria-invalid]") ?? lost)?.focus();
      used.current = null;
    });
  }, [problems, isBusy]);
  const submitForm = async (event) => {
    event.preventDefault();
    if (isBusy) return;
    const node = form.current;
    const missing = [...node.querySelectorAll("[aria-required]")].filter((input) => !input.value.trim());
    if (missing.length) {
      setProblems({ fields: Object.fromEntries(missing.map(({ name }) => [name, "is required"])) });
      return;
    }
    used.current = document.activeElement;
    setBusy(true);
    try {
      setProblems({ fields: {} });
      await send(Object.fromEntries(new FormData(node)), new FormData(node));
    } catch (problem) {
      // The dialog of the form may have been closed.
      if (!form.current) announceProblem(problem);
      else if (!problem.isStale) setProblems(sortedProblems(problem, node));
    }
    setBusy(false);
  };
  return h(
    "form",
    { class: "form", noValidate: true, ref: form, onSubmit: submitForm },
    h("div", { class: "fields", inert: isBusy }, h(FieldProblems.Provider, { value: problems.fields }, children)),
    (problems.summary || problems.policy) &&
      h(
        Notice,
        { kind: "bad wide", role: "alert" },
        problems.summary && h("p", {}, problems.summary),
        problems.policy && h(Json, { title: "Least-privilege policy", value: problems.policy, isOpen: true }),
      ),
    h(
      "div",
      { class: "wide row actions" },
      secondary,
      h("button", { class: kind, "aria-disabled": isBusy ? "true" : undefined }, submit),
    ),
  );
}

// Divides a problem into those of fields and the rest. A field has the name of a part of the
// pointer, or covers a member (`data-covers`) that it edits as JSON.
function sortedProblems({ message, errors = [], policy }, node) {
  const fields = {};
  const others = [];
  const fieldOf = (part) =>
    [...node.elements].find(({ name, dataset }) => name === part || dataset.covers?.split(" ").includes(part))?.name;
  for (const error of errors) {
    const parts = error.pointer.split("/").slice(1);
    const index = parts.findIndex(fieldOf);
    const name = fieldOf(parts[index]);
    if (name)
      fields[name] = [
        fields[name],
        fieldText({ ...error, pointer: `/${placeInField(parts.slice(name === parts[index] ? index + 1 : index))}` }),
      ]
        .filter(Boolean)
        .join("; ");
    else others.push(fieldText(error));
  }
  // The message refers to the policy where that helps.
  return {
    fields,
    summary: errors.length ? others.join("; ") : message,
    policy: message.includes("`policy`") && policy,
  };
}

// Returns the place of a problem in the value of a field. The entries of a list are counted from 1.
const placeInField = (parts) =>
  parts.length === 1 && /^\d+$/.test(parts[0]) ? `#${Number(parts[0]) + 1}` : parts.join("/");

// Open dialogs: functions that render them, and the addresses that they belong to. They end with
// the session.
const dialogs = createStore([]);
onSignOut(() => dialogs.set([]));
addEventListener("hashchange", () =>
  dialogs.set(dialogs.value.filter(({ hash }) => hash === null || hash === location.hash)),
);

// Opens a dialog. `render` gets a function that closes it. Another page closes it too, unless it
// `stays`.
function openDialog(render, { stays = false } = {}) {
  const close = () => dialogs.set(dialogs.value.filter((dialog) => dialog !== entry));
  const entry = { key: (lastId += 1), hash: stays ? null : location.hash, render: () => render(close) };
  dialogs.set([...dialogs.value, entry]);
  return close;
}

const Dialogs = () =>
  h(
    Fragment,
    {},
    useStore(dialogs).map(({ key, render }) => h(Fragment, { key }, render())),
  );

// Ids of the dialogs on the page. Messages are shown in the last one, since the rest of the page is
// inert.
const openDialogs = createStore([]);

// A modal dialog, which its button, Escape or a click outside it closes. `isPanel` places it at the
// side. Without `close`, only its content closes it.
function Dialog({ title, close, isPanel, children }) {
  const node = useRef(null);
  const id = useId("title");
  useLayoutEffect(() => {
    const dialog = node.current;
    openDialogs.set([...openDialogs.value, id]);
    dialog.showModal();
    (dialog.querySelector(".form :is(input, select, textarea)") ?? dialog.querySelector("h2")).focus();
    return () => {
      openDialogs.set(openDialogs.value.filter((open) => open !== id));
      // Returns the focus to where it was.
      dialog.close();
    };
  }, []);
  return h(
    "dialog",
    {
      ref: node,
      class: isPanel ? "panel" : "",
      "aria-labelledby": id,
      // A browser that does not know `closedby` closes the dialog at the second Escape.
      closedby: close ? undefined : "none",
      onClose: () => {
        if (!close) node.current?.showModal();
      },
      onCancel: (event) => {
        if (event.target === node.current) {
          event.preventDefault();
          close?.();
        }
      },
      // A panel is its own scroll container: its scroll bar is no place outside.
      onMouseDown: ({ target, clientX }) => {
        if (isPanel && target === node.current && clientX < node.current.getBoundingClientRect().left) close();
      },
    },
    h(
      "div",
      { class: "content" },
      h(
        "header",
        { class: "row spread" },
        h("h2", { id, tabIndex: -1 }, title),
        close && h(Button, { kind: "subtle square", label: "Close", action: close }, h(Icon, { name: "close" })),
      ),
      children,
    ),
    h(Messages, { dialog: id }),
  );
}

// Asks for confirmation of an action, and says what is lost.
function confirmAction({ title, text, submit, kind = "danger", action }) {
  openDialog((close) =>
    h(
      Dialog,
      { title, close },
      h(
        Form,
        {
          submit,
          kind,
          secondary: h(Button, { action: close }, "Cancel"),
          send: async () => {
            await action();
            close();
          },
        },
        h("div", { class: "wide stack" }, text),
      ),
    ),
  );
}

const message = createStore("");
let messageTimer;
onSignOut(() => message.set(""));

// Shows a message for a while, which screen readers announce.
function announce(text, milliseconds = 6000) {
  message.set(text);
  clearTimeout(messageTimer);
  messageTimer = setTimeout(() => message.set(""), milliseconds);
}

function announceProblem(problem) {
  if (problem.isStale) return;
  const details = problem.errors?.map(fieldText).join("; ");
  announce(details || problem.message, 20000);
}

// Place of messages on the page, or in a dialog.
function Messages({ dialog }) {
  const [text, open] = [useStore(message), useStore(openDialogs)];
  return h("p", { class: "message", role: "status", "aria-live": "polite" }, open.at(-1) === dialog ? text : "");
}

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
