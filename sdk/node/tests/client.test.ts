import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { type ProblemType, Tenon, TenonError } from "@tenon/node";

import { pause } from "../dist/retries.js";
import { type Answer, busy, disconnect, FakeServer, json, problem } from "./server.js";

function client(server: FakeServer, settings = {}): Tenon {
  return new Tenon({ url: `${server.url}/base/`, key: "tn_test_key", ...settings });
}

async function rejection(promise: Promise<unknown>): Promise<TenonError> {
  const error = await promise.then(() => assert.fail("no error"), (reason: unknown) => reason);
  assert(error instanceof TenonError, String(error));
  return error;
}

test("a request has the key, the encoded path, the query and the body", async () => {
  await using server = await FakeServer.start(json(200, {}, { etag: '"1"' }), json(200, {}));
  const tenon = client(server);
  const { etag } = await tenon.callWithEtag("PATCH", "/users/{user}", {
    path: { user: "a+b@acme.example" },
    header: { "If-Match": '"0"' },
    body: { fullName: null },
  });
  await tenon.call("GET", "/users/{user}/token", { path: { user: "joe" }, query: { ttlSeconds: 60 } });

  const [patch, get] = server.received;
  assert.equal(etag, '"1"');
  assert.equal(patch?.url, "/base/users/a%2Bb%40acme.example");
  assert.equal(patch.headers.authorization, "Bearer tn_test_key");
  assert.equal(patch.headers["if-match"], '"0"');
  assert.deepEqual(JSON.parse(patch.body), { fullName: null });
  assert.equal(get?.url, "/base/users/joe/token?ttlSeconds=60");
  assert.equal(get.headers["content-type"], undefined);
});

test("an invalid url or key is refused, and the key is not shown", async () => {
  const url = "https://api.example.com";
  for (const key of ["", "  ", "tn_secret\nx", "tn_secret x", "tn_sécret", undefined, 1]) {
    const message = "key is missing or invalid: is TENON_BACKEND_KEY set?";
    assert.throws(() => new Tenon({ url, key: key as string }), { name: "TypeError", message });
  }
  const invalidUrls = [
    "", "api.example.com", "ftp://api.example.com", "https://", "http://api.example.com", `${url}?x=1`, `${url}#x`,
    "https://joe:secret@api.example.com", undefined,
  ];
  for (const invalid of invalidUrls) {
    const message = "url must be an https URL, or http for this machine: is TENON_URL set?";
    assert.throws(() => new Tenon({ url: invalid as string, key: "tn_key" }), { name: "TypeError", message });
  }
  await using server = await FakeServer.start(json(200, {}));
  await client(server, { key: "tn_test_key\n" }).call("GET", "/users/{user}", { path: { user: "joe" } });
  assert.equal(server.received[0]?.headers.authorization, "Bearer tn_test_key");
});

test("an error of API Gateway for an invalid key mentions the key", async () => {
  await using server = await FakeServer.start(
    json(403, { message: "Forbidden" }),
    problem(403, "not-allowed"),
    (response) => response.writeHead(403).end("<html>"),
  );
  const get = () => rejection(client(server).call("GET", "/users/{user}", { path: { user: "joe" } }));
  const { message, detail } = await get();
  assert.deepEqual([message, detail], ["403 Forbidden: check the API key", "Forbidden"]);
  for (let count = 0; count < 2; count += 1) assert.doesNotMatch((await get()).message, /API key/);
});

test("an error 404 that is not of Tenon mentions the URL", async () => {
  const answers = [json(404, { message: "Not Found" }), json(404, { detail: "Not Found" }), json(404, "Not Found"), problem(404, "not-found")];
  await using server = await FakeServer.start(...answers);
  const messages: string[] = [];
  for (const _ of answers) messages.push((await rejection(client(server).call("GET", "/environment"))).message);
  assert.deepEqual(messages, [
    "404 Not Found: check the URL of the API",
    "404 Not Found: check the URL of the API",
    "404 the response is not a JSON object: check the URL of the API",
    "404 detail of not-found",
  ]);
});

