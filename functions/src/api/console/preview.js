// Preview of an integration as the embedded modal shows it, in the theme of the environment. Nothing in it is sent.

import { Fragment, h } from "./preact.js";
import { useSession } from "./api.js";
import { Section } from "./ui.js";

export { IntegrationIcon, Preview };

// Returns an entered value, which may be of any type, as text.
const asText = (value, missing = "") => (["string", "number"].includes(typeof value) && value !== "" ? String(value) : missing);

// Icon of an integration, or the first letter of its name.
const IntegrationIcon = ({ name, icon }) => (icon ? h("img", { class: "app-icon", src: icon, alt: "" }) : h("span", { class: "app-icon letter", "aria-hidden": "true" }, [...asText(name)][0]?.toUpperCase() ?? "?"));

const list = (value) => (Array.isArray(value) ? value.filter((item) => item && typeof item === "object") : []);

// Returns the colors of the environment's theme as custom properties.
function themeStyle(theme) {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const palette = theme && typeof theme === "object" ? theme[isDark ? "dark" : "light"] ?? theme.light ?? theme.dark ?? {} : {};
  const properties = Object.entries(palette).filter(([, value]) => value !== null).map(([name, value]) => [`--modal-${name}`, name === "radius" ? `${value}px` : value]);
  return Object.fromEntries(properties);
}

function PreviewField({ field: { label, type, required, help, placeholder, options } }) {
  const name = h(Fragment, {}, asText(label, "(label)"), !required && type !== "boolean" && h("span", { class: "quiet" }, " (optional)"));
  if (type === "boolean") return h("label", { class: "check" }, h("input", { type: "checkbox" }), h("span", {}, name));
  return h("label", {}, h("span", {}, name), type === "select" ? h("select", {}, h("option", {}, "Choose …"), list(options).map(({ value, label: title }) => h("option", { key: asText(value) }, asText(title))))
    : h("input", { class: type === "secret" ? "secret" : "", placeholder: asText(placeholder), autocomplete: "off" }), help && h("span", { class: "quiet" }, asText(help)));
}

function Preview({ integration }) {
  const { environment: { modal } } = useSession();
  const { name, description, credentialTypes, settings, workflows } = integration;
  return h(Section, { title: "Preview of the modal" }, h("div", { class: "preview", style: themeStyle(modal.theme) },
    h("div", { class: "row flat" }, h(IntegrationIcon, integration), h("span", {}, h("strong", {}, asText(name, "(name)")), description && h("span", { class: "quiet block" }, asText(description)))),
    list(credentialTypes).map((type, index) => h("fieldset", { key: index }, h("legend", {}, asText(type.name, "(name)")), list(type.fields).map((field, place) => h(PreviewField, { key: place, field })))),
    list(settings).length > 0 && h("fieldset", {}, h("legend", {}, "Settings"), list(settings).map((field, place) => h(PreviewField, { key: place, field }))),
    h("fieldset", {}, h("legend", {}, "Workflows"), list(workflows).map((workflow, index) => h("label", { key: index, class: "check" }, h("input", { type: "checkbox", defaultChecked: true }), h("span", {}, asText(workflow.name, "(name)"), workflow.description && h("span", { class: "quiet block" }, asText(workflow.description)))))),
    h("div", {}, h("span", { class: "button primary" }, "Install"))));
}
