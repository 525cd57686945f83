// Serves an example: node examples/server.js plain. A real app has pages for signed-in users only.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import process from "node:process";
import { TENON_URL, userToken } from "./backend.js";

const example = process.argv[2];
if (!["plain", "alloy"].includes(example)) {
  console.error("usage: node examples/server.js plain|alloy");
  process.exit(2);
}

const FILES = {
  "/": [`${example}/index.html`, "text/html"],
  "/sdk/alloy.js": ["../sdk/alloy.js", "text/javascript"],
  "/sdk/tenon.js": ["../sdk/tenon.js", "text/javascript"],
};

async function respond(path) {
  if (path === "/my/tenon-token") return [200, "text/plain", await userToken("example", origins())];
  if (!Object.hasOwn(FILES, path)) return [404, "text/plain", "not found"];
  const [name, type] = FILES[path];
  const text = await readFile(new URL(name, import.meta.url), "utf8");
  return [200, type, text.replaceAll("{{TENON_URL}}", () => TENON_URL)];
}

const server = createServer((request, response) => {
  respond(request.url.split("?")[0])
    .catch((error) => {
      console.error(error.message);
      return [502, "text/plain", "failed"];
    })
    .then(([status, type, text]) => {
      response.writeHead(status, { "content-type": `${type}; charset=utf-8`, "cache-control": "no-store" }).end(text);
    });
});

// Origins of the pages. Both names lead to this server.
const origins = () => ["127.0.0.1", "localhost"].map((host) => `http://${host}:${server.address().port}`);

server.on("error", ({ message }) => {
  console.error(message);
  process.exitCode = 1;
});
server.listen(process.env.PORT ?? 3000, "127.0.0.1", () => console.log(`open ${origins()[0]}`));
