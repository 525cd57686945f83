// Installation of an integration: a form or steps at first, then its accounts, settings and
// workflows.

import { text, formatList } from "./texts.js";
import { call, claims, deferred, RequestError } from "./api.js";
import { h, button, announce, notice, showFailure, confirmDialog, newId } from "./dom.js";
import {
  state,
  loadSession,
  loadIntegration,
  installationOf,
  credentialsOf,
  credentialOf,
  canInstall,
  canManage,
  userPath,
} from "./state.js";
import {
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
  localized,
  missingValue,
} from "./form.js";
import { statusBadge } from "./catalogue.js";
import { send } from "./port.js";

export { installView, isConnected, connecting, manageView, reconnectView };

// Number of inputs up to which everything fits into one form.
const MAX_IN_ONE_FORM = 8;

const installationPath = (id) => userPath(`installations/${encodeURIComponent(id)}`);

// Tells the host about a change of an installation.
function report(name, { integrationId, credentialIds, workflows, status }) {
  send({ type: "event", name, detail: { integrationId, credentialIds, workflows, status } });
}

// Stores an installation, and reports it to the host. `shown` is the present one as the user saw
// it, if there is one.
async function put(id, body, shown) {
  const installation = await (shown ? change(id, body, shown) : install(id, body));
  remember(installation);
  report(shown ? "updated" : "installed", installation);
  return installation;
}

// Replaces what the page knows of an installation.
function remember(installation) {
  state.session.installations = [
    installation,
    ...state.session.installations.filter((one) => one.integrationId !== installation.integrationId),
  ];
}

// Installs an integration that is not installed yet. A repetition succeeds if only the response was
// lost.
async function install(id, body) {
  const request = JSON.stringify([installationPath(id), body]);
  try {
    const installed = await call("PUT", installationPath(id), body, { "if-none-match": "*" });
    state.unanswered = null;
    return installed;
  } catch (problem) {
    if (["offline", "failed"].includes(problem.kind)) state.unanswered = request;
    if (problem.kind !== "changed" || state.unanswered !== request) throw problem;
    await loadSession();
    state.unanswered = null;
    const installed = installationOf(id);
    if (!installed) throw problem;
    return installed;
  }
}

// Changes an installation. It is not installed again if it was uninstalled elsewhere, no account is
// added twice if a response was lost, and what was entered replaces the data of no other account
// than the one that was shown.
async function change(id, body, shown) {
  const entered = Object.entries(body.credentials ?? {})
    .filter(([, { data }]) => data)
    .map(([type]) => type);
  const attempt = async () => {
    const present = installationOf(id);
    const isShown = entered.every((type) => own(present?.credentialIds, type) === own(shown.credentialIds, type));
    if (!isShown) throw new RequestError("changed");
    return call("PUT", installationPath(id), body, {
      "if-match": entered.length > 0 && present ? `"${present.revision}"` : "*",
    });
  };
  return attempt().catch(async (problem) => {
    if (problem.kind !== "changed" || entered.length === 0) throw problem;
    // Something else may have changed.
    await loadSession();
    return attempt();
  });
}

// A new version of an integration may have an account that was not connected yet.
const isConnected = (installation, type) => Boolean(own(installation.credentialIds, type));

// Keys of the texts about connecting an account, for the first time or again.
const CONNECT = { action: "connect", title: "connectTitle", attention: "attention.connect", done: "nowConnected" };
const RECONNECT = { action: "reconnect", title: "reconnectTitle", attention: "attention.account", done: "reconnected" };
const connecting = (installation, type) => (isConnected(installation, type) ? RECONNECT : CONNECT);

// ------------------------------------------------------------------------------------------
// Sections of the forms. Each has a title, its content, and functions that read and check it.

// Values have names of the integration, such as "constructor".
const own = (values, name) => (values && Object.hasOwn(values, name) ? values[name] : undefined);
const prefilled = (field, values) => (field.type === "secret" ? undefined : own(values, field.name));

const validCredentialsOf = (type) => credentialsOf(type).filter(({ status }) => status === "valid");

