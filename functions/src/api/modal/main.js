// Views of the page, and its start: in a frame of the customer's app, or from an install link.

import { text, setLanguage } from "./texts.js";
import { applyTheme, setThemes } from "./theme.js";
import { ancestors, isFramed, connectHost, send } from "./port.js";
import {
  claims,
  readClaims,
  acceptToken,
  forgetToken,
  renewToken,
  onTokenDue,
  exchangeTicket,
  isRenewable,
} from "./api.js";
import { SLOW_MS, h, button, icon, announce, showFailure, problemText, confirmDialog } from "./dom.js";
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

// Number of groups of errors in the view of an installation.
const MAX_ERRORS_OF_INSTALLATION = 3;

const app = document.getElementById("app");
let hasShownView = false;
// Whether a new view takes the focus.
let wasUsed = false;
// User whose data is shown or loading.
let shownUser = null;
// Opens the view again that was shown last, or null.
let reopen = null;

// Whether the page is in a dialog of the host, which it can close.
let isDialog = false;

const closeButton = () =>
  isDialog &&
  h("button", { type: "button", class: "quiet close", "aria-label": text("close"), onclick: requestClose }, "×");

// Replaces the page. The heading gets the focus, but the first view must not take it from the page
// around it.
function replacePage(title, before, ...content) {
  const heading = h("h1", { tabindex: -1 }, title);
  app.replaceChildren(h("header", {}, before, heading, closeButton()), ...content);
  app.removeAttribute("aria-busy");
  document.title = title;
  Object.assign(state, { isDirty: false, isSaving: false, unanswered: null });
  if (wasUsed) heading.focus();
  scrollTo(0, 0);
}

// Shows a view. `back` opens the view before it.
function show({ title, integration, back, message }, ...content) {
  replacePage(
    title,
    [
      back &&
        h(
          "button",
          { type: "button", class: "quiet", "aria-label": text("back"), onclick: () => leaveView(back) },
          "←",
        ),
      integration && icon(integration),
    ],
    h("main", {}, content),
  );
  if (!hasShownView) send({ type: "event", name: "ready", detail: {} });
  hasShownView = true;
  wasUsed = true;
  announce(message ?? "");
}

// Tells the host that there is nothing to use.
const reportFailure = (reason) => send({ type: "event", name: "failed", detail: { reason } });

// Shows that the page cannot be used, and why.
function showEnd(title, help, ...actions) {
  showHelp(title, h("p", { role: "alert" }, help), actions);
}

// Shows an explanation instead of a view.
function showHelp(title, help, actions) {
  replacePage(title, null, h("main", { class: "end" }, help, h("div", { class: "actions start" }, actions)));
}

function showLoading() {
  replacePage(
    text("loading"),
    null,
    h(
      "main",
      { "aria-hidden": "true" },
      [1, 2, 3].map(() => h("div", { class: "skeleton" })),
    ),
  );
  app.setAttribute("aria-busy", "true");
}

// Opens a view with what `load` returns, unless another one is opened meanwhile. Until then, the
// present view cannot be changed. If it fails, the reason is shown with a button that tries again.
async function openView(load, draw, { renews = false } = {}) {
  const number = (state.view += 1);
  const present = app.querySelector("main");
  const slow = setTimeout(() => {
    if (number === state.view) announce(text("slow"));
  }, SLOW_MS);
  if (present) present.inert = true;
  else showLoading();
  try {
    if (renews) await renewToken();
    const before = app.querySelector(".failure");
    await state.switches;
    const loaded = await load();
    if (number !== state.view) return;
    const failure = app.querySelector(".failure");
    draw(loaded);
    // That of a switch, whose end the user did not wait for.
    if (failure && failure !== before) app.querySelector("main").prepend(failure);
    if (hasShownView) reopen = () => openView(load, draw);
  } catch (problem) {
    if (number !== state.view) return;
    const isSession = problem.kind === "session";
    reportFailure(isSession ? "session" : "request");
    showEnd(
      isSession ? text("sessionEnded") : text("title"),
      isSession ? text(isRenewable() ? "sessionMissingHelp" : "linkUsed") : problemText(problem),
      (!isSession || isRenewable()) &&
        button(text("tryAgain"), () => openView(load, draw, { renews: isSession }), "primary"),
      !isSession && reopen && button(text("back"), reopen),
    );
  } finally {
    clearTimeout(slow);
  }
}

