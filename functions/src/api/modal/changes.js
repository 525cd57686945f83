// Changes of installations: requests to the API that do not overwrite accounts that were changed
// elsewhere.

import { call, RequestError } from "./api.js";
import { send } from "./port.js";
import { installationOf, loadSession, own, state, userPath } from "./state.js";

export { change, installationPath, put, remember };

const installationPath = (id) => userPath(`installations/${encodeURIComponent(id)}`);

// Tells the host about a change of an installation.
function report(name, { integrationId, credentialIds, workflows, status }) {
  send({ type: "event", name, detail: { integrationId, credentialIds, workflows, status } });
}

// Stores an installation, and reports it to the host. `shown` is the present one as the user saw
// it, if there is one.
async function put(id, body, shown) {
  const installation = await (shown ? change(id, body, shown) : install(id, body));
  remember(installation);
  report(shown ? "updated" : "installed", installation);
  return installation;
}

// Replaces what the page knows of an installation.
function remember(installation) {
  state.session.installations = [
    installation,
    ...state.session.installations.filter((one) => one.integrationId !== installation.integrationId),
  ];
}

// Installs an integration that is not installed yet. A repetition succeeds if only the response was
// lost.
async function install(id, body) {
  const request = JSON.stringify([installationPath(id), body]);
  try {
    const installed = await call("PUT", installationPath(id), body, { "if-none-match": "*" });
    state.unanswered = null;
    return installed;
  } catch (problem) {
    if (["offline", "failed"].includes(problem.kind)) state.unanswered = request;
    if (problem.kind !== "changed" || state.unanswered !== request) throw problem;
    await loadSession();
    state.unanswered = null;
    const installed = installationOf(id);
    if (!installed) throw problem;
    return installed;
  }
}

// Changes an installation. It is not installed again if it was uninstalled elsewhere, no account is
// added twice if a response was lost, and what was entered replaces the data of no other account
// than the one that was shown.
async function change(id, body, shown) {
  const entered = Object.entries(body.credentials ?? {})
    .filter(([, { data }]) => data)
    .map(([type]) => type);
  const attempt = async () => {
    const present = installationOf(id);
    const isShown = entered.every((type) => own(present?.credentialIds, type) === own(shown.credentialIds, type));
    if (!isShown) throw new RequestError("changed");
    return call("PUT", installationPath(id), body, {
      "if-match": entered.length > 0 && present ? `"${present.revision}"` : "*",
    });
  };
  return attempt().catch(async (problem) => {
    if (problem.kind !== "changed" || entered.length === 0) throw problem;
    // Something else may have changed.
    await loadSession();
    return attempt();
  });
}
