// Forms that consist of sections. Each section has a title, its content, the number of its inputs,
// and functions that check, read and review them.

import { text, formatList } from "./texts.js";
import { button, h, newId, notice, showFailure } from "./dom.js";
import { own, state } from "./state.js";
import {
  clearFieldErrors,
  enterAgain,
  formField,
  fromPointer,
  isChanged,
  localized,
  markChanged,
  missingValue,
  readValue,
  reviewValue,
  showFieldErrors,
} from "./form.js";

export { prefilled, reloadAfter, sectionForm, settingsSection, stepForm, workflowsSection };

const prefilled = (field, values) => (field.type === "secret" ? undefined : own(values, field.name));

// Section for the settings. Of those of an installation, only what the user has changed and what
// they lack is sent, so that nothing is overwritten that was changed elsewhere, and none is
// prefilled. What needs attention is sent too.
function settingsSection({ settings }, { settings: present, attention: flagged = [] } = {}) {
  const pointer = (field) => `/settings/${field.name}`;
  const initial = (field) => (present ? own(present, field.name) : prefilled(field, state.options.prefill?.settings));
  const values = (form) => settings.map((field) => [field, readValue(form, field, pointer(field))]);
  const has = (field) => own(present, field.name) !== undefined;
  const isKept = (form, field) =>
    has(field) && !isChanged(form, pointer(field)) && !flagged.some((one) => one.pointer === pointer(field));
  return {
    title: text("settings"),
    content: settings.map((field) => formField(field, pointer(field), initial(field))),
    inputs: settings.length,
    // The input cannot show every value exactly.
    check: (form) =>
      values(form).map(([field, value]) => ({
        pointer: pointer(field),
        detail: value !== undefined && isKept(form, field) ? null : missingValue(field, value),
      })),
    read: (form, body) => {
      const isSent = ([field, value]) => !isKept(form, field) && (has(field) || value !== undefined);
      body.settings = Object.fromEntries(
        values(form)
          .filter(isSent)
          .map(([field, value]) => [field.name, value ?? null]),
      );
    },
    review: (form) => values(form).map(([field, value]) => [field.label, reviewValue(field, value)]),
  };
}

// Section for the choice of workflows, all of which are chosen at first.
function workflowsSection({ workflows }) {
  const errorId = newId("error");
  const boxes = workflows.map((workflow) => {
    const [id, helpId] = [newId("workflow"), newId("help")];
    const box = h("input", {
      id,
      type: "checkbox",
      name: "workflow",
      value: workflow.key,
      checked: true,
      "data-pointer": "/workflows",
      "aria-describedby": [workflow.description && helpId, errorId].filter(Boolean).join(" "),
      oninput: markChanged,
    });
    return {
      box,
      workflow,
      row: h(
        "div",
        { class: "field" },
        h("label", { class: "check", for: id }, box, workflow.name),
        workflow.description && h("p", { class: "help", id: helpId }, workflow.description),
      ),
    };
  });
  const chosen = () => boxes.filter(({ box }) => box.checked).map(({ workflow }) => workflow);
  const error = h("p", { class: "error", id: errorId });
  return {
    title: text("workflows"),
    content: [h("p", { class: "quiet" }, text("workflowsHelp")), boxes.map(({ row }) => row), error],
    inputs: workflows.length,
    check: () => [{ pointer: "/workflows", detail: chosen().length === 0 ? text("atLeastOne") : null }],
    read: (_, body) => {
      body.workflows = chosen().map(({ key }) => key);
    },
    review: () => [[text("workflows"), formatList(chosen().map(({ name }) => name))]],
  };
}

const fieldset = ({ title, content }) => h("fieldset", {}, h("legend", {}, title), content);

// Returns the fields of the sections that cannot be sent as they are.
const invalidFields = (form, sections) =>
  sections.flatMap((section) => section.check(form)).filter(({ detail }) => detail);

// Creates a form of all sections. `save` sends it, `openNext` opens the next view, and `reload` the
// form of the present version of the integration.
function sectionForm(sections, submit, actions) {
  const failure = h("div", { role: "alert" });
  const submitButton = button(submit, () => submitSections(form, sections, failure, actions), "primary");
  submitButton.type = "submit";
  const form = h(
    "form",
    { novalidate: true, onsubmit: (event) => event.preventDefault() },
    sections.map(fieldset),
    failure,
    h("div", { class: "actions" }, submitButton),
  );
  return form;
}

// Closes the question whether to leave a form that was being saved.
const closeDialog = () => document.querySelector("dialog[open]")?.close();

