// Dialogs, one above the other.

import { Fragment, h, useLayoutEffect, useRef, useState } from "./preact.js";
import { onSignOut } from "./api.js";
import { Form } from "./forms.js";
import { Messages, openDialogs } from "./messages.js";
import { createStore, useStore } from "./store.js";
import { Button, CopyButton, Icon, Notice, useId } from "./ui.js";

export { confirmAction, Dialog, Dialogs, openDialog, openForm, showSecret };

// Open dialogs: functions that render them, and the addresses that they belong to. They end with
// the session.
const dialogs = createStore([]);
onSignOut(() => dialogs.set([]));
addEventListener("hashchange", () =>
  dialogs.set(
    dialogs.value.filter(
      ({ hash, close }) => hash === null || hash === location.hash || discardQuestions.get(close)?.(),
    ),
  ),
);

// By the functions that close dialogs: functions that ask whether to discard what was entered. They
// return false if nothing would be lost.
const discardQuestions = new WeakMap();

let lastDialog = 0;

// Opens a dialog. `render` gets a function that closes it, and returns whether it was open. Another
// page closes it too, unless it `stays` or has a question.
function openDialog(render, { stays = false } = {}) {
  const close = () => {
    const isOpen = dialogs.value.includes(entry);
    if (isOpen) dialogs.set(dialogs.value.filter((dialog) => dialog !== entry));
    return isOpen;
  };
  const entry = { key: (lastDialog += 1), hash: stays ? null : location.hash, close, render: () => render(close) };
  dialogs.set([...dialogs.value, entry]);
  return close;
}

const Dialogs = () =>
  h(
    Fragment,
    {},
    useStore(dialogs).map(({ key, render }) => h(Fragment, { key }, render())),
  );

// A modal dialog, which its button or Escape closes; if a text was entered that is not being sent,
// the second time only. `isPanel` places it at the side, where a click outside closes it too.
// Without `close`, only its content closes it.
function Dialog({ title, close, isPanel, children }) {
  const node = useRef(null);
  // The field in which a text was entered last.
  const entered = useRef(null);
  const [isLeaving, setLeaving] = useState(false);
  const askToDiscard = () => {
    if (!entered.current || node.current.querySelector(".fields[inert]")) return false;
    node.current.scrollTop = 0;
    setLeaving(true);
    return true;
  };
  const leave = () => {
    if (isLeaving || !askToDiscard()) close();
  };
  const id = useId("title");
  useLayoutEffect(() => {
    const dialog = node.current;
    if (close) discardQuestions.set(close, askToDiscard);
    openDialogs.set([...openDialogs.value, id]);
    dialog.showModal();
    (dialog.querySelector(".form :is(input, select, textarea)") ?? dialog.querySelector("h2")).focus();
    return () => {
      openDialogs.set(openDialogs.value.filter((open) => open !== id));
      // Returns the focus to where it was.
      dialog.close();
    };
  }, []);
  return h(
    "dialog",
    {
      ref: node,
      class: isPanel ? "panel" : "",
      "aria-labelledby": id,
      closedby: close ? undefined : "none",
      onInput: ({ target }) => {
        if (!target.matches("[type=radio], [type=checkbox]")) entered.current = target;
      },
      // The key may still be held that has opened the dialog.
      onKeyDown: (event) => {
        if (event.repeat && event.key === "Enter" && !event.target.matches("textarea")) event.preventDefault();
      },
      onClose: () => {
        if (!node.current) return;
        // A browser may close it at the second Escape without asking.
        if (close) close();
        else node.current.showModal();
      },
      onCancel: (event) => {
        if (event.target === node.current) {
          event.preventDefault();
          if (close) leave();
        }
      },
      // A panel is its own scroll container: its scroll bar is no place outside.
      onMouseDown: ({ target, clientX }) => {
        if (isPanel && target === node.current && clientX < node.current.getBoundingClientRect().left) close();
      },
    },
    h(
      "div",
      { class: "content" },
      h(
        "header",
        { class: "row spread" },
        h("h2", { id, tabIndex: -1 }, title),
        close &&
          h(Button, { kind: "subtle square", label: "Close", action: async () => leave() }, h(Icon, { name: "close" })),
      ),
      isLeaving &&
        h(
          Notice,
          { kind: "warn", role: "alert" },
          h("p", {}, "Discard what you entered?"),
          h(
            "div",
            { class: "row" },
            h(
              Button,
              {
                action: async () => {
                  entered.current.focus();
                  setLeaving(false);
                },
              },
              "Keep it",
            ),
            h(Button, { kind: "danger", action: async () => close() }, "Discard"),
          ),
        ),
      children,
    ),
    h(Messages, { dialog: id }),
  );
}

// Opens a form in a dialog, which closes when `send` has succeeded. `send` gets the values, the
// `FormData`, and a function with which it can close the dialog earlier.
function openForm({ title, submit, kind, cancel = "Cancel", send }, ...fields) {
  openDialog((close) =>
    h(
      Dialog,
      { title, close },
      h(
        Form,
        {
          submit,
          kind,
          secondary: h(Button, { action: close }, cancel),
          send: async (values, form) => {
            await send(values, form, close);
            close();
          },
        },
        ...fields,
      ),
    ),
  );
}

// Asks for confirmation of an action, and says what is lost.
const confirmAction = ({ title, text, submit, kind = "danger", action }) =>
  openForm({ title, submit, kind, send: action }, h("div", { class: "wide stack" }, text));

// Shows a secret that can be read only now: `text` says what it is, and `name` names it.
function showSecret({ title, text, name, value }) {
  openDialog(
    (close) =>
      h(
        Dialog,
        { title },
        h("p", {}, text),
        h(
          "div",
          { class: "code" },
          h("pre", { tabIndex: 0, role: "group", "aria-label": name }, value),
          h(CopyButton, { text: value, label: `Copy ${name.toLowerCase()}` }),
        ),
        h("div", { class: "row actions" }, h(Button, { kind: "primary", action: close }, "Done")),
      ),
    { stays: true },
  );
}
