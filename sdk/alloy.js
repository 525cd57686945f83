// Drop-in for the npm package alloy-frontend 2.1: the same methods, and `setUrl` for the URL of
// your API.

import { open } from "./tenon.js";

export { Alloy as default };

// Parameters without an equivalent, and the reason.
const UNSUPPORTED = {
  workflowIds: "pass integrationId instead",
  versionIds: "an integration has one version",
  preFilledValues: "open the modal with tenon.js and its option prefill",
  outputOverride: "workflows are part of the integration",
  hide: "the modal is shown",
  title: "the page shows the name of the integration",
  category: "pass app or integrationId instead",
  useUnifiedSettings: "the integration defines its settings",
};

const warnings = new Set();

// Logs a warning once.
function warn(text) {
  if (warnings.has(text)) return;
  warnings.add(text);
  console.warn(`tenon: ${text}`);
}

const asInstalled = (workflow) => ({ ...workflow, installed: true });

// Returns an integration with the members that pages of alloy-frontend read.
function asBefore(integration, workflows) {
  const { integrationId, credentialTypes, installation } = integration;
  const installed = new Map(
    workflows.filter((one) => one.integrationId === integrationId).map((one) => [one.key, asInstalled(one)]),
  );
  return {
    ...integration,
    app: credentialTypes[0]?.type ?? integrationId,
    installed: Boolean(installation),
    workflows: integration.workflows.map((workflow) => ({
      installed: false,
      active: false,
      ...workflow,
      ...installed.get(workflow.key),
    })),
  };
}

function Alloy() {
  let origins;
  let url;
  let token;

  function requireToken() {
    if (!token) throw new Error("no token set");
  }

  // Calls the callback once: after an installation or a change, which closes the modal, or when the
  // user closes it, with success if one of the events in `kept` came before.
  function show(params, integrationId, respond, kept) {
    requireToken();
    for (const [name, reason] of Object.entries(UNSUPPORTED)) {
      if (params[name]) warn(`${name} is not supported: ${reason}`);
    }
    let success = false;
    let isDone = false;
    const succeed = (detail) => {
      isDone = true;
      modal.close();
      params.callback?.(respond(detail));
    };
    const keep = () => {
      success = true;
    };
    const modal = open({
      url,
      origins,
      // State of the page that is not loaded yet.
      integrationId: integrationId || undefined,
      token: () => token,
      on: {
        installed: succeed,
        updated: succeed,
        ...Object.fromEntries(kept.map((name) => [name, keep])),
        close() {
          if (!isDone) params.callback?.({ success });
        },
      },
    });
  }

  function install(params) {
    show(params, params.integrationId, () => ({ success: true }), ["activated", "deactivated"]);
  }

  function edit(params = {}) {
    show(params, params.integrationId, () => ({ success: true }), ["activated", "deactivated", "uninstalled"]);
  }

  function authenticate(params) {
    const { app, integrationId } = params;
    show(
      params,
      integrationId || app,
      ({ credentialIds }) => {
        const accounts = Object.entries(credentialIds);
        // Of several, that of another service would be wrong.
        const [only] = accounts.length === 1 ? accounts : [];
        const [, credentialId] = accounts.find(([type]) => type === app) ?? only ?? [];
        return { success: true, ...(credentialId && { credentialId }) };
      },
      [],
    );
  }

  // Returns the body of the response, also of an error.
  function call(method, path, body) {
    requireToken();
    if (!url) throw new Error("no url set");
    const headers = { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) };
    return fetch(url.replace(/\/+$/, "") + path, { method, headers, body: body && JSON.stringify(body) }).then(
      (response) => response.json(),
    );
  }

  // Returns all pages of a list as one, or the body of an error.
  function list(path, cursor, before = []) {
    const query = new URLSearchParams({ limit: 100, ...(cursor && { cursor }) });
    return call("GET", `${path}?${query}`).then((page) => {
      if (!page.data) return page;
      const data = [...before, ...page.data];
      return page.cursor ? list(path, page.cursor, data) : { data };
    });
  }

  // Returns the integrations with their installed workflows, and the members that pages of
  // alloy-frontend read.
  function getIntegrations() {
    return Promise.all([list("/integrations"), list("/workflows")]).then((pages) => {
      const [integrations, workflows] = pages.map(({ data }) => data);
      if (!integrations || !workflows) return pages.find(({ data }) => !data);
      return { data: integrations.map((integration) => asBefore(integration, workflows)) };
    });
  }

  return {
    install,
    authenticate,
    edit,
    update: edit,
    setUrl(value) {
      // The token is sent to it.
      if (!/^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1)(:\d+)?(\/|$))/i.test(value)) {
        throw new TypeError("tenon: url must be an https URL, or http on localhost and 127.0.0.1");
      }
      url = value;
    },
    setOrigins(value) {
      origins = value;
    },
    setToken(value) {
      token = value;
    },
    setRegion() {
      warn("setRegion is not supported: call setUrl with the URL of your API");
    },
    getWorkflows: () => list("/workflows").then(({ data, ...page }) => (data ? { data: data.map(asInstalled) } : page)),
    getIntegrations,
    deactivate: (data) => call("PUT", "/workflows/deactivate", data),
    reactivate: (data) => call("PUT", "/workflows/activate", data),
  };
}
