"""Read by the emulator's Python at its start."""

import socketserver
import threading

from ministack.services import sts

# Without this, its own server waits 40 ms for every answer (Nagle's algorithm against delayed acknowledgements).
socketserver.StreamRequestHandler.disable_nagle_algorithm = True

# Every function that starts gets a session, and looks through those of all others meanwhile: where two start at once, one of
# them failed now and then, since the other's came in between ("dictionary changed size during iteration").
register_session, alone = sts.register_session, threading.Lock()


def register_session_alone(*session) -> None:
    with alone:
        register_session(*session)


sts.register_session = register_session_alone
