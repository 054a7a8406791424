"""Keeps the tests on this machine: what the test process opens in Python may reach loopback and Unix sockets only.

Sees `socket`, and what is built on it: asyncio, http.client, httpx, the openai and stripe SDKs. Does not see native
code that opens sockets of its own (libpq, pyreqwest, uvloop): tests give those loopback addresses.
"""

import ipaddress
import sys
from typing import Final

_GUARDED: Final = {"socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendmsg", "socket.sendto"}


class OutsideAddressError(Exception):
    """A test tried to leave the machine. Not an OSError: no retry may swallow it."""


def install() -> None:
    """Refuse addresses outside of loopback from now on, in this process; there is no way back."""
    sys.addaudithook(_refuse_outside)


def _refuse_outside(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _GUARDED:
        return
    # getaddrinfo reports (host, port, ...), the others (socket, address).
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    if event != "socket.getaddrinfo" and not isinstance(address, tuple):
        return  # a Unix socket's path, or none
    if not _is_loopback(host):
        message = f"{event} of {host!r}: tests stay on loopback"
        raise OutsideAddressError(message)


def _is_loopback(host: object) -> bool:
    match host:
        case None | "localhost" | b"localhost":
            return True
        case bytes():
            return _is_loopback(host.decode("ascii", "replace"))
        case str():
            try:
                return ipaddress.ip_address(host).is_loopback
            except ValueError:
                return False
        case _:
            return True  # other families: (process id, groups) of netlink and the like
