"""Webhook endpoint of the console's tests."""

import itertools
import math
from http import HTTPStatus

from serving import Request, Response, Server


class Receiver(Server):
    """Webhook endpoint on loopback, whose response can be changed."""

    methods = ("POST",)

    def __init__(self, status: int = 200, response: str = "", pauses_from: int | None = None) -> None:
        super().__init__()
        self.url = f"{self.origin}/hook"
        self.status, self.response, self.ids = status, response, list[str]()
        # Number of the request from which on it asks for a pause of an hour.
        self.pauses_from, self.numbers = pauses_from or math.inf, itertools.count(1)

    def respond(self, request: Request) -> Response:
        """Returns the present response, and keeps the id of the message if that is a success."""
        # A test may change it meanwhile.
        status = self.status
        if status == HTTPStatus.OK:
            self.ids.append(request.headers["webhook-id"])
        headers = {"retry-after": "3600"} if next(self.numbers) >= self.pauses_from else {}
        return Response(status, headers, self.response.encode())
