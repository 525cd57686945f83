// Elements. Data from the API and the host becomes text and never markup.

import { text } from "./texts.js";
import { RequestError, deferred, isRenewable, renewToken } from "./api.js";

export { SLOW_MS, h, button, icon, announce, clearFailure, showFailure, problemText, notice, confirmDialog, newId };

function h(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value") node.value = value;
    else if (key === "checked") node.checked = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

let lastId = 0;
const newId = (prefix) => `${prefix}-${(lastId += 1)}`;

// Creates a button. Its action may be asynchronous: it runs once at a time, and its failure is
// shown. The second click of a double click is not for a button that has taken the place of the
// first one.
const button = (label, action, kind = "", properties = {}) =>
  h(
    "button",
    {
      type: "button",
      class: kind,
      onclick: ({ currentTarget, detail: clicks }) => {
        if (clicks < 2) withBusy(currentTarget, action);
      },
      ...properties,
    },
    label,
  );

// Returns the icon of an integration, or the first letter of its name.
const icon = ({ name, icon: source }) =>
  source
    ? h("img", { class: "icon", src: source, alt: "", width: 40, height: 40 })
    : h("span", { class: "icon letter", "aria-hidden": "true" }, [...name][0]?.toUpperCase() ?? "");

// A page in place is as high as its content, so that its middle may be out of sight: messages and
// dialogs are placed near the control that is used.
function placeNear(node, used = document.activeElement) {
  if (!document.body.classList.contains("inline")) return;
  const control = used === document.body ? document.querySelector("h1") : used;
  const top = (control?.getBoundingClientRect().bottom ?? 0) + 8;
  const highest = innerHeight - node.getBoundingClientRect().height - 8;
  node.style.setProperty("inset-block", `${Math.max(8, Math.min(top, highest))}px auto`);
}

let statusTimer;

// Shows a short message, which screen readers announce.
function announce(message) {
  const status = document.getElementById("status");
  const place = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  // A screen reader may not announce the content of a region that is new.
  if (status.parentElement !== place) place.append(status);
  status.textContent = message;
  placeNear(status);
  clearTimeout(statusTimer);
  statusTimer = setTimeout(() => {
    status.textContent = "";
  }, 6000);
}

// Time after which a request counts as slow.
const SLOW_MS = 5000;

// Runs the action of a control. The control is disabled meanwhile and keeps the focus.
async function withBusy(control, action) {
  if (control.getAttribute("aria-disabled")) return;
  control.setAttribute("aria-disabled", "true");
  if (!control.closest(".failure")) clearFailure();
  const slow = setTimeout(() => {
    // The action may be waiting for the user, who reads its dialog.
    const isAsking = document.querySelector("dialog[open]") && !control.closest("dialog");
    if (control.isConnected && !isAsking) announce(text("slow"));
  }, SLOW_MS);
  try {
    await action();
  } catch (problem) {
    showFailure(problem);
  } finally {
    clearTimeout(slow);
    control.removeAttribute("aria-disabled");
  }
}

// Describes why a request failed.
function problemText(problem) {
  if (!(problem instanceof RequestError)) {
    console.error(problem);
    return text("failed");
  }
  const texts = {
    session: "sessionEnded",
    offline: "offline",
    invalid: "conflict",
    conflict: "conflict",
    changed: "conflict",
    gone: "gone",
    forbidden: "notAllowed",
    busy: "busy",
  };
  const message = text(texts[problem.kind] ?? "failed");
  return problem.kind === "session" && !isRenewable() ? `${message} ${text("linkUsed")}` : message;
}

// Removes the failure of an earlier action.
const clearFailure = () => document.querySelector(".failure")?.remove();

// Shows a failure above the view, which stays as it is.
function showFailure(problem) {
  // The page has started anew.
  if (problem?.kind === "stale") return;
  clearFailure();
  const isSession = problem?.kind === "session";
  const box = notice(problemText(problem), "danger failure", [
    isSession &&
      isRenewable() && [
        h("p", {}, text("sessionEndedHelp")),
        button(text("tryAgain"), async () => {
          await renewToken();
          const hadFocus = box.contains(document.activeElement);
          box.remove();
          if (hadFocus) document.querySelector("h1").focus();
        }),
      ],
  ]);
  box.setAttribute("role", "alert");
  document.querySelector("main")?.prepend(box);
  box.scrollIntoView({ block: "nearest" });
}

const notice = (message, kind, ...content) => h("div", { class: `notice ${kind}` }, h("p", {}, message), content);

// Asks for confirmation in a dialog. Resolves to whether the action was confirmed and has
// succeeded. A running action continues if the dialog is closed.
function confirmDialog({ title, help, confirm, cancel, danger = true, action = () => {} }) {
  const { promise, resolve } = deferred();
  const [titleId, helpId] = [newId("title"), newId("help")];
  let [succeeded, isRunning] = [false, false];
  const failure = h("div", { role: "alert" });
  const dialog = h(
    "dialog",
    {
      "aria-labelledby": titleId,
      "aria-describedby": helpId,
      onclose: () => {
        document.body.append(document.getElementById("status"));
        dialog.remove();
        if (!isRunning) resolve(succeeded);
      },
    },
    h("h2", { id: titleId }, title),
    h("p", { id: helpId }, help),
    failure,
    h(
      "div",
      { class: "actions" },
      button(cancel, () => dialog.close()),
      button(
        confirm,
        async () => {
          isRunning = true;
          try {
            await action();
            succeeded = true;
            dialog.close();
          } catch (problem) {
            // The event `close` comes later.
            if (dialog.open) failure.replaceChildren(notice(problemText(problem), "danger"));
            else showFailure(problem);
          } finally {
            isRunning = false;
            if (!dialog.isConnected) resolve(succeeded);
          }
        },
        danger ? "danger" : "primary",
      ),
    ),
  );
  const used = document.activeElement;
  document.body.append(dialog);
  dialog.showModal();
  // Its height is known now.
  placeNear(dialog, used);
  return promise;
}
