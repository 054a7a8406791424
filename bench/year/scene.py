"""Who uses what, and when: the seed's plan, customers on it, and their calls of a day."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec

from faregate.base.ids import new_id
from faregate.services.apply_catalog import apply_catalog
from faregate.services.change import Change
from faregate.services.setup import ensure_application
from faregate.services.top_ups import set_auto_top_up
from faregate.storage.database import Transaction
from faregate.storage.schema import migrate
from faregate.wire.api.catalog_document import CatalogDocument
from faregate.wire.api.top_ups import AutoTopUpSet
from faregate.wire.gateway_protocol import GatewayFacts

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
TOP_UP_CENTS: Final = 2_000

_WINDOW: Final = timedelta(minutes=5)
_WINDOWS_A_DAY: Final = 288
_ACTIVE: Final = 20
_MOST_TOKENS: Final = (90_000, 30_000)
_LATE: Final = 0.05
_SLICED_TOKENS: Final = 1_000_000
_PREPAID_OF_FIVE: Final = 3
"""Two of five customers pay ahead: the fourth and the fifth."""


class Used(NamedTuple):
    """Tokens of a call, and when it was made."""

    company_id: str
    at: datetime
    tokens: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A company on the plan."""

    company_id: str
    subscription_id: str
    is_prepaid: bool


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was used, kept beside the product: tokens by customer and month, and the windows that must be reported."""

    tokens: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    windows: set[tuple[str, datetime]] = field(default_factory=set)
    late: set[tuple[str, datetime]] = field(default_factory=set)

    def add(self, used: Used) -> None:
        """Count a call."""
        window = used.company_id, _window(used.at)
        (self.late if window in self.windows else self.windows).add(window)
        for side, tokens in enumerate(used.tokens):
            self.tokens[used.company_id, f"{used.at:%Y-%m}", side] += tokens


def open_scene(transaction: Transaction, customers: int) -> tuple[str, list[Customer]]:
    """Make the plan and its customers in an empty database; return the application and them."""
    migrate(transaction)
    secrets = ensure_application(transaction, new_id=new_id, now=BEGIN)
    assert secrets is not None  # noqa: S101 - the database is new
    change = Change(application_id=secrets.application_id, now=BEGIN, new_id=new_id)
    document = msgspec.convert(_catalog(customers), CatalogDocument, strict=False)
    apply_catalog(transaction, change, document, dry_run=False)
    rows = transaction.exec_driver_sql("SELECT company_id, subscription_id, pays FROM subscription ORDER BY 1")
    found = [Customer(company_id=row[0], subscription_id=row[1], is_prepaid=row[2] == "prepaid") for row in rows]
    terms = AutoTopUpSet(below=Decimal(5), amount=Decimal(TOP_UP_CENTS) / 100, most_in_30_days=None, cool_off_minutes=0)
    for customer in found:
        if customer.is_prepaid:
            set_auto_top_up(transaction, change, terms, subscription_id=customer.subscription_id)
    return secrets.application_id, found


def month_of(number: int) -> datetime:
    """Return where a month begins, the first being 0."""
    return BEGIN.replace(year=BEGIN.year + number // 12, month=number % 12 + 1)


def calls_of(day: datetime, customers: list[Customer], *, tally: Tally, chance: random.Random) -> Iterator[Used]:
    """Yield a day's calls in order: 20 windows of each customer, and late ones into windows of the day before.

    The first customer's tenth day is a million tokens in 288 slices, and nothing else in all its month.
    """
    for customer in customers:
        of = customer.company_id
        if customer is customers[0] and f"{day:%Y-%m}" == f"{BEGIN:%Y-%m}":
            if day.day == 10:  # noqa: PLR2004 - any day within the month
                yield from _sliced(of, day)
            continue
        for place in sorted(chance.sample(range(_WINDOWS_A_DAY), _ACTIVE)):
            at = day + place * _WINDOW + timedelta(seconds=chance.randrange(300))
            yield Used(of, at, (chance.randint(1, _MOST_TOKENS[0]), chance.randint(1, _MOST_TOKENS[1])))
        yesterday = sorted(
            window
            for window in ((of, day - timedelta(days=1) + place * _WINDOW) for place in range(_WINDOWS_A_DAY))
            if window in tally.windows and day.day > 1
        )
        for _, start in yesterday:
            if chance.random() < _LATE:
                yield Used(of, start + timedelta(seconds=chance.randrange(300)), (chance.randint(1, 999), 1))


def _sliced(company_id: str, day: datetime) -> Iterator[Used]:
    each, rest = divmod(_SLICED_TOKENS, _WINDOWS_A_DAY)
    for place in range(_WINDOWS_A_DAY):
        yield Used(company_id, day + place * _WINDOW, (each + (rest if place == 0 else 0), 1))


_numbers: Final = count(1)


def body_of(used: Used) -> bytes:
    """Return a call as the gateway's event."""
    number = next(_numbers)
    prompt, completion = used.tokens
    facts = GatewayFacts(
        gateway_id="gtw_year",
        epoch=1,
        sequence=number,
        request_id=f"req_{number}",
        attempt=1,
        route_id="rte_year",
        key_id=None,
        drawn=[],
        uncovered=0,
        clamped=False,
        attempts=[],
        credit_ended=None,
        estimated=False,
        replay=True,
    )
    return msgspec.json.encode(
        {
            "request": {"time": used.at, "uri": "http://gateway/ai/chat", "verb": "POST"},
            "response": {
                "status": 200,
                "body": {"usage": {"prompt_tokens": prompt, "completion_tokens": completion}},
            },
            "company_id": used.company_id,
            "faregate": facts,
        }
    )


def _window(at: datetime) -> datetime:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (at - midnight) // _WINDOW * _WINDOW


def _catalog(customers: int) -> dict[str, Any]:
    sides = (("Input", "prompt_tokens", "0.50"), ("Output", "completion_tokens", "1.50"))
    return {
        "plans": [
            {
                "name": "My AI API Plan",
                "prices": [
                    {
                        "name": f"{side} Tokens",
                        "currency": "USD",
                        "model": {"type": "package", "amount": amount, "size": 1_000_000},
                    }
                    for side, _, amount in sides
                ],
            }
        ],
        "meters": [
            {
                "name": f"{side} Token Meter",
                "plan": "My AI API Plan",
                "price": f"{side} Tokens",
                "filter": {"all": [{"field": "request.route", "operator": "is", "value": "/ai/chat"}]},
                "metric": {"type": "sum", "field": f"response.body.usage.{field}"},
                "reporting_period": "5m",
            }
            for side, field, _ in sides
        ],
        "companies": [
            {
                "company_id": f"company-{number:03d}",
                "subscriptions": [
                    {
                        "plan": "My AI API Plan",
                        "pays": "prepaid" if number % 5 >= _PREPAID_OF_FIVE else "postpaid",
                        "started_at": BEGIN.isoformat(),
                    }
                ],
            }
            for number in range(customers)
        ],
    }
