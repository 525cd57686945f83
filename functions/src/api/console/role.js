// Roles of EventBridge destinations: what they must trust, and a template that creates one.

import { h, announce, button, copyButton, dialog, field, form, policyDetails } from "./dom.js";
import { call, encodeSegment } from "./api.js";

export { roleField, roleSteps, replaceWithRole };

const roleField = () => field("Role ARN", "roleArn", { wide: true },
  "Of the account of the bus, for example arn:aws:iam::111122223333:role/tenon-errors. It may not exist yet.");

// Returns a CloudFormation template of a role that Tenon can assume for a destination, and no other.
function roleTemplate(roleArn, { trustPolicy, policy }) {
  const [, path] = /:role(\/(?:.*\/)?)[^/]*$/.exec(roleArn) ?? [];
  return JSON.stringify({
    AWSTemplateFormatVersion: "2010-09-09",
    Description: "Lets Tenon send events to one event bus.",
    Resources: {
      Role: {
        Type: "AWS::IAM::Role",
        Properties: {
          RoleName: roleName(roleArn), Path: path, AssumeRolePolicyDocument: trustPolicy,
          Policies: [{ PolicyName: "put-events", PolicyDocument: policy }],
        },
      },
    },
    Outputs: { RoleArn: { Value: { "Fn::GetAtt": ["Role", "Arn"] } } },
  }, null, 2);
}

const roleName = (roleArn) => roleArn.split("/").at(-1);

// Returns the command that creates the role. Each role has a stack of its own: the update of another one's would
// replace that role while it is in use.
const deployCommand = (roleArn, { destinationId }) => "aws cloudformation deploy --template-file tenon-role.json "
  + `--stack-name tenon-${destinationId}-${roleName(roleArn).replace(/[^A-Za-z0-9]/g, "-")} --capabilities CAPABILITY_NAMED_IAM`;

function download(text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  h("a", { href: url, download: "tenon-role.json" }).click();
  URL.revokeObjectURL(url);
  announce("Template downloaded.");
}

// Creates the first step: the role in the customer's account. `roleArn` returns the ARN that was entered.
const creation = (destination, roleArn) => h("div", { class: "wide" },
  h("p", {}, "Create the role in the account of the bus. It trusts Tenon's account for this destination's external id, ",
    h("code", {}, destination.credentials.externalId), ", and may only put events on the bus."),
  h("div", { class: "row" }, button("Download template", async () => download(roleTemplate(roleArn(), destination))),
    copyButton(() => deployCommand(roleArn(), destination), "Copy AWS CLI command")),
  policyDetails(destination.trustPolicy, false, "Trust policy"), policyDetails(destination.policy, false, "Permissions policy"));

// Opens the steps after which a destination with a role is enabled.
function roleSteps(destination, reload) {
  const path = `destinations/${encodeSegment(destination.destinationId)}`;
  const steps = dialog("Set up the role", h("div", { class: "card" },
    h("h3", {}, "1. Create the role"), creation(destination, () => destination.credentials.roleArn),
    h("h3", {}, "2. Verify and enable"),
    form([h("p", { class: "wide quiet" }, "Tenon assumes the role, checks that it cannot be assumed without the external id, and sends a test event. AWS may need some seconds until a new role works.")],
      "Verify and enable", async () => {
        const saved = await call("PATCH", path, { enabled: true });
        steps.close();
        announce(saved.verified ? "Enabled and verified." : "Enabled, but unverified: see the response of AWS.");
        await reload();
      })));
}

// Opens the replacement of the credentials of a bus by a role. They are used until the role is verified.
function replaceWithRole(destination, reload) {
  const input = roleField();
  const roleArn = () => input.querySelector("input").value.trim() || destination.credentials.roleArn || "arn:aws:iam::account:role/tenon-errors";
  const path = `destinations/${encodeSegment(destination.destinationId)}`;
  const steps = dialog("Use a role", h("div", { class: "card" }, form([
    input, creation(destination, roleArn),
    h("p", { class: "wide quiet" }, "The present credentials are used until AWS has accepted the role."),
  ], "Verify and use", async ({ roleArn: given }) => {
    await call("PATCH", path, { credentials: { roleArn: given.trim() } });
    steps.close();
    announce("The role is used.");
    await reload();
  })));
}
