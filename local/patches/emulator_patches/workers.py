"""Function processes that wait without processor time.

The emulator has two threads for each function process: a server of the Lambda Runtime API, and the
request with which the process waits for its next event. Both look ten times a second whether they
must end, and a third looks every millisecond for log lines after an invocation. With two hundred
processes that is most of the emulator's processor time.
"""

import contextlib
import queue
import socket
import socketserver
import time

from ministack.core.lambda_runtime import ProvidedWorker

# Seconds after which the thread of a process that has ended ends too.
_WAIT = 10


def install() -> None:
    """Makes the threads wait until there is something to do."""
    socketserver.ThreadingTCPServer = _Server
    build = ProvidedWorker._build_handler_class
    ProvidedWorker._build_handler_class = lambda worker, generation, events: build(worker, generation, _Events(events))
    ProvidedWorker._drain_stderr_bounded = _log_lines


class _Server(socketserver.ThreadingTCPServer):
    """A server that is woken when it must end."""

    def serve_forever(self, poll_interval: float | None = None) -> None:
        super().serve_forever(None)

    def shutdown(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        super().shutdown()


class _Events:
    """The events of a process. `get` waits longer than it is asked to."""

    def __init__(self, events: queue.Queue) -> None:
        self._events = events

    def get(self, timeout: float) -> tuple:
        return self._events.get(timeout=_WAIT)


def _log_lines(worker, first_line_wait: float = 0.05, idle_confirm: float = 0.005, hard_cap: float = 0.25) -> str:
    """Returns the lines of an invocation: all until none follows within `idle_confirm` seconds."""
    lines, wait, end = [], first_line_wait, time.monotonic() + hard_cap
    with contextlib.suppress(queue.Empty):
        while (left := end - time.monotonic()) > 0:
            lines.append(worker._stderr_queue.get(timeout=min(wait, left)))
            wait = idle_confirm
    return "\n".join(lines)
