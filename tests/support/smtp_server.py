"""A mail server that keeps what it is given, and fails as it is told: RFC 5321, with STARTTLS (RFC 3207) and AUTH."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message


@dataclass
class MailServer:
    """`messages`: what was taken. `logins`: who signed in, over TLS or not. `refusal`: the answer to a recipient."""

    context: ssl.SSLContext | None = None
    refusal: str = ""
    port: int = 0
    messages: list[Message] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_secure = writer.get_extra_info("sslcontext") is not None
        await _say(writer, "220 localhost ready")
        while line := (await reader.readline()).decode().strip():
            match line.split(" ")[0].upper():
                case "EHLO":
                    offers = ["STARTTLS"] if self.context is not None and not is_secure else []
                    names = ["localhost", *offers, "AUTH PLAIN"]
                    await _say(writer, *(f"250-{name}" for name in names[:-1]), f"250 {names[-1]}")
                case "STARTTLS":
                    await _say(writer, "220 go on")
                    assert self.context is not None
                    await writer.start_tls(self.context)
                    is_secure = True
                case "AUTH":
                    _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
                    self.logins.append((user, password, is_secure))
                    await _say(writer, "235 welcome" if password == "right" else "535 who are you")  # noqa: S105 - of this server alone
                case "RCPT":
                    await _say(writer, self.refusal or "250 ok")
                case "DATA":
                    await _say(writer, "354 go on")
                    self.messages.append(message_from_bytes(await reader.readuntil(b"\r\n.\r\n")))
                    await _say(writer, "250 taken")
                case "QUIT":
                    await _say(writer, "221 bye")
                    return
                case _:
                    await _say(writer, "250 ok")


async def _say(writer: asyncio.StreamWriter, *lines: str) -> None:
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()


@asynccontextmanager
async def mail_server(server: MailServer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[MailServer]:
    """Serve on a loopback port; `tls` from the first byte."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
