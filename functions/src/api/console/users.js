// Users: list, and a page for each.

import { Fragment, h, useEffect } from "./preact.js";
import { call, callDelete, find, query, readPage, segment, useSession } from "./api.js";
import { useData } from "./data.js";
import { confirmAction } from "./dialogs.js";
import { Field, FilterSelect, Form } from "./forms.js";
import { InstallationTable } from "./installations.js";
import { announce } from "./messages.js";
import { rememberNames } from "./names.js";
import { changed, go, link, rememberPage, useAddress, useTitle } from "./route.js";
import { Time } from "./times.js";
import {
  deleteUser,
  deletingCredential,
  disableUser,
  editUser,
  eraseRecords,
  openInstallLink,
  openNewUser,
  uninstalling,
} from "./user_dialogs.js";
import { Badge, Button, Empty, Id, Json, Loading, PageLinks, Properties, Section, Table } from "./ui.js";

export { UsersPage, UserPage };

const MAX_SHOWN = 100;
const USER_ID = /^[0-9a-f]{24}$/;

function UsersPage() {
  const {
    parameters: { status = "", cursor },
  } = useAddress();
  const { mayChange } = useSession();
  useTitle("Users");
  const users = useData(`users ${status} ${cursor ?? ""}`, async () => {
    const page = await readPage("users", { status, cursor, limit: 50 });
    rememberNames("users", page.data);
    return page;
  });
  return h(
    Fragment,
    {},
    h(
      "div",
      { class: "row spread" },
      h("h1", { tabIndex: -1 }, "Users"),
      mayChange && h(Button, { kind: "primary", action: async () => openNewUser() }, "Create user"),
    ),
    h(
      "div",
      { class: "filters" },
      h(FilterSelect, {
        label: "Status",
        name: "status",
        options: [
          ["active", "Active"],
          ["disabled", "Disabled"],
        ],
      }),
      h(
        Form,
        {
          submit: "Find",
          kind: "",
          send: async ({ user }) => {
            const isHere = rememberPage();
            const found = await findUser(user.trim());
            rememberNames("users", [found]);
            if (isHere()) go(link(["users", found.userId]));
          },
        },
        h(Field, {
          label: "Find a user",
          name: "user",
          type: "search",
          required: true,
          placeholder: "Email, username or id",
        }),
      ),
    ),
    h(Loading, { of: users, rows: 8 }),
    users.data &&
      (users.data.data.length
        ? h(
            Table,
            { titles: ["Username", "Email", "Name", "Status", "Created"] },
            users.data.data.map((user) =>
              h(
                "tr",
                { key: user.userId },
                h("td", { class: "text" }, h("a", { href: link(["users", user.userId]) }, user.username)),
                h("td", { class: "text" }, user.email ?? ""),
                h("td", { class: "text" }, user.fullName ?? ""),
                h("td", {}, h(UserStatus, user)),
                h("td", { class: "nowrap", "data-label": "Created" }, h(Time, { at: user.createdAt })),
              ),
            ),
          )
        : h(
            Empty,
            { title: status ? `No ${status} users` : "No users", cursor: users.data.cursor },
            status
              ? h("a", { href: changed({ status: null, cursor: null }) }, "Show all users")
              : "Your back end creates a user for each person who uses an integration.",
          )),
    h(PageLinks, { cursor: users.data?.cursor, older: "Older users" }),
  );
}

const UserStatus = ({ status }) => h(Badge, { kind: status === "active" ? "good" : "warn" }, status);

// Finds a user by id, username or email address. `.` and `..` have a special meaning in URLs.
async function findUser(reference) {
  const found = /^\.+$/.test(reference)
    ? (await call("GET", `users${query({ username: reference })}`)).data[0]
    : await find(`users/${segment(reference)}`);
  if (!found) throw new Error("User not found. Enter the whole email address, username or id.");
  return found;
}

