// The package in a process without a DOM: importing it, and server-side rendering.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createElement, StrictMode, version } from "react";
import { renderToString } from "react-dom/server";

test("importing any entry without a DOM has no effect", async () => {
  // The last entry is the classic script.
  for (const [entry, names] of Object.entries({
    "": ["open"],
    "/react": ["TenonModal", "useTenonModal"],
    "/alloy": ["default"],
    "/global": [],
  })) {
    const before = Object.keys(globalThis).filter((name) => name !== "Tenon");
    const module = await import(`@tenon/modal${entry}`);
    assert.deepEqual(Object.keys(module), names);
    assert.deepEqual(
      Object.keys(globalThis).filter((name) => name !== "Tenon"),
      before,
    );
  }
});

test(`component and hook are rendered on a server by React ${version}`, async (context) => {
  const { TenonModal, useTenonModal } = await import("@tenon/modal/react");
  const errors = context.mock.method(console, "error");
  const token = () => assert.fail("no token is needed on a server");
  function Page() {
    useTenonModal({ url: "https://api.example.com", token });
    return [
      createElement(TenonModal, { key: 1, open: true, token }),
      createElement(TenonModal, { key: 2, inline: true, className: "card", token }),
    ];
  }
  assert.equal(renderToString(createElement(StrictMode, null, createElement(Page))), '<div class="card"></div>');
  assert.equal(errors.mock.callCount(), 0);
});
