"""A trial: the market opens, customers come, processes die, everything comes to rest, and the judge has the word."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from msgspec import Struct

from bench.cases import chat_body
from bench.children import BenchError
from bench.crash.evidence import read_upstream
from bench.crash.records import Outcome
from bench.overspend.fleet import Fleet, running_fleet
from bench.overspend.judge import Finding, WrongRefusal, judge
from bench.overspend.kills import Killer
from bench.overspend.load import Load, cheapest_call
from bench.overspend.market import Market, open_market
from bench.overspend.rating import dollars
from bench.overspend.records import CallRecord, Kill, Trial
from faregate.wire.dialects.openai_chat_dialect import read_chat_call

GATEWAYS: Final = 4

_MAKERS: Final = 4
_ENTERING: Final = 0.8
"""The part of the time in which customers enter; then all are there."""

_AT_ONCE: Final = 0.3
"""The part of the customers who are there from the start; the others come one by one."""

_CLOSE_WITHIN_S: Final = 600.0
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much: customers, what each can pay for in calls, open connections, kills, and for how long."""

    name: str
    customers: int
    calls: int
    connections: int
    kills: int
    load_s: float


FULL: Final = Plan(name="full", customers=1_000, calls=50, connections=200, kills=30, load_s=600.0)
QUICK: Final = Plan(name="quick", customers=60, calls=24, connections=48, kills=3, load_s=12.0)


class OverspendReport(Struct, frozen=True, kw_only=True):
    """What a trial came to; money in dollars.

    `demanding`: customers who wanted more than they paid for. Of their credit, `spent` and `unspendable` (what is left
    and pays for no call of `cheapest_call` tokens, input and output, at the worst); `spent_part` is spent and
    unspendable of all. `over_balance`: what was spent beyond credit, by all customers together. `refused`: answers by
    status; `wrongly_refused` those of 402 that credit was there for, and `wrong_part` their part. `cut`: calls without
    a whole answer, tokens (input, output) that the upstream handed over for them and that were billed.
    `at_rest_s`: from the last restart until nothing was held.
    """

    profile: str
    database: str
    seed: int
    load_s: float
    customers: int
    demanding: int
    killed: dict[str, int]
    calls: dict[str, int]
    refused: dict[str, int]
    granted: str
    spent: str
    unspendable: str
    spent_part: float
    cheapest_call: tuple[int, int]
    over_balance: str
    wrongly_refused: int
    wrong_part: float
    cut: dict[str, int]
    at_rest_s: float
    faults: list[str]
    wrong: list[str]


def run_overspend(
    plan: Plan, *, seed: int, on_postgres: bool = False, show: Callable[[str], None], keep: Path | None = None
) -> OverspendReport:
    """Run one trial and judge it."""
    chance = random.Random(seed)  # noqa: S311 - a seed repeats customers, calls and moments
    with running_fleet(gateways=GATEWAYS, on_postgres=on_postgres, keep=keep) as fleet:
        show("overspend: the market opens")
        market = open_for(fleet, customers=plan.customers, calls=plan.calls, chance=chance)
        fleet.start_gateways()
        killer = Killer(fleet, market, chance=chance)
        load, load_s, everyone = uvloop.run(_trade(fleet, market, killer, plan=plan, seed=seed, show=show))
        show("overspend: everything restarts and comes to rest")
        fleet.restart_all()
        at_rest_s = fleet.wait_at_rest()
        trial = gather(fleet, market, calls=load.records, kills=killer.kills)
    if keep is not None:
        (keep / "kills.json").write_bytes(msgspec.json.encode(killer.kills))
    show("overspend: the judge reads")
    return _report(
        trial,
        judge(trial),
        plan=plan,
        seed=seed,
        database="postgresql" if on_postgres else "sqlite",
        load_s=load_s,
        at_rest_s=at_rest_s,
        everyone=everyone,
    )


def open_for(fleet: Fleet, *, customers: int, calls: int, chance: random.Random) -> Market:
    """Open a market on a fleet whose gateways do not run yet: no change waits for them."""
    apis = [fleet.api() for _ in range(_MAKERS)]
    try:
        return open_market(apis, upstream=fleet.upstream.origin, customers=customers, calls=calls, chance=chance)
    finally:
        for api in apis:
            api.close()