function confirmDiscard() {
  if (!state.isDirty) return true;
  const [title, help, confirm, cancel] = state.isSaving
    ? ["savingTitle", "savingHelp", "leave", "wait"]
    : ["discardTitle", "discardHelp", "discard", "keepEditing"];
  return confirmDialog({ title: text(title), help: text(help), confirm: text(confirm), cancel: text(cancel) });
}

async function leaveView(open) {
  if (await confirmDiscard()) await open();
}

async function requestClose() {
  if (document.querySelector("dialog[open]")) return;
  if (await confirmDiscard()) send({ type: "close" });
}

// ------------------------------------------------------------------------------------------
// Views

// View to which the others lead back: none if the host asked for one integration.
const homeOf = () =>
  claims?.hosted || (state.options.integrationId && state.options.view !== "catalogue") ? null : () => openCatalogue();

async function openCatalogue(message) {
  await openView(
    async () => {
      const [, , errors] = await Promise.all([loadSession(), loadCatalogue(), loadErrors().catch(() => null)]);
      return errors ? presentGroups(errors).reduce((sum, group) => sum + group.count, 0) : 0;
    },
    (errorCount) =>
      show(
        { title: text("title"), message },
        catalogueView({ openIntegration: (id) => openIntegration(id), openErrors: () => openErrors(), errorCount }),
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
        show({ title: text("title"), back: homeOf() }, h("p", { class: "empty" }, text("unavailable")));
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

// ------------------------------------------------------------------------------------------
// Start

// Returns why a page around the frame is not allowed, or null.
function refusalOf({ hosted }, allowed) {
  if (hosted) return text("refusedHosted");
  const origin = ancestors.find((ancestor) => !allowed.includes(ancestor));
  if (!origin) return null;
  console.warn(`tenon: add ${origin} to the origins of the token, or to modal.origins of the environment`);
  return text("refusedOrigin", { origin });
}

// Returns why the page must not be shown with the first token, or null. The origins of the
// environment apply without those of the token.
async function refusal() {
  if (claims.hosted || claims.origins) return refusalOf(claims, claims.origins);
  await loadSession();
  // A token that was renewed meanwhile may have its own.
  return refusalOf(claims, claims.origins ?? state.session.environment.modal.origins);
}

// Removes everything of a user from the page.
function clear() {
  // A view that is loading is not shown.
  state.view += 1;
  reopen = null;
  Object.assign(state, {
    session: null,
    integrations: new Map(),
    isDirty: false,
    isSaving: false,
    switches: Promise.resolve(),
  });
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  announce("");
}

async function startView() {
  shownUser = claims.sub;
  let reason;
  await openView(
    async () => {
      reason = await refusal();
    },
    () => {
      if (!reason) return openFirst();
      return showRefusal(reason);
    },
  );
}

// Another token may be allowed.
function showRefusal(reason) {
  shownUser = null;
  reportFailure("origin");
  showEnd(text("refused"), reason, isRenewable() && button(text("tryAgain"), () => renewToken(), "primary"));
}

// Whether the page waits for the first valid token to start.
let pendingStart = false;

// Messages of the host, by type.
const MESSAGES = {
  opened: ({ inline }) => {
    // The first token can take its time.
    if (typeof inline === "boolean") state.options = { inline };
    isDialog = inline === false;
    if (isDialog) showLoading();
  },
  start: async ({ options, token }) => {
    state.options = options ?? {};
    setLanguage([state.options.lang, ...navigator.languages], state.options.texts);
    document.body.classList.toggle("inline", Boolean(state.options.inline));
    setThemes({ host: state.options.theme ?? null });
    isDialog = !state.options.inline;
    // In the language of the host, with a button that closes.
    showLoading();
    onTokenDue(() => send({ type: "renew" }));
    pendingStart = !acceptToken(token);
    if (pendingStart) showSessionEnd();
    else await startView();
  },
  token: ({ token }) => receiveToken(token),
  theme: ({ theme }) => setThemes({ host: theme }),
  connected: ({ detail }) => {
    const account = JSON.stringify(detail);
    const shown = [...app.querySelectorAll("[data-account]")].find((one) => one.dataset.account === account);
    shown?.dispatchEvent(new Event("connected"));
  },
  leave: async () => {
    send({ type: "stay" });
    await requestClose();
  },
};

// Continues with a renewed token. The page starts anew if it is of another user, and ends if it
// does not allow the page around this one.
async function receiveToken(token) {
  const read = readClaims(token);
  const isSameUser = !pendingStart && read?.sub === shownUser;
  const allowed = read?.origins ?? state.session?.environment.modal.origins;
  const reason = read && isSameUser && (read.hosted || allowed) && refusalOf(read, allowed);
  // Unknown until the API has accepted a token. The start waits for it, unless the claims of one
  // that the API refuses have allowed this page.
  const isUnchecked = !allowed && Boolean(claims?.origins);
  if (reason) {
    forgetToken();
    clear();
    showRefusal(reason);
  } else if (acceptToken(token) && (!isSameUser || isUnchecked)) {
    clear();
    // The values are those of the first user.
    if (!pendingStart && !isSameUser) delete state.options.prefill;
    pendingStart = false;
    app.replaceChildren();
    await startView();
  }
}

function startFramed() {
  showLoading();
  connectHost(async (message) => {
    if (Object.hasOwn(MESSAGES, message.type)) await MESSAGES[message.type](message);
  });
  addEventListener("keydown", (event) => {
    // Escape also ends the composition of a word.
    if (
      event.key !== "Escape" ||
      event.isComposing ||
      event.defaultPrevented ||
      state.options.inline ||
      document.querySelector("dialog[open]")
    )
      return;
    // The browser clears a search.
    if (event.target.type === "search" && event.target.value) return;
    // The browser would close the dialog that asks.
    event.preventDefault();
    requestClose();
  });
  new ResizeObserver(() => send({ type: "size", height: Math.ceil(app.getBoundingClientRect().height) })).observe(app);
}

function showSessionEnd() {
  reportFailure("session");
  showEnd(
    text("sessionEnded"),
    text("sessionMissingHelp"),
    button(text("tryAgain"), () => renewToken().catch(showSessionEnd), "primary"),
  );
}

// The ticket is exchanged when the user continues: mail scanners open the links of messages.
function startHosted() {
  // Another link that is opened in the same tab changes the fragment only.
  addEventListener("hashchange", () => location.reload());
  const parameters = new URLSearchParams(location.hash.slice(1));
  const ticket = parameters.get("ticket");
  if (!ticket) {
    showEnd(text("title"), text(parameters.has("used") ? "linkUsed" : "linkMissing"));
    return;
  }
  const next = button(
    text("continue"),
    async () => {
      try {
        await exchangeTicket(ticket);
      } catch (problem) {
        const texts = { gone: "linkUsed", invalid: "linkIncomplete" };
        if (!texts[problem.kind]) throw problem;
        showEnd(text("linkTitle"), text(texts[problem.kind]));
        return;
      }
      // The ticket works once: a copy of the address is of no use. The page says so after a reload.
      history.replaceState(null, "", `${location.pathname}#used`);
      shownUser = claims.sub;
      await openIntegration(claims.integrations[0]);
    },
    "primary",
  );
  showHelp(text("linkTitle"), h("p", {}, text("linkHelp")), next);
}

setLanguage(navigator.languages);
applyTheme();
app.addEventListener("focusin", () => {
  wasUsed = true;
});
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  showFailure(event.reason);
});
addEventListener("beforeunload", (event) => {
  if (state.isDirty && !isFramed) event.preventDefault();
});
if (!isFramed) startHosted();
else if (parent === window) showEnd(text("title"), text("linkMissing"));
else startFramed();
