// The view that is shown: its title and buttons, how it is loaded, and how it is left.

import { text } from "./texts.js";
import { send } from "./port.js";
import { isRenewable, renewToken } from "./api.js";
import { SLOW_MS, h, button, icon, announce, problemText, confirmDialog } from "./dom.js";
import { state } from "./state.js";

export { app, show, showEnd, showHelp, showLoading, openView, endView, reportFailure, leaveView, requestClose };

const app = document.getElementById("app");
let hasShownView = false;
// Whether a new view takes the focus.
let wasUsed = false;
app.addEventListener("focusin", () => {
  wasUsed = true;
});
// Button that was used last. Its action may replace the view immediately.
let usedButton = null;
app.addEventListener(
  "click",
  ({ target }) => {
    usedButton = target.closest("button");
  },
  true,
);
// Title of the view that is shown, or null.
let shownTitle = null;
// Where the user was in each view that was left, by its title: the scroll position, and the name of
// the button that led on.
const places = new Map();
// Whether the next view is one to which the user goes back.
let isReturning = false;
// Opens the view again that was shown last, or null.
let reopen = null;

const closeButton = () =>
  state.isDialog &&
  h("button", { type: "button", class: "quiet close", "aria-label": text("close"), onclick: requestClose }, "×");

// Replaces the page. The heading gets the focus, but the first view must not take it from the page
// around it.
function replacePage(title, before, ...content) {
  places.set(shownTitle, { top: scrollY, name: usedButton?.name ?? "" });
  shownTitle = null;
  const heading = h("h1", { tabindex: -1 }, title);
  app.replaceChildren(h("header", {}, before, heading, closeButton()), ...content);
  app.removeAttribute("aria-busy");
  document.title = title;
  Object.assign(state, { isDirty: false, isSaving: false, unanswered: null });
  if (wasUsed) heading.focus();
  scrollTo(0, 0);
}

// Opens a view to which the user goes back: it is shown where they were in it.
function goBack(open) {
  isReturning = true;
  return open();
}

// Shows a view. `back` opens the view before it.
function show({ title, integration, back, message }, ...content) {
  const place = isReturning && places.get(title);
  replacePage(
    title,
    [
      back &&
        h(
          "button",
          { type: "button", class: "quiet", "aria-label": text("back"), onclick: () => leaveView(() => goBack(back)) },
          "←",
        ),
      integration && icon(integration),
    ],
    h("main", {}, content),
  );
  // The first action is the one that is needed most, or those of the first list.
  const [first, ...others] = app.querySelectorAll("main .primary");
  for (const other of others) if (!first.closest("ul")?.contains(other)) other.classList.remove("primary");
  shownTitle = title;
  isReturning = false;
  if (place) {
    scrollTo(0, place.top);
    const left = app.querySelector(`main button[name="${CSS.escape(place.name)}"]`);
    left?.focus();
    // The host page scrolls once the frame has the height of this view.
    if (left && state.options.inline)
      addEventListener("resize", () => left.matches(":focus") && left.scrollIntoView({ block: "center" }), {
        once: true,
      });
  }
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
      !isSession && reopen && button(text("back"), () => goBack(reopen)),
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

// Ends the view that is shown or loading.
function endView() {
  state.view += 1;
  reopen = shownTitle = null;
  places.clear();
}
