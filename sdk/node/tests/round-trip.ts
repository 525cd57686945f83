// Creates a user, verifies its token, and records and lists errors of the stack of TENON_URL.

import assert from "node:assert/strict";

import { Tenon, TenonError, tokenVerifier } from "@tenon/node";
import { decodeJwt } from "jose";

const { TENON_URL: url, TENON_BACKEND_KEY, TENON_ENGINE_KEY } = process.env;
assert(url && TENON_BACKEND_KEY && TENON_ENGINE_KEY, "the settings of the stack are set");
const backend = new Tenon({ url, key: TENON_BACKEND_KEY });
const engine = new Tenon({ url, key: TENON_ENGINE_KEY });

const header = { "Idempotency-Key": "round-trip" };
const body = { username: "node", metadata: { plan: "pro" } };
const user = await backend.call("POST", "/users", { body, header });
assert.deepEqual(await backend.call("POST", "/users", { body, header }), user);
const path = { user: user.userId };

const taken = await backend.call("POST", "/users", { body }).catch((error: unknown) => error);
assert(taken instanceof TenonError && taken.type === "user-exists", String(taken));
assert.deepEqual(taken.errors.map(({ pointer }) => pointer), ["/username"]);

const { etag } = await backend.callWithEtag("GET", "/users/{user}", { path });
assert(etag);
const change = { path, header: { "If-Match": etag }, body: { fullName: "Node" } };
assert.equal((await backend.call("PATCH", "/users/{user}", change)).fullName, "Node");
await assert.rejects(backend.call("PATCH", "/users/{user}", change), { status: 412 });

const { token } = await backend.call("POST", "/users/{user}/token", { path, body: { mode: "read" } });
const { environmentId } = await backend.call("GET", "/environment");
const verify = tokenVerifier({ url, issuer: String(decodeJwt(token).iss), environmentId });
const claims = await verify(token);
assert.deepEqual([claims.sub, claims.mode], [user.userId, "read"]);
const session = await new Tenon({ url, key: token }).call("GET", "/session");
assert.equal(session.user.userId, user.userId);

const { workflowId } = await backend.call("POST", "/workflows", { body: { userId: user.userId, name: "Orders" } });
const error = { executionId: "run-1", blockId: "block-1", blockType: "shopify", error: "403 Forbidden" };
const { ids } = await engine.call("POST", "/workflows/{workflowId}/errors", {
  path: { workflowId },
  body: { errors: [error, error, error] },
});
const listed: string[] = [];
for await (const { _id } of backend.list("/workflows/{workflowId}/errors", { path: { workflowId }, query: { limit: 2 } })) {
  listed.push(_id);
}
assert.deepEqual(listed.sort(), ids.sort());
