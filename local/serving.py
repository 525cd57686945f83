"""HTTP servers of the local run and the tests."""

import http.server
import threading
from collections.abc import Sequence
from http import HTTPMethod
from typing import NamedTuple, Self
from urllib.parse import urlsplit


class Request(NamedTuple):
    """Request that a server received, with header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def line(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


class Response(NamedTuple):
    """Response of a server, which adds the length of the body to its headers."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, content: str, kind: str = "text/html", status: int = 200, **headers: str) -> "Response":
        """Creates a response with a text."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, {"content-type": f"{kind}; charset=utf-8", **named}, content.encode())


class Serving:
    """Serves the requests of `server` while its context is open."""

    server: http.server.ThreadingHTTPServer

    def start(self) -> Self:
        """Starts to serve requests, until the process or the context ends."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __enter__(self) -> Self:
        """Starts to serve requests."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stops the server."""
        self.server.shutdown()
        self.server.server_close()


class _HttpServer(http.server.ThreadingHTTPServer):
    # A drain opens 40 concurrent connections. Refused ones would be retried for seconds.
    request_queue_size = 128


class Server(Serving):
    """HTTP server on a free port of loopback. Its subclasses implement `respond`."""

    # Methods of the requests that it responds to. Others are rejected with 501.
    methods: Sequence[str] = tuple(HTTPMethod)

    def __init__(self, host: str = "127.0.0.1") -> None:
        def serve(handler: http.server.BaseHTTPRequestHandler) -> None:
            url = urlsplit(handler.path)
            headers = {name.lower(): value for name, value in handler.headers.items()}
            body = handler.rfile.read(int(headers.get("content-length", 0)))
            response = self.respond(Request(handler.command, url.path, url.query, headers, body))
            if response:
                handler.send_response(response.status)
                for name, value in response.headers.items():
                    handler.send_header(name, value)
                handler.send_header("content-length", str(len(response.body)))
                handler.end_headers()
                handler.wfile.write(response.body)

        methods = {f"do_{method}": serve for method in self.methods}
        silent = {"log_message": lambda *_: None}
        handler = type("Handler", (http.server.BaseHTTPRequestHandler,), methods | silent)
        self.server = _HttpServer(("127.0.0.1", 0), handler)
        self.origin = f"http://{host}:{self.server.server_port}"

    def respond(self, request: Request) -> Response | None:
        """Returns the response to a request. Without one, the connection is closed."""
        raise NotImplementedError