// Value of the choice to connect an account that the user does not have yet, beside that of an
// installation.
const ANOTHER = "another";

// Section for the account of a credential type: one that the user has, or the fields of another
// one. The fields of the account that an installation has can be entered again.
function accountSection(credentialType, installation) {
  const { type, name, fields } = credentialType;
  const present = own(installation?.credentialIds, type);
  const existing = validCredentialsOf(type).filter(({ credentialId }) => credentialId !== present);
  if (fields.length === 0) return appAccountSection(credentialType, existing);
  const pointer = (field) => toPointer("credentials", type, "data", field.name);
  const known = credentialsOf(type).find(({ credentialId }) => credentialId === present);
  // A name tells the account apart from those that the user has.
  const namePointer = toPointer("credentials", type, "name");
  const nameField = (known || existing.length > 0) && {
    name: "name",
    label: text("accountName"),
    type: "text",
    help: text("accountNameHelp"),
  };
  const nameBox = nameField && formField(nameField, namePointer);
  const inputs = h(
    "div",
    {},
    fields.map((field) =>
      formField(field, pointer(field), prefilled(field, own(state.options.prefill?.credentials, type))),
    ),
    nameBox,
  );
  const entered = h("option", { value: "", selected: Boolean(known) }, known?.name ?? text("newAccount"));
  const options = existing.map(accountOption);
  const another = h("option", { value: ANOTHER }, text("newAccount"));
  const choice = nameField && accountChoice(type, known ? [entered, options, another] : [options, entered]);
  const chosen = () => choice && choice.value !== ANOTHER && choice.value;
  const shared = known && sharedHelp(installation, type, present);
  const showChosen = () => {
    inputs.hidden = Boolean(chosen());
    if (nameBox) nameBox.hidden = existing.length === 0 && choice.value !== ANOTHER;
    if (shared) shared.hidden = choice.value !== "";
  };
  if (choice) choice.addEventListener("change", showChosen);
  showChosen();
  const values = (form) => fields.map((field) => [field, readValue(form, field, pointer(field))]);
  return {
    title: name,
    content: [choice && choiceField(choice), shared, inputs],
    inputs: fields.length + (choice ? 1 : 0),
    check: (form) =>
      chosen()
        ? []
        : values(form).map(([field, value]) => ({ pointer: pointer(field), detail: missingValue(field, value) })),
    read: (form, body) => {
      const data = values(form)
        .filter(([, value]) => value !== undefined)
        .map(([field, value]) => [field.name, value]);
      const accountName = nameBox && !nameBox.hidden && readValue(form, nameField, namePointer);
      const isNew = choice && choice.value === ANOTHER;
      body.credentials[type] = chosen()
        ? { credentialId: chosen() }
        : { data: Object.fromEntries(data), ...(accountName && { name: accountName }), ...(isNew && { new: true }) };
    },
    review: (form) =>
      chosen()
        ? [chosenAccount(choice)]
        : values(form).map(([field, value]) => [field.label, reviewValue(field, value)]),
  };
}

// Help that names the other integrations with the same account, or null if there are none.
function sharedHelp(installation, type, credentialId) {
  const isOther = (one) => one !== installation && own(one.credentialIds, type) === credentialId;
  const others = state.session.installations.filter(isOther).map(({ integrationId }) => integrationId);
  if (others.length === 0) return null;
  const help = h("p", { class: "help" });
  const nameOthers = () => {
    help.textContent = text("sharedAccount", {
      integrations: formatList(others.map((id) => state.integrations.get(id)?.name ?? id)),
    });
  };
  nameOthers();
  // The host may have asked for one integration.
  Promise.all(others.filter((id) => !state.integrations.has(id)).map((id) => loadIntegration(id))).then(
    nameOthers,
    () => {},
  );
  return help;
}

