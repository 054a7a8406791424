"""Ports to listen on. Standard library only."""

from __future__ import annotations

import secrets
import socket
from contextlib import closing, suppress
from typing import Final

from faregate.base.errors import ConfigurationError

_FREE_PORTS: Final = range(15_000, 32_000)
"""Below the ports that systems give to outgoing connections: one of those may be taken before it is listened on."""

_TRIES: Final = 50


def claim_port(host: str, port: int) -> int:
    """Return a port nobody listens on, `port` itself unless it is 0.

    granian would share a taken port with its owner in silence. Raises `ConfigurationError` where it is taken.
    """
    for _ in range(_TRIES if port == 0 else 0):
        with suppress(ConfigurationError):
            return _probe(host, secrets.choice(_FREE_PORTS))
    return _probe(host, port)


def _probe(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(f"port {port} of {host} cannot be used: {error.strerror}") from error
        claimed: int = probe.getsockname()[1]
        return claimed


def reachable(host: str) -> str:
    """Return the address under which this machine reaches a listener on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def origin(host: str, port: int) -> str:
    """Return the URL of a listener, without a path."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
