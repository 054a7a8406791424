"""Knowing that a caller has gone while the upstream is silent.

The server shows a vanished caller in two ways: `client_disconnect()` completes (also for a half-closed connection), and
`send_bytes` raises `ProtocolClosed`. The second is enough where the answer is read to its end anyway.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from granian.rsgi import HTTPProtocol

_AGAIN_AFTER_S: Final = 0.05


class CallerWatch:
    """Knows when the caller leaves, and from `cancel_when_gone` on cancels a task then.

    It has to be made well before: the server tells of a departure only who has asked by then. `gone` tells this
    cancellation from others.
    """

    __slots__ = ("_departure", "_loop", "_task", "gone")

    def __init__(self, protocol: HTTPProtocol) -> None:
        self.gone = False
        self._task: asyncio.Task[object] | None = None
        self._loop = asyncio.get_running_loop()
        # The stubs say coroutine; it is a future of the server's own, which may be given callbacks.
        self._departure = cast("asyncio.Future[None]", protocol.client_disconnect())
        self._departure.add_done_callback(self._left)

    def cancel_when_gone(self) -> None:
        """Cancel the running task when the caller leaves; at its next wait, if it has left already."""
        self._task = asyncio.current_task()
        if self.gone:
            self._cancel()

    def heed(self) -> None:
        """Cancel no more: what the task does from now on is to come to its end."""
        self._task = None

    def close(self) -> None:
        """Stop watching: the answer is complete, and the connection may end as it likes."""
        self._departure.remove_done_callback(self._left)
        self._departure.cancel()
        self._task = None

    def _left(self, _: object) -> None:
        if self._departure.cancelled():
            return
        self.gone = True
        self._cancel()

    def _cancel(self) -> None:
        """Cancel the task until it heeds that: what waits for the server at that moment goes on as if nothing was."""
        if self._task is not None:
            self._task.cancel()
            self._loop.call_later(_AGAIN_AFTER_S, self._cancel)
