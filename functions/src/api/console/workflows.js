// A workflow: its settings, its state, and links to what belongs to it.

import { Fragment, h } from "./preact.js";
import { call, segment, useSession } from "./api.js";
import { useData } from "./data.js";
import { announce } from "./messages.js";
import { rememberNames, useNames, UserLink } from "./names.js";
import { link, useTitle } from "./route.js";
import { Time } from "./times.js";
import { Badge, Button, Id, Json, Problem, Properties, Section, Skeleton } from "./ui.js";

export { WorkflowPage };

function WorkflowPage({ id }) {
  const { mayChange } = useSession();
  const { users } = useNames();
  const loaded = useData(`workflow ${id}`, async () => {
    const found = await call("GET", `workflows/${segment(id)}`, undefined, { isExact: true });
    rememberNames("workflows", [found]);
    return found;
  });
  const workflow = loaded.data;
  useTitle(workflow?.name ?? "Workflow");
  const change = (verb) => async () => {
    await call("PUT", `workflows/${verb}`, { userId: workflow.userId, workflowId: id });
    await loaded.reload();
    if (verb === "deactivate") {
      announce(`Deactivated ${workflow.name}.`);
      return;
    }
    const { status } = await call("GET", `users/${segment(workflow.userId)}`).catch(() => ({}));
    announce(
      status === "disabled"
        ? "Its user is disabled: it becomes active when the user is enabled."
        : `Activated ${workflow.name}.`,
    );
  };
  return h(
    Fragment,
    {},
    workflow && h("a", { class: "back", href: link(["users", workflow.userId]) }, users.get(workflow.userId) ?? "User"),
    h(
      "div",
      { class: "row spread" },
      h("h1", { tabIndex: -1 }, workflow?.name ?? "Workflow"),
      workflow &&
        mayChange &&
        h(
          "div",
          { class: "row" },
          workflow.active
            ? h(Button, { action: change("deactivate") }, "Deactivate")
            : h(Button, { action: change("activate") }, "Activate"),
        ),
    ),
    h(Problem, { problem: loaded.problem, retry: loaded.reload }),
    !workflow && loaded.isLoading && h(Skeleton),
    workflow &&
      h(
        Section,
        { title: "Details" },
        h(Properties, {
          pairs: [
            ["Status", h(Badge, { kind: workflow.active ? "good" : "quiet" }, workflow.active ? "active" : "inactive")],
            ["User", h(UserLink, { id: workflow.userId })],
            workflow.integrationId && [
              "Integration",
              h("a", { href: link(["integrations", workflow.integrationId]) }, workflow.integrationId),
            ],
            workflow.key && ["Key", h("code", {}, workflow.key)],
            ["Id", h(Id, { id })],
            ["Created", h(Time, { at: workflow.createdAt })],
            ["Changed", h(Time, { at: workflow.updatedAt })],
          ],
        }),
        h(Json, { title: "Settings", value: workflow.settings, isOpen: true }),
        h(
          "p",
          { class: "row" },
          h("a", { href: link(["errors"], { view: "list", workflowId: id, range: "7d" }) }, "Errors of this workflow"),
          h("a", { href: link(["events"], { workflowId: id }) }, "Events of this workflow"),
        ),
      ),
  );
}
