// Preview of an integration as the embedded modal shows it, in the theme of the environment.
// Nothing in it is sent.

import { Fragment, h } from "./preact.js";
import { useSession } from "./api.js";
import { Section } from "./ui.js";

export { IntegrationIcon, Preview };

// Returns an entered value, which may be of any type, as text.
const asText = (value, missing = "") =>
  ["string", "number"].includes(typeof value) && value !== "" ? String(value) : missing;

// Icon of an integration, or the first letter of its name.
const IntegrationIcon = ({ name, icon }) =>
  icon
    ? h("img", { class: "app-icon", src: icon, alt: "" })
    : h("span", { class: "app-icon letter", "aria-hidden": "true" }, [...asText(name)][0]?.toUpperCase() ?? "?");

const list = (value) => (Array.isArray(value) ? value.filter((item) => item && typeof item === "object") : []);

// Returns the scheme of a theme, and its own colors as custom properties.
function themed(theme) {
  const scheme = ["light", "dark"].includes(theme)
    ? theme
    : matchMedia("(prefers-color-scheme: dark)").matches
      ? "dark"
      : "light";
  const palette = Object.entries((typeof theme === "object" && theme?.[scheme]) || {}).filter(
    ([, value]) => value !== null,
  );
  return {
    class: `preview ${scheme}`,
    style: Object.fromEntries(
      palette.map(([name, value]) => [`--modal-${name}`, name === "radius" ? `${value}px` : value]),
    ),
  };
}

// Number of inputs up to which the modal shows everything in one form, as in its installation.js.
const MAX_IN_ONE_FORM = 8;

function PreviewField({ field: { label, type, required, help, placeholder, options } }) {
  const name = h(
    Fragment,
    {},
    asText(label, "(label)"),
    !required && type !== "boolean" && h("span", { class: "quiet" }, " (optional)"),
  );
  if (type === "boolean") return h("label", { class: "check" }, h("input", { type: "checkbox" }), h("span", {}, name));
  return h(
    "label",
    {},
    h("span", {}, name),
    type === "select"
      ? h(
          "select",
          {},
          h("option", {}, "Choose…"),
          list(options).map(({ value, label: title }) => h("option", { key: asText(value) }, asText(title))),
        )
      : h("input", { class: type === "secret" ? "secret" : "", placeholder: asText(placeholder), autocomplete: "off" }),
    help && h("span", { class: "quiet" }, asText(help)),
  );
}

function Preview({ integration }) {
  const {
    environment: { modal },
  } = useSession();
  const { name, description, credentialTypes, settings, workflows } = integration;
  // The modal offers no choice of a single workflow.
  const choices = list(workflows).length > 1 ? list(workflows) : [];
  // An account that the app connects is one input.
  const ofAccounts = list(credentialTypes).reduce((sum, type) => sum + Math.max(list(type.fields).length, 1), 0);
  const inputs = ofAccounts + list(settings).length + choices.length;
  return h(
    Section,
    { title: "Preview of the modal" },
    inputs > MAX_IN_ONE_FORM &&
      h(
        "p",
        { class: "quiet" },
        "The modal shows these parts one after the other, since they have more than eight inputs.",
      ),
    h(
      "div",
      themed(modal.theme),
      h(
        "div",
        { class: "row flat" },
        h(IntegrationIcon, integration),
        h(
          "span",
          {},
          h("strong", {}, asText(name, "(name)")),
          description && h("span", { class: "quiet block" }, asText(description)),
        ),
      ),
      list(credentialTypes).map((type, index) =>
        h(
          "fieldset",
          { key: index },
          h("legend", {}, asText(type.name, "(name)")),
          list(type.fields).map((field, place) => h(PreviewField, { key: place, field })),
          list(type.fields).length === 0 && h("span", { class: "quiet" }, "Connected in your app, then chosen here"),
        ),
      ),
      list(settings).length > 0 &&
        h(
          "fieldset",
          {},
          h("legend", {}, "Settings"),
          list(settings).map((field, place) => h(PreviewField, { key: place, field })),
        ),
      choices.length > 0 &&
        h(
          "fieldset",
          {},
          h("legend", {}, "Workflows"),
          choices.map((workflow, index) =>
            h(
              "label",
              { key: index, class: "check" },
              h("input", { type: "checkbox", defaultChecked: true }),
              h(
                "span",
                {},
                asText(workflow.name, "(name)"),
                workflow.description && h("span", { class: "quiet block" }, asText(workflow.description)),
              ),
            ),
          ),
        ),
      h("div", {}, h("span", { class: "button primary" }, "Install")),
    ),
  );
}
