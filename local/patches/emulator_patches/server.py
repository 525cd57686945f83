"""Two faults of the emulator's own server."""

import socketserver
import threading

from ministack.services import sts


def install() -> None:
    """Answers without delay, and registers one function session at a time."""
    # Nagle's algorithm and delayed acknowledgements together add 40 ms to every response.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True

    # A starting function registers a session and iterates over those of all others. Two at the same
    # time fail with "dictionary changed size during iteration".
    register_session, lock = sts.register_session, threading.Lock()

    def register_session_alone(*session) -> None:
        with lock:
            register_session(*session)

    sts.register_session = register_session_alone
