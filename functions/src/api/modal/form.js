// Fields of credentials and settings.

import { text, formatNumber, parseNumber } from "./texts.js";
import { h, newId } from "./dom.js";
import { state } from "./state.js";

export {
  toPointer,
  fromPointer,
  formField,
  readValue,
  markChanged,
  isChanged,
  enterAgain,
  reviewValue,
  showFieldErrors,
  clearFieldErrors,
  missingValue,
  localized,
};

// JSON pointer (RFC 6901) of the parts of a path, and the parts of a pointer.
const toPointer = (...parts) => parts.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
const fromPointer = (pointer) =>
  pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));

// Marks an input as changed by the user. The error of its former value is gone.
function markChanged({ currentTarget }) {
  state.isDirty = true;
  currentTarget.dataset.changed = "";
  clearErrors(inputsOf(document, currentTarget.dataset.pointer));
}

// Enters into the present form what the user has changed in a former one.
function enterAgain(former) {
  for (const input of former.querySelectorAll("[data-changed]")) {
    const { pointer, type } = input.dataset;
    const present = inputsOf(document, pointer).find(
      (one) => one.dataset.type === type && one.name === input.name && (!one.name || one.value === input.value),
    );
    const isOffered =
      present?.localName !== "select" || [...present.options].some(({ value }) => value === input.value);
    if (!present || !isOffered) continue;
    if (pastedLines.has(input)) pastedLines.set(present, pastedLines.get(input));
    Object.assign(present, { value: input.value, checked: input.checked });
    for (const name of ["input", "change"]) present.dispatchEvent(new Event(name));
  }
}

// Creates a labeled input for a field of an integration. `pointer` locates its value in the
// request.
function formField(field, pointer, value) {
  const id = newId("field");
  const { type, label, required, help, placeholder, options } = field;
  const describedBy = [help && `${id}-help`, `${id}-error`].filter(Boolean).join(" ");
  const common = {
    id,
    "data-pointer": pointer,
    "aria-describedby": describedBy,
    "aria-required": required ? "true" : null,
    "data-type": type,
    oninput: markChanged,
  };
  const name = required || type === "boolean" ? label : optionalName(label);
  const helpText = help && h("p", { id: `${id}-help`, class: "help" }, help);
  const error = h("p", { id: `${id}-error`, class: "error" });
  if (type === "boolean") {
    const box = h("input", { ...common, type: "checkbox", checked: value === true });
    return h("div", { class: "field" }, h("label", { class: "check", for: id }, box, label), helpText, error);
  }
  return h(
    "div",
    { class: "field" },
    h("label", { id: `${id}-label`, for: id }, name),
    type === "select" ? selectInput(common, options, value) : textInput(common, type, placeholder, value),
    helpText,
    error,
  );
}

// Returns the label within the text for optional fields, the rest of which is less prominent.
function optionalName(label) {
  const [before, after] = text("optional").split("{label}");
  const quiet = (part) => part && h("span", { class: "quiet" }, part);
  return [quiet(before), label, quiet(after)];
}

function selectInput(common, options, value) {
  const chosen = options.some((option) => option.value === value) ? value : "";
  return h(
    "select",
    { ...common, value: null },
    h("option", { value: "", selected: chosen === "" }, text("choose")),
    options.map((option) => h("option", { value: option.value, selected: option.value === chosen }, option.label)),
  );
}

// Texts of several lines that were pasted, and how their inputs show them.
const pastedLines = new WeakMap();

const valueText = (value) => (typeof value === "number" ? formatNumber(value) : String(value));

function textInput(common, type, placeholder, value) {
  const input = h("input", {
    ...common,
    dir: "auto",
    placeholder,
    autocomplete: type === "secret" ? "new-password" : "off",
    spellcheck: "false",
    autocapitalize: "none",
    type: { secret: "password", url: "url" }[type] ?? "text",
    inputmode: type === "number" ? "decimal" : null,
    value: value === undefined || value === null ? "" : valueText(value),
  });
  if (type !== "secret") return input;
  // An input has one line and would join those of a key.
  input.addEventListener("paste", (event) => {
    const pasted = event.clipboardData.getData("text");
    if (!/[\r\n]/.test(pasted.trim())) return;
    event.preventDefault();
    input.value = pasted;
    pastedLines.set(input, { pasted, shown: input.value });
    input.dispatchEvent(new Event("input"));
  });
  // Long tokens are pasted: people want to see that they are complete.
  const toggle = h(
    "button",
    {
      id: `${common.id}-toggle`,
      type: "button",
      class: "quiet",
      "aria-pressed": "false",
      "aria-controls": common.id,
      "aria-labelledby": `${common.id}-toggle ${common.id}-label`,
      onclick: () => {
        const isHidden = input.type === "password";
        input.type = isHidden ? "text" : "password";
        toggle.setAttribute("aria-pressed", String(isHidden));
      },
    },
    text("show"),
  );
  return h("div", { class: "secret" }, input, toggle);
}

