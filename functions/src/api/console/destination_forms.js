// Forms of destinations: creation, and changes of an existing one.

import { Fragment, h, useState } from "./preact.js";
import { call } from "./api.js";
import { addDestination, changeDestination, refreshDestinations } from "./destination_store.js";
import { Dialog, openDialog, openForm, showSecret } from "./dialogs.js";
import { Choices, Field, Form } from "./forms.js";
import { announce } from "./messages.js";
import { openRoleSteps, RoleField, RoleReplacement } from "./role.js";
import { go, link, rememberPage } from "./route.js";
import { Button } from "./ui.js";

export { editDestination, FILTER_FIELDS, openNewDestination, showWebhookSecret, SUBSCRIPTIONS };

// Errors and events that a destination can send, by the values of the API.
const SUBSCRIPTIONS = new Map([
  ["error", "Errors of workflows"],
  ["installation.*", "Installation events"],
  ["workflow.*", "Workflow events"],
  ["credential.*", "Credential events (never secrets)"],
  ["user.*", "User events"],
]);
const FILTER_FIELDS = [
  ["userId", "Users", "Ids, usernames or email addresses"],
  ["workflowId", "Workflows", "Ids"],
  ["integrationId", "Integrations", "Ids, one a line", true],
  ["blockType", "Block types", "One a line, for example alloy.shopify. Applies to errors only", true],
];

// Returns the values of a field. The engine may choose texts with spaces and commas, which are one
// a line.
const splitList = (text, isByLine) =>
  text
    .split(isByLine ? "\n" : /[\s,]+/)
    .map((value) => value.trim())
    .filter(Boolean);

// Returns what a form has chosen: the events, and the filter, which is null without a list.
function chosenRecords(values, form) {
  const filter = Object.fromEntries(
    FILTER_FIELDS.map(([name, , , isByLine]) => [name, splitList(values[name], isByLine)]).filter(
      ([, list]) => list.length,
    ),
  );
  return { events: form.getAll("events"), filter: Object.keys(filter).length ? filter : null };
}

// Choice of the errors and events that are sent. Single types of events that were set through the
// API are kept.
const RecordFields = ({ events = ["error"], filter }) =>
  h(
    Fragment,
    {},
    h(Choices, {
      label: "Send",
      name: "events",
      chosen: events,
      options: [...new Set([...SUBSCRIPTIONS.keys(), ...events])].map((value) => [
        value,
        SUBSCRIPTIONS.get(value) ?? value,
      ]),
    }),
    h(
      "details",
      { class: "wide", open: Boolean(filter && Object.keys(filter).length) },
      h("summary", {}, "Only those of certain users, workflows, integrations or blocks"),
      h(
        "div",
        { class: "form" },
        h(
          "p",
          { class: "wide quiet" },
          "Separate several users and workflows with commas. What is sent matches all fields that are filled.",
        ),
        FILTER_FIELDS.map(([name, label, hint, isByLine]) =>
          h(Field, {
            key: name,
            label,
            name,
            hint,
            value: filter?.[name]?.join(isByLine ? "\n" : ", "),
            ...(isByLine && { text: true, rows: 3 }),
          }),
        ),
      ),
    ),
  );

const NameField = ({ value }) =>
  h(Field, {
    label: "Name",
    name: "name",
    value,
    isWide: true,
    maxLength: 256,
    hint: "How you recognize it, for example Support desk",
  });
const DescriptionField = ({ value }) =>
  h(Field, { label: "Description", name: "description", isWide: true, maxLength: 256, value });
const UrlField = ({ value }) =>
  h(Field, {
    label: "URL",
    name: "url",
    type: "url",
    required: true,
    isWide: true,
    value,
    hint: "HTTPS, with a public address. Without user and password",
  });
const BusFields = ({ region, eventBusName }) =>
  h(
    Fragment,
    {},
    h(Field, { label: "Region", name: "region", required: true, value: region, hint: "For example eu-central-1" }),
    h(Field, { label: "Event bus name or ARN", name: "eventBusName", required: true, value: eventBusName }),
  );
