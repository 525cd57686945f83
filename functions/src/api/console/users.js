// Users: list, search, creation, status, deletion, workflows and credentials.

import { h, timeElement, badge, definitionList, button, redraw, announce, withBusy, field, form, dialog, confirmDialog } from "./dom.js";
import { call, query, encodeSegment } from "./api.js";

export { usersPage };

function usersPage() {
  const list = h("div", {});
  let status = "";
  let found = [];
  let cursor = null;

  async function load() {
    const page = await call("GET", `users${query({ status, limit: 50 })}`);
    [found, cursor] = [page.data, page.cursor];
    draw();
  }

  function draw() {
    const more = cursor && button("More users", async () => {
      const page = await call("GET", `users${query({ status, limit: 50, cursor })}`);
      found.push(...page.data);
      cursor = page.cursor;
      draw();
    });
    redraw(list, found.length
      ? h("div", { class: "scroll" }, h("table", { class: "stack" },
          h("thead", {}, h("tr", {}, ["Username", "Email", "Name", "Status", "Created"].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, found.map((user) => h("tr", {},
            h("td", { class: "text" }, button(user.username, () => showUser(user.userId, load), "plain", user.userId)),
            h("td", { class: "text" }, user.email ?? ""), h("td", { class: "text" }, user.fullName ?? ""),
            h("td", {}, badge(user.status, user.status === "active" ? "good" : "warn")),
            h("td", {}, timeElement(user.createdAt)))))))
      : h("p", { class: "quiet" }, "No users."), more);
  }

  const find = form([field("Email, username or id", "user", { wide: true, required: true, type: "search" })], "Find", async ({ user }) => {
    if (!user) throw Object.assign(new Error(), { errors: [{ pointer: "/user", detail: "is required" }] });
    await showUser(user, load);
  });
  const create = form([
    field("Email", "email", { type: "email" }), field("Username", "username", {}, "Generated from the email if empty"),
    field("Full name", "fullName"),
  ], "Create user", async (values, formElement) => {
    const user = await call("POST", "users", Object.fromEntries(Object.entries(values).filter(([, value]) => value)));
    formElement.reset();
    announce(`Created ${user.username}.`);
    await load();
  });
  const statusFilter = h("select", { "aria-label": "Status", onchange: (event) => {
    status = event.target.value;
    withBusy(event.target, load);
  } }, [["", "All users"], ["active", "Active"], ["disabled", "Disabled"]].map(([value, text]) => h("option", { value }, text)));

  const page = h("section", { "aria-labelledby": "users-title" },
    h("h2", { id: "users-title", tabindex: -1 }, "Users"),
    h("div", { class: "card" }, h("h3", {}, "Find a user"), find),
    h("details", { class: "card" }, h("summary", {}, "Create a user"), create),
    h("div", { class: "row" }, statusFilter), list);
  return { page, load, stop: () => {} };
}

async function showUser(reference, reload) {
  const content = h("div", { class: "card" });
  // `.` and `..` are valid usernames but have a special meaning in URLs.
  const isDots = reference === "." || reference === "..";
  const user = isDots ? (await call("GET", `users${query({ username: reference })}`)).data[0] : await call("GET", `users/${encodeSegment(reference)}`);
  if (!user) throw new Error("User not found.");
  const path = `users/${encodeSegment(user.userId)}`;
  let modal = null;

  async function draw() {
    const [current, { data: workflows }, { data: credentials }] = await Promise.all([
      call("GET", path), call("GET", `workflows${query({ userId: user.userId, limit: 100 })}`), call("GET", `${path}/credentials?limit=100`),
    ]);
    const change = async (verb) => {
      await call("POST", `${path}/${verb}`);
      announce(`${verb === "enable" ? "Enabled" : "Disabled"} ${current.username}.`);
      await Promise.all([draw(), reload()]);
    };
    const metadata = Object.entries(current.metadata);
    redraw(content,
      definitionList([["Status", badge(current.status, current.status === "active" ? "good" : "warn")], ["Username", current.username], ["Email", current.email ?? "None"],
        ["Name", current.fullName ?? "None"], ["Id", h("code", {}, current.userId)], ["Created", timeElement(current.createdAt)]]),
      metadata.length > 0 && [h("h3", {}, "Metadata"), definitionList(metadata)],
      h("div", { class: "row" },
        current.status === "active" ? button("Disable", () => change("disable")) : button("Enable", () => change("enable")),
        button("Delete", async () => confirmDialog("Delete user",
          "This permanently deletes the user with its workflows and credentials. Its errors are kept until they expire.", current.username, async () => {
            await call("DELETE", path);
            modal.close();
            announce(`Deleted ${current.username}.`);
            await reload();
          }), "danger")),
      h("h3", {}, "Workflows"),
      workflows.length ? h("ul", {}, workflows.map((workflow) => h("li", {}, workflow.name, " ",
        badge(workflow.active ? "active" : "inactive", workflow.active ? "good" : "quiet"), " ", h("code", {}, workflow.workflowId))), truncationNote(workflows))
        : h("p", { class: "quiet" }, "None."),
      h("h3", {}, "Credentials"),
      credentials.length ? h("ul", {}, credentials.map((credential) => h("li", {}, `${credential.name} (${credential.type}) `, h("code", {}, credential.credentialId))), truncationNote(credentials))
        : h("p", { class: "quiet" }, "None."));
  }

  await draw();
  modal = dialog(user.username, content);
}

const truncationNote = (items) => items.length >= 100 && h("li", { class: "quiet" }, "Newest 100 shown.");