// Section for an account that the app connects: one of those that exist.
function appAccountSection({ type, name }, existing) {
  const choice = accountChoice(type, existing.map(accountOption));
  return {
    title: name,
    type,
    content: choiceField(choice),
    inputs: 1,
    isMissing: existing.length === 0,
    check: () => [],
    read: (_, body) => {
      body.credentials[type] = { credentialId: choice.value };
    },
    review: () => [chosenAccount(choice)],
  };
}

const accountOption = ({ credentialId, name }) => h("option", { value: credentialId }, name);

function accountChoice(type, options) {
  const id = newId("field");
  return h(
    "select",
    {
      id,
      "data-pointer": toPointer("credentials", type, "credentialId"),
      "aria-describedby": `${id}-error`,
      oninput: markChanged,
    },
    options,
  );
}

const choiceField = (choice) =>
  h(
    "div",
    { class: "field" },
    h("label", { for: choice.id }, text("useAccount")),
    choice,
    h("p", { id: `${choice.id}-error`, class: "error" }),
  );
const chosenAccount = (choice) => [text("account"), choice.selectedOptions[0].textContent];

// Says that the app connects an account, with a button that asks the app to do it, if it can, and
// one that loads the view again.
function appConnects(integrationId, { type, name }, reload) {
  const { connects } = state.options;
  const account = { integrationId, type };
  const ask = () => send({ type: "connect", detail: account });
  const shown = notice(
    text(connects ? "appCanConnect" : "appConnects"),
    "warn",
    h(
      "div",
      { class: "actions start" },
      connects && button(text("connectTitle", { account: name }), ask, "primary"),
      button(text("tryAgain"), reload),
    ),
  );
  // The app connects it in another window, and reports when that is done.
  shown.setAttribute("data-account", JSON.stringify(account));
  shown.addEventListener("connected", () => {
    if (!shown.closest("main").inert) return reload();
  });
  return shown;
}

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

// ------------------------------------------------------------------------------------------
// First installation

