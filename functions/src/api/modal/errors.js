// What went wrong: similar errors as one, with the hint of the integration where one matches.

import { text, plural, relativeTime, exactTime } from "./texts.js";
import { h, button } from "./dom.js";
import { state, presentGroups, credentialsOf, canInstall } from "./state.js";

export { errorList };

// Returns the hint of an integration that matches an error: the first whose text the error contains.
const hintFor = (integration, error) => {
  const lowered = error.toLowerCase();
  return integration.hints.find((hint) => lowered.includes(hint.match.toLowerCase()));
};

const workflowsOf = (group) => state.session.workflows.filter((workflow) => group.workflowIds.includes(workflow.workflowId));

// Returns whether a credential of one of the integration's workflows does not work.
const hasInvalidCredential = ({ integrationId, credentialTypes }, workflows) => credentialTypes
  .flatMap(({ type }) => credentialsOf(type))
  .some(({ credentialId, status }) => status === "invalid" && workflows
    .some((workflow) => workflow.integrationId === integrationId && workflow.credentialIds.includes(credentialId)));

// Returns the hint for a group of errors, and the integration whose account has to be connected again, if any. The
// errors of a group can be of several integrations.
function repairOf(workflows, error) {
  const integrations = [...new Set(workflows.map(({ integrationId }) => integrationId))]
    .map((id) => state.integrations.get(id)).filter(Boolean);
  const hints = integrations.map((integration) => ({ integration, hint: hintFor(integration, error) })).filter(({ hint }) => hint);
  const broken = integrations.find((integration) => hasInvalidCredential(integration, workflows));
  const { hint, integration } = hints.find((one) => one.integration === broken) ?? hints[0] ?? {};
  const hinted = hint?.action === "reconnect" && integration.credentialTypes.length > 0 ? integration : null;
  return { hint, reconnected: broken ?? hinted };
}

// Creates the list of the first groups. `reconnect` opens the accounts of an integration.
function errorList(errors, reconnect, limit = Infinity) {
  const groups = presentGroups(errors);
  if (groups.length === 0) return h("p", { class: "empty" }, text("noErrors"));
  return [
    h("ul", { class: "errors" }, groups.slice(0, limit).map((group) => errorItem(group, reconnect))),
    limit === Infinity && !errors.complete && h("p", { class: "quiet" }, text("errorsIncomplete")),
  ];
}

function errorItem(group, reconnect) {
  const workflows = workflowsOf(group);
  const { hint, reconnected } = repairOf(workflows, group.example.error);
  return h("li", {},
    h("p", { class: hint ? "message" : "message excerpt" }, hint?.text ?? group.example.error),
    h("p", { class: "quiet" },
      [...new Set(workflows.map((workflow) => workflow.name))].map((name) => [name, " · "]),
      plural("times", group.count), " · ",
      h("time", { datetime: group.lastSeen, title: exactTime(group.lastSeen) }, text("lastSeen", { time: relativeTime(group.lastSeen) }))),
    reconnected && canInstall()
      && h("div", { class: "actions start" }, button(text("reconnect"), () => reconnect(reconnected.integrationId), "primary")),
    h("details", {}, h("summary", {}, text("details")),
      h("pre", { tabindex: 0, "aria-label": text("details") }, `${group.example.blockType}\n${group.example.error}`)));
}
