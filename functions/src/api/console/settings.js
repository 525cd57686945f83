// Settings: destinations of errors and events.

import { h, timeElement, badge, definitionList, button, redraw, announce, withBusy, copyButton, field, form, policyDetails, dialog, confirmDialog, poll, excerpt, destinationName } from "./dom.js";
import { call, query, encodeSegment } from "./api.js";
import { roleField, roleSteps, replaceWithRole } from "./role.js";

export { settingsPage };

// Interval between updates of the health of destinations.
const HEALTH_MS = 15000;

const keyFields = () => [
  field("Access key id", "accessKeyId", { required: true }),
  field("Secret access key", "secretAccessKey", { class: "secret", required: true }),
];

// What a destination can send, with the values of the API.
const SUBSCRIPTIONS = new Map([
  ["error", "Errors"], ["installation.*", "Installation events"], ["workflow.*", "Workflow events"],
  ["credential.*", "Credential events (never secrets)"], ["user.*", "User events"],
]);

// Checkboxes for what a destination sends. Single types of events that were set through the API are kept.
const eventsField = (chosen = ["error"]) => h("fieldset", { class: "wide" }, h("legend", {}, "Sends"),
  [...new Set([...SUBSCRIPTIONS.keys(), ...chosen])].map((value) => h("label", { class: "inline" },
    h("input", { type: "checkbox", name: "events", value, checked: chosen.includes(value) }), SUBSCRIPTIONS.get(value) ?? value)),
  h("div", { class: "error", "data-pointer": "events" }));

const chosenEvents = (formElement) => new FormData(formElement).getAll("events");

function settingsPage() {
  const buses = h("div", { class: "cards" });
  const webhooks = h("div", { class: "cards" });
  // Result of the last test of each destination.
  const testResults = new Map();

  async function load() {
    const found = [];
    let cursor = null;
    do {
      const page = await call("GET", `destinations${query({ limit: 100, cursor })}`);
      found.push(...page.data);
      cursor = page.cursor;
    } while (cursor);
    for (const [list, type] of [[buses, "eventbridge"], [webhooks, "webhook"]]) {
      const cards = found.filter((destination) => destination.type === type).map((destination) => card(destination, testResults, load));
      redraw(list, cards.length ? cards : h("p", { class: "quiet" }, "None yet."));
    }
  }

  // Keys and role are alternatives: only the chosen fields are shown.
  const access = field("Access", "access", { options: [["role", "Role (recommended)"], ["keys", "Access keys"]] });
  const byRole = [roleField(), h("p", { class: "wide quiet" }, "Saving shows what the role must trust. The destination is enabled when AWS has accepted the role.")];
  const byKeys = [...keyFields(), h("p", { class: "wide quiet" }, "Saving checks the connection: it asks AWS whether the bus exists and sends a test event.")];
  const chooseAccess = () => {
    const keys = access.querySelector("select").value === "keys";
    for (const node of byRole) node.hidden = keys;
    for (const node of byKeys) node.hidden = !keys;
  };
  access.addEventListener("change", chooseAccess);
  const bus = form([
    field("Region", "region", { required: true }, "For example eu-central-1"),
    field("Event bus name or ARN", "eventBusName", { required: true }),
    access,
    ...byRole,
    ...byKeys,
    eventsField(),
  ], "Save", async ({ access: kind, roleArn, accessKeyId, secretAccessKey, region, eventBusName }, formElement) => {
    const events = chosenEvents(formElement);
    const credentials = kind === "role" ? { roleArn: roleArn.trim() } : { accessKeyId, secretAccessKey };
    const saved = await call("POST", "destinations", { type: "eventbridge", region, eventBusName, events, credentials });
    formElement.reset();
    chooseAccess();
    if (kind === "role") roleSteps(saved, load);
    else announce(saved.verified ? "Saved and verified." : "Saved, but unverified: see the response of AWS.");
    await load();
  });
  bus.addEventListener("reset", () => setTimeout(chooseAccess));
  chooseAccess();
  const webhook = form([
    field("URL", "url", { type: "url", required: true, wide: true }, "HTTPS URL with a public address"),
    field("Description", "description", { wide: true }),
    eventsField(),
  ], "Save", async ({ url, description }, formElement) => {
    const events = chosenEvents(formElement);
    const saved = await call("POST", "destinations", { type: "webhook", url, events, ...(description && { description }) });
    formElement.reset();
    showSecret(saved.secret);
    await load();
  });

  const page = h("section", { "aria-labelledby": "settings-title" },
    h("h2", { id: "settings-title", tabindex: -1 }, "Settings"),
    h("section", { "aria-labelledby": "buses-title" }, h("h3", { id: "buses-title" }, "AWS EventBridge"), buses,
      h("div", { class: "card" }, bus)),
    h("section", { "aria-labelledby": "webhooks-title" }, h("h3", { id: "webhooks-title" }, "Webhook"), webhooks,
      h("div", { class: "card" }, webhook)));
  const stop = poll(HEALTH_MS, async () => {
    // Content that is being read or copied is not replaced.
    if (!document.hidden && !page.querySelector("details[open]") && !document.querySelector("dialog")) await load();
  });
  return { page, load, stop };
}

