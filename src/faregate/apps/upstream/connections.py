"""Cuts a client's connection, as a crashed upstream would: the server library can only end an answer properly."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_DESCRIPTORS: Final = Path("/dev/fd")


def cut_connection(peer: str) -> None:
    """Shut the connection to `peer` (IPv4 `address:port`, as the server reports it) down, if it is still open.

    What the kernel already has is still delivered. Slow by design: it looks at every descriptor of the process.
    """
    for entry in _DESCRIPTORS.iterdir():
        with suppress(OSError):  # closed since it was listed, or never connected
            descriptor = int(entry.name)
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode) and _shut(descriptor, peer):
                return


def _shut(descriptor: int, peer: str) -> bool:
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family != socket.AF_INET:
            return False
        address, port = connection.getpeername()
        if f"{address}:{port}" != peer:
            return False
        connection.shutdown(socket.SHUT_RDWR)
        return True
