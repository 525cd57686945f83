// Views of the page.

import { text } from "./texts.js";
import { isFramed, send } from "./port.js";
import { claims } from "./api.js";
import { h, button } from "./dom.js";
import {
  state,
  loadSession,
  loadCatalogue,
  loadIntegration,
  loadErrors,
  presentGroups,
  installationOf,
} from "./state.js";
import { catalogueView } from "./catalogue.js";
import { isConnected, connecting, reconnectView } from "./accounts.js";
import { installView, manageView } from "./installation.js";
import { errorList } from "./errors.js";
import { fromPointer } from "./form.js";
import { leaveView, openView, show } from "./view.js";

export { openFirst, openIntegration };

// Number of groups of errors in the view of an installation.
const MAX_ERRORS_OF_INSTALLATION = 3;

// View to which the others lead back: none if the host asked for one integration.
const homeOf = () =>
  claims?.hosted || (state.options.integrationId && state.options.view !== "catalogue") ? null : () => openCatalogue();

async function openCatalogue(message) {
  await openView(
    async () => {
      const [, , errors] = await Promise.all([loadSession(), loadCatalogue(), loadErrors().catch(() => null)]);
      return errors;
    },
    (errors) =>
      show(
        { title: text("title"), message },
        catalogueView({ openIntegration: (id) => openIntegration(id), openErrors: () => openErrors(), errors }),
      ),
  );
}

// Returns the name by which a user knows the account.
function displayName({ fullName, email, username }) {
  const name = email ?? username;
  return fullName ? `${fullName} (${name})` : name;
}

async function openIntegration(id, message) {
  await openView(
    async () => {
      const [, integration] = await Promise.all([loadSession(), loadIntegration(id)]);
      const errors = installationOf(id) && integration && (await loadErrors(id).catch(() => null));
      return { integration, errors };
    },
    ({ integration, errors }) => {
      const installation = installationOf(id);
      if (!installation && !integration) {
        console.warn(`tenon: the integration ${id} does not exist, is disabled, or is none of those of the token`);
        show({ title: text("title"), back: homeOf(), message }, h("p", { class: "empty" }, text("unavailable")));
        return;
      }
      const title = integration?.name ?? id;
      const { user, environment } = state.session;
      const description = [
        integration?.description && h("p", { class: "quiet" }, integration.description),
        // Anyone who has an environment can send a link to this page, with an integration that
        // looks like another one.
        claims.hosted &&
          h("p", { class: "quiet" }, text("linkOwner", { user: displayName(user), environment: environment.name })),
      ];
      const view = { title, integration, back: homeOf(), message };
      if (!installation) {
        show(
          view,
          description,
          installView(integration, { openResult: () => openResult(integration), reload: () => openIntegration(id) }),
        );
        return;
      }
      show(
        view,
        description,
        manageView(installation, integration, {
          openReconnect: (type) => leaveView(() => openReconnect(integration, type)),
          openCatalogue: (uninstalled) => (homeOf() ? openCatalogue(uninstalled) : openIntegration(id, uninstalled)),
          reload: (saved) => openIntegration(id, saved),
          errors: errors &&
            presentGroups(errors).length > 0 && [
              errorList(errors, () => leaveView(() => openAccounts(id)), MAX_ERRORS_OF_INSTALLATION),
              presentGroups(errors).length > MAX_ERRORS_OF_INSTALLATION &&
                button(text("showErrors"), () => leaveView(() => openErrors(id))),
            ],
        }),
      );
    },
  );
}

function openResult(integration) {
  const done = button(text("done"), () => send({ type: "close" }), "primary");
  show(
    { title: text("installed", { integration: integration.name }), integration },
    h("p", { class: "quiet result" }, claims.hosted ? text("linkDone") : text("installedHelp")),
    h(
      "div",
      { class: "actions" },
      !claims.hosted && button(text("manage"), () => openIntegration(integration.integrationId)),
      isFramed && !state.options.inline && done,
      state.options.inline && homeOf() && button(text("done"), homeOf(), "primary"),
    ),
  );
}

// `back` opens the view that led here.
function openReconnect(integration, type, back) {
  const credentialType = integration.credentialTypes.find((one) => one.type === type);
  const installation = installationOf(integration.integrationId);
  const openInstallation = (message) => openIntegration(integration.integrationId, message);
  show(
    {
      title: text(connecting(installation, type).title, { account: credentialType.name }),
      integration,
      back: back ?? (() => openInstallation()),
    },
    reconnectView(installation, credentialType, { openInstallation }),
  );
}

// Opens the account of an integration that does not work, or the integration if it is not clear
// which one.
function openAccounts(id, back) {
  const integration = state.integrations.get(id);
  const installation = installationOf(id);
  const broken = (installation?.attention ?? [])
    .map(({ pointer }) => fromPointer(pointer))
    .filter(([kind]) => kind === "credentials")
    .map(([, name]) => name);
  const [only, ...others] = integration.credentialTypes;
  // Errors come from an account that was connected.
  const type =
    broken.find((name) => isConnected(installation, name)) ?? broken[0] ?? (others.length === 0 ? only.type : null);
  // A new version of the integration may have another type.
  if (installation && integration.credentialTypes.some((one) => one.type === type))
    openReconnect(integration, type, back);
  else return openIntegration(id);
}

async function openErrors(id) {
  await openView(
    async () => {
      const [errors] = await Promise.all([loadErrors(id), loadSession(), id ? loadIntegration(id) : loadCatalogue()]);
      return errors;
    },
    (errors) =>
      show(
        { title: text("errors"), back: id ? () => openIntegration(id) : homeOf() },
        h("p", { class: "quiet" }, text("errorsSince")),
        errorList(errors, (failing) => openAccounts(failing, () => openErrors(id))),
      ),
  );
}

function openFirst() {
  const { integrationId, view } = state.options;
  if (view === "errors") return openErrors(integrationId);
  return integrationId && view !== "catalogue" ? openIntegration(integrationId) : openCatalogue();
}
