import assert from "node:assert/strict";
import { test } from "node:test";

import { KeySetError, tokenVerifier, verifyWebhook, WebhookVerificationError } from "@tenon/node";
import { errors, exportJWK, generateKeyPair, SignJWT } from "jose";
import { Webhook } from "standardwebhooks";

import { FakeServer, json } from "./server.js";

const SECRET = `whsec_${Buffer.from("a secret of 32 bytes for a test.").toString("base64")}`;

function signed(record: object, secret = SECRET): { body: string; headers: Record<string, string> } {
  const [body, now] = [JSON.stringify(record), new Date()];
  const headers = {
    "webhook-id": "1",
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign("1", now, body),
  };
  return { body, headers };
}

test("a signed webhook returns its error or event", () => {
  const error = signed({ _id: "1", error: "403 Forbidden" });
  const failed = verifyWebhook(SECRET, error.body, error.headers);
  assert(!("type" in failed));
  assert.equal(failed.error, "403 Forbidden");

  const event = signed({ _id: "2", type: "user.deleted", data: { userId: "u" } });
  const changed = verifyWebhook(SECRET, Buffer.from(event.body), new Headers(event.headers));
  assert("type" in changed);
  assert.equal(changed.data["userId"], "u");
});

test("a webhook that is changed, unsigned or signed with another secret is refused", () => {
  const { body, headers } = signed({ _id: "1" });
  const other = signed({ _id: "1" }, `whsec_${Buffer.from("another secret").toString("base64")}`);
  const refused: [string, Record<string, string>][] = [
    [`${body} `, headers],
    [body, {}],
    [body, other.headers],
    [body, { ...headers, "webhook-signature": "v1" }],
    [body, { ...headers, "webhook-timestamp": "1" }],
  ];
  for (const [text, given] of refused) {
    assert.throws(() => verifyWebhook(SECRET, text, given), WebhookVerificationError);
  }
});

test("a parsed body and an empty secret are refused", () => {
  const { body, headers } = signed({ _id: "1" });
  const parsed = JSON.parse(body) as string;
  assert.throws(() => verifyWebhook(SECRET, parsed, headers), { name: "TypeError", message: /pass the raw body/ });
  for (const secret of ["", "whsec_", "whsec_a", "whsec_äöüß", undefined]) {
    assert.throws(() => verifyWebhook(secret as string, body, headers), WebhookVerificationError);
  }
});

test("bytes of a body, and a secret from a file, are accepted", () => {
  const { body, headers } = signed({ _id: "1" });
  const bytes = new TextEncoder().encode(body);
  for (const given of [bytes, bytes.buffer as ArrayBuffer]) assert.equal(verifyWebhook(`${SECRET}\n`, given, headers)._id, "1");
});

test("headers with several values, such as those of an API Gateway event, are accepted", () => {
  const { body, headers } = signed({ _id: "1" });
  const lists = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
  assert.equal(verifyWebhook(SECRET, body, { ...lists, "webhook-signature": ["v1,AAAA", String(headers["webhook-signature"])] })._id, "1");
  assert.throws(() => verifyWebhook(SECRET, body, { ...lists, "webhook-signature": [] }), WebhookVerificationError);
});

const ISSUER = "urn:tenon:111111111111:us-east-1:tenon";

interface Changes {
  header?: object;
  claims?: object;
}

async function keyPair(kid: string) {
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  const jwk = { ...(await exportJWK(publicKey)), kid, use: "sig", alg: "ES256" };
  const sign = ({ header = {}, claims = {} }: Changes = {}): Promise<string> => {
    const now = Math.floor(Date.now() / 1000);
    const payload = { iss: ISSUER, aud: "tenon", sub: "user", env: "environment", mode: "read", iat: now, exp: now + 60, ...claims };
    return new SignJWT(payload).setProtectedHeader({ alg: "ES256", typ: "tenon-user+jwt", kid, ...header }).sign(privateKey);
  };
  return { jwk, sign };
}

test("a valid token returns its claims, and the key set is fetched once", async () => {
  const { jwk, sign } = await keyPair("k1");
  await using server = await FakeServer.start(json(200, { keys: [jwk] }));
  const verify = tokenVerifier({ url: `${server.url}/base`, issuer: ISSUER, environmentId: "environment" });
  const claims = await verify(await sign());
  await verify(await sign());
  assert.deepEqual([claims.sub, claims.mode], ["user", "read"]);
  assert.deepEqual(server.received.map(({ url }) => url), ["/base/.well-known/jwks.json"]);
});

test("a token of another kind, issuer, environment, key or time, or of an install link, is refused", async () => {
  const { jwk, sign } = await keyPair("k1");
  const forged = await keyPair("k1");
  await using server = await FakeServer.start(json(200, { keys: [jwk] }));
  const verify = tokenVerifier({ url: server.url, issuer: ISSUER, environmentId: "environment" });
  await verify(await sign());
  const changes: Changes[] = [
    { header: { typ: "JWT" } },
    { claims: { aud: "other" } },
    { claims: { iss: "other" } },
    { claims: { env: "other" } },
    { claims: { exp: 1 } },
    { claims: { exp: undefined } },
    { claims: { hosted: true } },
  ];
  for (const change of changes) {
    await assert.rejects(verify(await sign(change)), JSON.stringify(change));
  }
  await assert.rejects(verify(await forged.sign()));
});

test("an unreadable key set and an invalid token cause different errors", async () => {
  const { sign } = await keyPair("k1");
  const settings = { issuer: ISSUER, environmentId: "environment" };
  await using server = await FakeServer.start(json(503, {}), json(200, { keys: [] }));
  const verify = tokenVerifier({ url: server.url, ...settings });
  await assert.rejects(verify(await sign()), KeySetError);
  await assert.rejects(verify(await sign()), errors.JWKSNoMatchingKey);
  const other = await keyPair("k2");
  await using rotating = await FakeServer.start(json(200, { keys: [(await keyPair("k1")).jwk, other.jwk] }));
  const unnamed = await other.sign({ header: { kid: undefined } });
  const verifyRotating = tokenVerifier({ url: rotating.url, ...settings });
  await assert.rejects(verifyRotating(unnamed), errors.JWKSMultipleMatchingKeys);
  // Nothing listens on this port.
  await assert.rejects(tokenVerifier({ url: "http://127.0.0.1:9", ...settings })(await sign()), KeySetError);
  assert.throws(() => tokenVerifier({ url: "http://api.example.com", ...settings }), TypeError);
});

test("an unset issuer or environment is refused", () => {
  const settings = { url: "https://api.example.com", issuer: "urn:tenon", environmentId: "e" };
  for (const name of ["issuer", "environmentId"]) {
    for (const value of [undefined, ""]) {
      assert.throws(() => tokenVerifier({ ...settings, [name]: value }), { message: `${name} is missing` });
    }
  }
});
