// Editor of an integration, with a preview of what the user sees.

import { h, useLayoutEffect, useRef, useState } from "./preact.js";
import { call, etagOf, fieldProblem, find, isRefused, segment, session } from "./api.js";
import { rememberIntegration } from "./catalogue.js";
import { Field, Form } from "./forms.js";
import { announce } from "./messages.js";
import { IntegrationIcon, Preview } from "./preview.js";
import { go, link, rememberPage } from "./route.js";
import { Time } from "./times.js";
import { Button, Section } from "./ui.js";

export { drafts, hasDrafts, IntegrationEditor, NEW, newIntegration };

// Address of the editor of a new integration. An id cannot start with a sign.
const NEW = "+";
const ICON_BYTES = 16384;
// Members that are edited as JSON, with their value in a new integration.
const DEFINITION = {
  credentialTypes: [
    {
      type: "shop",
      name: "Shop account",
      fields: [
        {
          name: "token",
          label: "Access token",
          type: "secret",
          required: true,
          help: "Shown in the settings of your shop",
        },
      ],
    },
  ],
  settings: [{ name: "batch", label: "Orders per run", type: "number", placeholder: "50" }],
  workflows: [{ key: "orders", name: "Sync orders", description: "Every five minutes" }],
  hints: [{ match: "status code 401", text: "The shop no longer accepts the access token.", action: "reconnect" }],
};

// Members that have fields of their own.
const DETAILS = ["name", "description", "icon", "enabled"];

// Returns an integration as the editor of a new one first shows it.
const newIntegration = () => ({ name: "", description: null, icon: null, enabled: true, ...DEFINITION });

// Changes that are not saved yet, by the id of the integration: they survive a look at another
// page, and a key that is no longer accepted. A sign-out discards them, and so does a sign-in to
// another environment or with a key that only reads.
const drafts = new Map();
let environmentOfDrafts = null;
session.subscribe(() => {
  const { environment, mayChange, reason } = session.value;
  const isOther = environment && !(mayChange && environment.environmentId === environmentOfDrafts);
  if (isOther || !(environment || reason)) drafts.clear();
  if (environment) environmentOfDrafts = environment.environmentId;
});
const hasDrafts = () => drafts.size > 0;
addEventListener("beforeunload", (event) => {
  if (hasDrafts()) event.preventDefault();
});

// Returns the members as JSON in which the order of members and absent values make no difference.
const canonical = (members) =>
  JSON.stringify(members, (_, value) => {
    if (!value || value.length === 0) return undefined;
    return value.constructor === Object ? Object.fromEntries(Object.entries(value).toSorted()) : value;
  });

// Reads the definition that was entered: `{problem}`, or `{definition, details}`. The members of
// the other fields may be entered too: `details` are to be shown there.
function readDefinition(text) {
  let entered;
  try {
    entered = JSON.parse(text);
  } catch (error) {
    return { problem: `is not valid JSON: ${error.message}` };
  }
  if (typeof entered !== "object" || entered === null || Array.isArray(entered))
    return { problem: "must be an object" };
  const isDetail = ([member]) => DETAILS.includes(member);
  const members = Object.entries(entered);
  return {
    definition: Object.fromEntries(members.filter((member) => !isDetail(member))),
    details: Object.fromEntries(members.filter(isDetail)),
  };
}

// Returns what is entered for an integration: the fields as `draft`, the JSON as `text` with its
// `problem` and the last valid `definition`, and functions that change them. It is kept until it is
// saved or discarded.
function useDraft(integration) {
  const { integrationId = NEW } = integration;
  const kept = drafts.get(integrationId);
  const [etag, setEtag] = useState(kept?.etag ?? etagOf(integration));
  const [draft, setDraft] = useState(kept?.draft ?? membersOf(integration, DETAILS));
  const [newId, setNewId] = useState(kept?.newId ?? "");
  const [text, setText] = useState(
    () => kept?.text ?? JSON.stringify(membersOf(integration, Object.keys(DEFINITION)), null, 2),
  );
  const read = readDefinition(text);
  // While the text has a problem, the preview shows what was entered before.
  const [definition, setDefinition] = useState(kept?.definition ?? read.definition);
  // Fields have the values with which they were created.
  const [pasted, setPasted] = useState("{}");
  const [isChanged, setChanged] = useState(Boolean(kept));
  useLayoutEffect(() => {
    if (isChanged) drafts.set(integrationId, { draft, definition, newId, text, etag });
  }, [draft, definition, newId, text, etag]);
  const change = (changed) => {
    setDraft(changed);
    setChanged(true);
  };
  const enter = (entered) => {
    const { problem, definition: present, details = {} } = readDefinition(entered);
    setText(entered);
    if (!problem) setDefinition(present);
    // Those that are still the same may have been changed in their fields since.
    const isPasted = !problem && JSON.stringify(details) !== pasted;
    change(isPasted ? { ...draft, ...details } : draft);
    if (isPasted) setPasted(JSON.stringify(details));
  };
  const enterId = (entered) => {
    setNewId(entered);
    setChanged(true);
  };
  const end = () => setChanged(false);
  return {
    draft,
    text,
    problem: read.problem,
    definition,
    pasted,
    newId,
    etag,
    isChanged,
    change,
    enter,
    enterId,
    setEtag,
    end,
  };
}

