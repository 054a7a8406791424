"""Knowing that a caller has gone while the upstream is silent.

The server shows a vanished caller in two ways: `client_disconnect()` completes (also for a half-closed connection), and
`send_bytes` raises `ProtocolClosed`. The second is enough where the answer is read to its end anyway.
"""

from __future__ import annotations

import asyncio
from typing import cast

from granian.rsgi import HTTPProtocol


class CallerWatch:
    """Cancels the task it was made in when the caller leaves; `gone` then tells this cancellation from others."""

    __slots__ = ("_departure", "_task", "gone")

    def __init__(self, protocol: HTTPProtocol) -> None:
        self.gone = False
        self._task = asyncio.current_task()
        # The stubs say coroutine; it is a future of the server's own, which may be given callbacks.
        self._departure = cast("asyncio.Future[None]", protocol.client_disconnect())
        self._departure.add_done_callback(self._left)

    def close(self) -> None:
        """Stop watching: the answer is complete, and the connection may end as it likes."""
        self._departure.remove_done_callback(self._left)
        self._departure.cancel()
        self._task = None

    def _left(self, _: object) -> None:
        task = self._task
        if task is not None and not self._departure.cancelled():
            self.gone = True
            task.cancel()
