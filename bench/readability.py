"""From a call's end to its figures (f): when the API tells the call's usage, charge and balance, all three."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from msgspec import Struct

from bench.calling import Api, Line
from bench.cases import (
    CALL_AMOUNT,
    GREAT_BALANCE,
    Customer,
    Offer,
    make_call_offer,
    make_customer,
    make_rules,
)
from bench.chat_line import ask_for_a_cent, wait_until_known
from bench.children import BenchError
from bench.profiles import Profile
from bench.ranks import Spread, spread
from bench.stack import running_stack

_OK: Final = 200
_MILLISECONDS: Final = 1_000
_PAUSE_S: Final = 0.05
"""Between two calls: what one measures must not wait for the other."""

_POLL_S: Final = 0.002
_GIVE_UP_S: Final = 30.0


class Readability(Struct, frozen=True, kw_only=True):
    """From the end of an answer until its charge, the usage with it and the balance after it were all read."""

    readable: Spread


def measure_readability(profile: Profile, show: Callable[[str], None]) -> Readability:
    """Make calls at a gentle rate, each on a customer whose figures are known before it."""
    with running_stack() as stack:
        api, line = stack.api(), Line(stack.gateway.port)
        make_rules(api)
        offer = make_call_offer(api, stack.upstream.origin)
        customer = make_customer(api, offer, "reader", credit=GREAT_BALANCE)
        wait_until_known(stack.gateway.port, offer, customer)
        measured_ms = []
        for calls in range(1, profile.readable_samples + 1):
            if calls % 50 == 1:
                show(f"readable figures, call {calls} of {profile.readable_samples}")
            time.sleep(_PAUSE_S)
            answered = ask_for_a_cent(line, offer, customer)
            if answered.status != _OK:
                raise BenchError("a call of a customer with credit was refused")
            measured_ms.append(_until_readable(api, offer, customer, request_id=answered.request_id, calls=calls))
        api.close()
        line.close()
    return Readability(readable=spread(measured_ms))


def _until_readable(api: Api, offer: Offer, customer: Customer, *, request_id: str, calls: int) -> float:
    started_s = time.perf_counter()
    while not _is_charged(api, request_id):
        if time.perf_counter() - started_s > _GIVE_UP_S:
            raise BenchError(f"the charge of {request_id} could not be read within {_GIVE_UP_S:g} s")
        time.sleep(_POLL_S)
    seen = _usage(api, offer, customer)
    balance = Decimal(api.get(f"/subscriptions/{customer.subscription_id}/balance")["balance"])
    taken_ms = (time.perf_counter() - started_s) * _MILLISECONDS
    expected = Decimal(GREAT_BALANCE) - calls * Decimal(CALL_AMOUNT)
    if (seen, balance) != (calls, expected):
        raise BenchError(
            f"{request_id} was charged, yet usage says {seen} calls of {calls}, the balance {balance} of {expected}"
        )
    return taken_ms


def _is_charged(api: Api, request_id: str) -> bool:
    event = api.find(f"/events/{request_id}")
    return event is not None and [charge["amount"] for charge in event["charges"]] == [CALL_AMOUNT]


def _usage(api: Api, offer: Offer, customer: Customer) -> int:
    (meter,) = offer.meters
    found = api.get(f"/usage?company_id={customer.company_id}&meter_id={meter.meter_id}&granularity=total")["data"]
    return sum(row["event_count"] for row in found)
