// Elements. Whatever comes from the API becomes text and never markup: there is no innerHTML here.

const SVG = "http://www.w3.org/2000/svg";

function element(name, properties = {}, ...children) {
  const svg = ["svg", "rect", "line", "title"].includes(name);
  const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "value") made.value = value;
    else if (key === "checked") made.checked = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const h = element;
const when = (time) => h("time", { datetime: time, title: time }, new Date(time).toLocaleString());
const badge = (text, kind = "quiet") => h("span", { class: `badge ${kind}` }, text);
const facts = (pairs) => h("dl", {}, pairs.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
// A button; `focus` names it among others of the same text, so that it keeps the focus when it is drawn anew.
const button = (text, act, kind = "", focus = text) => h("button", {
  type: "button", class: kind, "data-focus": focus, onclick: (event) => working(event.currentTarget, act),
}, text);

// Draws the inside of a place anew; what had the focus has it again.
function redraw(place, ...children) {
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  place.replaceChildren(...children.flat(Infinity).filter((child) => child));
  if (focused) place.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

let quiet;

// Tells of something that happened, to eyes and screen readers; of a problem for longer.
function say(text, milliseconds = 6000) {
  const status = document.getElementById("status");
  status.textContent = text;
  clearTimeout(quiet);
  quiet = setTimeout(() => { status.textContent = ""; }, milliseconds);
}

// What goes wrong is said, unless it belongs to a session that is over.
const sayProblem = (problem) => { if (!problem.stale) say(problem.message, 20000); };

// Runs what a control does. It does nothing meanwhile, and keeps the focus.
async function working(control, act) {
  if (control.getAttribute("aria-disabled")) return;
  control.setAttribute("aria-disabled", "true");
  try {
    await act();
  } catch (problem) {
    sayProblem(problem);
  } finally {
    control.removeAttribute("aria-disabled");
  }
}

function copyable(text, label) {
  return button(label, async () => {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  });
}

let numbers = 0;

// A field with its label. Problems are shown beside it by their JSON pointer.
function field(label, name, properties = {}, hint = "") {
  const id = `field-${numbers += 1}`;
  const input = properties.options
    ? h("select", { id, name }, properties.options.map(([value, text]) => h("option", { value }, text)))
    : h("input", { id, name, autocomplete: "off", spellcheck: "false", ...properties });
  input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: properties.wide ? "wide" : "" }, h("label", { for: id }, label), input,
    h("div", { id: `${id}-hint`, class: "error", "data-pointer": name }, h("span", { class: "quiet" }, hint)));
}

// A form that sends what was entered, and shows at each field what is wrong with it.
function form(fields, submit, send) {
  const problem = h("div", { class: "notice wide", role: "alert", hidden: true });
  const press = h("button", { class: "primary" }, submit);
  const made = h("form", { class: "fields", novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    working(press, async () => {
      problem.hidden = true;
      for (const input of made.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
      for (const hint of made.querySelectorAll("[data-pointer]")) hint.querySelector("b")?.remove();
      try {
        await send(Object.fromEntries(new FormData(made)), made);
      } catch (refusal) {
        if (refusal.stale) return;
        const unmarked = (refusal.errors ?? []).filter(({ pointer, detail }) => !mark(made, pointer, detail));
        const words = refusal.errors?.length ? unmarked.map(({ detail }) => detail).join("; ") : refusal.message;
        const policy = refusal.policy && policyToCopy(refusal.policy);
        problem.replaceChildren(...[words && h("p", {}, words), policy].filter(Boolean));
        problem.hidden = !problem.hasChildNodes();
        (made.querySelector("[aria-invalid]") ?? press).focus();
      }
    });
  } }, fields, problem, h("div", { class: "wide row" }, press));
  return made;
}

// The IAM policy that the keys of a bus need.
function policyToCopy(policy, open = true) {
  const text = JSON.stringify(policy, null, 2);
  return h("details", { open }, h("summary", {}, "The least-privilege policy for these keys"),
    h("pre", { tabindex: 0, "aria-label": "IAM policy" }, text), copyable(text, "Copy the policy"));
}

function mark(made, pointer, detail) {
  const name = pointer.split("/").pop();
  const hint = made.querySelector(`[data-pointer="${CSS.escape(name)}"]`);
  const input = made.querySelector(`[name="${CSS.escape(name)}"]`);
  if (!hint || !input) return false;
  input.setAttribute("aria-invalid", "true");
  hint.prepend(h("b", {}, detail, " "));
  return true;
}

// A dialog over the page; it is closed by its button, Escape, or by whoever opened it. What is said is said in it, since
// nothing outside of it is heard, and it names the environment that it acts in.
function dialog(title, content) {
  const id = `title-${numbers += 1}`;
  const status = document.getElementById("status");
  const opened = h("dialog", { "aria-labelledby": id, onclose: () => {
    opened.remove();
    ([...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body).append(status);
  } }, h("div", {}, h("div", { class: "row spread" }, h("h2", { id }, title),
    h("span", { class: "row" }, whereabouts(), h("button", { type: "button", onclick: () => opened.close() }, "Close"))), content));
  document.body.append(opened);
  opened.showModal();
  opened.append(status);
  return opened;
}

// Asks for something that cannot be taken back, by a word that must be typed.
function confirmed(title, explanation, word, act) {
  const opened = dialog(title, form([
    h("p", { class: "wide" }, explanation),
    field(`Type ${word} to confirm`, "word", { wide: true, required: true }),
  ], title, async ({ word: typed }) => {
    if (typed !== word) throw Object.assign(new Error(), { errors: [{ pointer: "/word", detail: "is not the same" }] });
    await act();
    opened.close();
  }));
}
