// Dialogs, one above the other.

import { Fragment, h, useLayoutEffect, useRef } from "./preact.js";
import { onSignOut } from "./api.js";
import { Form } from "./forms.js";
import { Messages, openDialogs } from "./messages.js";
import { createStore, useStore } from "./store.js";
import { Button, Icon, useId } from "./ui.js";

export { confirmAction, Dialog, Dialogs, openDialog };

// Open dialogs: functions that render them, and the addresses that they belong to. They end with
// the session.
const dialogs = createStore([]);
onSignOut(() => dialogs.set([]));
addEventListener("hashchange", () =>
  dialogs.set(dialogs.value.filter(({ hash }) => hash === null || hash === location.hash)),
);

let lastDialog = 0;

// Opens a dialog. `render` gets a function that closes it. Another page closes it too, unless it
// `stays`.
function openDialog(render, { stays = false } = {}) {
  const close = () => dialogs.set(dialogs.value.filter((dialog) => dialog !== entry));
  const entry = { key: (lastDialog += 1), hash: stays ? null : location.hash, render: () => render(close) };
  dialogs.set([...dialogs.value, entry]);
  return close;
}

const Dialogs = () =>
  h(
    Fragment,
    {},
    useStore(dialogs).map(({ key, render }) => h(Fragment, { key }, render())),
  );

// A modal dialog, which its button, Escape or a click outside it closes. `isPanel` places it at the
// side. Without `close`, only its content closes it.
function Dialog({ title, close, isPanel, children }) {
  const node = useRef(null);
  const id = useId("title");
  useLayoutEffect(() => {
    const dialog = node.current;
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
      // A browser that does not know `closedby` closes the dialog at the second Escape.
      closedby: close ? undefined : "none",
      onClose: () => {
        if (!close) node.current?.showModal();
      },
      onCancel: (event) => {
        if (event.target === node.current) {
          event.preventDefault();
          close?.();
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
        close && h(Button, { kind: "subtle square", label: "Close", action: close }, h(Icon, { name: "close" })),
      ),
      children,
    ),
    h(Messages, { dialog: id }),
  );
}

// Asks for confirmation of an action, and says what is lost.
function confirmAction({ title, text, submit, kind = "danger", action }) {
  openDialog((close) =>
    h(
      Dialog,
      { title, close },
      h(
        Form,
        {
          submit,
          kind,
          secondary: h(Button, { action: close }, "Cancel"),
          send: async () => {
            await action();
            close();
          },
        },
        h("div", { class: "wide stack" }, text),
      ),
    ),
  );
}
