"""Ports to listen on. Standard library only."""

from __future__ import annotations

import socket
from contextlib import closing

from faregate.base.errors import ConfigurationError


def claim_port(host: str, port: int) -> int:
    """Return a port nobody listens on, `port` itself unless it is 0.

    granian would share a taken port with its owner in silence. Raises `ConfigurationError` where it is taken.
    """
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
