"""Stripe's API on our own port, answered by the sandbox: the official SDK with another address speaks to it."""

from __future__ import annotations

import asyncio
from typing import Final

from faregate.apps.control.asgi import Answer, Request, read_body
from faregate.base.limits import MAX_API_BODY_BYTES
from faregate.providers.sandbox.asking import Sandbox

SANDBOX_PREFIXES: Final = ("/sandbox/v1/", "/sandbox/v2/", "/sandbox/control/")
_BASE: Final = "/sandbox"


class SandboxLink:
    """Hands requests to the sandbox on a thread: each one is a durable commit."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def answer(self, request: Request) -> Answer:
        """Answer one request of Stripe's API."""
        body = await read_body(request, MAX_API_BODY_BYTES)
        late_ms, answered = await asyncio.to_thread(_answered, self._sandbox, request, body)
        await asyncio.sleep(late_ms / 1_000)
        return answered

    async def work(self) -> None:
        """Do what the sandbox's time makes due, on a thread."""
        await asyncio.to_thread(_worked, self._sandbox)


def _answered(sandbox: Sandbox, request: Request, body: bytes) -> tuple[int, Answer]:
    # It loads Stripe's SDK, ten megabytes: a control plane whose sandbox nobody asks does without.
    from faregate.providers.sandbox.api import HttpRequest, answer  # noqa: PLC0415

    asked = HttpRequest(
        method=request.method,
        path=request.path.removeprefix(_BASE),
        query=request.query,
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()},
        body=body,
    )
    answered = answer(sandbox, asked)
    return answered.late_ms, Answer(
        status=answered.status,
        body=b"" if answered.is_lost else answered.body,
        is_cut=answered.is_lost,
        headers=tuple(
            (name.encode(), value.encode()) for name, value in answered.headers.items() if name != "content-type"
        ),
    )


def _worked(sandbox: Sandbox) -> None:
    if not sandbox.has_work():
        return
    from faregate.providers.sandbox.due import work_due  # noqa: PLC0415 - as in `_answered`

    work_due(sandbox)
