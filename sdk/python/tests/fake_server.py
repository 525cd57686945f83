"""Server that answers its requests one after the other with given answers."""

import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self


@dataclass
class Received:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class FakeServer:
    """The server, which runs while its context is open."""

    def __init__(self, *answers: Answer) -> None:
        self.received: list[Received] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                text = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = json.loads(text) if text else None
                server.received.append(Received(self.command, self.path, headers, body))
                answers[len(server.received) - 1](self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - names that the base class calls

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    """Returns an answer: a JSON document, or a text."""
    data = (body if isinstance(body, str) else json.dumps(body)).encode()

    def send(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"content-length": str(len(data)), **(headers or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)

    return send


def problem(status: int, type_: str, **more: Any) -> Answer:
    """Returns an answer: a problem document."""
    document = {"type": f"urn:tenon:problem:{type_}", "title": type_, "status": status, "detail": f"detail of {type_}"}
    return answer(status, {**document, **more})


def disconnect(request: http.server.BaseHTTPRequestHandler) -> None:
    """Ends the connection without a response."""
    request.close_connection = True


# Transient rejection after which the client need not wait.
busy = answer(503, {"message": "busy"}, {"retry-after": "0"})
