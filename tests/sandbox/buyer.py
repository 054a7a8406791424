"""Somebody at a hosted page of the sandbox, with a browser that runs no scripts."""

from dataclasses import dataclass
from html import unescape
from urllib.parse import urlencode, urlsplit

from tests.control.control_plane import Handle, Reply

CARD = "4242 4242 4242 4242"


@dataclass
class Buyer:
    """Opens `url` and sends its forms; does not follow redirects."""

    control: Handle
    url: str

    def open(self) -> Reply:
        return self.control.ask("GET", urlsplit(self.url).path, accept="text/html")

    def text(self) -> str:
        reply = self.open()
        assert reply.status == 200, reply.body
        return unescape(reply.body.decode())

    def token(self) -> str:
        return self.text().split('name="form_token" value="', 1)[1].split('"', 1)[0]

    def send(self, token: str | None = None, **fields: str) -> Reply:
        """Send a form; the answer's `location` is where the browser goes, else the page is what it shows."""
        form = {"form_token": self.token() if token is None else token} | fields
        body = urlencode(form).encode()
        reply = self.control.ask(
            "POST",
            urlsplit(self.url).path,
            body,
            accept="text/html",
            content_type="application/x-www-form-urlencoded",
        )
        if "location" in reply.headers and "/sandbox/pay/" in reply.headers["location"]:
            self.url = reply.headers["location"]
        return reply

    def pay(self, number: str = CARD, **fields: str) -> Reply:
        """Send the card form."""
        card = {"number": number, "expiry": "12 / 40", "cvc": "123", "name": "Ada", "email": "ada@example.com"}
        return self.send(**(card | fields))
