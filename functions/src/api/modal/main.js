// Start of the page: in a frame of the customer's app, or from an install link.

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
import { h, button, announce, showFailure } from "./dom.js";
import { state, loadSession } from "./state.js";
import { app, endView, openView, reportFailure, requestClose, showEnd, showHelp, showLoading } from "./view.js";
import { openFirst, openIntegration } from "./views.js";

// User whose data is shown or loading.
let shownUser = null;

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
  endView();
  Object.assign(state, {
    session: null,
    integrations: new Map(),
    search: "",
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
    state.isDialog = inline === false;
    if (state.isDialog) showLoading();
  },
  start: async ({ options, token }) => {
    state.options = options ?? {};
    setLanguage([state.options.lang, ...navigator.languages], state.options.texts);
    document.body.classList.toggle("inline", Boolean(state.options.inline));
    setThemes({ host: state.options.theme ?? null });
    state.isDialog = !state.options.inline;
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
    // The browser would close the dialog that asks.
    event.preventDefault();
    const { target } = event;
    // Not every browser clears a search.
    if (target.type === "search" && target.value) {
      target.value = "";
      target.dispatchEvent(new Event("input"));
    } else requestClose();
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
    showEnd(text("title"), text(parameters.has("used") ? "linkReloaded" : "linkMissing"));
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
