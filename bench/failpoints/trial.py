"""The trial: calls go on while two gateways and the control plane die along their chains; then a period ends.

Calls are judged as in `bench.overspend`: every complete answer billed once, nothing billed twice, nothing overspent,
nothing held at the end. Credit is given all the while, by requests that are repeated until they are answered: each
counts once. Of the period's end: every subscription gets one invoice over what its usage costs, and nothing that the
billing provider is told fails, though it may be told twice.
"""

from __future__ import annotations

import asyncio
import http.client
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import uvloop
from msgspec import Struct

from bench.children import Child, wait_until
from bench.crash.evidence import reading
from bench.crash.records import COMPLETION, PROMPT
from bench.failpoints.chains import BILLING_CHAIN, GATEWAY_CHAINS, LEDGER_CHAIN, PAYING_CHAIN, Death, die_along
from bench.overspend.fleet import Fleet, running_fleet
from bench.overspend.judge import judge
from bench.overspend.load import Load
from bench.overspend.market import Buyer, Market
from bench.overspend.rating import NANOS_PER_DOLLAR, dollars
from bench.overspend.records import TotalRow
from bench.overspend.rounds import gather, open_for
from bench.stack import READY
from faregate.apps.control.billing_link import PROVIDER_FILE
from faregate.base.failpoints import FAILPOINTS

_CUSTOMERS: Final = 16
_CALLS: Final = 20
_CONNECTIONS: Final = 24
_TOP_UP_EVERY_S: Final = 0.1
_TOP_UP_NANOS: Final = 40_000_000
_MONTH_S: Final = 32 * 24 * 3_600
_BILLED_WITHIN_S: Final = 60.0
_NANOS_PER_CENT: Final = NANOS_PER_DOLLAR // 100

_TOPPING_UP: Final = 3
_TOP_UP_TERMS: Final = {"below": "1000.00", "amount": "0.50", "cool_off_minutes": 43_200}

_TOP_UPS: Final = "SELECT top_up_id, subscription_id FROM top_up"
_PAYMENTS: Final = "SELECT lookup_key, amount FROM payment_intent WHERE failure IS NULL"
_UNDELIVERED: Final = "SELECT count(*) FROM outbox WHERE delivered_at IS NULL"
_FAILED: Final = "SELECT key, last_error FROM outbox WHERE attempts > 0"
_INVOICES: Final = "SELECT subscription_id, total FROM invoice"


class FailpointReport(Struct, frozen=True, kw_only=True):
    """What a trial came to. `reached`: points at which a process died; `credit_given`: how often."""

    seed: int
    reached: list[str]
    missed: list[str]
    calls: dict[str, int]
    credit_given: int
    invoices: int
    took_s: float
    faults: list[str]


