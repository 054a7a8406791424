"""Calls of the billing provider: on a thread of their own, and for a bounded time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

from faregate.base.errors import Unavailable
from faregate.base.limits import PROVIDER_TIMEOUT_S

P = ParamSpec("P")
T = TypeVar("T")


async def ask_provider(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `call`, which asks the provider, returns; `Unavailable` if it takes too long: it may still happen."""
    return await ask_provider_on(None, partial(call, *args, **kwargs))


async def ask_provider_on(threads: Executor | None, call: Callable[[], T]) -> T:
    """Do as `ask_provider` does, on threads of the caller's: the loop's own ones are few, and others need them."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PROVIDER_TIMEOUT_S):
            return await loop.run_in_executor(threads, partial(contextvars.copy_context().run, call))
    except TimeoutError as error:
        raise Unavailable(f"the billing provider did not answer within {PROVIDER_TIMEOUT_S} s") from error
