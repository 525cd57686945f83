// Roles of EventBridge destinations: what they must trust, and a template that creates one.

import { h, useState } from "./preact.js";
import { changeDestination, refreshDestinations } from "./destination_store.js";
import { Dialog, openDialog } from "./dialogs.js";
import { Field, Form } from "./forms.js";
import { announce } from "./messages.js";
import { Button, CopyButton, download, Id, Json } from "./ui.js";

export { RoleField, openRoleSteps, RoleReplacement };

const RoleField = ({ value, onInput }) =>
  h(Field, {
    label: "Role ARN",
    name: "roleArn",
    isWide: true,
    required: true,
    value,
    onInput,
    hint: "In the account of the bus, for example arn:aws:iam::111122223333:role/tenon-errors. It may not exist yet.",
  });

// Returns a CloudFormation template of a role that Tenon can assume for a destination, and no
// other.
function roleTemplate(roleArn, { trustPolicy, policy }) {
  const [, path] = /:role(\/(?:.*\/)?)[^/]*$/.exec(roleArn) ?? [];
  return JSON.stringify(
    {
      AWSTemplateFormatVersion: "2010-09-09",
      Description: "Lets Tenon send events to one event bus.",
      Resources: {
        Role: {
          Type: "AWS::IAM::Role",
          Properties: {
            RoleName: roleName(roleArn),
            Path: path,
            AssumeRolePolicyDocument: trustPolicy,
            Policies: [{ PolicyName: "put-events", PolicyDocument: policy }],
          },
        },
      },
      Outputs: { RoleArn: { Value: { "Fn::GetAtt": ["Role", "Arn"] } } },
    },
    null,
    2,
  );
}

const roleName = (roleArn) => roleArn.split("/").at(-1);

// Returns the command that creates the role. Each role has a stack of its own: the update of
// another one's would replace that role while it is in use.
const deployCommand = (roleArn, { destinationId }) =>
  "aws cloudformation deploy --template-file tenon-role.json " +
  `--stack-name tenon-${destinationId}-${roleName(roleArn).replace(/[^A-Za-z0-9]/g, "-")} --capabilities CAPABILITY_NAMED_IAM`;

// The first step: the role in the customer's account.
const RoleCreation = ({ destination, roleArn }) =>
  h(
    "div",
    { class: "wide stack" },
    h(
      "p",
      {},
      "Create the role in the account of the bus. It trusts Tenon's account for the external id of this destination, ",
      h(Id, { id: destination.credentials.externalId, name: "external id" }),
      ", and may only put events on the bus.",
    ),
    h(
      "div",
      { class: "row" },
      h(
        Button,
        {
          action: async () => {
            download(roleTemplate(roleArn, destination), "tenon-role.json");
            announce("Template downloaded.");
          },
        },
        "Download template",
      ),
      h(CopyButton, { text: deployCommand(roleArn, destination) }, "Copy AWS CLI command"),
    ),
    h(Json, { title: "Trust policy", value: destination.trustPolicy }),
    h(Json, { title: "Permissions policy", value: destination.policy }),
  );

// Opens the steps after which a destination with a role is enabled.
function openRoleSteps(destination) {
  openDialog((close) =>
    h(
      Dialog,
      { title: "Set up the role", close },
      h("h3", {}, "1. Create the role"),
      h(RoleCreation, { destination, roleArn: destination.credentials.roleArn }),
      h("h3", {}, "2. Verify and enable"),
      h(
        Form,
        {
          submit: "Verify and enable",
          secondary: h(Button, { action: close }, "Later"),
          send: async () => {
            const { verified } = await changeDestination(destination.destinationId, { enabled: true });
            close();
            announce(verified ? "Enabled and verified." : "Enabled, but not verified: see what AWS answered.");
            await refreshDestinations();
          },
        },
        h(
          "p",
          { class: "wide quiet" },
          "Tenon assumes the role, checks that it cannot be assumed without the external id, and sends a test event. AWS may need some seconds until a new role works.",
        ),
      ),
    ),
  );
}

// Replacement of the credentials of a bus by a role. They are used until the role is verified.
function RoleReplacement({ destination, close, secondary }) {
  const { roleArn = "" } = destination.credentials;
  const [entered, setEntered] = useState(roleArn);
  return h(
    Form,
    {
      submit: "Verify and use",
      secondary,
      send: async (values) => {
        await changeDestination(destination.destinationId, { credentials: { roleArn: values.roleArn.trim() } });
        close();
        announce("The role is used.");
        await refreshDestinations();
      },
    },
    h(RoleField, { value: roleArn, onInput: (event) => setEntered(event.currentTarget.value.trim()) }),
    h(RoleCreation, { destination, roleArn: entered || "arn:aws:iam::111122223333:role/tenon-errors" }),
    h("p", { class: "wide quiet" }, "The present credentials are used until AWS has accepted the role."),
  );
}
