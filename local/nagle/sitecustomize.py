"""Read by the emulator's Python at its start: without this, its own server waits 40 ms for every answer (Nagle's
algorithm against delayed acknowledgements)."""

import socketserver

socketserver.StreamRequestHandler.disable_nagle_algorithm = True
