// Accounts of an installation: the sections of forms that connect them, and their list.

import { text, formatList } from "./texts.js";
import { button, h, newId, notice } from "./dom.js";
import { put } from "./changes.js";
import { formField, markChanged, missingValue, readValue, reviewValue, toPointer } from "./form.js";
import { send } from "./port.js";
import { prefilled, sectionForm } from "./sections.js";
import { credentialOf, credentialsOf, loadIntegration, own, state } from "./state.js";

export { accountSection, accountList, appConnects, connecting, isConnected, reconnectView };

// A new version of an integration may have an account that was not connected yet.
const isConnected = (installation, type) => Boolean(own(installation.credentialIds, type));

// Keys of the texts about connecting an account, for the first time or again.
const CONNECT = { action: "connect", title: "connectTitle", attention: "attention.connect", done: "nowConnected" };
const RECONNECT = { action: "reconnect", title: "reconnectTitle", attention: "attention.account", done: "reconnected" };
const connecting = (installation, type) => (isConnected(installation, type) ? RECONNECT : CONNECT);

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

function accountList(installation, integration, { openReconnect, canChange }) {
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
        const id = newId("account");
        const status = !isConnected(installation, type) ? "notConnected" : isValid ? "connected" : "invalid";
        return h(
          "li",
          { class: "row" },
          h(
            "span",
            {},
            h("strong", { id }, credential?.name ?? name),
            " ",
            h("span", { class: `badge ${status === "connected" ? "active" : "needs-attention"}` }, text(status)),
            credential?.statusReason && h("span", { class: "help" }, credential.statusReason),
          ),
          // The app replaces the account, unless there is another one.
          canChange &&
            (fields.length > 0 || status !== "connected" || validCredentialsOf(type).length > 1) &&
            button(text(connecting(installation, type).action), () => openReconnect(type), "", {
              "aria-describedby": id,
            }),
        );
      }),
    ),
  );
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
          const body = { credentials: Object.create(null) };
          section.read(form, body);
          return put(installation.integrationId, body, installation);
        },
        openNext: () => openInstallation(text(texts.done, { account: name })),
        reload: openInstallation,
      }),
  ];
}