const inputsOf = (form, pointer) => [...form.querySelectorAll(`[data-pointer="${CSS.escape(pointer)}"]`)];
const inputOf = (form, pointer) => inputsOf(form, pointer)[0];

// Returns the value of a field as the API expects it: undefined if it is empty.
function readValue(form, field, pointer) {
  const input = inputOf(form, pointer);
  if (field.type === "boolean") return input.checked;
  const { pasted, shown } = pastedLines.get(input) ?? {};
  const secret = input.value === shown ? pasted : input.value;
  const entered = field.type === "secret" ? secret : input.value.trim();
  if (entered.trim() === "") return undefined;
  return field.type === "number" ? (parseNumber(entered) ?? entered) : entered;
}

// Returns whether the user has changed a field.
const isChanged = (form, pointer) => "changed" in inputOf(form, pointer).dataset;

// Describes the value of a field for the user. A secret is not shown.
function reviewValue(field, value) {
  if (field.type === "boolean") return text(value ? "yes" : "no");
  if (value === undefined || value === null) return text("none");
  if (field.type === "secret") return text("hidden");
  return field.options?.find((option) => option.value === value)?.label ?? valueText(value);
}

// Returns whether a text is a URL that the server accepts.
function isUrl(value) {
  try {
    return /^https?:\/\/[^\s\\/?#][^\s\\?#]*([?#]\S*)?$/i.test(value) && Boolean(new URL(value));
  } catch {
    return false;
  }
}

const invalidNumber = () => text("invalidNumber", { example: formatNumber(1234.5) });

// Returns why a value cannot be sent, or null. The server checks the rest.
function missingValue(field, value) {
  if (value === undefined) return field.required ? required(field.type === "select") : null;
  if (field.type === "number" && typeof value !== "number")
    return Number(value) > Number.MAX_SAFE_INTEGER
      ? text("invalidValue", { reason: `≤ ${Number.MAX_SAFE_INTEGER}` })
      : invalidNumber();
  if (field.type === "url" && !isUrl(value)) return text("invalidUrl");
  return null;
}

const required = (isChoice) => text(isChoice ? "requiredChoice" : "required");

// Texts for what the server finds in a field, by the start of its message.
const FOUND = [
  ["must match the pattern", () => text("invalidPattern")],
  ["is required", required],
  ["must be a number", invalidNumber],
  ["must be a complete URL", () => text("invalidUrl")],
  ["must be one of", required],
  ["must be a credential", () => text("gone")],
  ["is not possible", () => text("tooManyAccounts")],
];

// Describes an error of the server in the language of the page, as far as it concerns a field of
// the form.
function localized(form, { pointer: at, detail }) {
  // Whether an account is added depends on the choice of an account.
  const pointer = at.replace(/^(\/credentials\/[^/]+)\/new$/, "$1/credentialId");
  const input = inputOf(form, pointer);
  const [, describe] = (input && FOUND.find(([start]) => detail.startsWith(start))) || [];
  return { pointer, detail: describe?.(input.localName === "select") ?? text("invalidValue", { reason: detail }) };
}

// The element that shows what is wrong with an input: its last description.
const errorOf = (input) => document.getElementById(input.getAttribute("aria-describedby")?.split(" ").at(-1));

function clearErrors(inputs) {
  for (const input of inputs) {
    if (!input.hasAttribute("aria-invalid")) continue;
    input.removeAttribute("aria-invalid");
    errorOf(input)?.replaceChildren();
  }
}

const clearFieldErrors = (form) => clearErrors(form.querySelectorAll("[aria-invalid]"));

// Marks the fields of errors, and focuses the first one. Returns the errors that belong to no
// field.
function showFieldErrors(form, errors) {
  const others = errors.filter(({ pointer, detail }) => {
    const input = inputOf(form, pointer);
    if (!input) return true;
    input.setAttribute("aria-invalid", "true");
    const shown = errorOf(input);
    if (shown) shown.textContent = detail;
    return !shown;
  });
  form.querySelector("[aria-invalid]")?.focus();
  return others;
}
