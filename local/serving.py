"""HTTP servers of the local run and the tests."""

import http.server
import threading
from typing import Self


class Serving:
    """Serves the requests of `server` while its context is open."""

    server: http.server.ThreadingHTTPServer

    def __enter__(self) -> Self:
        """Starts to serve requests."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the server."""
        self.server.shutdown()
        self.server.server_close()