test("a value that changes the path is refused before it is sent", async () => {
  await using server = await FakeServer.start();
  for (const user of ["", ".", "..", "joe/token", "joe%2Ftoken", "joe\\token", "joe?", "joe#", "joe\n", 7 as unknown as string]) {
    await assert.rejects(client(server).call("GET", "/users/{user}", { path: { user } }), TypeError);
  }
  assert.equal(server.received.length, 0);
});

test("a POST that creates is repeated with the same generated idempotency key", async () => {
  const inProgress = problem(409, "idempotency-key-in-progress");
  await using server = await FakeServer.start(disconnect, busy, inProgress, json(201, { userId: "1" }));
  const user = await client(server).call("POST", "/users", { body: { username: "joe" } });
  assert.equal(user.userId, "1");
  const keys = server.received.map(({ headers }) => headers["idempotency-key"]);
  assert.equal(keys.length, 4);
  assert.match(String(keys[0]), /^[0-9a-f-]{36}$/);
  assert.equal(new Set(keys).size, 1);
});

test("a POST whose earlier attempt still runs waits for it, unless nothing is repeated", async () => {
  const inProgress = json(409, { type: "urn:tenon:problem:idempotency-key-in-progress" }, { "retry-after": "0" });
  await using server = await FakeServer.start(disconnect, ...Array<Answer>(4).fill(inProgress), json(201, { userId: "1" }), inProgress);
  const body = { username: "joe" };
  assert.equal((await client(server).call("POST", "/users", { body })).userId, "1");
  const once = client(server, { retries: 0 }).call("POST", "/users", { body });
  const expected: ProblemType = "idempotency-key-in-progress";
  // @ts-expect-error: a type that the API does not have.
  const misspelt: ProblemType = "idempotency-key-in-process";
  const { type } = await rejection(once);
  assert.equal(type, expected);
  assert.notEqual(type, misspelt);
});

test("a 500 of API Gateway is repeated, and one of Tenon is not", async () => {
  const crashed = json(500, { message: "Internal Server Error" }, { "retry-after": "0" });
  await using server = await FakeServer.start(crashed, json(201, { userId: "1" }), problem(500, "internal"));
  const create = () => client(server).call("POST", "/users", { body: { username: "joe" } });
  assert.equal((await create()).userId, "1");
  assert.equal((await rejection(create())).type, "internal");
});

test("pauses grow, differ, and are never shorter than Retry-After", () => {
  for (let attempt = 1; attempt < 10; attempt += 1) {
    const [own, asked] = [pause(attempt, null) ?? 0, pause(attempt, 3) ?? 0];
    const growth = 2 ** (attempt - 1);
    assert(own >= Math.min(250 * growth, 4000) && own <= Math.min(500 * growth, 8000), String(own));
    assert(asked >= Math.min(3000 * growth, 8000) && asked <= 12000, String(asked));
  }
  assert.notEqual(pause(1, 1), pause(1, 1));
  assert.equal(pause(1, 61), null);
});

test("pauses after a Retry-After of zero are short at first, and grow", () => {
  assert((pause(1, 0) ?? 0) > 0 && (pause(1, 0) ?? 0) < 100);
  assert((pause(10, 0) ?? 0) >= 8000);
});

test("each POST has a key of its own, and a given one is used", async () => {
  await using server = await FakeServer.start(json(201, {}), json(201, {}), json(201, {}));
  const tenon = client(server);
  await tenon.call("POST", "/users", { body: { username: "joe" } });
  await tenon.call("POST", "/users", { body: { username: "kim" } });
  await tenon.call("POST", "/users", { body: { username: "lee" }, header: { "Idempotency-Key": "mine" } });
  const keys = server.received.map(({ headers }) => headers["idempotency-key"]);
  assert.equal(new Set(keys).size, 3);
  assert.equal(keys[2], "mine");
});

test("a GET is repeated after 502, 503, 504 and 429", async () => {
  const now = { "retry-after": "0" };
  const answers = [502, 504, 429].map((status) => json(status, { message: "later" }, now));
  await using server = await FakeServer.start(...answers, json(200, { userId: "1" }));
  const user = await client(server).call("GET", "/users/{user}", { path: { user: "joe" } });
  assert.equal(user.userId, "1");
});

