"""What is sold and to whom: four plans, one a route, and customers who can pay for a few dozen calls."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from bench.calling import Api
from bench.cases import Customer, Meter, Offer, Sold, make_customer, make_offer, make_rules, package
from bench.crash.records import COMPLETION, PROMPT
from bench.overspend.rating import PackagePrice, Price, TieredPrice, UnitPrice, dollars, most_cost

LEAST_OUTPUT: Final = 8
"""To how few tokens of output a route lowers a call whose whole bound is not affordable."""

DEFAULT_OUTPUT: Final = 200
"""What a call without a limit of its own may answer."""

MEAN_INPUT: Final = 30
MEAN_OUTPUT: Final = 60

_HOLD_WAIT_MS: Final = 5_000
"""A machine that all processes share takes long to bring credit from one gateway to another."""

_CREDIT_SPREAD: Final = (0.5, 1.8)
_LOW_DEMAND: Final = 0.2
"""The part of the customers who want less than they have paid for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A plan's name and its two prices, of input and of output tokens, and how its route has calls made.

    `held_at_once`: output tokens that its streams hold at a time; None: all that they can use.
    """

    name: str
    input: Price
    output: Price
    held_at_once: int | None = None
    attempts: int = 1

    @property
    def route(self) -> str:
        """Return the route that is sold at these prices."""
        return f"/ai/{self.name}"

    def cost(self, tokens_in: int, tokens_out: int) -> int:
        """Return what a period's totals cost."""
        return self.input.cost(tokens_in) + self.output.cost(tokens_out)

    def most_cost(self, settled: tuple[int, int], further: tuple[int, int]) -> int:
        """Return the highest cost on the way from `settled` input and output tokens to `further` more of each."""
        return most_cost(self.input, settled[0], further[0]) + most_cost(self.output, settled[1], further[1])


TARIFFS: Final = (
    Tariff(name="unit", input=UnitPrice(10_000), output=UnitPrice(100_000)),
    Tariff(name="package", input=PackagePrice(10_000_000, 1_000), output=PackagePrice(30_000_000, 700), attempts=2),
    Tariff(name="running", input=UnitPrice(10_000), output=UnitPrice(100_000), held_at_once=64),
    Tariff(
        name="graduated",
        input=UnitPrice(10_000),
        output=TieredPrice(((500, 300_000), (2_000, 100_000), (None, 20_000)), whole=False),
    ),
    Tariff(name="volume", input=UnitPrice(10_000), output=TieredPrice(((1_000, 200_000), (None, 100_000)), whole=True)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """A customer on a tariff. `granted` in billionths of a dollar; `most_calls`: None where demand exceeds credit."""

    number: int
    customer: Customer
    tariff: Tariff
    granted: int
    most_calls: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """All that was sold. `meters`: of every plan."""

    buyers: Sequence[Buyer]
    meters: Sequence[Meter]


def open_market(apis: Sequence[Api], *, upstream: str, customers: int, calls: int, chance: random.Random) -> Market:
    """Make plans and customers; each can pay for about `calls` calls. The connections are used side by side."""
    make_rules(apis[0])
    offers = [_make_offer(apis[0], tariff, upstream) for tariff in TARIFFS]
    wanted = [_wish(number, calls, chance) for number in range(customers)]

    def make(wish: _Wish) -> Buyer:
        api, place = apis[wish.number % len(apis)], wish.number % len(TARIFFS)
        customer = make_customer(api, offers[place], f"buyer-{wish.number:04d}", credit=dollars(wish.granted))
        return Buyer(
            number=wish.number,
            customer=customer,
            tariff=TARIFFS[place],
            granted=wish.granted,
            most_calls=wish.most_calls,
        )

    # One thread a connection: the wishes are dealt out so that no connection is used by two at once.
    with ThreadPoolExecutor(len(apis)) as makers:
        hands = [wanted[start :: len(apis)] for start in range(len(apis))]
        dealt = makers.map(lambda hand: [make(wish) for wish in hand], hands)
        buyers = sorted((buyer for hand in dealt for buyer in hand), key=lambda buyer: buyer.number)
    return Market(buyers=buyers, meters=[meter for offer in offers for meter in offer.meters])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    number: int
    granted: int
    most_calls: int | None


def _wish(number: int, calls: int, chance: random.Random) -> _Wish:
    tariff = TARIFFS[number % len(TARIFFS)]
    affordable = max(2, round(calls * chance.uniform(*_CREDIT_SPREAD)))
    granted = tariff.cost(affordable * MEAN_INPUT, affordable * MEAN_OUTPUT)
    # An amount that no number of units comes to: the last cents are there to be mis-spent.
    granted += chance.randrange(1, 10_000)
    low = chance.random() < _LOW_DEMAND
    return _Wish(number=number, granted=granted, most_calls=max(1, affordable // 3) if low else None)


def _make_offer(api: Api, tariff: Tariff, upstream: str) -> Offer:
    settings: dict[str, object] = {
        "least_output_tokens": LEAST_OUTPUT,
        "default_output_tokens": DEFAULT_OUTPUT,
        "hold_wait_ms": _HOLD_WAIT_MS,
        "hold_output_tokens": tariff.held_at_once,
        "attempts": tariff.attempts,
    }
    prices = [
        Sold(name=f"{tariff.name} {field}", model=model_of(price), field=field)
        for price, field in ((tariff.input, PROMPT), (tariff.output, COMPLETION))
    ]
    return make_offer(api, prices, upstream=upstream, route=tariff.route, **settings)


def model_of(price: Price) -> dict[str, object]:
    """Return the pricing model as the management API takes it."""
    match price:
        case UnitPrice(each):
            return {"type": "per_unit", "amount": dollars(each)}
        case PackagePrice(each, size):
            return package(dollars(each), size)
        case TieredPrice(tiers, whole):
            return {
                "type": "volume" if whole else "graduated",
                "tiers": [{"up_to": last, "unit": dollars(each)} for last, each in tiers],
            }
