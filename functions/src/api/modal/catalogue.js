// Catalogue: the integrations, with the state of each.

import { text, plural, compareNames } from "./texts.js";
import { h, button, icon } from "./dom.js";
import { state, installationOf, presentGroups } from "./state.js";

export { catalogueView, statusBadge };

// Number of integrations from which a search helps.
const MIN_SEARCHED = 6;

const statusBadge = (status) => h("span", { class: `badge ${status}` }, text(`status.${status}`));

// Full-width letters count as the others.
const searchable = (value) => value.normalize("NFKC").toLowerCase();

// What needs the user is first, then what is installed.
const rank = ({ integrationId }) => {
  const status = installationOf(integrationId)?.status;
  return status === "needs-attention" ? 0 : status ? 1 : 2;
};

// Creates the view. `openIntegration` and `openErrors` lead to the other views. `errors` is null if
// the errors could not be loaded.
function catalogueView({ openIntegration, openErrors, errors }) {
  const errorCount = errors ? presentGroups(errors).reduce((sum, group) => sum + group.count, 0) : 0;
  const entries = [...state.integrations.values(), ...retiredEntries()];
  entries.sort((one, other) => rank(one) - rank(other) || compareNames(one.name, other.name));
  const list = h("ul", { class: "catalogue" });
  const empty = h("p", { class: "empty", role: "status" });
  const draw = () => {
    const { search } = state;
    const wanted = searchable(search.trim());
    const found = entries.filter(({ name, description }) =>
      searchable(`${name} ${description ?? ""}`).includes(wanted),
    );
    list.replaceChildren(...found.map((integration) => entry(integration, openIntegration)));
    empty.textContent = found.length > 0 ? "" : text(entries.length === 0 ? "noIntegrations" : "noMatch", { search });
  };
  const searchInput =
    entries.length >= MIN_SEARCHED &&
    h("input", {
      type: "search",
      class: "search",
      dir: "auto",
      "aria-label": text("search"),
      placeholder: text("search"),
      value: state.search,
      oninput: ({ currentTarget }) => {
        state.search = currentTarget.value;
        draw();
      },
    });
  if (!searchInput) state.search = "";
  draw();
  return [
    searchInput,
    errorCount > 0 &&
      h(
        "div",
        { class: "notice warn row" },
        h("p", {}, plural("errorCount", errorCount, errors.complete ? "" : "+")),
        button(text("showErrors"), openErrors),
      ),
    list,
    empty,
  ];
}

// Returns entries for installations whose integration is no longer offered.
const retiredEntries = () =>
  state.session.installations
    .filter(({ integrationId }) => !state.integrations.has(integrationId))
    .map(({ integrationId }) => ({ integrationId, name: integrationId, description: text("retired"), icon: null }));

function entry(integration, openIntegration) {
  const installation = installationOf(integration.integrationId);
  return h(
    "li",
    {},
    h(
      "button",
      {
        type: "button",
        class: "card",
        name: integration.integrationId,
        onclick: () => openIntegration(integration.integrationId),
      },
      icon(integration),
      h(
        "span",
        { class: "about" },
        h(
          "span",
          { class: "row" },
          h("strong", {}, integration.name),
          installation && statusBadge(installation.status),
        ),
        integration.description && h("span", { class: "description" }, integration.description),
      ),
    ),
  );
}
