// Methods of the drop-in for alloy-frontend that need no page.

import assert from "node:assert/strict";
import { test } from "node:test";
import Alloy from "@tenon/modal/alloy";

// Returns an instance whose requests get these bodies, and the list of its requests.
function start(context, ...bodies) {
  const requests = [];
  context.mock.method(globalThis, "fetch", async (url, { method, headers, body }) => {
    requests.push([method, url, headers, body]);
    return Response.json(bodies.shift());
  });
  const alloy = Alloy();
  alloy.setUrl("https://api.example.com/v1/");
  alloy.setToken("abc.def");
  return { alloy, requests };
}

test("lists have the items of all pages", async (context) => {
  const pages = [{ data: [{ key: "a" }, { key: "b" }], cursor: "a&b" }, { data: [{ key: "c" }] }];
  const { alloy, requests } = start(context, ...pages);
  assert.deepEqual(await alloy.getWorkflows(), { data: ["a", "b", "c"].map((key) => ({ key, installed: true })) });
  const headers = { authorization: "Bearer abc.def" };
  assert.deepEqual(requests, [
    ["GET", "https://api.example.com/v1/workflows?limit=100", headers, undefined],
    ["GET", "https://api.example.com/v1/workflows?limit=100&cursor=a%26b", headers, undefined],
  ]);
});

test("integrations say what is installed", async (context) => {
  const workflows = [
    { key: "orders", name: "Orders" },
    { key: "stock", name: "Stock" },
  ];
  const shop = {
    integrationId: "shop",
    credentialTypes: [{ type: "shopify" }],
    workflows,
    installation: { status: "active" },
  };
  const plain = { integrationId: "plain", credentialTypes: [], workflows, installation: null };
  const installed = [
    { workflowId: "w1", integrationId: "shop", key: "orders", name: "Orders", active: true },
    { workflowId: "w2", integrationId: "other", key: "stock", name: "Stock", active: true },
    { workflowId: "w3", integrationId: null, key: null, name: "Own", active: true },
  ];
  const { alloy } = start(context, { data: [shop, plain] }, { data: installed });
  const absent = { installed: false, active: false };
  assert.deepEqual(await alloy.getIntegrations(), {
    data: [
      {
        ...shop,
        app: "shopify",
        installed: true,
        workflows: [
          { ...installed[0], installed: true },
          { ...workflows[1], ...absent },
        ],
      },
      {
        ...plain,
        app: "plain",
        installed: false,
        workflows: workflows.map((workflow) => ({ ...workflow, ...absent })),
      },
    ],
  });
});

test("workflows are deactivated and activated", async (context) => {
  const { alloy, requests } = start(context, { active: false }, { active: true });
  const data = { workflowId: "6155ac246093840013297377" };
  assert.deepEqual(await alloy.deactivate(data), { active: false });
  assert.deepEqual(await alloy.reactivate(data), { active: true });
  const headers = { authorization: "Bearer abc.def", "content-type": "application/json" };
  assert.deepEqual(requests, [
    ["PUT", "https://api.example.com/v1/workflows/deactivate", headers, JSON.stringify(data)],
    ["PUT", "https://api.example.com/v1/workflows/activate", headers, JSON.stringify(data)],
  ]);
});

test("promises resolve with the body of an error", async (context) => {
  const problem = { status: 401, message: "the token has expired" };
  const { alloy } = start(context, { data: [] }, problem, problem, problem);
  assert.deepEqual(await alloy.getIntegrations(), problem);
  assert.deepEqual(await alloy.getWorkflows(), problem);
  assert.deepEqual(await alloy.reactivate({}), problem);
});

test("methods throw before the token or the URL is set", () => {
  const calls = [
    (alloy) => alloy.install({}),
    (alloy) => alloy.edit(),
    (alloy) => alloy.update(),
    (alloy) => alloy.authenticate({}),
    (alloy) => alloy.getWorkflows(),
    (alloy) => alloy.getIntegrations(),
    (alloy) => alloy.deactivate({}),
    (alloy) => alloy.reactivate({}),
  ];
  for (const call of calls) {
    const alloy = Alloy();
    assert.throws(() => call(alloy), { message: "no token set" });
    alloy.setToken("abc.def");
    assert.throws(() => call(alloy), /no url set|url is required/);
  }
});

test("a URL to which others could read the token is refused", () => {
  const alloy = Alloy();
  const message = "tenon: url must be an https URL, or http on localhost and 127.0.0.1";
  for (const url of [
    "http://api.example.com",
    "http://localhost.example.com",
    "http://localhost:1@api.example.com",
    "/api",
    undefined,
  ]) {
    assert.throws(() => alloy.setUrl(url), { name: "TypeError", message });
  }
  for (const url of ["https://api.example.com/v1", "http://localhost:3000", "http://127.0.0.1/v1"]) alloy.setUrl(url);
});

test("instances are independent, also of `new`", async (context) => {
  const { alloy, requests } = start(context, { data: [] });
  const other = new Alloy();
  other.setToken("other");
  assert.throws(() => other.getWorkflows(), { message: "no url set" });
  await alloy.getWorkflows();
  assert.equal(requests[0][2].authorization, "Bearer abc.def");
});

test("a region is ignored with one warning", (context) => {
  const warnings = context.mock.method(console, "warn", () => {});
  const alloy = Alloy();
  alloy.setRegion("eu");
  alloy.setRegion("us");
  assert.deepEqual(
    warnings.mock.calls.map(({ arguments: [text] }) => text),
    ["tenon: setRegion is not supported: call setUrl with the URL of your API"],
  );
});
