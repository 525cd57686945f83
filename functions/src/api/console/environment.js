// Settings of the environment: the defaults of the embedded modal.

import { Fragment, h, useState } from "./preact.js";
import { call, etagOf, fieldProblem, session, useSession } from "./api.js";
import { openForm } from "./dialogs.js";
import { Field } from "./forms.js";
import { announce } from "./messages.js";
import { rememberPage, useTitle } from "./route.js";
import { Badge, Button, Id, Json, Properties, Section } from "./ui.js";

export { EnvironmentPage };

const LANGUAGES = [
  ["", "That of the browser"],
  ["en", "English"],
  ["de", "Deutsch"],
  ["fr", "Français"],
  ["es", "Español"],
  ["pt", "Português"],
  ["ja", "日本語"],
];
const OWN_COLORS = "own";
const SCHEMES = [
  ["", "That of the browser"],
  ["light", "Light"],
  ["dark", "Dark"],
  ["auto", "Auto"],
  [OWN_COLORS, "Own colors"],
];

function EnvironmentPage() {
  const { environment, mayChange } = useSession();
  const { name, kind, environmentId, version, modal } = environment;
  useTitle("Environment");
  const none = h("span", { class: "quiet" }, "none");
  return h(
    Fragment,
    {},
    h("h1", { tabIndex: -1 }, "Environment"),
    h(
      Section,
      { title: "Details" },
      h(Properties, {
        pairs: [
          ["Name", name],
          ["Kind", h(Badge, { kind: kind === "live" ? "bad" : "info" }, kind)],
          ["Id", h(Id, { id: environmentId })],
          ["Version of Tenon", version],
        ],
      }),
    ),
    h(
      Section,
      { title: "Embedded modal", actions: mayChange && h(Button, { action: openModalSettings }, "Edit") },
      h(Properties, {
        pairs: [
          [
            "Origins",
            modal.origins.length
              ? modal.origins.map((origin) => h("code", { key: origin, class: "block" }, origin))
              : none,
          ],
          ["Theme", typeof modal.theme === "string" ? modal.theme : modal.theme ? "own colors" : none],
          ["Language", modal.lang ?? none],
        ],
      }),
      modal.theme && typeof modal.theme === "object" && h(Json, { title: "Theme", value: modal.theme }),
    ),
  );
}

// Opens the settings as they are now: the page shows those of the time when the user signed in.
async function openModalSettings() {
  const isHere = rememberPage();
  const present = await call("GET", "environment");
  session.set({ ...session.value, environment: present });
  if (!isHere()) return;
  const { origins, theme, lang } = present.modal;
  openForm(
    {
      title: "Embedded modal",
      submit: "Save",
      send: async (values, form, close) => {
        const modal = {
          origins: values.origins.split(/\s+/).filter(Boolean),
          lang: values.lang || null,
          theme: values.scheme === OWN_COLORS ? parseJson(values.theme, "theme") : values.scheme || null,
        };
        const environment = await call("PATCH", "environment", { modal }, { ifMatch: etagOf(present) });
        session.set({ ...session.value, environment });
        close();
        announce("Saved.");
      },
    },
    h(Field, {
      label: "Origins of the pages that may embed it, one on each line",
      name: "origins",
      text: true,
      rows: 4,
      isWide: true,
      value: origins.join("\n"),
      placeholder: "https://app.example.com",
    }),
    h(Field, { label: "Language", name: "lang", options: LANGUAGES, value: lang ?? "" }),
    h(ThemeFields, { theme }),
  );
}

// Fields of a theme: one of the schemes, or own colors.
function ThemeFields({ theme }) {
  const own = theme && typeof theme === "object" ? JSON.stringify(theme, null, 2) : "";
  const [scheme, setScheme] = useState(own ? OWN_COLORS : (theme ?? ""));
  return h(
    Fragment,
    {},
    h(Field, {
      label: "Theme",
      name: "scheme",
      options: SCHEMES,
      value: scheme,
      onChange: (event) => setScheme(event.currentTarget.value),
    }),
    scheme === OWN_COLORS &&
      h(Field, {
        label: "Own colors (JSON)",
        name: "theme",
        text: true,
        rows: 6,
        isWide: true,
        class: "mono",
        required: true,
        value: own,
        placeholder: '{"light": {"accent": "#0b5cad"}}',
        hint: "docs/modal.md lists the colors.",
      }),
  );
}

// Reads JSON that was entered in a field.
function parseJson(text, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw fieldProblem(name, `is not valid JSON: ${error.message}`);
  }
}