// Creates the form, in steps if it has many inputs.
function installView(integration, { openResult, reload }) {
  const { integrationId: id, credentialTypes, workflows } = integration;
  if (!canInstall()) return h("p", { class: "notice" }, text("readOnly"));
  const sections = [
    ...credentialTypes.map((type) => accountSection(type)),
    ...(integration.settings.length > 0 ? [settingsSection(integration)] : []),
    ...(workflows.length > 1 ? [workflowsSection(integration)] : []),
  ];
  const save = (form) => {
    const body = { credentials: {}, settings: {} };
    for (const section of sections) section.read(form, body);
    return put(id, body);
  };
  const missing = sections.filter(({ isMissing }) => isMissing);
  if (missing.length > 0) {
    return missing.map(({ title, type }) =>
      h(
        "section",
        {},
        h("h2", {}, title),
        appConnects(id, { type, name: title }, () => reload()),
      ),
    );
  }
  const total = sections.reduce((sum, section) => sum + section.inputs, 0);
  return total <= MAX_IN_ONE_FORM
    ? sectionForm(sections, text("install"), { save, openNext: openResult, reload })
    : stepForm(sections, text("install"), { save, openNext: openResult, reload });
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

// ------------------------------------------------------------------------------------------
// Present installation

// Creates the view of an installation. `integration` is null if the catalogue no longer offers it.
function manageView(installation, integration, { openReconnect, openCatalogue, reload, errors }) {
  const name = integration?.name ?? installation.integrationId;
  const canChange = canInstall() && integration !== null;
  const status = h("p", {}, statusBadge(installation.status));
  const showStatus = () =>
    status.replaceChildren(statusBadge(installationOf(installation.integrationId)?.status ?? "inactive"));
  return [
    status,
    integration === null && notice(canManage() ? `${text("retired")} ${text("retiredHelp")}` : text("retired"), "warn"),
    attention(installation, integration, { openReconnect, canChange }),
    errors && h("section", { class: "stack" }, h("h2", {}, text("errors")), errors),
    integration &&
      integration.credentialTypes.length > 0 &&
      accounts(installation, integration, { openReconnect, canChange }),
    integration && integration.settings.length > 0 && settingsForm(installation, integration, { canChange, reload }),
    workflowList(installation, integration, { showStatus, reload }),
    canManage() &&
      h(
        "div",
        { class: "actions start" },
        button(
          text("uninstall"),
          async () => {
            const wasUninstalled = await confirmDialog({
              title: text("uninstallTitle", { integration: name }),
              help: text("uninstallHelp"),
              confirm: text("uninstall"),
              cancel: text("cancel"),
              action: () =>
                call("DELETE", installationPath(installation.integrationId)).catch((problem) => {
                  // The response to a first attempt was lost, or it was uninstalled elsewhere.
                  if (problem.kind !== "gone") throw problem;
                }),
            });
            if (!wasUninstalled) return;
            send({ type: "event", name: "uninstalled", detail: { integrationId: installation.integrationId } });
            // The user may have closed the dialog and opened another view.
            if (!status.isConnected) return;
            state.isDirty = false;
            await openCatalogue(text("uninstalled", { integration: name }));
          },
          "danger outline",
        ),
      ),
  ];
}

// Says what has to be repaired, with the action that repairs it.
function attention(installation, integration, { openReconnect, canChange }) {
  if (installation.attention.length === 0 || !integration) return null;
  const item = ({ pointer, detail }) => {
    const [kind, name] = fromPointer(pointer);
    const credentialType = kind === "credentials" && integration.credentialTypes.find(({ type }) => type === name);
    if (credentialType) {
      const texts = connecting(installation, name);
      return h(
        "li",
        { class: "row" },
        h("span", {}, text(texts.attention, { account: credentialType.name })),
        canChange && button(text(texts.action), () => openReconnect(name), "primary"),
      );
    }
    const setting = integration.settings.find((field) => field.name === name);
    return h("li", {}, setting ? text("attention.setting", { setting: setting.label }) : detail);
  };
  return h(
    "div",
    { class: "notice danger" },
    h("p", {}, text("attention")),
    h("ul", {}, installation.attention.map(item)),
  );
}

function accounts(installation, integration, { openReconnect, canChange }) {
  return h(
    "section",
    {},
    h("h2", {}, text("accounts")),
    h(
      "ul",
      { class: "rows" },
      integration.credentialTypes.map(({ type, name, fields }) => {
        const credential = credentialOf(installation, type);
        const needsAttention = installation.attention.some((one) => one.pointer === toPointer("credentials", type));
        // The session lists some credentials only.
        const isValid = credential ? credential.status === "valid" : !needsAttention;
        const status = !isConnected(installation, type) ? "notConnected" : isValid ? "connected" : "invalid";
        return h(
          "li",
          { class: "row" },
          h(
            "span",
            {},
            h("strong", {}, credential?.name ?? name),
            " ",
            h("span", { class: `badge ${status === "connected" ? "active" : "needs-attention"}` }, text(status)),
            credential?.statusReason && h("span", { class: "help" }, credential.statusReason),
          ),
          // The app replaces the account, unless there is another one.
          canChange &&
            (fields.length > 0 || status !== "connected" || validCredentialsOf(type).length > 1) &&
            button(text(connecting(installation, type).action), () => openReconnect(type)),
        );
      }),
    ),
  );
}

function settingsForm(installation, integration, { canChange, reload }) {
  const section = settingsSection(integration, installation);
  if (!canChange) {
    const shown = integration.settings.map((field) => [
      h("dt", {}, field.label),
      h("dd", {}, reviewValue(field, own(installation.settings, field.name))),
    ]);
    return h("section", {}, h("h2", {}, text("settings")), h("dl", {}, shown));
  }
  return sectionForm([section], text("save"), {
    save: (form) => {
      const body = {};
      section.read(form, body);
      return put(installation.integrationId, body, installation);
    },
    openNext: () => reload(text("saved")),
    reload,
  });
}

function workflowList(installation, integration, actions) {
  const described = new Map(integration?.workflows.map((workflow) => [workflow.key, workflow]) ?? []);
  // Workflows that a new version of the integration has added are created when they are switched
  // on.
  const missing = (integration?.workflows ?? []).filter(
    ({ key }) => !installation.workflows.some((workflow) => workflow.key === key),
  );
  const rows = [...installation.workflows, ...missing.map(({ key, name }) => ({ key, name, active: false }))];
  return h(
    "section",
    {},
    h("h2", {}, text("workflows")),
    h(
      "ul",
      { class: "rows" },
      rows.map((workflow) => {
        const id = newId("workflow");
        const description = described.get(workflow.key)?.description;
        const canSwitch = workflow.workflowId && canManage() ? true : canInstall() && integration !== null;
        const toggle = h("input", {
          id,
          type: "checkbox",
          role: "switch",
          checked: workflow.active,
          disabled: !canSwitch,
          onchange: () => switchWorkflow(toggle, installation, workflow, actions),
        });
        return h(
          "li",
          { class: "row" },
          h(
            "label",
            { for: id },
            h("strong", {}, workflow.name),
            description && h("span", { class: "help" }, description),
          ),
          toggle,
        );
      }),
    ),
  );
}

// Switches a workflow on or off, after previous switches. A token that may only install does it
// through the installation, with all active workflows.
async function switchWorkflow(toggle, installation, workflow, { showStatus, reload }) {
  const { integrationId } = installation;
  const active = toggle.checked;
  toggle.disabled = true;
  const previous = state.switches;
  const { promise, resolve } = deferred();
  state.switches = promise;
  const user = claims?.sub;
  await previous;
  try {
    // Nothing is switched for the next user.
    if (claims?.sub !== user) throw new RequestError("stale");
    if (workflow.workflowId && canManage()) {
      await call("PUT", `workflows/${active ? "activate" : "deactivate"}`, { workflowId: workflow.workflowId });
      // The workflow is switched, even if the new status cannot be shown.
      await loadSession().catch((problem) => {
        if (problem.kind === "stale") throw problem;
      });
    } else {
      await loadSession();
      const present = installationOf(integrationId);
      if (!present) throw new RequestError("gone");
      const others = present.workflows.filter((one) => one.active && one.key !== workflow.key).map(({ key }) => key);
      remember(await change(integrationId, { workflows: active ? [...others, workflow.key] : others }, present));
    }
    const known = installationOf(integrationId)?.workflows.find(({ key }) => key === workflow.key);
    const workflowId = known?.workflowId ?? workflow.workflowId;
    Object.assign(workflow, { workflowId, active });
    send({
      type: "event",
      name: active ? "activated" : "deactivated",
      detail: { integrationId, workflowId, key: workflow.key },
    });
    if (toggle.isConnected) announce(text(active ? "activated" : "deactivated", { workflow: workflow.name }));
    showStatus();
  } catch (problem) {
    toggle.checked = !active;
    if (problem.kind !== "gone" || !toggle.isConnected || state.isDirty) throw problem;
    // The next view waits for all switches.
    resolve();
    await reloadAfter(problem, reload);
  } finally {
    resolve();
    toggle.disabled = false;
    // A disabled control loses the focus. The user may have moved it meanwhile.
    if ([document.body, toggle].includes(document.activeElement)) toggle.focus();
  }
}

// Creates the form that connects an account of an installation again.
function reconnectView(installation, credentialType, { openInstallation }) {
  const { type, name, fields } = credentialType;
  const section = accountSection(credentialType, installation);
  const reason = credentialOf(installation, type)?.statusReason;
  const isOfApp = fields.length === 0;
  // A form for an account of the app only changes which one is used.
  const texts = isOfApp ? CONNECT : connecting(installation, type);
  return [
    reason && notice(text("invalidReason", { account: name, reason }), "danger"),
    isOfApp && appConnects(installation.integrationId, credentialType, () => openInstallation()),
    !section.isMissing &&
      sectionForm([section], text(texts.action), {
        save: (form) => {
          const body = { credentials: {} };
          section.read(form, body);
          return put(installation.integrationId, body, installation);
        },
        openNext: () => openInstallation(text(texts.done, { account: name })),
        reload: openInstallation,
      }),
  ];
}
