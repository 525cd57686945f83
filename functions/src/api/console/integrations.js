// Integrations: the list of all of them, and the page of one.

import { Fragment, h, useState } from "./preact.js";
import { call, callDelete, segment, useSession } from "./api.js";
import { allIntegrations, rememberIntegration } from "./catalogue.js";
import { useData } from "./data.js";
import { confirmAction } from "./dialogs.js";
import { drafts, IntegrationEditor, NEW, newIntegration } from "./integration_editor.js";
import { announce } from "./messages.js";
import { IntegrationIcon, Preview } from "./preview.js";
import { go, link, rememberPage, useTitle } from "./route.js";
import { Time } from "./times.js";
import { Badge, Button, Empty, Json, Loading, plural, Properties, Section, Table } from "./ui.js";

export { IntegrationPage, IntegrationsPage };

function IntegrationsPage() {
  const { mayChange } = useSession();
  useTitle("Integrations");
  const integrations = useData("all integrations", allIntegrations);
  return h(
    Fragment,
    {},
    h(
      "div",
      { class: "row spread" },
      h("h1", { tabIndex: -1 }, "Integrations"),
      mayChange &&
        h(
          "div",
          { class: "row" },
          drafts.has(NEW) && h(Badge, { kind: "warn" }, "not saved"),
          h("a", { class: "button primary", href: link(["integrations", NEW]) }, "Add integration"),
        ),
    ),
    h(Loading, { of: integrations, rows: 6 }),
    integrations.data &&
      (integrations.data.length
        ? h(
            Table,
            { titles: ["Integration", "Status", "Workflows", "Version", "Changed"] },
            integrations.data.map((integration) =>
              h(
                "tr",
                { key: integration.integrationId },
                h(
                  "td",
                  { class: "text" },
                  h(
                    "span",
                    { class: "row flat" },
                    h(IntegrationIcon, integration),
                    h(
                      "span",
                      {},
                      h("a", { href: link(["integrations", integration.integrationId]) }, integration.name),
                      h("code", { class: "quiet block" }, integration.integrationId),
                      drafts.has(integration.integrationId) && h(Badge, { kind: "warn" }, "not saved"),
                    ),
                  ),
                ),
                h(
                  "td",
                  {},
                  h(
                    Badge,
                    { kind: integration.enabled ? "good" : "quiet" },
                    integration.enabled ? "enabled" : "disabled",
                  ),
                ),
                h("td", { "data-label": "Workflows:" }, integration.workflows.length),
                h("td", { "data-label": "Version:" }, integration.version),
                h("td", { class: "nowrap", "data-label": "Changed" }, h(Time, { at: integration.updatedAt })),
              ),
            ),
          )
        : h(
            Empty,
            { title: "No integrations" },
            "An integration is what your users can install in the embedded modal.",
          )),
  );
}

function IntegrationPage({ id }) {
  const { mayChange } = useSession();
  const isNew = id === NEW;
  const [discards, setDiscards] = useState(0);
  const loaded = useData(`integration ${id}`, async () =>
    isNew ? newIntegration() : call("GET", `integrations/${segment(id)}`),
  );
  const integration = loaded.data;
  const title = isNew ? "New integration" : (integration?.name ?? id);
  useTitle(title);
  return h(
    Fragment,
    {},
    h("a", { class: "back", href: link(["integrations"]) }, "Integrations"),
    h(
      "div",
      { class: "row spread" },
      h("h1", { tabIndex: -1 }, title),
      integration &&
        !isNew &&
        h(
          "div",
          { class: "row" },
          h("a", { href: link(["installations"], { integrationId: id }) }, "Installations"),
          mayChange &&
            h(Button, { kind: "danger outline", action: async () => deleteIntegration(integration) }, "Delete"),
        ),
    ),
    h(Loading, { of: loaded, rows: 8 }),
    integration &&
      (mayChange
        ? h(IntegrationEditor, {
            integration,
            isNew,
            saved: loaded.reload,
            discard: async () => {
              await loaded.reload();
              setDiscards(discards + 1);
            },
            key: `${integration.version} ${discards}`,
          })
        : h(
            "div",
            { class: "columns" },
            h(
              Section,
              { title: "Definition" },
              h(Properties, {
                pairs: [
                  ["Status", integration.enabled ? "enabled" : "disabled"],
                  ["Version", integration.version],
                ],
              }),
              h(Json, { title: "JSON", value: integration, isOpen: true }),
            ),
            h(Preview, { integration }),
          )),
  );
}

function deleteIntegration({ integrationId, name, workflows }) {
  confirmAction({
    title: `Delete ${name}?`,
    submit: "Delete integration",
    text: h(
      Fragment,
      {},
      h("p", {}, `It disappears from the catalogue, with ${plural(workflows.length, "workflow")}, forms and hints.`),
      h(
        "p",
        {},
        "Existing installations keep running and can be uninstalled, but not changed. To retire it, disable it instead.",
      ),
    ),
    action: async () => {
      const isHere = rememberPage();
      await callDelete(`integrations/${segment(integrationId)}`);
      rememberIntegration(integrationId, null);
      drafts.delete(integrationId);
      announce(`${name} is deleted.`);
      if (isHere()) go(link(["integrations"]));
    },
  });
}
