// Creates a user, a workflow and a destination, installs an integration, and records and lists an
// error, with the client that openapi-typescript generates.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

function client(key: string) {
  const { TENON_URL: baseUrl, [key]: token } = process.env;
  assert(baseUrl && token, `TENON_URL and ${key} are set`);
  return createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } });
}

const backend = client("TENON_BACKEND_KEY");
const engine = client("TENON_ENGINE_KEY");

const user = await backend.POST("/users", { body: { username: "typescript", metadata: { plan: "pro" } } });
assert(user.data, JSON.stringify(user.error));
assert.equal(user.data.metadata["plan"], "pro");
const { userId } = user.data;

const workflow = await backend.POST("/workflows", { body: { userId, name: "Orders", credentialIds: [] } });
assert(workflow.data, JSON.stringify(workflow.error));
const { workflowId } = workflow.data;

const url = "https://hooks.acme.example/typescript";
const created = await backend.POST("/destinations", {
  body: { type: "webhook", url, filter: { userId: [userId] } },
});
assert(created.data, JSON.stringify(created.error));
assert(created.data.type === "webhook");
assert(created.data.secret?.startsWith("whsec_"));
const destinations = await backend.GET("/destinations", { params: { query: { limit: 10 } } });
const found = destinations.data?.data.find((destination) => destination.destinationId === created.data.destinationId);
assert(found?.type === "webhook" && found.url === url);

const credential = await backend.POST("/users/{user}/credentials", {
  params: { path: { user: userId } },
  body: { type: "shopify", name: "Main shop", data: { accessToken: "secret" } },
});
assert(credential.data, JSON.stringify(credential.error));
const revealed = await engine.POST("/users/{user}/credentials/{credentialId}/reveal", {
  params: { path: { user: userId, credentialId: credential.data.credentialId } },
});
assert.equal(revealed.data?.data["accessToken"], "secret");

await backend.PUT("/integrations/{integrationId}", {
  params: { path: { integrationId: "shopify" } },
  body: {
    name: "Shopify",
    credentialTypes: [{ type: "shopify", name: "Shopify", fields: [{ name: "token", label: "Token", type: "secret" }] }],
    settings: [{ name: "batch", label: "Batch size", type: "number" }],
    workflows: [{ key: "orders", name: "Orders to Shopify" }],
  },
});
const installed = await backend.PUT("/users/{user}/installations/{integrationId}", {
  params: { path: { user: userId, integrationId: "shopify" } },
  body: { credentials: { shopify: { data: { token: "secret" } } }, settings: { batch: 50 } },
});
assert(installed.data, JSON.stringify(installed.error));
assert.equal(installed.data.status, "active");
assert.equal(installed.data.settings["batch"], 50);
assert(installed.data.credentialIds["shopify"]);

const error = { executionId: "run-1", blockId: "block-1", blockType: "alloy.shopify", error: "403 Forbidden" };
const recorded = await engine.POST("/workflows/{workflowId}/errors", {
  params: { path: { workflowId } },
  body: { errors: [error] },
});
assert(recorded.data, JSON.stringify(recorded.error));
const listed = await backend.GET("/workflows/{workflowId}/errors", { params: { path: { workflowId } } });
assert.deepEqual(listed.data?.errors.map(({ _id }) => _id), recorded.data.ids);

const refused = await backend.POST("/users", { body: { email: "not an address" } });
assert(refused.error && "errors" in refused.error);
assert.equal(refused.response.status, 422);
assert.deepEqual(refused.error.errors?.map(({ pointer }) => pointer), ["/email"]);
