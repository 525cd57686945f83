// Catalogue of integrations, and the choice of one that filters a list.

import { h, useState } from "./preact.js";
import { call, onSignOut, query } from "./api.js";
import { useData } from "./data.js";
import { FilterSelect } from "./forms.js";
import { useAddress } from "./route.js";

export { allIntegrations, IntegrationFilter, rememberIntegration };

// Integrations that were changed here, by id, and null for those that were deleted: the API may
// list the former ones for a while.
const LISTED_MS = 10000;
const changedIntegrations = new Map();
onSignOut(() => changedIntegrations.clear());

function rememberIntegration(id, integration) {
  changedIntegrations.set(id, integration);
  setTimeout(() => {
    if (changedIntegrations.get(id) === integration) changedIntegrations.delete(id);
  }, LISTED_MS);
}

// Loads the whole catalogue. A page of large integrations has fewer than its limit.
async function allIntegrations() {
  const listed = new Map();
  let cursor;
  do {
    const page = await call("GET", `integrations${query({ limit: 100, cursor })}`);
    for (const integration of page.data) listed.set(integration.integrationId, integration);
    ({ cursor } = page);
  } while (cursor);
  return [...new Map([...listed, ...changedIntegrations]).values()].filter(Boolean);
}

// Choice of an integration that filters a list. The names are read when they are needed.
function IntegrationFilter() {
  const {
    parameters: { integrationId: value },
  } = useAddress();
  const [isNeeded, setNeeded] = useState(false);
  const names = useData(`names of integrations ${isNeeded}`, async () => (isNeeded ? allIntegrations() : []));
  const { data, problem } = names;
  const options = (data ?? []).map(({ integrationId, name }) => [integrationId, name]);
  if (value && !options.some(([id]) => id === value)) options.push([value, value]);
  return h(
    FilterSelect,
    {
      label: "Integration",
      name: "integrationId",
      options,
      onFocus: () => (problem ? names.reload() : setNeeded(true)),
    },
    !data && h("option", { disabled: true }, problem ? "The others cannot be loaded" : "Loading…"),
  );
}