test("a request that issues a token is repeated", async () => {
  await using server = await FakeServer.start(busy, disconnect, json(200, { token: "a" }));
  const issued = await client(server).call("POST", "/users/{user}/token", { path: { user: "joe" } });
  assert.equal(issued.token, "a");
});

test("a request that reveals a credential is repeated", async () => {
  await using server = await FakeServer.start(busy, disconnect, json(200, { data: { token: "a" } }));
  const path = { user: "joe", credentialId: "1" };
  const revealed = await client(server).call("POST", "/users/{user}/credentials/{credentialId}/reveal", { path });
  assert.deepEqual(revealed.data, { token: "a" });
});

test("a method in small letters is that in capitals", async () => {
  await using server = await FakeServer.start(disconnect, json(201, { userId: "1" }));
  const created = await client(server).call("post" as "POST", "/users", { body: { username: "joe" } });
  assert.equal(created.userId, "1");
  assert.deepEqual(server.received.map(({ method }) => method), ["POST", "POST"]);
  assert.equal(server.received[0]?.headers["idempotency-key"], server.received[1]?.headers["idempotency-key"]);
});

test("a path with values, whose idempotency key would be missing, is refused", async () => {
  await using server = await FakeServer.start(json(200, {}));
  const tenon = client(server);
  const body = { type: "shopify", name: "Shop", data: {} };
  const written = tenon.call("POST", "/users/joe/credentials" as "/users/{user}/credentials", { path: { user: "joe" }, body });
  await assert.rejects(written, {
    name: "TypeError",
    message: "write the path /users/joe/credentials as /users/{user}/credentials with path: {user}",
  });
  assert.deepEqual(server.received, []);
  // A GET has none.
  await tenon.call("GET", "/users/joe/credentials" as "/environment");
});

test("an unknown option is refused, and named with the known ones", async () => {
  await using server = await FakeServer.start();
  const message = "unknown options: params, headers; the options are path, query, header, body and signal";
  const options = { path: { user: "joe" }, params: {}, headers: {} };
  await assert.rejects(client(server).call("GET", "/users/{user}", options), { name: "TypeError", message });
  assert.deepEqual(server.received, []);
});

test("other requests are repeated only after 429", async () => {
  const limited = json(429, { message: "Too Many Requests" }, { "retry-after": "0" });
  await using server = await FakeServer.start(limited, busy, disconnect);
  const tenon = client(server);
  const path = { user: "joe" };
  const error = await rejection(tenon.call("POST", "/users/{user}/enable", { path }));
  assert.equal(error.status, 503);
  await assert.rejects(tenon.call("DELETE", "/users/{user}", { path }), TypeError);
  assert.equal(server.received.length, 3);
  assert.equal(server.received[0]?.headers["idempotency-key"], undefined);
});

test("repetitions are limited, and a long Retry-After is left to the caller", async () => {
  const tomorrow = json(503, { message: "closed" }, { "retry-after": "86400" });
  await using server = await FakeServer.start(busy, busy, tomorrow);
  const path = { user: "joe" };
  assert.equal((await rejection(client(server, { retries: 1 }).call("GET", "/users/{user}", { path }))).status, 503);
  assert.equal(server.received.length, 2);
  const closed = await rejection(client(server).call("GET", "/users/{user}", { path }));
  assert.deepEqual([closed.detail, closed.retryAfter], ["closed", 86400]);
  assert.equal(server.received.length, 3);
});

test("an attempt without a response ends after the timeout", async () => {
  await using server = await FakeServer.start(() => {});
  const call = client(server, { timeoutMs: 50, retries: 0 }).call("GET", "/environment");
  await assert.rejects(call, { name: "TimeoutError" });
});

