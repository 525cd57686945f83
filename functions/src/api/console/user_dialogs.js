// Dialogs that create or edit a user or create an install link, and the questions before something
// of a user is lost.

import { Fragment, h } from "./preact.js";
import { call, callDelete, segment } from "./api.js";
import { allIntegrations } from "./catalogue.js";
import { confirmAction, openForm, showSecret } from "./dialogs.js";
import { Field } from "./forms.js";
import { announce, openDialogs } from "./messages.js";
import { go, link, rememberPage } from "./route.js";
import { Time } from "./times.js";

export {
  deletingCredential,
  deleteUser,
  disableUser,
  editUser,
  eraseRecords,
  openInstallLink,
  openNewUser,
  uninstalling,
};

function openNewUser() {
  openUserForm({
    title: "Create user",
    usernameHint: "Generated from the email if it is empty",
    send: async (values) => {
      const isHere = rememberPage();
      const user = await call("POST", "users", Object.fromEntries(Object.entries(values).filter(([, value]) => value)));
      announce(`Created ${user.username}.`);
      if (isHere()) go(link(["users", user.userId]));
    },
  });
}

// Opens the form of a user. Only what is changed is sent, so that a change by someone else stays.
function editUser(user, reload) {
  // What was sent may be stored although its response was lost.
  const sent = new Set();
  openUserForm({
    title: `Edit ${user.username}`,
    submit: "Save",
    user,
    send: async (values) => {
      for (const [name, value] of Object.entries(values)) if (value !== (user[name] ?? "")) sent.add(name);
      // A username that is an email address would replace the email that the form shows.
      if (sent.has("username") && values.username.includes("@") && values.email) sent.add("email");
      if (!sent.size) return;
      const changes = Object.fromEntries([...sent].map((name) => [name, values[name] || null]));
      await call("PATCH", `users/${segment(user.userId)}`, changes);
      announce("Saved.");
      await reload();
    },
  });
}

// Opens the form that creates or edits a user.
function openUserForm({ title, submit = title, user, usernameHint, send }) {
  openForm(
    { title, submit, send },
    h(Field, { label: "Email", name: "email", type: "email", value: user?.email }),
    h(Field, {
      label: "Username",
      name: "username",
      hint: usernameHint,
      required: Boolean(user),
      value: user?.username,
    }),
    h(Field, { label: "Full name", name: "fullName", isWide: true, value: user?.fullName }),
  );
}

// Asks for an integration, and shows a link with which the user can install it.
async function openInstallLink({ username }, path) {
  const isHere = rememberPage();
  const offered = (await allIntegrations()).filter(({ enabled }) => enabled);
  if (!isHere() || openDialogs.value.length) return;
  if (!offered.length) throw new Error("No integration is enabled.");
  openForm(
    {
      title: "Create install link",
      submit: "Create link",
      send: async ({ integration }, form, close) => {
        const { url, expiresAt } = await call("GET", `${path}/integrations/${segment(integration)}/install-url`);
        if (!close()) return;
        showSecret({
          title: "Install link",
          name: "Link",
          value: url,
          text: h(
            Fragment,
            {},
            `The link works once. Anyone who has it can install the integration for ${username}: send it to this user only. It is not shown again, and expires `,
            h(Time, { at: expiresAt }),
          ),
        });
      },
    },
    h("p", { class: "wide" }, `The link opens a page on which ${username} installs the integration without a login.`),
    h(Field, {
      label: "Integration",
      name: "integration",
      isWide: true,
      options: offered.map(({ integrationId, name }) => [integrationId, name]),
    }),
  );
}

const uninstalling = (integration, { username }) => ({
  title: `Uninstall ${integration}?`,
  submit: "Uninstall",
  text: h(
    "p",
    {},
    `The workflows of ${username} that belong to it are deleted, and so are the credentials that it created and nothing else uses. This cannot be undone.`,
  ),
});

const deletingCredential = ({ name, type, credentialId }) => ({
  title: `Delete ${name}?`,
  submit: "Delete credential",
  text: h(
    "p",
    {},
    `The data of ${credentialId}, of the type ${type}, is erased immediately, and installations that use it need attention. This cannot be undone.`,
  ),
});

function disableUser({ username }, action) {
  confirmAction({
    title: `Disable ${username}?`,
    submit: "Disable",
    action,
    text: h(
      "p",
      {},
      "Its tokens stop within a minute, and its workflows count as inactive. Its data is kept, and it can be enabled again.",
    ),
  });
}

function eraseRecords({ username }, path) {
  confirmAction({
    title: `Erase the errors and events of ${username}?`,
    submit: "Erase errors and events",
    text: h(
      "p",
      {},
      "All errors and events that were stored until now are deleted, with their deliveries: an engine never receives those that are queued. New ones are stored as before. This cannot be undone.",
    ),
    action: async () => {
      await call("DELETE", `${path}/logs`);
      announce(`The errors and events of ${username} are being erased.`);
    },
  });
}

// Deletes a user, and calls `done` afterwards.
function deleteUser({ username }, path, done) {
  confirmAction({
    title: `Delete ${username}?`,
    submit: "Delete user",
    text: h(
      "p",
      {},
      "The user is deleted with all installations, workflows and credentials. Its errors and events are kept until they expire. Once it is deleted, you can erase them on this page. This cannot be undone.",
    ),
    action: async () => {
      const isHere = rememberPage();
      await callDelete(path);
      announce(`Deleted ${username}.`);
      if (isHere()) await done();
    },
  });
}
