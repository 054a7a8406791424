"""A sandbox whose time a test moves, behind the judge, and the adapter before both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from faregate.base.ids import new_id
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.store import Store
from faregate.providers.stripe.billing import StripeProvider
from faregate.providers.stripe.client import connect
from tests.contract.judge import Judge, judging
from tests.services.world import SteppedClock

if TYPE_CHECKING:
    from stripe import StripeClient

KEY = "sk_test_shop"


@dataclass(kw_only=True)
class Shop:
    """What bills in tests: `clock` is the sandbox's time."""

    judge: Judge
    clock: SteppedClock

    @cached_property
    def client(self) -> StripeClient:
        return connect(KEY, base_url=self.judge.url)

    @cached_property
    def provider(self) -> StripeProvider:
        return StripeProvider(lambda: self.client)


@contextmanager
def opened_shop(folder: Path) -> Iterator[Shop]:
    clock = SteppedClock()
    with closing(Store(folder / "stripe.sqlite3")) as store:
        sandbox = Sandbox(key=KEY, store=store, clock=clock, new_id=new_id)
        with judging(sandbox) as judge:
            yield Shop(judge=judge, clock=clock)