test("an attempt that `fetch` never settles ends after the timeout, or with its signal", async () => {
  // Node.js does not report that such a body is invalid.
  const invalid: Answer = (response) => {
    response.writeHead(200, { "content-encoding": "gzip" }).flushHeaders();
    response.end("no gzip".repeat(10_000));
  };
  const controller = new AbortController();
  const leave: Answer = (response) => {
    invalid(response);
    // The client reads the body first.
    setTimeout(() => controller.abort(new Error("the visitor has left")), 100);
  };
  await using server = await FakeServer.start(invalid, invalid, leave);
  // Each attempt reaches the server within this time.
  const tenon = client(server, { timeoutMs: 1000, retries: 1 });
  await assert.rejects(tenon.call("GET", "/environment"), { name: "TimeoutError" });
  assert.equal(server.received.length, 2);
  const call = client(server).call("GET", "/environment", { signal: controller.signal });
  await assert.rejects(call, { message: "the visitor has left" });
  await assert.rejects(tenon.call("GET", "/environment", { signal: controller.signal }), { message: "the visitor has left" });
  assert.equal(server.received.length, 3);
});

test("a list is read page by page with its filters", async () => {
  await using server = await FakeServer.start(
    json(200, { data: [{ userId: "1" }], cursor: "a b" }),
    json(200, { data: [], cursor: "c" }),
    json(200, { data: [{ userId: "2" }] }),
  );
  const ids: string[] = [];
  for await (const user of client(server).list("/users", { query: { status: "active", limit: 1 } })) ids.push(user.userId);
  assert.deepEqual(ids, ["1", "2"]);
  assert.deepEqual(
    server.received.map(({ url }) => url),
    ["", "&cursor=a+b", "&cursor=c"].map((cursor) => `/base/users?status=active&limit=1${cursor}`),
  );
});

test("skipped items of a list are skipped once", async () => {
  await using server = await FakeServer.start(json(200, { errors: [], cursor: "c" }), json(200, { errors: [], cursor: null }));
  for await (const error of client(server).list("/logs", { query: { skip: 10 } })) assert.fail(error._id);
  assert.deepEqual(server.received.map(({ url }) => url), ["/base/logs?skip=10", "/base/logs?cursor=c"]);
});

test("a header without a value is not sent", async () => {
  await using server = await FakeServer.start(json(201, {}));
  const header = { "Idempotency-Key": undefined } as unknown as { "Idempotency-Key": string };
  await client(server).call("POST", "/users", { body: { username: "joe" }, header });
  assert.match(String(server.received[0]?.headers["idempotency-key"]), /^[0-9a-f-]{36}$/);
});

test("limits that are no whole numbers, or too high, are refused", () => {
  for (const settings of [{ retries: Number.NaN }, { retries: -1 }, { timeoutMs: 0 }, { timeoutMs: 2 ** 31 }]) {
    const [name] = Object.keys(settings);
    const message = `${name} must be a whole number from ${name === "retries" ? 0 : 1} to 2147483647`;
    const create = () => new Tenon({ url: "https://api.example.com", key: "key", ...settings });
    assert.throws(create, { name: "TypeError", message });
  }
});

test("a redirect is not followed", async () => {
  await using server = await FakeServer.start(json(301, {}, { location: "/elsewhere" }), json(200, {}));
  assert.equal((await rejection(client(server).call("GET", "/environment"))).status, 301);
  assert.equal(server.received.length, 1);
});

test("a list requests no page before it is needed", async () => {
  await using server = await FakeServer.start(json(200, { errors: [{ _id: "1" }], cursor: "c" }));
  for await (const error of client(server).list("/logs")) {
    assert.equal(error._id, "1");
    break;
  }
  assert.equal(server.received.length, 1);
});

test("a problem document is an error with its fields", async () => {
  const errors = [{ pointer: "/email", detail: "is taken" }];
  const gateway = json(403, { message: "Forbidden" });
  const page = (response: import("node:http").ServerResponse) => void response.end("<html>");
  await using server = await FakeServer.start(problem(409, "user-exists", { errors, instance: "r1" }), gateway, page);
  const tenon = client(server);

  const taken = await rejection(tenon.call("POST", "/users", { body: { email: "joe@acme.example" } }));
  assert.deepEqual([taken.status, taken.type, taken.title], [409, "user-exists", "user-exists"]);
  assert.equal(taken.message, "409 detail of user-exists");
  assert.deepEqual(taken.errors, errors);
  assert.equal(taken.problem.instance, "r1");

  const denied = await rejection(tenon.call("GET", "/environment"));
  assert.deepEqual([denied.status, denied.type, denied.detail, denied.errors], [403, null, "Forbidden", []]);

  assert.match((await rejection(tenon.call("GET", "/environment"))).detail, /not a JSON object/);
});

