// What the page knows: the session of the user, the integrations, and what the host asked for.

import { setLanguage } from "./texts.js";
import { setThemes } from "./theme.js";
import { call, claims } from "./api.js";

export {
  state,
  loadSession,
  loadCatalogue,
  loadIntegration,
  loadErrors,
  presentGroups,
  own,
  installationOf,
  credentialsOf,
  credentialOf,
  canInstall,
  canManage,
  userPath,
};

const state = {
  // Options of the host, as docs/modal.md describes.
  options: {},
  // Response of GET /session.
  session: null,
  // Integrations by id.
  integrations: new Map(),
  // Text for which the catalogue is searched.
  search: "",
  // Whether the page is in a dialog of the host, which it can close.
  isDialog: false,
  // Number of the view that was opened last. It may still be loading.
  view: 0,
  // Whether the form of the present view has changes that are not saved.
  isDirty: false,
  // Whether that form is being saved.
  isSaving: false,
  // Settles when all switches of workflows are done. Views that are loaded meanwhile wait for it.
  switches: Promise.resolve(),
  // First installation of the present view of which no response has arrived: the text of the
  // request, or null.
  unanswered: null,
};

const MODES = ["read", "install", "manage"];

// Returns whether the token permits a mode, and the host has not narrowed it.
const isPermitted = (needed) =>
  [claims?.mode ?? "manage", state.options.mode ?? "manage"].every(
    (mode) => MODES.indexOf(mode) >= MODES.indexOf(needed),
  );
const canInstall = () => isPermitted("install");
const canManage = () => isPermitted("manage");

const userPath = (path) => `users/${encodeURIComponent(state.session.user.userId)}/${path}`;

// Numbers of the session that was requested last and of the one that is shown.
let [requestedSession, shownSession] = [0, 0];

async function loadSession() {
  const number = (requestedSession += 1);
  const session = await call("GET", "session");
  // One that was requested later has arrived before and is newer.
  if (number < shownSession) return;
  shownSession = number;
  state.session = session;
  const { theme, lang } = state.session.environment.modal;
  setThemes({ environment: theme });
  setLanguage([state.options.lang, lang, ...navigator.languages], state.options.texts);
}

// Integrations of the token that were missing last.
let warnedOf = "";

async function loadCatalogue() {
  const integrations = [];
  let cursor;
  do {
    const page = await call("GET", `integrations?${new URLSearchParams({ limit: 100, ...(cursor && { cursor }) })}`);
    integrations.push(...page.data);
    ({ cursor } = page);
  } while (cursor);
  state.integrations = new Map(integrations.map((integration) => [integration.integrationId, integration]));
  const missing = (claims?.integrations ?? []).filter((id) => !state.integrations.has(id)).join(", ");
  if (missing && missing !== warnedOf) console.warn(`tenon: integrations of the token are not enabled: ${missing}`);
  warnedOf = missing;
}

// Loads the present version of an integration. Returns null if the catalogue does not offer it to
// the user.
async function loadIntegration(id) {
  try {
    const integration = await call("GET", `integrations/${encodeURIComponent(id)}`);
    state.integrations.set(id, integration);
    return integration;
  } catch (problem) {
    if (!["gone", "invalid"].includes(problem.kind)) throw problem;
    state.integrations.delete(id);
    return null;
  }
}

const ERRORS_SINCE_MS = 7 * 86_400_000;

// Loads the groups of similar errors of an integration, or of all.
function loadErrors(integrationId) {
  const since = new Date(Date.now() - ERRORS_SINCE_MS).toISOString();
  return call("GET", `errors/groups?${new URLSearchParams({ since, ...(integrationId && { integrationId }) })}`);
}

// Returns the groups of workflows that the user still has. Nobody can repair an error of a deleted
// workflow.
function presentGroups({ groups }) {
  const present = new Set(state.session.workflows.map(({ workflowId }) => workflowId));
  return groups.filter(({ workflowIds }) => state.session.truncated || workflowIds.some((id) => present.has(id)));
}

const installationOf = (id) => state.session.installations.find((installation) => installation.integrationId === id);
const credentialsOf = (type) => state.session.credentials.filter((credential) => credential.type === type);
const credentialOf = (installation, type) =>
  state.session.credentials.find((credential) => credential.credentialId === installation.credentialIds[type]);

// Values have names of the integration, such as "constructor".
const own = (values, name) => (values && Object.hasOwn(values, name) ? values[name] : undefined);
