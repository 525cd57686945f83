// What went wrong: similar errors as one, with the hint of the integration where one matches.

import { text, plural, relativeTime, exactTime } from "./texts.js";
import { h, button, newId } from "./dom.js";
import { state, presentGroups, credentialsOf, canInstall } from "./state.js";

export { errorList };

// Returns the hint of an integration that matches an error: the first whose text the error
// contains.
const hintFor = (integration, error) => {
  const lowered = error.toLowerCase();
  return integration.hints.find((hint) => lowered.includes(hint.match.toLowerCase()));
};

const workflowsOf = (group) =>
  state.session.workflows.filter((workflow) => group.workflowIds.includes(workflow.workflowId));

// Returns the credentials that the integration's workflows use.
const usedCredentials = ({ integrationId, credentialTypes }, workflows) =>
  credentialTypes
    .flatMap(({ type }) => credentialsOf(type))
    .filter(({ credentialId }) =>
      workflows.some(
        (workflow) => workflow.integrationId === integrationId && workflow.credentialIds.includes(credentialId),
      ),
    );

const hasInvalidCredential = (integration, workflows) =>
  usedCredentials(integration, workflows).some(({ status }) => status === "invalid");

// Returns whether the accounts were connected again after an error.
const isRepaired = (integration, workflows, lastSeen) => {
  const used = usedCredentials(integration, workflows);
  return used.length > 0 && used.every(({ status, updatedAt }) => status === "valid" && updatedAt > lastSeen);
};

const integrationsOf = (workflows) =>
  [...new Set(workflows.map(({ integrationId }) => integrationId))]
    .map((id) => state.integrations.get(id))
    .filter(Boolean);

// Returns the hint for a group of errors, and the integration whose account has to be connected
// again because of it, if any. The errors of a group can be of several integrations.
function repairOf(workflows, { example: { error }, lastSeen }) {
  const integrations = integrationsOf(workflows);
  const hints = integrations
    .map((integration) => ({ integration, hint: hintFor(integration, error) }))
    .filter(({ hint }) => hint);
  const broken = integrations.find((integration) => hasInvalidCredential(integration, workflows));
  const { hint, integration } = hints.find((one) => one.integration === broken) ?? hints[0] ?? {};
  const needsAccount = hint?.action === "reconnect" && integration.credentialTypes.length > 0;
  return { hint, reconnected: needsAccount && !isRepaired(integration, workflows, lastSeen) && integration };
}

// Creates a button that connects an account again. `id` is that of the text that says why, and
// `name` tells the button apart from the others.
const reconnectButton = ({ integrationId }, reconnect, id, name) =>
  button(text("reconnect"), () => reconnect(integrationId), "", { "aria-describedby": id, name });

// Names the integrations whose account does not work.
function brokenNotice(groups, reconnect) {
  const workflows = groups.flatMap(workflowsOf);
  const broken = integrationsOf(workflows).filter((integration) => hasInvalidCredential(integration, workflows));
  const row = (integration) => {
    const id = newId("broken");
    return h(
      "li",
      { class: "row" },
      h("p", { id }, text("accountBroken", { integration: integration.name })),
      canInstall() && reconnectButton(integration, reconnect, id, integration.integrationId),
    );
  };
  return broken.length > 0 && h("ul", { class: "notice danger" }, broken.map(row));
}

// Creates the list of the first groups. `reconnect` opens the accounts of an integration. With a
// limit it is part of a view that names what does not work.
function errorList(errors, reconnect, limit = Infinity) {
  const groups = presentGroups(errors);
  if (groups.length === 0) return h("p", { class: "empty" }, text("noErrors"));
  return [
    limit === Infinity && brokenNotice(groups, reconnect),
    h(
      "ul",
      { class: "errors" },
      groups.slice(0, limit).map((group) => errorItem(group, reconnect)),
    ),
    limit === Infinity && !errors.complete && h("p", { class: "quiet" }, text("errorsIncomplete")),
  ];
}

function errorItem(group, reconnect) {
  const workflows = workflowsOf(group);
  const { hint, reconnected } = repairOf(workflows, group);
  const id = newId("message");
  return h(
    "li",
    {},
    h(
      "p",
      { id, class: hint ? "message" : "message excerpt" },
      hint?.text ?? (group.example.error.trim() || group.example.blockType),
    ),
    h(
      "p",
      { class: "quiet" },
      [...new Set(workflows.map((workflow) => workflow.name))].map((name) => [h("bdi", {}, name), " · "]),
      plural("times", group.count),
      " · ",
      h(
        "time",
        { datetime: group.lastSeen, title: exactTime(group.lastSeen) },
        text("lastSeen", { time: relativeTime(group.lastSeen) }),
      ),
    ),
    reconnected &&
      canInstall() &&
      h("div", { class: "actions start" }, reconnectButton(reconnected, reconnect, id, group.fingerprint)),
    h(
      "details",
      {},
      h("summary", {}, text("details")),
      h(
        "pre",
        { tabindex: 0, role: "group", "aria-label": text("details") },
        `${group.example.blockType}\n${group.example.error}`,
      ),
    ),
  );
}