function showSecret(secret) {
  dialog("Webhook secret", h("div", { class: "card" },
    h("p", {}, "This secret signs the requests. It is shown only once."), h("pre", { tabindex: 0 }, secret), h("div", { class: "row" }, copyButton(secret, "Copy secret"))));
}

function card(destination, testResults, reload) {
  const { destinationId: id, events, health, filter } = destination;
  const path = `destinations/${encodeSegment(id)}`;
  const name = destinationName(destination);
  const toggle = h("input", {
    type: "checkbox", role: "switch", checked: destination.enabled, "data-focus": `toggle-${id}`, "aria-label": `Send to ${name}`,
    onchange: (event) => withBusy(event.currentTarget, async () => {
      try {
        await call("PATCH", path, { enabled: toggle.checked });
        announce(toggle.checked ? "Enabled." : "Disabled.");
      } finally {
        await reload();
      }
    }),
  });
  const filterEntries = Object.entries(filter ?? {}).filter(([, values]) => values?.length);
  const recordTestResult = async (text) => {
    testResults.set(id, text);
    await reload();
  };
  const hasRole = Boolean(destination.credentials?.roleArn);
  // Every attempt uses the role.
  const lastUse = [health.lastSuccessAt, health.lastFailureAt].filter(Boolean).toSorted().at(-1);
  const openEditDialog = (title, fields, body) => {
    const modal = dialog(title, form(fields, title, async (values, formElement) => {
      await call("PATCH", path, body(values, formElement));
      modal.close();
      announce("Saved.");
      await reload();
    }));
  };
  return h("article", { class: "card", "aria-label": name },
    h("div", { class: "row spread" },
      h("h4", {}, name),
      h("label", { class: "inline" }, toggle, destination.enabled ? "Enabled" : "Disabled")),
    destination.disabledReason && h("p", { class: "notice" }, `Disabled: ${destination.disabledReason}`),
    destination.description && h("p", {}, destination.description),
    definitionList([
      destination.credentials?.accessKeyId && ["Access key", h("code", {}, destination.credentials.accessKeyId)],
      hasRole && ["Assumed role", [h("code", {}, destination.credentials.roleArn), lastUse ? " last used " : " not used yet", lastUse && timeElement(lastUse)]],
      hasRole && ["External id", h("code", {}, destination.credentials.externalId)],
      ["Connection", [badge(destination.verified ? "Verified" : "Unverified", destination.verified ? "good" : "warn"), " ", destination.verification]],
      ["Circuit", badge(health.circuit, health.circuit === "open" ? "bad" : "good")],
      ["Sends", events.map((value) => SUBSCRIPTIONS.get(value) ?? value).join(", ")],
      ["Queued", String(health.pending)],
      ["Last success", health.lastSuccessAt ? timeElement(health.lastSuccessAt) : "None"],
      health.lastFailureAt && ["Last failure", timeElement(health.lastFailureAt)],
      filterEntries.length > 0 && ["Filter", filterEntries.map(([member, values]) => `${member}: ${values.join(", ")}`).join("; ")],
      testResults.has(id) && ["Last test", testResults.get(id)],
    ]),
    hasRole && policyDetails(destination.trustPolicy, false, "Trust policy of the role"),
    destination.policy && policyDetails(destination.policy, false, hasRole ? "Permissions policy of the role" : undefined),
    h("div", { class: "row" },
      button("Send test event", async () => {
        announce("Sending …");
        const { delivered, attempt } = await call("POST", `${path}/test`);
        const summary = `${delivered ? "Delivered" : "Not delivered"}: ${attempt.status ?? "no response"} in ${attempt.latencyMs} ms. ${excerpt(attempt.response)}`;
        announce(summary);
        await recordTestResult(summary);
      }, "", `test-${id}`),
      button("Change what is sent", async () => openEditDialog("Change what is sent", [eventsField(events)],
        (_, formElement) => ({ events: chosenEvents(formElement) })), "", `events-${id}`),
      destination.type === "webhook"
        ? [button("Change URL", async () => openEditDialog("Change URL", [field("New URL", "url", { wide: true, required: true })], ({ url }) => ({ url })), "", `url-${id}`),
          button("Rotate secret", async () => confirmDialog("Rotate webhook secret", "Requests are signed with a new secret. The previous secret stays valid for 24 hours.", "rotate", async () => {
            const { secret } = await call("POST", `${path}/rotate-secret`);
            showSecret(secret);
          }), "", `rotate-${id}`)]
        : [button(hasRole ? "Replace role" : "Use a role", async () => replaceWithRole(destination, reload), "", `role-${id}`),
          hasRole && !destination.enabled && button("Set up the role", async () => roleSteps(destination, reload), "", `setup-${id}`),
          button(hasRole ? "Use access keys" : "Replace keys", async () => openEditDialog("Replace keys", keyFields(), (credentials) => ({ credentials })), "", `keys-${id}`)],
      button("Delete", async () => confirmDialog("Delete destination", "Its keys and secrets are erased immediately.", "delete", async () => {
        await call("DELETE", path);
        announce("Deleted.");
        await reload();
      }), "danger", `delete-${id}`)));
}