const KeyFields = () =>
  h(
    Fragment,
    {},
    h(Field, { label: "Access key id", name: "accessKeyId", required: true }),
    h(Field, {
      label: "Secret access key",
      name: "secretAccessKey",
      class: "secret",
      required: true,
      hint: "Encrypted, and never shown again",
    }),
    h(Field, {
      label: "Session token",
      name: "sessionToken",
      class: "secret",
      isWide: true,
      hint: "For temporary keys only",
    }),
  );
const keysOf = ({ accessKeyId, secretAccessKey, sessionToken }) => ({
  accessKeyId: accessKeyId.trim(),
  secretAccessKey: secretAccessKey.trim(),
  ...(sessionToken && { sessionToken: sessionToken.trim() }),
});

const Segments = ({ label, options, value, set }) =>
  h(
    "div",
    { class: "segments wide", role: "group", "aria-label": label },
    options.map(([option, title]) =>
      h(
        "button",
        {
          key: option,
          type: "button",
          "aria-current": option === value ? "true" : undefined,
          onClick: ({ currentTarget }) => set(option, currentTarget.form),
        },
        title,
      ),
    ),
  );

function openNewDestination() {
  openDialog((close) => h(Dialog, { title: "Add destination", close }, h(NewDestination, { close })));
}

// Fields of some choices only, whose values are kept while another one is shown. No secrets.
const KEPT_FIELDS = ["url", "description", "region", "eventBusName", "roleArn"];

function NewDestination({ close }) {
  const [type, setType] = useState("webhook");
  const [access, setAccess] = useState("role");
  const [entered, setEntered] = useState({});
  const choose = (set) => (option, form) => {
    const kept = [...new FormData(form)].filter(([name]) => KEPT_FIELDS.includes(name));
    setEntered({ ...entered, ...Object.fromEntries(kept) });
    set(option);
  };
  const isBus = type === "eventbridge";
  return h(
    Form,
    {
      submit: "Save",
      secondary: h(Button, { action: close }, "Cancel"),
      send: async (values, form) => {
        const { events, filter } = chosenRecords(values, form);
        const common = { type, events, ...(values.name && { name: values.name }), ...(filter && { filter }) };
        const target = isBus
          ? {
              region: values.region.trim(),
              eventBusName: values.eventBusName.trim(),
              credentials: access === "role" ? { roleArn: values.roleArn.trim() } : keysOf(values),
            }
          : { url: values.url.trim(), ...(values.description && { description: values.description }) };
        const isHere = rememberPage();
        const { secret, ...saved } = await call("POST", "destinations", { ...common, ...target });
        const page = link(["destinations", saved.destinationId]);
        close();
        addDestination(saved);
        if (isHere()) go(page);
        // The secret is shown only once, whatever happens next.
        if (secret) showWebhookSecret(secret);
        await refreshDestinations();
        if (secret) return;
        if (access === "keys")
          announce(saved.verified ? "Saved and verified." : "Saved, but not verified: see what AWS answered.");
        else if (location.hash === page) openRoleSteps(saved);
        else announce("Saved. Its role is not set up yet.");
      },
    },
    h(Segments, {
      label: "Type",
      value: type,
      set: choose(setType),
      options: [
        ["webhook", "Webhook"],
        ["eventbridge", "Amazon EventBridge"],
      ],
    }),
    h(NameField, {}),
    isBus
      ? h(
          Fragment,
          { key: "bus" },
          h(BusFields, entered),
          h(Segments, {
            label: "Access",
            value: access,
            set: choose(setAccess),
            options: [
              ["role", "Role (recommended)"],
              ["keys", "Access keys"],
            ],
          }),
          access === "role" ? h(RoleField, { value: entered.roleArn }) : h(KeyFields),
          h(
            "p",
            { class: "wide quiet" },
            access === "role"
              ? "Saving shows what the role must trust. The destination is enabled when AWS has accepted the role."
              : "Saving checks the connection: it asks AWS whether the bus exists, and sends a test event.",
          ),
        )
      : h(
          Fragment,
          { key: "webhook" },
          h(UrlField, { value: entered.url }),
          h(DescriptionField, { value: entered.description }),
        ),
    h(RecordFields, {}),
  );
}

