// Forms and their fields, and the filters of lists.

import { createContext, h, useContext, useLayoutEffect, useRef, useState } from "./preact.js";
import { announceProblem, fieldText } from "./messages.js";
import { changed, go, useAddress } from "./route.js";
import { Json, Notice, useId } from "./ui.js";

export { Chips, Choices, Field, FilterField, FilterSelect, Form };

// Problems of the fields of a form, by the last part of their pointers.
const FieldProblems = createContext({});

// A labeled field, with the problem that its owner, the API or the form has found.
function Field({ label, name, hint, options, text, isWide, value, problem: ownProblem, ...properties }) {
  const id = useId("field");
  const found = useContext(FieldProblems)[name];
  const problem = ownProblem ?? found;
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

// Returns a handler that filters the list of the page by the value of a control.
const setFilter = (name, value) => go(changed({ [name]: value || null, cursor: null }));

// A choice that filters a list, with options `[value, title]`.
function FilterSelect({ label, name, options, children, ...properties }) {
  const { parameters } = useAddress();
  return h(
    "label",
    {},
    label,
    h(
      "select",
      { value: parameters[name] ?? "", onChange: (event) => setFilter(name, event.currentTarget.value), ...properties },
      h("option", { value: "" }, "All"),
      children,
      options.map(([value, title = value]) => h("option", { key: value, value }, title)),
    ),
  );
}

// A parameter of the address as a text field: a filter of a list, or the id of an item to open.
// What is being typed is kept until the parameter changes.
function FilterField({ label, name, children, ...properties }) {
  const value = useAddress().parameters[name] ?? "";
  const input = useRef(null);
  useLayoutEffect(() => {
    input.current.value = value;
  }, [value]);
  return h(
    "label",
    {},
    label,
    h("input", {
      ref: input,
      autocomplete: "off",
      spellcheck: false,
      placeholder: "Id",
      onChange: (event) => setFilter(name, event.currentTarget.value.trim()),
      ...properties,
    }),
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
  // Names of the fields that were changed since their problems were found.
  const [changedFields, setChangedFields] = useState([]);
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
    setChangedFields([]);
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
  const present = Object.entries(problems.fields).filter(([name]) => !changedFields.includes(name));
  return h(
    "form",
    {
      class: "form",
      noValidate: true,
      ref: form,
      onSubmit: submitForm,
      onInput: ({ target: { name } }) => {
        if (problems.fields[name]) setChangedFields([...changedFields, name]);
      },
    },
    h(
      "div",
      { class: "fields", inert: isBusy },
      h(FieldProblems.Provider, { value: Object.fromEntries(present) }, children),
    ),
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
        .join("\n");
    else others.push(fieldText(error));
  }
  // The message refers to the policy where that helps.
  return {
    fields,
    summary: errors.length ? others.join("\n") : message,
    policy: message.includes("`policy`") && policy,
  };
}

// Returns the place of a problem in the value of a field. The entries of a list are counted from 1.
const placeInField = (parts) =>
  parts.length === 1 && /^\d+$/.test(parts[0]) ? `#${Number(parts[0]) + 1}` : parts.join("/");
