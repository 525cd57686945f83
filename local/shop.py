"""Acme Shop, an invented app that embeds the modal, for the local run.

TENON_URL and TENON_BACKEND_KEY select a deployed Tenon; the default is the local run. The part that
an app needs is the function `user_token`.
"""

import contextlib
import html
import http.server
import os
import re
import secrets
import sys
import urllib.error
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from emulator import free_port
from serving import Serving
from settings import settings
from tenon import Api, check_url, is_local

FILES = Path(__file__).with_name("shop")
STATIC = {"/shop.css": "text/css", "/shop.js": "text/javascript", "/icon.svg": "image/svg+xml"}
PAGES = {"/": "index.html", "/inline": "index.html"}
PREFERRED_PORT = 8080
COOKIE = "acme_shop"
# Names of people whom the shop knows.
NAMES = {"joe.smoe@acme.example": "Joe Smoe", "ann.roe@acme.example": "Ann Roe"}
# Maximum length of the sign-in form.
MAX_FORM = 1_000

# Returns the URL and the back-end key of Tenon.
Settings = Callable[[], tuple[str, str]]


class TenonError(Exception):
    """Unexpected response of Tenon."""


def user_token(tenon: Api, email: str, origin: str) -> str:
    """Returns a token of a user for a page of this origin. Creates the user if necessary."""
    # API Gateway decodes a path before it routes it, so that such an address could lead to another
    # endpoint. Tenon accepts no user with it.
    if re.search(r"[%/\\?#\x00-\x1f\x7f-\x9f]", email):
        raise TenonError("the email address has characters that no name has")
    path, limits = f"/users/{quote(email, safe='')}/token", {"origins": [origin]}
    response = tenon.call("POST", path, limits)
    if response.status == 404:
        user = {"email": email} | ({"fullName": NAMES[email]} if email in NAMES else {})
        created = tenon.call("POST", "/users", user)
        # 409: a concurrent request has created the user.
        if created.status not in (201, 409):
            raise TenonError(created.body.get("detail", str(created.status)))
        response = tenon.call("POST", path, limits)
    if response.status != 200:
        raise TenonError(response.body.get("detail", str(response.status)))
    return response.body["token"]


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one request of the shop."""

    protocol_version = "HTTP/1.1"
    server: "ShopServer"

    def do_GET(self) -> None:
        """Serves a page, a file or a token."""
        path, email = urlsplit(self.path).path, self.signed_in()
        if not self.is_own_host():
            self.reply(421, "text/plain", "The shop is only available at its own address.")
        elif path in STATIC:
            self.reply(200, STATIC[path], (FILES / path[1:]).read_text())
        elif path == "/sign-in":
            self.reply(200, "text/html", (FILES / "sign-in.html").read_text())
        elif path == "/my/tenon-token":
            self.reply_token(email)
        elif path not in PAGES:
            self.reply(404, "text/plain", "not found")
        elif email is None:
            self.redirect("/sign-in")
        else:
            page = (FILES / PAGES[path]).read_text()
            for name, value in {"tenon": self.server.settings()[0], "email": email}.items():
                page = page.replace("{{" + name + "}}", html.escape(value))
            self.reply(200, "text/html", page)

    def do_POST(self) -> None:
        """Signs a person in or out."""
        length = self.headers.get("content-length", "")
        form = b""
        if length.isascii() and length.isdigit() and int(length) <= MAX_FORM:
            form = self.rfile.read(int(length))
        else:
            # The unread body must not be taken for another request.
            self.close_connection = True
        path, origin = urlsplit(self.path).path, self.headers.get("origin", self.origin())
        if not self.is_own_host() or origin != self.origin():
            self.reply(403, "text/plain", "The form belongs to another page.")
        elif path == "/sign-in":
            [email, *_] = parse_qs(form.decode(errors="replace")).get("email", [""])
            if "@" not in email:
                self.redirect("/sign-in")
                return
            session = secrets.token_urlsafe(32)
            self.server.sessions[session] = email.strip().lower()
            self.redirect("/", f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax")
        elif path == "/sign-out":
            self.server.sessions.pop(self.session(), None)
            self.redirect("/sign-in", f"{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
        else:
            self.reply(404, "text/plain", "not found")

    def reply_token(self, email: str | None) -> None:
        """Returns a user token of the signed-in person as text."""
        if email is None:
            self.reply(401, "text/plain", "not signed in")
            return
        try:
            self.reply(200, "text/plain", user_token(Api(*self.server.settings()), email, self.origin()))
        except (TenonError, urllib.error.URLError, OSError, ValueError) as error:
            print(f"shop: no token of {email!r}: {error}", file=sys.stderr, flush=True)
            self.reply(502, "text/plain", "Tenon returned no token")

    def origin(self) -> str:
        """Returns the origin under which the browser knows the shop."""
        return f"http://{self.headers.get('host', '')}"

    def is_own_host(self) -> bool:
        """Returns whether the host is the shop, and not another name that resolves to loopback."""
        port = self.server.server_port
        return self.headers.get("host") in (f"127.0.0.1:{port}", f"localhost:{port}")

    def session(self) -> str:
        """Returns the session of the cookie, or an empty text."""
        with contextlib.suppress(CookieError):
            cookie = SimpleCookie(self.headers.get("cookie", "")).get(COOKIE)
            return cookie.value if cookie else ""
        return ""

    def signed_in(self) -> str | None:
        """Returns the email address of the signed-in person."""
        return self.server.sessions.get(self.session())

    def redirect(self, path: str, cookie: str | None = None) -> None:
        """Sends the browser to another page of the shop."""
        self.reply(303, "text/plain", "", {"location": path} | ({"set-cookie": cookie} if cookie else {}))

    def reply(self, status: int, kind: str, text: str, headers: dict[str, str] | None = None) -> None:
        """Sends a response."""
        url = urlsplit(self.server.settings()[0])
        tenon, body = f"{url.scheme}://{url.netloc}", text.encode()
        policy = (
            f"default-src 'none'; script-src 'self' {tenon}; style-src 'self'; img-src 'self'; connect-src 'self'; "
            f"frame-src {tenon}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        self.send_response(status)
        fixed = {
            "content-type": f"{kind}; charset=utf-8",
            "content-length": str(len(body)),
            "content-security-policy": policy,
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
        }
        for name, value in {**fixed, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Writes no access log."""


class ShopServer(http.server.ThreadingHTTPServer):
    """Server of the shop on loopback, with its sessions."""

    daemon_threads = True

    def __init__(self, port: int, tenon: Settings) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.settings, self.sessions = tenon, dict[str, str]()


class Shop(Serving):
    """The shop, which runs while a block is executed."""

    def __init__(self, tenon: Settings) -> None:
        port = os.environ.get("TENON_SHOP_PORT")
        try:
            self.server = ShopServer(int(port) if port else free_port(PREFERRED_PORT), tenon)
        except (OSError, OverflowError, ValueError) as error:
            sys.exit(f"The shop cannot listen on port {port} (TENON_SHOP_PORT): {error}")

    @property
    def url(self) -> str:
        """URL of the shop."""
        return f"http://127.0.0.1:{self.server.server_port}"


def main() -> None:
    """Runs the shop until Ctrl-C."""
    found = settings()
    url, key = found
    check_url(url)
    if not is_local(url) and not key.startswith("tn_test_"):
        sys.exit("The shop has no passwords: use an API key of a test environment.")
    shop = Shop(lambda: found)
    print(f"demo shop with the embedded modal  {shop.url}", flush=True)
    shop.server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
