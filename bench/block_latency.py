"""How soon every gateway of a fleet decides by what has just become true.

Two figures, each the time until the slowest of four gateway processes decides so:

    settle   from the end of the answer that used the last credit, through one of them, until all refuse by the rule
    commit   from the sending of a change to the control plane (a grant, a rule, a paid invoice) until all decide by it

The second contains the change's own transaction, so from its commit it is less. A caller asks each gateway every two
milliseconds with a body that cannot be answered: who may call is told that (400), who is blocked gets the rule's 402.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
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
from bench.chat_line import BAD_REQUEST, ask_for_a_cent, ask_in_vain, wait_until_known
from bench.children import BenchError
from bench.overspend.fleet import Fleet, running_fleet
from bench.profiles import Profile
from bench.ranks import Spread, spread

GATEWAYS: Final = 4

_OK: Final = 200
_BLOCKED: Final = 402
_POLL_S: Final = 0.002
_GIVE_UP_S: Final = 10.0
_REST_S: Final = 0.05
_MONTH_DAYS: Final = 32
_TERMS_DAYS: Final = 31
_DAY_S: Final = 24 * 60 * 60
_MILLISECONDS: Final = 1_000


class BlockLatency(Struct, frozen=True, kw_only=True):
    """Both figures; `by_change` is the second one's, by the kind of change."""

    from_settle: Spread
    from_commit: Spread
    by_change: dict[str, Spread]


def measure_block_latency(profile: Profile, show: Callable[[str], None]) -> BlockLatency:
    """Block and unblock a customer again and again, and watch four gateways."""
    with (
        running_fleet(gateways=GATEWAYS, on_postgres=False) as fleet,
        ThreadPoolExecutor(GATEWAYS) as watchers,
        closing(fleet.api()) as api,
    ):
        fleet.start_gateways()
        make_rules(api)
        offer = make_call_offer(api, fleet.upstream.origin, least_output_tokens=CALL_TOKENS)
        scene = _Scene(fleet=fleet, api=api, offer=offer, watchers=watchers, show=show)
        return scene.measure(profile.block_samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    fleet: Fleet
    api: Api
    offer: Offer
    watchers: ThreadPoolExecutor
    show: Callable[[str], None]

    def measure(self, samples: int) -> BlockLatency:
        settled, changed = self._credit_and_rules(samples)
        changed["invoice paid"] = self._invoices(max(5, samples // 5))
        every = [taken for kind in changed.values() for taken in kind]
        by_change = {kind: spread(taken) for kind, taken in changed.items()}
        return BlockLatency(from_settle=spread(settled), from_commit=spread(every), by_change=by_change)

    def _credit_and_rules(self, samples: int) -> tuple[list[float], dict[str, list[float]]]:
        customer = self._customer("last-cent", pays="prepaid")
        rules = self.api.get("/rules")["data"]
        rule = next(f"/rules/{one['rule_id']}" for one in rules if one["cohort"] == "no_available_credits")
        settled: list[float] = []
        changed: dict[str, list[float]] = {"grant": [], "rule off": [], "rule on": []}
        self._wait(customer, _BLOCKED)
        for number in range(samples):
            if number % 20 == 0:
                self.show(f"block latency, {number + 1} of {samples}")
            grant = partial(give_credit, self.api, customer, CALL_AMOUNT)
            changed["grant"].append(self._after(customer, BAD_REQUEST, grant))
            self._exhaust(customer, number)
            settled.append(self._wait(customer, _BLOCKED))
            for kind, active, status in (("rule off", False, BAD_REQUEST), ("rule on", True, _BLOCKED)):
                changed[kind].append(self._after(customer, status, partial(self.api.patch, rule, {"active": active})))
        return settled, changed

    def _invoices(self, samples: int) -> list[float]:
        """Let customers owe, let their invoices come due, and pay one after the other."""
        self.show("block latency: invoices")
        owing = [self._customer(f"owing-{number}", pays="postpaid") for number in range(samples)]
        for number, customer in enumerate(owing):
            wait_until_known(self._port(number), self.offer, customer)
            self._exhaust(customer, number)
        self.fleet.wait_applied(within_s=_GIVE_UP_S)
        for days in (_MONTH_DAYS, _TERMS_DAYS):
            self.api.post("/clock/advance", {"by_seconds": days * _DAY_S})
        taken = []
        for customer in owing:
            self._wait(customer, _BLOCKED)
            (invoice,) = self.api.get(f"/invoices?company_id={customer.company_id}")["data"]
            pay = partial(self.api.post, f"/invoices/{invoice['invoice_id']}/pay", {})
            taken.append(self._after(customer, BAD_REQUEST, pay))
        return taken

    def _customer(self, company_id: str, *, pays: str) -> Customer:
        return make_customer(self.api, self.offer, company_id, pays=pays)

    def _port(self, number: int) -> int:
        return self.fleet.gateways[number % GATEWAYS].port

    def _exhaust(self, customer: Customer, number: int) -> None:
        """Make a call of a cent through one gateway after the other."""
        time.sleep(_REST_S)
        with closing(Line(self._port(number))) as line:
            status = ask_for_a_cent(line, self.offer, customer).status
        if status != _OK:
            raise BenchError(f"a call that could be paid for was answered {status}")

    def _wait(self, customer: Customer, status: int) -> float:
        """Return how many milliseconds from now the slowest gateway answers so."""
        return self._after(customer, status, lambda: None)

    def _after(self, customer: Customer, status: int, change: Callable[[], object]) -> float:
        started_s = time.perf_counter()
        watched = [
            self.watchers.submit(_until, self.offer, customer, port=gateway.port, status=status)
            for gateway in self.fleet.gateways
        ]
        change()
        return (max(found.result() for found in watched) - started_s) * _MILLISECONDS


def _until(offer: Offer, customer: Customer, *, port: int, status: int) -> float:
    """Return when the gateway first answered so, on the performance counter."""
    give_up_s = time.perf_counter() + _GIVE_UP_S
    while True:
        found = ask_in_vain(port, offer, customer)
        now_s = time.perf_counter()
        if found == status:
            return now_s
        if now_s > give_up_s:
            raise BenchError(f"a gateway still answered {found}, not {status}, after {_GIVE_UP_S:g} s")
        time.sleep(_POLL_S)