const membersOf = (source, members) => Object.fromEntries(members.map((member) => [member, source[member]]));

function IntegrationEditor({ integration, isNew, saved, discard }) {
  const { integrationId, version, updatedAt } = integration;
  const entered = useDraft(integration);
  // The last request that was not answered.
  const unanswered = useRef(null);
  const { draft, definition, pasted, change } = entered;
  const set =
    (name, valueOf = (input) => input.value) =>
    (event) =>
      change({ ...draft, [name]: valueOf(event.currentTarget) });
  const store = async (path, body, sent) => {
    try {
      return await call("PUT", path, body, { ifMatch: entered.etag });
    } catch (problem) {
      unanswered.current = isRefused(problem) ? null : sent;
      if (problem.status !== 412) throw problem;
      const present = await call("GET", path);
      entered.setEtag(etagOf(present));
      throw new Error(
        `Someone else has saved version ${present.version} meanwhile. Save again to replace it with yours, or discard your changes to see it.`,
        { cause: problem },
      );
    }
  };
  const save = async ({ id = integrationId }) => {
    // Its field shows the problem, and gets the focus.
    if (entered.problem) throw fieldProblem("definition", "");
    const isHere = rememberPage();
    const path = `integrations/${segment(id.trim())}`;
    const body = { ...definition, ...draft, description: draft.description || null };
    const sent = `${path} ${JSON.stringify(body)}`;
    const wasSent = unanswered.current === sent;
    const present = (isNew || wasSent) && (await find(path));
    const isStored = wasSent && present && canonical(membersOf(present, Object.keys(body))) === canonical(body);
    if (isNew && present && !isStored) throw fieldProblem("id", "exists already");
    const stored = isStored ? present : await store(path, body, sent);
    rememberIntegration(id.trim(), stored);
    entered.setEtag(etagOf(stored));
    entered.end();
    drafts.delete(integrationId ?? NEW);
    announce("Saved. The modal shows it within ten seconds.");
    if (!isNew) await saved();
    else if (isHere()) go(link(["integrations", id.trim()]));
  };
  return h(
    "div",
    { class: "columns" },
    h(
      Section,
      {
        title: "Definition",
        actions: !isNew && h("span", { class: "quiet" }, `version ${version}, changed `, h(Time, { at: updatedAt })),
      },
      h(
        Form,
        {
          submit: "Save",
          secondary:
            entered.isChanged &&
            h(
              Button,
              {
                action: async () => {
                  drafts.delete(integrationId ?? NEW);
                  await discard();
                },
              },
              "Discard changes",
            ),
          send: save,
        },
        isNew &&
          h(Field, {
            label: "Id",
            name: "id",
            required: true,
            value: entered.newId,
            hint: "a–z, 0–9, _ and -. Cannot be changed later",
            placeholder: "shopify-orders",
            "data-covers": "integrationId",
            onInput: (event) => entered.enterId(event.currentTarget.value),
          }),
        h(Field, {
          key: `name ${pasted}`,
          label: "Name",
          name: "name",
          required: true,
          value: draft.name,
          onInput: set("name"),
        }),
        h(Field, {
          key: `description ${pasted}`,
          label: "Description",
          name: "description",
          isWide: true,
          value: draft.description ?? "",
          onInput: set("description"),
        }),
        h(IconField, { draft, set: (icon) => change({ ...draft, icon }) }),
        h(
          "label",
          { class: "check wide" },
          h("input", {
            type: "checkbox",
            name: "enabled",
            checked: draft.enabled,
            onChange: set("enabled", (input) => input.checked),
          }),
          "Enabled: users can install it",
        ),
        h(Field, {
          label: "Credentials, settings, workflows and hints (JSON)",
          name: "definition",
          text: true,
          rows: 16,
          isWide: true,
          class: "mono",
          "data-covers": Object.keys(DEFINITION).join(" "),
          value: entered.text,
          problem: entered.problem,
          onInput: (event) => entered.enter(event.currentTarget.value),
        }),
      ),
    ),
    h(Preview, { integration: { ...definition, ...draft } }),
  );
}

function IconField({ draft, set }) {
  const choose = (event) => {
    const [file] = event.currentTarget.files;
    if (!file) return;
    // The same file can be chosen again.
    event.currentTarget.value = "";
    if (file.size > ICON_BYTES * 0.74) {
      announce("The icon is too large: at most 12 KB.", 20000);
      return;
    }
    const reader = new FileReader();
    reader.addEventListener("load", () => set(reader.result));
    reader.readAsDataURL(file);
  };
  return h(
    "div",
    { class: "row wide" },
    h(IntegrationIcon, draft),
    h(
      "label",
      { class: "file" },
      "Icon ",
      h("input", { type: "file", accept: "image/png,image/jpeg,image/webp,image/svg+xml", onChange: choose }),
    ),
    draft.icon && h(Button, { action: async () => set(null) }, "Remove icon"),
  );
}
