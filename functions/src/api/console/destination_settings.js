// Settings of a destination, and the questions before its secret is rotated or it is deleted.

import { Fragment, h, useState } from "./preact.js";
import { call, callDelete, useSession } from "./api.js";
import { editDestination, FILTER_FIELDS, showWebhookSecret, SUBSCRIPTIONS } from "./destination_forms.js";
import { destinationPath, refreshDestinations } from "./destination_store.js";
import { confirmAction } from "./dialogs.js";
import { announce } from "./messages.js";
import { maskedUrl, UserLink, WorkflowLink } from "./names.js";
import { go, link, rememberPage } from "./route.js";
import { Time } from "./times.js";
import { Button, Code, CopyButton, Id, Json, plural, Properties, Section } from "./ui.js";

export { DestinationSettings };

// Settings of a destination, each with a button that edits it.
function DestinationSettings({ destination, name }) {
  const { mayChange } = useSession();
  const {
    destinationId,
    type,
    url,
    description,
    region,
    eventBusName,
    credentials,
    events,
    filter,
    retryPolicy,
    createdAt,
    updatedAt,
    policy,
    trustPolicy,
  } = destination;
  const path = destinationPath(destinationId);
  const edit = (part, title = "Edit") =>
    mayChange && h(Button, { action: async () => editDestination(destination, part) }, title);
  return h(
    Fragment,
    {},
    h(
      Section,
      { title: "General", actions: edit("name") },
      h(Properties, {
        pairs: [
          ["Name", destination.name ?? h("span", { class: "quiet" }, "none")],
          type === "webhook" && ["Description", description ?? h("span", { class: "quiet" }, "none")],
          ["Id", h(Id, { id: destinationId })],
          ["Created", h(Time, { at: createdAt })],
          ["Changed", h(Time, { at: updatedAt })],
          [
            "Attempts",
            `${retryPolicy.length + 1}, over ${Math.round(retryPolicy.reduce((sum, seconds) => sum + seconds, 0) / 360) / 10} hours`,
          ],
        ],
      }),
    ),
    h(
      Section,
      { title: "Errors and events", actions: edit("records") },
      h(Properties, {
        pairs: [
          ["Sends", events.map((value) => SUBSCRIPTIONS.get(value) ?? value).join(", ")],
          ...FILTER_FIELDS.map(
            ([member, label]) =>
              filter?.[member]?.length && [
                `Only ${label.toLowerCase()}`,
                filter[member].map((value) => h(Fragment, { key: value }, h(FilterValue, { member, value }), " ")),
              ],
          ).filter(Boolean),
        ],
      }),
    ),
    type === "webhook"
      ? h(
          Section,
          {
            title: "Webhook",
            actions: h(
              Fragment,
              {},
              edit("url", "Change URL"),
              mayChange && h(Button, { action: async () => rotateSecret(path, name) }, "Rotate secret"),
            ),
          },
          h(Properties, { pairs: [["URL", h(SecretUrl, { url })]] }),
        )
      : h(
          Section,
          {
            title: "Amazon EventBridge",
            actions: h(Fragment, {}, edit("bus", "Change bus"), edit("access", "Replace keys or role")),
          },
          h(Properties, {
            pairs: [
              ["Bus", h("code", {}, eventBusName)],
              ["Region", region],
              credentials.accessKeyId && ["Access key", h("code", {}, credentials.accessKeyId)],
              credentials.roleArn && [
                "Assumed role",
                h(Fragment, {}, h(Id, { id: credentials.roleArn, name: "role" }), h(LastUse, destination)),
              ],
              ["External id", h(Id, { id: credentials.externalId, name: "external id" })],
            ],
          }),
          h(Json, { title: "Least-privilege policy", value: policy }),
          credentials.roleArn && h(Json, { title: "Trust policy of the role", value: trustPolicy }),
        ),
    mayChange &&
      h(
        Section,
        { title: "Delete" },
        h("p", {}, "Erases the destination with its keys and secrets immediately."),
        h(
          "div",
          {},
          h(
            Button,
            { kind: "danger outline", action: async () => deleteDestination(destination, name) },
            "Delete destination",
          ),
        ),
      ),
  );
}

// Every attempt uses the role.
function LastUse({ health: { lastSuccessAt, lastFailureAt } }) {
  const at = [lastSuccessAt, lastFailureAt].filter(Boolean).toSorted().at(-1);
  return h("span", { class: "quiet" }, " ", at ? h(Fragment, {}, "last used ", h(Time, { at })) : "not used yet");
}

function FilterValue({ member, value }) {
  if (member === "userId") return h(UserLink, { id: value });
  return member === "workflowId" ? h(WorkflowLink, { id: value }) : h(Code, { text: value });
}

// A URL, masked until it is asked for.
function SecretUrl({ url }) {
  const [isShown, setShown] = useState(false);
  const masked = maskedUrl(url);
  return h(
    "span",
    { class: "id" },
    h("code", {}, isShown ? url : masked),
    masked !== url &&
      h(
        Button,
        {
          kind: "subtle",
          label: isShown ? "Hide the whole URL" : "Show the whole URL",
          action: async () => setShown(!isShown),
        },
        isShown ? "Hide" : "Show",
      ),
    h(CopyButton, { text: url, label: "Copy URL" }),
  );
}

function rotateSecret(path, name) {
  confirmAction({
    title: `Rotate the secret of ${name}?`,
    submit: "Rotate secret",
    kind: "primary",
    text: h(
      "p",
      {},
      "Requests are signed with a new secret. The previous one stays valid for 24 hours, so that the endpoint can be changed without a gap.",
    ),
    action: async () => {
      const { secret } = await call("POST", `${path}/rotate-secret`);
      showWebhookSecret(secret);
      await refreshDestinations();
    },
  });
}

function deleteDestination({ destinationId, type, health: { pending } }, name) {
  confirmAction({
    title: `Delete ${name}?`,
    submit: "Delete destination",
    text: h(
      Fragment,
      {},
      h(
        "p",
        {},
        h("strong", {}, name),
        ` and its ${type === "webhook" ? "secret" : "credentials"} are erased immediately.`,
      ),
      h(
        "p",
        {},
        pending > 0 && h("strong", {}, `${plural(pending, "queued delivery is", "queued deliveries are")} lost. `),
        "Its deliveries and replays can no longer be seen. This cannot be undone.",
      ),
    ),
    action: async () => {
      const isHere = rememberPage();
      await callDelete(destinationPath(destinationId));
      announce(`${name} is deleted.`);
      if (isHere()) go(link(["destinations"]));
      await refreshDestinations();
    },
  });
}