async def _trade(
    fleet: Fleet, market: Market, killer: Killer, *, plan: Plan, seed: int, show: Callable[[str], None]
) -> tuple[Load, float, bool]:
    """Call and kill; return the load, how long it was, and whether all who wanted more were refused at the end."""
    ports = [gateway.port for gateway in fleet.gateways]
    load = Load(market.buyers, ports, connections=plan.connections, seed=seed)
    load.start()
    started_s = time.monotonic()
    entering = asyncio.create_task(_enter(load, plan.load_s * _ENTERING))
    for at_s, victim in killer.plan(plan.kills, over_s=plan.load_s):
        await asyncio.sleep(max(0.0, started_s + at_s - time.monotonic()))
        await killer.kill(victim, show)
    await asyncio.sleep(max(0.0, started_s + plan.load_s - time.monotonic()))
    await entering
    show("overspend: the last credit is spent")
    everyone = await load.close(within_s=_CLOSE_WITHIN_S)
    return load, time.monotonic() - started_s, everyone


async def _enter(load: Load, over_s: float) -> None:
    started_s = time.monotonic()
    while (elapsed_s := time.monotonic() - started_s) < over_s:
        load.enter(_AT_ONCE + (1 - _AT_ONCE) * elapsed_s / over_s)
        await asyncio.sleep(0.05)
    load.enter(1.0)


def gather(fleet: Fleet, market: Market, *, calls: Sequence[CallRecord], kills: Sequence[Kill]) -> Trial:
    """Return what callers, killer, upstream and books say."""
    events, owners = fleet.books.events(market.meters)
    return Trial(
        buyers=market.buyers,
        calls=calls,
        kills=kills,
        upstream=read_upstream(fleet.upstream_log),
        events=events,
        owners=owners,
        set_aside=fleet.books.set_aside(),
        accounts=fleet.books.accounts(),
        totals=fleet.books.totals(market.meters),
        input_estimate=read_chat_call(chat_body()).input_estimate(),
        cheapest=cheapest_call(),
    )


def _report(
    trial: Trial,
    finding: Finding,
    *,
    plan: Plan,
    seed: int,
    database: str,
    load_s: float,
    at_rest_s: float,
    everyone: bool,
) -> OverspendReport:
    demanding = [entry for entry in finding.spent if entry.buyer.most_calls is None]
    granted = sum(entry.buyer.granted for entry in demanding)
    spent = sum(min(entry.cost, entry.buyer.granted) for entry in demanding)
    unspendable = sum(entry.unspendable for entry in demanding)
    faults = [str(fault) for fault in finding.faults]
    if not everyone:
        faults.append(f"the last credit was not spent within {_CLOSE_WITHIN_S:g} s")
    if not demanding:
        raise BenchError("no customer wanted more than was paid")
    statuses = Counter(
        f"{call.status} {call.error_code}".strip() for call in trial.calls if call.outcome is Outcome.REFUSED
    )
    return OverspendReport(
        profile=plan.name,
        database=database,
        seed=seed,
        load_s=round(load_s, 1),
        customers=len(trial.buyers),
        demanding=len(demanding),
        killed=dict(Counter(kill.process for kill in trial.kills)),
        calls=dict(Counter(call.outcome.value for call in trial.calls)),
        refused=dict(statuses),
        granted=dollars(granted),
        spent=dollars(spent),
        unspendable=dollars(unspendable),
        spent_part=round((spent + unspendable) / granted, 6),
        cheapest_call=trial.cheapest,
        over_balance=dollars(sum(entry.over for entry in finding.spent)),
        wrongly_refused=len(finding.wrongly_refused),
        wrong_part=round(len(finding.wrongly_refused) / max(1, finding.refused), 6),
        cut={
            "calls": finding.cut.calls,
            "handed_over_input": finding.cut.handed_over[0],
            "handed_over_output": finding.cut.handed_over[1],
            "billed_input": finding.cut.billed[0],
            "billed_output": finding.cut.billed[1],
        },
        at_rest_s=round(at_rest_s, 2),
        faults=faults,
        wrong=[_wrong_words(trial, wrong) for wrong in finding.wrongly_refused[:_SHOWN]],
    )


def _wrong_words(trial: Trial, wrong: WrongRefusal) -> str:
    call, buyer = wrong.call, trial.buyers[wrong.call.buyer]
    took_ms = round((call.ended_s - call.sent_s) * 1_000)
    before = [kill for kill in trial.kills if kill.killed_s < call.ended_s]
    since = f", {call.ended_s - before[-1].killed_s:.1f} s after a kill of {before[-1].process}" if before else ""
    return (
        f"{buyer.customer.company_id} on {buyer.tariff.name} at gateway {call.gateway}: bound {call.bound}, least "
        f"{call.least}, refused after {took_ms} ms with {dollars(wrong.left)} left of {dollars(buyer.granted)}{since}"
    )
