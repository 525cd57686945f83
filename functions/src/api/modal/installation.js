// Installation of an integration: a form or steps at first, then its accounts, settings and
// workflows.

import { text } from "./texts.js";
import { accountList, accountSection, appConnects, connecting } from "./accounts.js";
import { call } from "./api.js";
import { statusBadge } from "./catalogue.js";
import { installationPath, put } from "./changes.js";
import { button, confirmDialog, h, newId, notice } from "./dom.js";
import { fromPointer, reviewValue } from "./form.js";
import { send } from "./port.js";
import { sectionForm, settingsSection, stepForm, workflowsSection } from "./sections.js";
import { canInstall, canManage, installationOf, own, state } from "./state.js";
import { workflowList } from "./workflows.js";

export { installView, manageView };

// Number of inputs up to which everything fits into one form.
const MAX_IN_ONE_FORM = 8;

// Creates the form of the first installation, in steps if it has many inputs.
function installView(integration, { openResult, reload }) {
  const { integrationId: id, credentialTypes, workflows } = integration;
  if (!canInstall()) return h("p", { class: "notice" }, text("readOnly"));
  const sections = [
    ...credentialTypes.map((type) => accountSection(type)),
    ...(integration.settings.length > 0 ? [settingsSection(integration)] : []),
    ...(workflows.length > 1 ? [workflowsSection(integration)] : []),
  ];
  const save = (form) => {
    // A type may have the name of a member of every object, such as "__proto__".
    const body = { credentials: Object.create(null), settings: {} };
    for (const section of sections) section.read(form, body);
    return put(id, body);
  };
  const missing = sections.filter(({ isMissing }) => isMissing);
  if (missing.length > 0) {
    const accounts = missing.map(({ title, type }) =>
      h(
        "section",
        {},
        h("h2", {}, title),
        appConnects(id, { type, name: title }, () => reload()),
      ),
    );
    return [onlyWorkflow(workflows), accounts];
  }
  const total = sections.reduce((sum, section) => sum + section.inputs, 0);
  const form = total <= MAX_IN_ONE_FORM ? sectionForm : stepForm;
  return [onlyWorkflow(workflows), form(sections, text("install"), { save, openNext: openResult, reload })];
}

// Describes the workflow of an integration with one only: there is nothing to choose.
function onlyWorkflow([{ name, description }, ...others]) {
  if (others.length > 0) return null;
  const help = description && h("p", { class: "help" }, description);
  return h("section", {}, h("h2", {}, text("workflows")), h("strong", {}, name), help);
}

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
      accountList(installation, integration, { openReconnect, canChange }),
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
      const id = newId("attention");
      return h(
        "li",
        { class: "row" },
        h("span", { id }, text(texts.attention, { account: credentialType.name })),
        canChange && button(text(texts.action), () => openReconnect(name), "primary", { "aria-describedby": id }),
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