test("an error of a proxy has no members of other types", async () => {
  const document = { type: 1, title: null, detail: {}, message: [], errors: null };
  await using server = await FakeServer.start(json(400, document));
  const error = await rejection(client(server).call("GET", "/environment"));
  assert.deepEqual([error.type, error.title, error.message], [null, "HTTP status 400", "400 no description"]);
  assert.deepEqual(error.errors, []);
  assert.deepEqual(error.problem, document);
});

/** The compiler checks that each of these lines is an error. */
export async function wrong(tenon: Tenon): Promise<void> {
  // @ts-expect-error: the path has no POST
  await tenon.call("POST", "/logs");
  // @ts-expect-error: the path needs a user
  await tenon.call("GET", "/users/{user}");
  // @ts-expect-error: the body needs a name
  await tenon.call("POST", "/workflows", { body: { userId: "1" } });
  // @ts-expect-error: the member is misspelt
  await tenon.call("POST", "/users", { body: { mail: "joe@acme.example" } });
  // @ts-expect-error: the list has no such filter
  tenon.list("/users", { query: { workflowId: "1" } });
  // @ts-expect-error: the path is no list
  tenon.list("/environment");
}

test("a path that is not of the API is refused before it is sent", async () => {
  await using server = await FakeServer.start();
  const tenon = client(server);
  for (const path of [".evil.test/users", "users", "/users/joe%2Ftoken", "/users/x/../y", "/users?x", "/users#x", "//x/.."]) {
    await assert.rejects(tenon.call("GET", path as "/users"), { name: "TypeError" });
  }
  assert.deepEqual(server.received, []);
});

test("a signal ends a call, also between its attempts", async () => {
  for (const answer of [json(503, { message: "busy" }, { "retry-after": "60" }), () => {}]) {
    await using server = await FakeServer.start(answer);
    const controller = new AbortController();
    const call = client(server).call("GET", "/environment", { signal: controller.signal });
    while (server.received.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort(new Error("the visitor has left"));
    await assert.rejects(call, { message: "the visitor has left" });
  }
});

test("concurrent calls that share a signal cause no warning", async () => {
  await using server = await FakeServer.start(...Array<Answer>(20).fill(json(200, {})));
  const warnings: Error[] = [];
  const collect = (warning: Error) => void warnings.push(warning);
  process.on("warning", collect);
  const tenon = client(server);
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 20 }, () => tenon.call("GET", "/environment", { signal })));
  process.off("warning", collect);
  assert.deepEqual(warnings, []);
});

test("an answer that is no page of a list is an error", async () => {
  for (const body of [{}, [], { data: {} }]) {
    await using server = await FakeServer.start(json(200, body));
    const error = await rejection(client(server).list("/users").next());
    assert.match(error.message, /not a page of a list: check the URL/);
  }
});

test("a request names the client and its version, and an error the request", async () => {
  await using server = await FakeServer.start(json(403, { message: "Forbidden" }, { "apigw-requestid": "JKJ=" }), problem(404, "not-found", { instance: "K=" }));
  const get = () => rejection(client(server).call("GET", "/environment"));
  assert.deepEqual([(await get()).requestId, (await get()).requestId], ["JKJ=", "K="]);
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(server.received[0]?.headers["user-agent"], `tenon-node/${version}`);
});

test("an optional value may be undefined", async () => {
  await using server = await FakeServer.start(json(200, { data: [] }));
  const email: string | undefined = undefined;
  await client(server).list("/users", { query: { email, limit: 1 } }).next();
  assert.equal(server.received[0]?.url, "/base/users?limit=1");
});
