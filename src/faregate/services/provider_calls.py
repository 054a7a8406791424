"""Calls of the billing provider: on a thread of their own, and for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from faregate.base.errors import Unavailable
from faregate.base.limits import PROVIDER_TIMEOUT_S

P = ParamSpec("P")
T = TypeVar("T")


async def ask_provider(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `call`, which asks the provider, returns; `Unavailable` if it takes too long: it may still happen."""
    try:
        async with asyncio.timeout(PROVIDER_TIMEOUT_S):
            return await asyncio.to_thread(call, *args, **kwargs)
    except TimeoutError as error:
        raise Unavailable(f"the billing provider did not answer within {PROVIDER_TIMEOUT_S} s") from error