class _Giver:
    """Gives credit again and again, on a thread of its own, each time until the API has said that it is given."""

    def __init__(self, fleet: Fleet, buyers: Sequence[Buyer]) -> None:
        self.given = 0
        self._fleet = fleet
        self._buyers = buyers
        self._more: Counter[int] = Counter()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to give."""
        self._thread.start()

    def stop(self) -> None:
        """Return when the grant that is being given is given."""
        self._stopping.set()
        self._thread.join()

    def buyers(self, paid: Mapping[str, int]) -> list[Buyer]:
        """Return the buyers with all that they were granted; `paid`: top-ups by subscription."""
        return [
            replace(
                buyer,
                granted=buyer.granted + self._more[buyer.number] + paid.get(buyer.customer.subscription_id, 0),
            )
            for buyer in self._buyers
        ]

    def _run(self) -> None:
        while not self._stopping.is_set():
            buyer = self._buyers[self.given % len(self._buyers)]
            self._give(buyer, key=secrets.token_hex(16))
            self._more[buyer.number] += _TOP_UP_NANOS
            self.given += 1
            self._stopping.wait(_TOP_UP_EVERY_S)

    def _give(self, buyer: Buyer, *, key: str) -> None:
        path = f"/subscriptions/{buyer.customer.subscription_id}/grants"
        while True:
            api = self._fleet.api()
            try:
                api.post(path, {"amount": dollars(_TOP_UP_NANOS)}, key=key)
            except (OSError, http.client.HTTPException):
                time.sleep(_TOP_UP_EVERY_S)
            else:
                return
            finally:
                api.close()


def run_failpoints(*, seed: int, show: Callable[[str], None], keep: Path | None = None) -> FailpointReport:
    """Die at every point once, and judge."""
    started_s = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 - a seed repeats whom, where and at which turn
    with running_fleet(gateways=len(GATEWAY_CHAINS), on_postgres=False, keep=keep) as fleet:
        show("failpoints: the market opens")
        market = open_for(fleet, customers=_CUSTOMERS, calls=_CALLS, chance=chance)
        fleet.control_plane.kill()
        giver = _Giver(fleet, market.buyers)
        paying = die_along(
            fleet.control_plane, PAYING_CHAIN, chance=chance, provoke=lambda: _let_top_up(fleet, market.buyers)
        )
        load, deaths = uvloop.run(_trade(fleet, market, giver, chance=chance, seed=seed, show=show))
        show("failpoints: everything comes to rest")
        fleet.wait_at_rest()
        trial = gather(fleet, market, calls=load.records, kills=[])
        paid, paying_faults = _judge_payments(fleet)
        finding = judge(replace(trial, buyers=giver.buyers(paid)))
        show("failpoints: a period ends")
        deaths += [*paying, *_end_period(fleet, chance)]
        costs = {entry.buyer.customer.subscription_id: _owed(entry.buyer, trial.totals) for entry in finding.spent}
        invoices, billing_faults = _judge_billing(fleet, costs)
    reached = sorted(death.point for death in deaths if not death.fault)
    return FailpointReport(
        seed=seed,
        reached=reached,
        missed=sorted(FAILPOINTS - set(reached)),
        calls=dict(Counter(call.outcome.value for call in load.records)),
        credit_given=giver.given,
        invoices=invoices,
        took_s=round(time.monotonic() - started_s, 1),
        faults=[
            *(death.fault for death in deaths if death.fault),
            *map(str, finding.faults),
            *paying_faults,
            *billing_faults,
        ],
    )


async def _trade(
    fleet: Fleet,
    market: Market,
    giver: _Giver,
    *,
    chance: random.Random,
    seed: int,
    show: Callable[[str], None],
) -> tuple[Load, list[Death]]:
    """Call and give credit while all chains are gone along, then start everything again for good."""
    load = Load(market.buyers, [gateway.port for gateway in fleet.gateways], connections=_CONNECTIONS, seed=seed)
    load.start()
    load.enter(1.0)
    giver.start()
    show("failpoints: processes die")
    chains = [(fleet.control_plane, LEDGER_CHAIN), *zip(fleet.gateways, GATEWAY_CHAINS, strict=True)]
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(chains)) as threads:
        runs = [
            loop.run_in_executor(
                threads,
                partial(_die_and_return, child, points, chance=random.Random(chance.random())),  # noqa: S311
            )
            for child, points in chains
        ]
        deaths = [death for found in await asyncio.gather(*runs) for death in found]
    for child in (fleet.control_plane, *fleet.gateways):
        await asyncio.to_thread(child.wait_ready, READY)
    await asyncio.to_thread(giver.stop)
    await load.stop()
    return load, deaths


def _die_and_return(child: Child, points: Sequence[str], *, chance: random.Random) -> list[Death]:
    deaths = die_along(child, points, chance=chance)
    child.start()
    return deaths


def _let_top_up(fleet: Fleet, buyers: Sequence[Buyer]) -> None:
    """Have the first customers top themselves up, each at once and never again."""
    fleet.control_plane.wait_ready(READY)
    api = fleet.api()
    with suppress(OSError, http.client.HTTPException):
        for buyer in buyers[:_TOPPING_UP]:
            customer = buyer.customer
            api.put(f"/companies/{customer.company_id}/payment-method", {"payment_method": "pm_card_visa"})
            api.put(f"/subscriptions/{customer.subscription_id}/auto-top-up", _TOP_UP_TERMS)
    api.close()


def _judge_payments(fleet: Fleet) -> tuple[dict[str, int], list[str]]:
    """Return what the provider was paid by subscription, and what is wrong with it."""
    asked = dict(fleet.books.rows(_TOP_UPS))
    with reading(fleet.folder / PROVIDER_FILE) as sandbox:
        payments = sandbox.execute(_PAYMENTS).fetchall()
    paid: Counter[str] = Counter()
    for key, cents in payments:
        paid[asked.get(key, "")] += cents * _NANOS_PER_CENT
    wrong = len(paid) != len(payments) or not payments or asked.keys() != {key for key, _ in payments}
    return dict(paid), [f"an account tops itself up once: {payments} for {asked}"] if wrong else []


def _end_period(fleet: Fleet, chance: random.Random) -> list[Death]:
    """End every subscription's period once, while the control plane dies along the way; return when all is billed."""
    child = fleet.control_plane

    def move_clock() -> None:
        child.wait_ready(READY)
        with closing(fleet.api()) as api, suppress(OSError, http.client.HTTPException):
            api.post("/clock/advance", {"by_seconds": _MONTH_S})

    child.kill()
    deaths = die_along(child, BILLING_CHAIN, chance=chance, provoke=move_clock)
    child.start()
    child.wait_ready(READY)
    wait_until(
        lambda: len(fleet.books.rows(_INVOICES)) >= _CUSTOMERS and fleet.books.rows(_UNDELIVERED) == [(0,)],
        within_s=_BILLED_WITHIN_S,
        what="every period to be billed",
        child=child,
    )
    return deaths


def _judge_billing(fleet: Fleet, costs: Mapping[str, int]) -> tuple[int, list[str]]:
    """Return how many invoices there are, and what is wrong with them or with what the provider was told."""
    invoices = fleet.books.rows(_INVOICES)
    faults = [f"telling the provider failed: {key} ({error})" for key, error in fleet.books.rows(_FAILED)]
    if (billed := dict(invoices)) != costs or len(invoices) != len(costs):
        faults.append(f"every subscription gets one invoice over its usage: {invoices} are not {costs}, by {billed}")
    return len(invoices), faults


def _owed(buyer: Buyer, totals: Mapping[str, Mapping[str, TotalRow]]) -> int:
    """Return what a period's usage comes to in cents, each line rounded half up."""
    rows = totals.get(buyer.customer.subscription_id, {})
    lines = ((buyer.tariff.input, PROMPT), (buyer.tariff.output, COMPLETION))
    costs = [price.cost(rows[field].settled) if field in rows else 0 for price, field in lines]
    return sum((2 * cost + _NANOS_PER_CENT) // (2 * _NANOS_PER_CENT) for cost in costs)
