import { userToken } from "../backend.js";

// Back end of the example. A real app returns a token of the signed-in user.
const backend = {
  name: "backend",
  configureServer(server) {
    server.middlewares.use("/my/tenon-token", (request, response, next) => {
      const origins = server.resolvedUrls.local.map((url) => new URL(url).origin);
      response.setHeader("cache-control", "no-store");
      userToken("example", origins).then((token) => response.end(token), next);
    });
  },
};

export default {
  // Variables that pages can read. The key is not one of them.
  envPrefix: "TENON_URL",
  plugins: [backend],
  server: { host: "127.0.0.1" },
};
