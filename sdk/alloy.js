// Drop-in for the npm package alloy-frontend 2.1: the same methods, and `setUrl` for the URL of your API.

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

function Alloy() {
  let url;
  let token;

  function requireToken() {
    if (!token) throw new Error("no token set");
  }

  // Calls the callback once: after an installation or a change, or when the user closes the modal, with the outcome of
  // switched workflows.
  function show(params, integrationId, respond, { switched }) {
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
    const keep = () => { success = switched; };
    const modal = open({
      url,
      integrationId,
      token: () => token,
      on: {
        installed: succeed,
        updated: succeed,
        activated: keep,
        deactivated: keep,
        close() { if (!isDone) params.callback?.({ success }); },
      },
    });
  }

  function install(params) {
    show(params, params.integrationId, () => ({ success: true }), { switched: true });
  }

  function authenticate(params) {
    const { app, integrationId } = params;
    show(params, integrationId ?? app, ({ credentialIds }) => {
      const credentialId = credentialIds[app] ?? Object.values(credentialIds)[0];
      return { success: true, ...credentialId && { credentialId } };
    }, { switched: false });
  }

  // Returns the body of the response, also of an error.
  function call(method, path, body) {
    requireToken();
    if (!url) throw new Error("no url set");
    const headers = { authorization: `Bearer ${token}`, ...body && { "content-type": "application/json" } };
    return fetch(url.replace(/\/+$/, "") + path, { method, headers, body: body && JSON.stringify(body) })
      .then((response) => response.json());
  }

  // Returns all pages of a list as one, or the body of an error.
  function list(path, cursor, before = []) {
    const query = new URLSearchParams({ limit: 100, ...cursor && { cursor } });
    return call("GET", `${path}?${query}`).then((page) => {
      if (!page.data) return page;
      const data = [...before, ...page.data];
      return page.cursor ? list(path, page.cursor, data) : { data };
    });
  }

  return {
    install,
    authenticate,
    edit: install,
    update: install,
    setUrl(value) { url = value; },
    setToken(value) { token = value; },
    setRegion() { warn("setRegion is not supported: call setUrl with the URL of your API"); },
    getWorkflows: () => list("/workflows"),
    getIntegrations: () => list("/integrations"),
    deactivate: (data) => call("PUT", "/workflows/deactivate", data),
    reactivate: (data) => call("PUT", "/workflows/activate", data),
  };
}
