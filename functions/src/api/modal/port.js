// Connection to the page that contains the frame, as docs/modal.md describes.

export { ancestors, isFramed, connectHost, send };

const PROTOCOL = 1;
const MAX_ANCESTORS = 3;

// Origins in the URL of the page: that of its parent, then of the pages above. The server has
// checked them.
const ancestors = new URL(location.href).searchParams.getAll("origin").slice(0, MAX_ANCESTORS);
const isFramed = ancestors.length > 0;

let port = null;

// Sends a message to the host. Without a host there is nothing to tell.
function send(message) {
  port?.postMessage(message);
}

// Announces the page to its parent, and passes the messages of the port that the parent answers
// with.
function connectHost(receive) {
  addEventListener("message", ({ source, origin, data, ports }) => {
    const isPort = data?.tenon === "port" && data.v === PROTOCOL && ports.length === 1;
    if (port || !isPort || source !== parent || origin !== ancestors[0]) return;
    [port] = ports;
    port.addEventListener("message", ({ data: message }) => receive(message ?? {}));
    port.start();
    receive({ type: "opened", inline: data.inline });
  });
  parent.postMessage({ tenon: "ready", v: PROTOCOL }, ancestors[0]);
}
