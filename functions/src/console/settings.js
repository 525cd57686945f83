// Settings: where errors are sent.

const placeOf = (destination) => (destination.type === "webhook"
  ? `Webhook ${destination.url}` : `EventBridge ${destination.eventBusName} in ${destination.region}`);

function settingsPage() {
  const buses = h("div", {});
  const webhooks = h("div", {});

  async function load() {
    const found = [];
    let cursor = null;
    do {
      const page = await call("GET", `destinations${query({ limit: 100, cursor })}`);
      found.push(...page.data);
      cursor = page.cursor;
    } while (cursor);
    for (const [place, type] of [[buses, "eventbridge"], [webhooks, "webhook"]]) {
      const cards = found.filter((destination) => destination.type === type).map((destination) => card(destination, load));
      place.replaceChildren(...(cards.length ? cards : [h("p", { class: "quiet" }, "None yet.")]));
    }
  }

  const bus = form([
    field("Access key id", "accessKeyId", { required: true }),
    field("Secret access key", "secretAccessKey", { type: "password", required: true }),
    field("Region", "region", { required: true }, "such as eu-central-1"),
    field("Event bus name or ARN", "eventBusName", { required: true }),
    h("p", { class: "wide quiet" }, "Saving checks the connection: it asks AWS whether the bus is there, and sends a test event."),
  ], "Save", async ({ accessKeyId, secretAccessKey, region, eventBusName }, made) => {
    const saved = await call("POST", "destinations", { type: "eventbridge", region, eventBusName, credentials: { accessKeyId, secretAccessKey } });
    made.reset();
    say(saved.verified ? "Saved and verified." : "Saved, but not proven: see what AWS said.");
    await load();
  });
  const webhook = form([
    field("URL", "url", { type: "url", required: true, wide: true }, "HTTPS, at a public address"),
    field("Description", "description", { wide: true }),
  ], "Save", async ({ url, description }, made) => {
    const saved = await call("POST", "destinations", { type: "webhook", url, ...(description && { description }) });
    made.reset();
    showSecret(saved.secret);
    await load();
  });

  const page = h("section", { "aria-labelledby": "settings-title" },
    h("h2", { id: "settings-title", tabindex: -1 }, "Settings"),
    h("section", { "aria-labelledby": "buses-title" }, h("h3", { id: "buses-title" }, "AWS EventBridge"), buses,
      h("div", { class: "card" }, bus)),
    h("section", { "aria-labelledby": "webhooks-title" }, h("h3", { id: "webhooks-title" }, "Webhook"), webhooks,
      h("div", { class: "card" }, webhook)));
  return { page, load, stop: () => {} };
}

function showSecret(secret) {
  dialog("The webhook's secret", h("div", { class: "card" },
    h("p", {}, "It signs the requests, and is shown this once."), h("pre", { tabindex: 0 }, secret), h("div", { class: "row" }, copyable(secret, "Copy the secret"))));
}

function card(destination, reload) {
  const path = `destinations/${segment(destination.destinationId)}`;
  const toggle = h("input", { type: "checkbox", role: "switch", checked: destination.enabled, onchange: (event) => working(event.currentTarget, async () => {
    try {
      await call("PATCH", path, { enabled: toggle.checked });
      say(toggle.checked ? "Errors are sent from now on." : "Switched off.");
    } finally {
      await reload();
    }
  }) });
  const { health, filter } = destination;
  const limited = Object.entries(filter ?? {}).filter(([, values]) => values?.length);
  const said = h("p", { role: "status", class: "quiet" });
  return h("article", { class: "card", "aria-label": placeOf(destination) },
    h("div", { class: "row spread" },
      h("h4", {}, placeOf(destination)),
      h("label", { class: "inline" }, toggle, destination.enabled ? "On" : "Off")),
    destination.disabledReason && h("p", { class: "notice" }, `Switched off: ${destination.disabledReason}`),
    destination.description && h("p", {}, destination.description),
    facts([
      destination.credentials && ["Access key", h("code", {}, destination.credentials.accessKeyId)],
      ["Connection", [badge(destination.verified ? "verified" : "not proven", destination.verified ? "good" : "warn"), " ", destination.verification]],
      ["Circuit", badge(health.circuit, health.circuit === "open" ? "bad" : "good")],
      ["Waiting", `${health.pending} errors`],
      ["Last success", health.lastSuccessAt ? when(health.lastSuccessAt) : "none yet"],
      health.lastFailureAt && ["Last failure", when(health.lastFailureAt)],
      limited.length > 0 && ["Only", limited.map(([name, values]) => `${name}: ${values.join(", ")}`).join("; ")],
    ]),
    destination.policy && h("details", {}, h("summary", {}, "The least-privilege policy for these keys"),
      h("pre", { tabindex: 0 }, JSON.stringify(destination.policy, null, 2)), copyable(JSON.stringify(destination.policy, null, 2), "Copy the policy")),
    said,
    h("div", { class: "row" },
      button("Send test event", async () => {
        said.textContent = "Sending …";
        const { delivered, attempt } = await call("POST", `${path}/test`);
        said.textContent = `${delivered ? "Delivered" : "Not delivered"}: ${attempt.status ?? "no answer"} in ${attempt.latencyMs} ms. ${short(attempt.response)}`;
      }),
      destination.type === "webhook" && button("Rotate secret", async () => {
        const { secret } = await call("POST", `${path}/rotate-secret`);
        showSecret(secret);
      }),
      button("Delete", async () => confirmed("Delete destination", "Its keys and secrets are erased at once.", "delete", async () => {
        await call("DELETE", path);
        say("Deleted.");
        await reload();
      }), "danger")));
}
