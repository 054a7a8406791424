"""The exhausting call (e): how long after its answer's end the next call is refused, and that none slips through."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from bench.calling import Api, Line
from bench.cases import (
    CALL_AMOUNT,
    CALL_TOKENS,
    Customer,
    Offer,
    give_credit,
    make_call_offer,
    make_customer,
    make_rules,
)
from bench.chat_line import ask_for_a_cent
from bench.children import wait_until
from bench.profiles import Profile
from bench.ranks import Spread, spread
from bench.stack import running_stack

_OK: Final = 200
_PAYMENT_REQUIRED: Final = 402
_MILLISECONDS: Final = 1_000


class Refusals(Struct, frozen=True, kw_only=True):
    """`first_refusal`: from the end of the exhausting answer to the end of the first refusal.

    `slipped`: calls answered with 200 in between; `others`: answers that were neither.
    """

    first_refusal: Spread
    slipped: int
    others: int


def measure_refusals(profile: Profile, show: Callable[[str], None]) -> Refusals:
    """Give a customer credit for one call, let it make that call, and go on calling until it is refused."""
    with running_stack() as stack:
        api, line = stack.api(), Line(stack.gateway.port)
        make_rules(api)
        offer = make_call_offer(api, stack.upstream.origin, least_output_tokens=CALL_TOKENS)
        customer = make_customer(api, offer, "last-cent", credit=CALL_AMOUNT)
        waited_ms, slipped, others = [], 0, 0
        for number in range(profile.refusals):
            if number % 20 == 0:
                show(f"refusal {number + 1} of {profile.refusals}")
            if number:
                give_credit(api, customer, CALL_AMOUNT)
            _exhaust(line, offer, customer)
            waited, statuses = _until_refused(line, offer, customer)
            waited_ms.append(waited)
            slipped += statuses.count(_OK)
            others += sum(status not in {_OK, _PAYMENT_REQUIRED} for status in statuses)
        _close(api, line)
    return Refusals(first_refusal=spread(waited_ms), slipped=slipped, others=others)


def _exhaust(line: Line, offer: Offer, customer: Customer) -> None:
    """Call until a call is answered: a refusal before it is older than the credit."""
    wait_until(
        lambda: ask_for_a_cent(line, offer, customer).status == _OK,
        within_s=10.0,
        what="the new credit to let a call through",
    )


def _until_refused(line: Line, offer: Offer, customer: Customer) -> tuple[float, list[int]]:
    """Return the milliseconds until the first 402, and the statuses on the way, that one included."""
    statuses: list[int] = []
    started_s = time.perf_counter()
    while not statuses or statuses[-1] != _PAYMENT_REQUIRED:
        statuses.append(ask_for_a_cent(line, offer, customer).status)
    return (time.perf_counter() - started_s) * _MILLISECONDS, statuses


def _close(api: Api, line: Line) -> None:
    api.close()
    line.close()