// Opens the view again after a conflict, and shows why.
async function reloadAfter(problem, reload) {
  const reloaded = state.view + 1;
  await reload();
  // Unless that failed too.
  if (state.view === reloaded && !document.querySelector(".end")) showFailure(problem);
}

// Checks and sends the form, and marks what is invalid.
async function submitSections(form, sections, failure, { save, openNext, reload }) {
  failure.replaceChildren();
  clearFieldErrors(form);
  const invalid = invalidFields(form, sections);
  if (showFieldErrors(form, invalid).length < invalid.length) return;
  // Nothing else can be started or entered meanwhile.
  const view = form.closest("main");
  view.inert = true;
  // Who leaves the view is asked whether to discard the form. The view stays until the next one is
  // loaded.
  const { isDirty, view: number } = state;
  Object.assign(state, { isDirty: true, isSaving: true });
  const wasLeft = () => !form.isConnected || number !== state.view;
  try {
    await save(form);
  } catch (problem) {
    if (wasLeft()) return;
    Object.assign(state, { isDirty, isSaving: false });
    closeDialog();
    view.inert = false;
    form.querySelector("[type=submit]").focus();
    if (["gone", "changed"].includes(problem.kind)) {
      await reloadAfter(problem, reload);
      return;
    }
    if (problem.kind !== "invalid") throw problem;
    const unknown = showFieldErrors(
      form,
      problem.errors.map((error) => localized(form, error)),
    );
    const others = unknown.map(({ pointer, detail }) =>
      [fromPointer(pointer).at(-1), detail].filter(Boolean).join(": "),
    );
    // The integration has fields that the form lacks, unless an object as a whole is refused.
    const isOutdated = unknown.some(({ pointer }) => !/^(\/credentials\/[^/]+\/data|\/settings|)$/.test(pointer));
    const again =
      isOutdated &&
      button(text("reloadForm"), async () => {
        const reloaded = state.view + 1;
        await reload();
        if (state.view === reloaded) enterAgain(form);
      });
    const marked = others.length < problem.errors.length && text("formInvalid");
    failure.replaceChildren(notice([marked, ...others].filter(Boolean).join(" "), "danger", again));
    return;
  }
  if (wasLeft()) return;
  Object.assign(state, { isDirty: false, isSaving: false });
  closeDialog();
  await openNext();
}

// Creates a form that shows one section after the other, and then all that was entered.
function stepForm(sections, submit, saveActions) {
  const failure = h("div", { role: "alert" });
  const review = h("fieldset", {});
  const pages = [...sections.map(fieldset), review];
  const progress = h("p", { class: "quiet", tabindex: -1 });
  const actions = h("div", { class: "actions" });
  const form = h(
    "form",
    { novalidate: true, onsubmit: (event) => event.preventDefault() },
    progress,
    pages,
    failure,
    actions,
  );
  const open = (index, focuses = true) => {
    for (const [at, page] of pages.entries()) page.hidden = at !== index;
    const isLast = index === sections.length;
    if (isLast) {
      review.replaceChildren(
        h("legend", {}, text("review")),
        h("p", { class: "quiet" }, text("reviewHelp")),
        ...sections.map((section) =>
          h(
            "div",
            {},
            h("h3", {}, section.title),
            h(
              "dl",
              {},
              section.review(form).map(([label, value]) => [h("dt", {}, label), h("dd", {}, value)]),
            ),
          ),
        ),
      );
    }
    progress.textContent = text("step", { step: index + 1, steps: pages.length });
    const next = button(
      isLast ? submit : text("continue"),
      async () => {
        if (isLast) {
          await submitSections(form, sections, failure, saveActions);
          // The server has named fields of an earlier step.
          const at = pages.findIndex((page) => page.querySelector("[aria-invalid]"));
          if (at >= 0) {
            open(at, false);
            pages[at].querySelector("[aria-invalid]").focus();
          }
          return;
        }
        failure.replaceChildren();
        clearFieldErrors(pages[index]);
        const invalid = invalidFields(form, [sections[index]]);
        if (showFieldErrors(form, invalid).length === invalid.length) open(index + 1);
      },
      "primary",
    );
    next.type = "submit";
    const back =
      index > 0 &&
      button(text("back"), () => {
        failure.replaceChildren();
        open(index - 1);
      });
    actions.replaceChildren(...[back, next].filter(Boolean));
    if (focuses) progress.focus();
  };
  open(0, false);
  return form;
}
