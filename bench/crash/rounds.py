"""The rounds: load, kill -9, restart, again; then everything comes to rest, and the judge has the word."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from bench.cases import GREAT_BALANCE, Customer, Offer, Sold, chat_body, make_customer, make_offer, make_rules, package
from bench.chat_line import wait_until_known
from bench.children import Child, wait_until
from bench.crash.evidence import read_account, read_events, read_prices, read_set_aside, read_upstream, reading
from bench.crash.judge import judge
from bench.crash.load import Load
from bench.crash.records import CallerRecord, Evidence, Outcome
from bench.stack import READY, Stack, running_stack, wait_at_rest
from faregate.wire.dialects.openai_chat_dialect import read_chat_call

_LIVES_S: Final = (0.3, 2.5)
_DEAD_S: Final = (0.0, 0.8)
_PROGRESS_WITHIN_S: Final = 30.0

_PRICES: Final = (
    Sold(name="Input Tokens", model=package("0.01", 1_000), field="prompt_tokens"),
    Sold(name="Output Tokens", model=package("0.03", 700), field="completion_tokens"),
)


class CrashReport(Struct, frozen=True, kw_only=True):
    """What the rounds came to.

    `calls` by what their callers hold, `refused` by status. `at_rest_s`: from the end of the load until nothing was
    held. `faults`: what the judge found.
    """

    rounds: int
    seed: int
    killed: dict[str, int]
    calls: dict[str, int]
    refused: dict[str, int]
    upstream_calls: int
    billed: int
    estimated: int
    at_rest_s: float
    faults: list[str]


def run_rounds(rounds: int, *, seed: int, show: Callable[[str], None]) -> CrashReport:
    """Kill a process `rounds` times, each of the two in turn but in a random order, and judge what was billed."""
    chance = random.Random(seed)  # noqa: S311 - a seed repeats the order and the moments
    with running_stack(log_upstream=True) as stack:
        offer, customer = _set_up(stack)
        load = Load(offer, customer, port=stack.gateway.port, seed=seed)
        load.start()
        killed: Counter[str] = Counter()
        try:
            for number, child in enumerate(_victims(stack, rounds, chance)):
                show(f"crash round {number + 1} of {rounds}: {child.name}")
                _kill_and_restart(child, load, chance)
                killed[child.name] += 1
        finally:
            load.stop()
        at_rest_s = wait_at_rest(stack.control_plane, (stack.gateway,), lambda: _is_held(stack, customer))
        evidence = _gather(stack, offer, customer, callers=load.records)
    return _report(evidence, rounds=rounds, seed=seed, killed=killed, at_rest_s=at_rest_s)


def _set_up(stack: Stack) -> tuple[Offer, Customer]:
    api = stack.api()
    make_rules(api)
    offer = make_offer(api, _PRICES, upstream=stack.upstream.origin, route="/ai/chat")
    customer = make_customer(api, offer, "survivor", credit=GREAT_BALANCE)
    api.close()
    wait_until_known(stack.gateway.port, offer, customer)
    return offer, customer


def _victims(stack: Stack, rounds: int, chance: random.Random) -> list[Child]:
    both = (stack.gateway, stack.control_plane)
    victims = [both[number % 2] for number in range(rounds)]
    chance.shuffle(victims)
    return victims


def _kill_and_restart(child: Child, load: Load, chance: random.Random) -> None:
    """Kill once calls are answered, at a random moment; return when calls are answered again."""
    answered = load.complete()
    wait_until(lambda: load.complete() > answered, within_s=_PROGRESS_WITHIN_S, what="calls to be answered")
    time.sleep(chance.uniform(*_LIVES_S))
    child.kill()
    time.sleep(chance.uniform(*_DEAD_S))
    child.start()
    child.wait_ready(READY)


def _is_held(stack: Stack, customer: Customer) -> bool:
    with reading(stack.database) as connection:
        account = read_account(connection, customer.subscription_id)
    return bool(account.reserved or account.leased_units)


def _gather(stack: Stack, offer: Offer, customer: Customer, *, callers: Sequence[CallerRecord]) -> Evidence:
    if stack.upstream_log is None:
        sys.exit("the stack keeps no log of its upstream")
    with reading(stack.database) as connection:
        connection.execute("BEGIN")
        return Evidence(
            callers=callers,
            upstream=read_upstream(stack.upstream_log),
            events=read_events(connection, offer.meters),
            set_aside=read_set_aside(connection),
            prices=read_prices(connection, offer),
            account=read_account(connection, customer.subscription_id),
            input_estimate=read_chat_call(chat_body()).input_estimate(),
        )


def _report(evidence: Evidence, *, rounds: int, seed: int, killed: Counter[str], at_rest_s: float) -> CrashReport:
    billed = [event for event in evidence.events if event.is_billed]
    refused = Counter(str(record.status) for record in evidence.callers if record.outcome is Outcome.REFUSED)
    return CrashReport(
        rounds=rounds,
        seed=seed,
        killed=dict(killed),
        calls=dict(Counter(record.outcome.value for record in evidence.callers)),
        refused=dict(refused),
        upstream_calls=len(evidence.upstream),
        billed=len(billed),
        estimated=sum(event.estimated for event in billed),
        at_rest_s=round(at_rest_s, 2),
        faults=[str(fault) for fault in judge(evidence)],
    )