const showWebhookSecret = (secret) =>
  showSecret({
    title: "Webhook secret",
    text: "This secret signs the requests. It is shown only once: keep it where your endpoint verifies signatures.",
    name: "Secret",
    value: secret,
  });

// Forms that edit a part of a destination: title, fields, and what they contain.
const EDITORS = {
  name: [
    "Change name",
    (destination) =>
      h(
        Fragment,
        {},
        h(NameField, { value: destination.name }),
        destination.type === "webhook" && h(DescriptionField, { value: destination.description }),
      ),
    ({ name, description }) => ({
      name: name || null,
      ...(description !== undefined && { description: description || null }),
    }),
  ],
  records: [
    "Change what is sent",
    (destination) => h(RecordFields, destination),
    (values, form) => chosenRecords(values, form),
  ],
  url: [
    "Change URL",
    ({ url }) =>
      h(
        Fragment,
        {},
        h(UrlField, { value: url }),
        h("p", { class: "wide quiet" }, "Queued deliveries go to the new URL."),
      ),
    ({ url }) => ({ url: url.trim() }),
  ],
  bus: [
    "Change bus",
    (destination) =>
      h(
        Fragment,
        {},
        h(BusFields, destination),
        h("p", { class: "wide quiet" }, "Saving checks that the present keys or role may use this bus."),
      ),
    ({ region, eventBusName }) => ({ region: region.trim(), eventBusName: eventBusName.trim() }),
  ],
};

// Text of a value, in which the order of a list and of the members of a filter does not matter.
function comparable(value) {
  if (!value || typeof value !== "object") return value ?? "";
  const lists = Array.isArray(value) ? [["", value]] : Object.entries(value).filter(([, list]) => list?.length);
  return lists
    .map(([name, list]) => JSON.stringify([name, list.toSorted()]))
    .toSorted()
    .join();
}

// Opens the editor of a part of a destination: `name`, `records`, `url`, `bus` or `access`.
function editDestination(destination, part) {
  if (part === "access") {
    openDialog((close) => h(Dialog, { title: "Replace keys or role", close }, h(AccessForm, { destination, close })));
    return;
  }
  const [title, fields, body] = EDITORS[part];
  openForm(
    {
      title,
      submit: "Save",
      send: async (values, form, close) => {
        // What was not edited may have been changed by someone else.
        const edited = Object.entries(body(values, form)).filter(
          ([member, value]) => comparable(value) !== comparable(destination[member]),
        );
        if (edited.length) await changeDestination(destination.destinationId, Object.fromEntries(edited));
        close();
        announce("Saved.");
        await refreshDestinations();
      },
    },
    fields(destination),
  );
}

function AccessForm({ destination, close }) {
  const [access, setAccess] = useState(destination.credentials.roleArn ? "role" : "keys");
  const secondary = h(Button, { action: close }, "Cancel");
  return h(
    Fragment,
    {},
    h(Segments, {
      label: "Access",
      value: access,
      set: setAccess,
      options: [
        ["keys", "Access keys"],
        ["role", "Role"],
      ],
    }),
    access === "role"
      ? h(RoleReplacement, { destination, close, secondary })
      : h(
          Form,
          {
            submit: "Check and replace",
            secondary,
            send: async (values) => {
              await changeDestination(destination.destinationId, { credentials: keysOf(values) });
              close();
              announce("The new keys are used.");
              await refreshDestinations();
            },
          },
          h(KeyFields),
          h("p", { class: "wide quiet" }, "The present credentials are used until AWS has accepted the new keys."),
        ),
  );
}