function UserPage({ id }) {
  const { mayChange } = useSession();
  const path = `users/${segment(id)}`;
  const loaded = useData(`user ${id}`, async () => {
    const [user, workflows, credentials, installations] = await Promise.all([
      call("GET", path),
      ...["workflows", "credentials", "installations"].map((kind) =>
        call(
          "GET",
          kind === "workflows"
            ? `workflows${query({ userId: id, limit: MAX_SHOWN })}`
            : `${path}/${kind}${query({ limit: MAX_SHOWN })}`,
        ),
      ),
    ]);
    rememberNames("workflows", workflows.data);
    return { user, workflows, credentials, installations };
  });
  const { user, workflows, credentials, installations } = loaded.data ?? {};
  useTitle(user?.username ?? "User");
  useEffect(() => {
    if (user) rememberNames("users", [user]);
  }, [user]);
  // Asks, deletes what the path names, and shows what is left.
  const remove = (question, target, done) =>
    confirmAction({
      ...question,
      action: async () => {
        await callDelete(`${path}/${target}`);
        announce(done);
        await loaded.reload();
      },
    });
  // The address may have the former username.
  const showChanged = () =>
    id === user.userId ? loaded.reload() : go(link(["users", user.userId]), { replace: true });
  const change = (verb) => async () => {
    await call("POST", `${path}/${verb}`);
    announce(`${verb === "enable" ? "Enabled" : "Disabled"} ${user.username}.`);
    await loaded.reload();
  };
  return h(
    Fragment,
    {},
    h("a", { class: "back", href: link(["users"]) }, "Users"),
    h(
      "div",
      { class: "row spread" },
      h("h1", { tabIndex: -1 }, user?.username ?? "User"),
      user &&
        mayChange &&
        h(
          "div",
          { class: "row" },
          h(Button, { action: async () => editUser(user, showChanged) }, "Edit"),
          user.status === "active"
            ? h(Button, { action: async () => disableUser(user, change("disable")) }, "Disable")
            : h(Button, { action: change("enable") }, "Enable"),
          h(
            Button,
            { kind: "danger outline", action: async () => eraseRecords(user, path) },
            "Erase errors and events",
          ),
          h(Button, { kind: "danger outline", action: async () => deleteUser(user, path, showChanged) }, "Delete"),
        ),
    ),
    loaded.problem?.status === 404 && USER_ID.test(id)
      ? h(MissingUser, { id, path })
      : h(Loading, { of: loaded, rows: 8 }),
    user &&
      h(
        Fragment,
        {},
        h(
          Section,
          { title: "Details" },
          h(Properties, {
            pairs: [
              ["Status", h(UserStatus, user)],
              ["Email", user.email ?? h("span", { class: "quiet" }, "none")],
              ["Name", user.fullName ?? h("span", { class: "quiet" }, "none")],
              ["Id", h(Id, { id: user.userId })],
              ["Created", h(Time, { at: user.createdAt })],
              ["Changed", h(Time, { at: user.updatedAt })],
            ],
          }),
          Object.keys(user.metadata).length > 0 && h(Json, { title: "Metadata", value: user.metadata }),
          h(RecordLinks, { id }),
        ),
        h(
          Section,
          {
            title: "Installations",
            actions:
              mayChange &&
              user.status === "active" &&
              h(Button, { action: () => openInstallLink(user, path) }, "Create install link"),
          },
          h(InstallationTable, {
            installations: installations.data,
            empty: "This user has installed nothing.",
            uninstall:
              mayChange &&
              ((integration) =>
                remove(
                  uninstalling(integration, user),
                  `installations/${segment(integration)}`,
                  `Uninstalled ${integration}.`,
                )),
          }),
          h(Rest, installations),
        ),
        h(UserWorkflows, { workflows }),
        h(UserCredentials, { credentials, remove }),
      ),
  );
}

const RecordLinks = ({ id }) =>
  h(
    "p",
    { class: "row" },
    h("a", { href: link(["errors"], { view: "list", userId: id, range: "7d" }) }, "Errors of this user"),
    h("a", { href: link(["events"], { userId: id }) }, "Events of this user"),
  );

// What may be left of a user who does not exist.
function MissingUser({ id, path }) {
  const { mayChange } = useSession();
  return h(
    Section,
    {
      title: "User not found",
      actions:
        mayChange &&
        h(
          Button,
          { kind: "danger outline", action: async () => eraseRecords({ username: id }, path) },
          "Erase errors and events",
        ),
    },
    h(
      "p",
      {},
      "It may have been deleted. The errors and events of a deleted user are kept until they expire or are erased.",
    ),
    h(RecordLinks, { id }),
  );
}

const UserWorkflows = ({ workflows }) =>
  h(
    Section,
    { title: "Workflows" },
    workflows.data.length
      ? h(
          Table,
          { titles: ["Workflow", "Integration", "Status", "Changed"] },
          workflows.data.map((workflow) =>
            h(
              "tr",
              { key: workflow.workflowId },
              h("td", { class: "text" }, h("a", { href: link(["workflows", workflow.workflowId]) }, workflow.name)),
              h("td", {}, workflow.integrationId ?? ""),
              h(
                "td",
                {},
                h(Badge, { kind: workflow.active ? "good" : "quiet" }, workflow.active ? "active" : "inactive"),
              ),
              h("td", { class: "nowrap", "data-label": "Changed" }, h(Time, { at: workflow.updatedAt })),
            ),
          ),
        )
      : h(Empty, { title: "No workflows" }),
    h(Rest, workflows),
  );

// `remove` deletes one after a question.
function UserCredentials({ credentials, remove }) {
  const { mayChange } = useSession();
  return h(
    Section,
    { title: "Credentials" },
    credentials.data.length
      ? h(
          Table,
          { titles: ["Credential", "Type", "Status", "Changed", "Id", ...(mayChange ? [""] : [])] },
          credentials.data.map(({ credentialId, name, type, status, statusReason, updatedAt }) =>
            h(
              "tr",
              { key: credentialId },
              h("td", { class: "text" }, name),
              h("td", {}, type),
              h(
                "td",
                {},
                h(Badge, { kind: status === "valid" ? "good" : "bad" }, status),
                statusReason && h("span", { class: "quiet block" }, statusReason),
              ),
              h("td", { class: "nowrap", "data-label": "Changed" }, h(Time, { at: updatedAt })),
              h("td", {}, h(Id, { id: credentialId })),
              mayChange &&
                h(
                  "td",
                  {},
                  h(
                    Button,
                    {
                      kind: "subtle",
                      label: `Delete ${name} ${credentialId}`,
                      action: async () =>
                        remove(
                          deletingCredential({ name, type, credentialId }),
                          `credentials/${credentialId}`,
                          `Deleted ${name}.`,
                        ),
                    },
                    "Delete",
                  ),
                ),
            ),
          ),
        )
      : h(Empty, { title: "No credentials" }),
    h(Rest, credentials),
  );
}

const Rest = ({ cursor }) => cursor && h("p", { class: "quiet" }, `The newest ${MAX_SHOWN} are shown.`);
