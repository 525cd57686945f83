// Elements. Data from the API becomes text and never markup: there is no innerHTML here.

import { environmentBadge } from "./main.js";

export { h, timeElement, badge, definitionList, button, redraw, announce, withBusy, copyButton, field, form, policyDetails, dialog, confirmDialog, poll, excerpt, destinationName };

const SVG = "http://www.w3.org/2000/svg";

function element(name, properties = {}, ...children) {
  const svg = ["svg", "rect", "line", "title"].includes(name);
  const node = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value") node.value = value;
    else if (key === "checked") node.defaultChecked = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const h = element;
const timeElement = (time) => h("time", { datetime: time, title: time }, new Date(time).toLocaleString());
const badge = (text, kind = "quiet") => h("span", { class: `badge ${kind}` }, text);
const definitionList = (pairs) => h("dl", {}, pairs.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
// Creates a button. `focus` identifies it among buttons with the same text, so that it keeps the
// focus when it is redrawn.
const button = (text, action, kind = "", focus = text) => h("button", {
  type: "button", class: kind, "data-focus": focus, onclick: (event) => withBusy(event.currentTarget, action),
}, text);

// Replaces the content of a container. The focused element keeps the focus.
function redraw(container, ...children) {
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  container.replaceChildren(...children.flat(Infinity).filter((child) => child));
  if (focused) container.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

let statusTimer;

// Shows a status message, which screen readers announce. Problems are shown for longer.
function announce(text, milliseconds = 6000) {
  const status = document.getElementById("status");
  status.textContent = text;
  clearTimeout(statusTimer);
  statusTimer = setTimeout(() => { status.textContent = ""; }, milliseconds);
}

// Announces a problem, unless it belongs to an ended session.
const announceProblem = (problem) => { if (!problem.stale) announce(problem.message, 20000); };

// Runs the action of a control. The control is disabled meanwhile and keeps the focus.
async function withBusy(control, action) {
  if (control.getAttribute("aria-disabled")) return;
  control.setAttribute("aria-disabled", "true");
  try {
    await action();
  } catch (problem) {
    announceProblem(problem);
  } finally {
    control.removeAttribute("aria-disabled");
  }
}

// Creates a button that copies a text, or what a function returns.
function copyButton(text, label) {
  return button(label, async () => {
    await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
    announce("Copied.");
  });
}

let lastId = 0;

// Creates a labeled field. Problems appear below it, by their JSON pointer.
function field(label, name, properties = {}, hint = "") {
  const id = `field-${lastId += 1}`;
  const input = properties.options
    ? h("select", { id, name }, properties.options.map(([value, text]) => h("option", { value }, text)))
    : h("input", { id, name, autocomplete: "off", spellcheck: "false", ...properties });
  input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: properties.wide ? "wide" : "" }, h("label", { for: id }, label), input,
    h("div", { id: `${id}-hint`, class: "error", "data-pointer": name }, h("span", { class: "quiet" }, hint)));
}

// Creates a form that sends the entered values and marks the fields that are invalid.
function form(fields, submit, send) {
  const problem = h("div", { class: "notice wide", role: "alert", hidden: true });
  const submitButton = h("button", { class: "primary" }, submit);
  const node = h("form", { class: "fields", novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    withBusy(submitButton, async () => {
      problem.hidden = true;
      for (const input of node.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
      for (const hint of node.querySelectorAll("[data-pointer]")) hint.querySelector("b")?.remove();
      try {
        await send(Object.fromEntries(new FormData(node)), node);
      } catch (error) {
        if (error.stale) return;
        const unmarked = (error.errors ?? []).filter(({ pointer, detail }) => !markInvalid(node, pointer, detail));
        const summary = error.errors?.length ? unmarked.map(({ detail }) => detail).join("; ") : error.message;
        const policy = error.policy && policyDetails(error.policy);
        problem.replaceChildren(...[summary && h("p", {}, summary), policy].filter(Boolean));
        problem.hidden = !problem.hasChildNodes();
        (node.querySelector("[aria-invalid]") ?? submitButton).focus();
      }
    });
  } }, fields, problem, h("div", { class: "wide row" }, submitButton));
  return node;
}

// Creates a view of an IAM policy.
function policyDetails(policy, open = true, title = "Least-privilege policy for these keys") {
  const text = JSON.stringify(policy, null, 2);
  return h("details", { open }, h("summary", {}, title),
    h("pre", { tabindex: 0, "aria-label": title }, text), copyButton(text, "Copy policy"));
}

function markInvalid(node, pointer, detail) {
  const name = pointer.split("/").pop();
  const hint = node.querySelector(`[data-pointer="${CSS.escape(name)}"]`);
  const input = node.querySelector(`[name="${CSS.escape(name)}"]`);
  if (!hint || !input) return false;
  input.setAttribute("aria-invalid", "true");
  hint.prepend(h("b", {}, detail, " "));
  return true;
}

// Opens a dialog, which its button, Escape or the caller closes. Status messages move into it,
// since screen readers ignore the rest of the page, and its title shows the environment.
function dialog(title, content) {
  const id = `title-${lastId += 1}`;
  const status = document.getElementById("status");
  const modal = h("dialog", { "aria-labelledby": id, onclose: () => {
    modal.remove();
    ([...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body).append(status);
  } }, h("div", {}, h("div", { class: "row spread" }, h("h2", { id }, title),
    h("span", { class: "row" }, environmentBadge(), h("button", { type: "button", onclick: () => modal.close() }, "Close"))), content));
  document.body.append(modal);
  modal.showModal();
  modal.append(status);
  return modal;
}

// Asks for confirmation of an irreversible action: the user types a word.
function confirmDialog(title, explanation, word, action) {
  const modal = dialog(title, form([
    h("p", { class: "wide" }, explanation),
    field(`Type ${word} to confirm`, "word", { wide: true, required: true }),
  ], title, async ({ word: typed }) => {
    if (typed !== word) throw Object.assign(new Error(), { errors: [{ pointer: "/word", detail: "does not match" }] });
    await action();
    modal.close();
  }));
}

// Repeats an action until the returned function is called. Runs do not overlap.
function poll(milliseconds, action) {
  let timer = null;
  let failing = false;
  const next = async () => {
    try {
      await action();
      failing = false;
    } catch (problem) {
      if (!failing) announceProblem(problem);
      failing = true;
    }
    if (timer !== null) timer = setTimeout(next, milliseconds);
  };
  timer = setTimeout(next, milliseconds);
  return () => {
    clearTimeout(timer);
    timer = null;
  };
}

const excerpt = (text) => (text.length > 240 ? `${text.slice(0, 240)}…` : text) || "(no text)";

const destinationName = (destination) => (destination.type === "webhook"
  ? `Webhook ${destination.url}` : `EventBridge ${destination.eventBusName} in ${destination.region}`);
