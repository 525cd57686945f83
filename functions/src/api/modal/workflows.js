// Workflows of an installation, which the user can switch.

import { text } from "./texts.js";
import { call, claims, deferred, RequestError } from "./api.js";
import { announce, clearFailure, h, newId } from "./dom.js";
import { change, remember } from "./changes.js";
import { send } from "./port.js";
import { reloadAfter } from "./sections.js";
import { canInstall, canManage, installationOf, loadSession, state } from "./state.js";

export { workflowList };

function workflowList(installation, integration, actions) {
  const described = new Map(integration?.workflows.map((workflow) => [workflow.key, workflow]) ?? []);
  // Workflows that a new version of the integration has added are created when they are switched
  // on.
  const missing = (integration?.workflows ?? []).filter(
    ({ key }) => !installation.workflows.some((workflow) => workflow.key === key),
  );
  const rows = [...installation.workflows, ...missing.map(({ key, name }) => ({ key, name, active: false }))];
  return h(
    "section",
    {},
    h("h2", {}, text("workflows")),
    h(
      "ul",
      { class: "rows" },
      rows.map((workflow) => {
        const id = newId("workflow");
        const description = described.get(workflow.key)?.description;
        const canSwitch = workflow.workflowId && canManage() ? true : canInstall() && integration !== null;
        const toggle = h("input", {
          id,
          type: "checkbox",
          role: "switch",
          checked: workflow.active,
          disabled: !canSwitch,
          onchange: () => switchWorkflow(toggle, installation, workflow, actions),
        });
        return h(
          "li",
          { class: "row" },
          h(
            "label",
            { for: id },
            h("strong", {}, workflow.name),
            description && h("span", { class: "help" }, description),
          ),
          toggle,
        );
      }),
    ),
  );
}

const workflowOf = (integrationId, key) => installationOf(integrationId)?.workflows.find((one) => one.key === key);

// Sends a switch, and loads the session. A token that may only install does it through the
// installation, with all active workflows.
async function sendSwitch(integrationId, { workflowId, key }, active) {
  // Only the response may have been lost.
  const checkSwitched = async (problem) => {
    if (!["offline", "failed"].includes(problem.kind)) throw problem;
    await loadSession().catch((later) => {
      throw later.kind === "stale" ? later : problem;
    });
    if (workflowOf(integrationId, key)?.active !== active) throw problem;
  };
  if (workflowId && canManage()) {
    await call("PUT", `workflows/${active ? "activate" : "deactivate"}`, { workflowId }).catch(checkSwitched);
    // The workflow is switched, even if the new status cannot be shown.
    await loadSession().catch((problem) => {
      if (problem.kind === "stale") throw problem;
    });
    return;
  }
  await loadSession();
  const present = installationOf(integrationId);
  if (!present) throw new RequestError("gone");
  const others = present.workflows.filter((one) => one.active && one.key !== key).map((one) => one.key);
  const workflows = active ? [...others, key] : others;
  await change(integrationId, { workflows }, present).then(remember, checkSwitched);
}

// Switches a workflow on or off, after previous switches.
async function switchWorkflow(toggle, installation, workflow, { showStatus, reload }) {
  const { integrationId } = installation;
  const active = toggle.checked;
  toggle.disabled = true;
  clearFailure();
  const previous = state.switches;
  const { promise, resolve } = deferred();
  state.switches = promise;
  const user = claims?.sub;
  await previous;
  try {
    // Nothing is switched for the next user.
    if (claims?.sub !== user) throw new RequestError("stale");
    await sendSwitch(integrationId, workflow, active);
    const workflowId = workflowOf(integrationId, workflow.key)?.workflowId ?? workflow.workflowId;
    Object.assign(workflow, { workflowId, active });
    send({
      type: "event",
      name: active ? "activated" : "deactivated",
      detail: { integrationId, workflowId, key: workflow.key },
    });
    if (toggle.isConnected) announce(text(active ? "activated" : "deactivated", { workflow: workflow.name }));
    showStatus();
  } catch (problem) {
    toggle.checked = !active;
    if (problem.kind !== "gone" || !toggle.isConnected || state.isDirty) throw problem;
    // The next view waits for all switches.
    resolve();
    await reloadAfter(problem, reload);
  } finally {
    resolve();
    toggle.disabled = false;
    // A disabled control loses the focus. The user may have moved it meanwhile.
    if ([document.body, toggle].includes(document.activeElement)) toggle.focus();
  }
}
