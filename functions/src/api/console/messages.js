// Messages that are shown for a while, which screen readers announce.

import { h } from "./preact.js";
import { onSignOut } from "./api.js";
import { createStore, useStore } from "./store.js";

export { announce, announceProblem, fieldText, problemTexts, Messages, openDialogs };

const fieldText = ({ pointer, detail }) => (pointer.length > 1 ? `${pointer.slice(1)}: ${detail}` : detail);

// Returns what is wrong: the problems of the fields, which the message repeats, or the message.
const problemTexts = ({ errors, message: text }) => (errors?.length ? errors.map(fieldText) : [text]);

// Ids of the dialogs on the page. Messages are shown in the last one, since the rest of the page is
// inert.
const openDialogs = createStore([]);

const message = createStore("");
let messageTimer;
onSignOut(() => message.set(""));

// Shows a message for a while, which screen readers announce: again only if its text differs.
function announce(text, milliseconds = 6000) {
  message.set(text === message.value ? `${text}\u00a0` : text);
  clearTimeout(messageTimer);
  messageTimer = setTimeout(() => message.set(""), milliseconds);
}

function announceProblem(problem) {
  if (problem.isStale) return;
  announce(problemTexts(problem).join("; "), 20000);
}

// Place of messages on the page, or in a dialog.
function Messages({ dialog }) {
  const [text, open] = [useStore(message), useStore(openDialogs)];
  return h("p", { class: "message", role: "status", "aria-live": "polite" }, open.at(-1) === dialog ? text : "");
}
