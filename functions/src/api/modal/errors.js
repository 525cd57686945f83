// What went wrong: similar errors as one, with the hint of the integration where one matches.

import { text, plural, relativeTime, exactTime } from "./texts.js";
import { h, button } from "./dom.js";
import { state, presentGroups, credentialsOf, canInstall } from "./state.js";

export { errorList };

// Returns the hint of an integration that matches an error: the first whose text the error contains.
const hintFor = (integration, error) => {
  const lowered = error.toLowerCase();
  return integration?.hints.find((hint) => lowered.includes(hint.match.toLowerCase()));
};

const workflowsOf = (group) => state.session.workflows.filter((workflow) => group.workflowIds.includes(workflow.workflowId));

// Returns whether a credential of one of the workflows does not work.
const hasInvalidCredential = (integration, workflows) => integration.credentialTypes
  .flatMap(({ type }) => credentialsOf(type))
  .some(({ credentialId, status }) => status === "invalid" && workflows.some((workflow) => workflow.credentialIds.includes(credentialId)));

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
  const integration = state.integrations.get(workflows.find((workflow) => workflow.integrationId)?.integrationId);
  const hint = hintFor(integration, group.example.error);
  const canReconnect = integration && canInstall() && integration.credentialTypes.length > 0
    && (hint?.action === "reconnect" || hasInvalidCredential(integration, workflows));
  return h("li", {},
    h("p", { class: hint ? "message" : "message excerpt" }, hint?.text ?? group.example.error),
    h("p", { class: "quiet" },
      [...new Set(workflows.map((workflow) => workflow.name))].map((name) => [name, " · "]),
      plural("times", group.count), " · ",
      h("time", { datetime: group.lastSeen, title: exactTime(group.lastSeen) }, text("lastSeen", { time: relativeTime(group.lastSeen) }))),
    canReconnect && h("div", { class: "actions start" }, button(text("reconnect"), () => reconnect(integration.integrationId), "primary")),
    h("details", {}, h("summary", {}, text("details")),
      h("pre", { tabindex: 0, "aria-label": text("details") }, `${group.example.blockType}\n${group.example.error}`)));
}
