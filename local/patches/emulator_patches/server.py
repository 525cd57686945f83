"""The emulator's own server: its speed, who may call it, and two faults."""

import asyncio
import re
import socketserver
import threading
from typing import Any

import hypercorn.asyncio
import uvicorn
import uvloop
from hypercorn.config import Config
from ministack.services import sts

# Paths of APIs that functions serve. They have CORS and callers of their own.
APIS = re.compile(r"/_aws/execute-api/[0-9a-f]+/.*")
# Names of this machine. A proxy, such as that of the benchmark, has another port.
LOOPBACK = {b"127.0.0.1", b"localhost"}
# Headers that only browsers send. A simple request of a page has no `Origin`.
OF_BROWSERS = {b"origin", b"referer", b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site"}


def only_for_programs(app: Any) -> Any:
    """Refuses requests of web pages to the emulator, except to the APIs that functions serve.

    The emulator allows every origin, and does not check the signatures of root credentials: any
    page in the developer's browser could create functions and run them. A name that a page
    resolves to loopback is refused, too.
    """

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            is_of_a_browser = OF_BROWSERS & headers.keys() or headers.get(b"user-agent", b"").startswith(b"Mozilla/")
            is_refused = is_of_a_browser and not APIS.fullmatch(scope["path"])
            name = headers.get(b"host", b"").rpartition(b":")[0]
            if is_refused or name not in LOOPBACK:
                await send({"type": "http.response.start", "status": 403, "headers": []})
                await send({"type": "http.response.body", "body": b"The local AWS is not for web pages.\n"})
                return
        await app(scope, receive, send)

    return guarded


async def serve(app: Any, config: Config) -> None:
    """Serves the emulator's application with uvicorn and httptools, on uvloop.

    Hypercorn parses HTTP in Python, which is half of the emulator's processor time.
    """
    [(host, port)] = [bind.rsplit(":", 1) for bind in config.bind]
    settings = uvicorn.Config(
        only_for_programs(app),
        host,
        int(port),
        http="httptools",
        ws="none",
        timeout_keep_alive=75,
        # A connection that stays open must not keep the state from being saved.
        timeout_graceful_shutdown=5,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
    await uvicorn.Server(settings).serve()


def install() -> None:
    """Serves faster, answers without delay, and registers one function session at a time."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    hypercorn.asyncio.serve = serve

    # Nagle's algorithm and delayed acknowledgements together add 40 ms to every response.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True

    # A starting function registers a session and iterates over those of all others. Two at the same
    # time fail with "dictionary changed size during iteration".
    register_session, lock = sts.register_session, threading.Lock()

    def register_session_alone(*session) -> None:
        with lock:
            register_session(*session)

    sts.register_session = register_session_alone
