// Installations: who uses which integration, and whether it works.

import { Fragment, h } from "./preact.js";
import { readPage } from "./api.js";
import { IntegrationFilter } from "./catalogue.js";
import { useData } from "./data.js";
import { FilterSelect } from "./forms.js";
import { UserLink } from "./names.js";
import { link, useAddress, useTitle } from "./route.js";
import { Time } from "./times.js";
import { Badge, Button, Empty, Loading, PageLinks, Table } from "./ui.js";

export { InstallationsPage, InstallationTable };

const INSTALLATION_KINDS = { active: "good", inactive: "quiet", "needs-attention": "bad" };

function InstallationsPage() {
  const {
    parameters: { status = "", integrationId = "", cursor },
  } = useAddress();
  useTitle("Installations");
  const installations = useData(`installations ${status} ${integrationId} ${cursor ?? ""}`, () =>
    readPage("installations", { status, integrationId, cursor, limit: 100 }),
  );
  return h(
    Fragment,
    {},
    h("h1", { tabIndex: -1 }, "Installations"),
    h(
      "div",
      { class: "filters" },
      h(FilterSelect, {
        label: "Status",
        name: "status",
        options: [
          ["needs-attention", "Needs attention"],
          ["active", "Active"],
          ["inactive", "Inactive"],
        ],
      }),
      h(IntegrationFilter),
    ),
    h(Loading, { of: installations, rows: 8 }),
    installations.data &&
      h(InstallationTable, {
        installations: installations.data.data,
        showsUser: true,
        cursor: installations.data.cursor,
        empty:
          status || integrationId ? "No installation matches." : "Users install integrations in the embedded modal.",
      }),
    h(PageLinks, { cursor: installations.data?.cursor, older: "Older installations" }),
  );
}

// Table of installations. `uninstall` removes one after a question.
const InstallationTable = ({ installations, showsUser, empty, cursor, uninstall }) =>
  installations.length
    ? h(
        Table,
        {
          titles: ["Integration", showsUser && "User", "Status", "Workflows", "Installed", uninstall && ""].filter(
            (title) => typeof title === "string",
          ),
        },
        installations.map(({ integrationId, userId, status, attention, workflows, installedAt }) =>
          h(
            "tr",
            { key: `${userId}/${integrationId}` },
            h("td", {}, h("a", { href: link(["integrations", integrationId]) }, integrationId)),
            showsUser && h("td", {}, h(UserLink, { id: userId })),
            h(
              "td",
              {},
              h(Badge, { kind: INSTALLATION_KINDS[status] }, status.replace("-", " ")),
              attention.map(({ pointer, detail }) =>
                h("span", { key: pointer, class: "quiet block" }, `${pointer.slice(1)} ${detail}`),
              ),
            ),
            h(
              "td",
              {},
              workflows.map(({ workflowId, name, active }) =>
                h(
                  "span",
                  { key: workflowId, class: "block" },
                  h("a", { href: link(["workflows", workflowId]) }, name),
                  !active && h("span", { class: "quiet" }, " inactive"),
                ),
              ),
              !workflows.length && "none",
            ),
            h("td", { class: "nowrap", "data-label": "Installed" }, h(Time, { at: installedAt })),
            uninstall &&
              h(
                "td",
                {},
                h(
                  Button,
                  { kind: "subtle", label: `Uninstall ${integrationId}`, action: async () => uninstall(integrationId) },
                  "Uninstall",
                ),
              ),
          ),
        ),
      )
    : h(Empty, { title: "No installations", cursor }, empty);
