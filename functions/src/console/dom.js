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
const button = (text, act, kind = "") => h("button", { type: "button", class: kind, onclick: (event) => working(event.currentTarget, act) }, text);

let quiet;

// Tells of something that happened, to eyes and screen readers.
function say(text) {
  const status = document.getElementById("status");
  status.textContent = text;
  clearTimeout(quiet);
  quiet = setTimeout(() => { status.textContent = ""; }, 6000);
}

// Runs what a button does; it cannot be pressed again meanwhile, and what goes wrong is said.
async function working(pressed, act) {
  pressed.disabled = true;
  try {
    await act();
  } catch (problem) {
    say(problem.message);
  } finally {
    pressed.disabled = false;
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
function form(fields, submit, send, kind = "fields") {
  const problem = h("p", { class: "notice wide", role: "alert", hidden: true });
  const press = h("button", { class: "primary" }, submit);
  const made = h("form", { class: kind, novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    working(press, async () => {
      problem.hidden = true;
      for (const input of made.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
      for (const hint of made.querySelectorAll("[data-pointer]")) hint.querySelector("b")?.remove();
      try {
        await send(Object.fromEntries(new FormData(made)), made);
      } catch (refusal) {
        const unknown = (refusal.errors ?? []).filter(({ pointer, detail }) => !mark(made, pointer, detail));
        if (unknown.length || !refusal.errors?.length) {
          problem.textContent = refusal.errors?.length ? unknown.map((one) => `${one.pointer} ${one.detail}`).join("; ") : refusal.message;
          problem.hidden = false;
        }
        (made.querySelector("[aria-invalid]") ?? press).focus();
      }
    });
  } }, fields, problem, h("div", { class: "wide row" }, press));
  return made;
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

// A dialog over the page; it is closed by its button, Escape, or by whoever opened it.
function dialog(title, content) {
  const id = `title-${numbers += 1}`;
  const opened = h("dialog", { "aria-labelledby": id, onclose: () => opened.remove() },
    h("div", {}, h("div", { class: "row spread" }, h("h2", { id }, title),
      h("button", { type: "button", "aria-label": "Close", onclick: () => opened.close() }, "Close")), content));
  document.body.append(opened);
  opened.showModal();
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
