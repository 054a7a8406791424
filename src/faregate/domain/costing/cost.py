"""Provider cost prices: what a call costs upstream, by the calls' fields and from a moment on.

A cost price has versions, which share its name: of those that have taken effect the latest holds, and of two of one
moment the later made. An event costs what all cost prices that match it come to, each by its version of that time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from faregate.base.limits import MAX_LEDGER_UNITS
from faregate.base.money import EXACT, Currency, quantize
from faregate.domain.metering.definition import metric_document, read_metric
from faregate.domain.metering.filter import Filter
from faregate.domain.metering.filter_text import filter_text, parse_filter
from faregate.domain.metering.metric import AdditiveMetric, Count, Sum, SumOf

COST_PLACES: Final = 6
"""Decimal places of a cost below the ledger's resolution: a token costs less than a billionth of a dollar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`amount` for every `per` units of one kind: of input, of output, of cached input, or of calls."""

    kind: str
    metric: AdditiveMetric
    amount: Decimal
    per: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPrice:
    """One version. It holds for events with effective_at <= time, until the next one or `ends_at`.

    Without rates, events that match cost nothing, and are known to.
    """

    cost_id: str
    name: str
    currency: Currency
    filter: Filter
    rates: tuple[Rate, ...]
    effective_at: datetime
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """When a version holds: from <= instant < until, None standing for ever."""

    version: CostPrice
    from_at: datetime
    until: datetime | None


def spans(costs: Iterable[CostPrice]) -> list[Span]:
    """Return when each of the versions holds, those that never do left out. They come in the order they were made."""
    by_name: dict[str, list[CostPrice]] = {}
    for cost in costs:
        by_name.setdefault(cost.name, []).append(cost)
    return [span for versions in by_name.values() for span in _spans(versions)]


def cost_places(unit: Currency) -> int:
    """Return the decimal places, of a currency's major unit, to which costs are kept."""
    return unit.ledger_places + COST_PLACES


def unit_cost(rate: Rate, unit: Currency) -> int:
    """Return what one unit costs, in 10**-`cost_places` of the major unit: exact for rates of so many places."""
    return quantize(EXACT.divide(rate.amount, rate.per), cost_places(unit), ROUND_HALF_UP)


def cost_of(each: int, quantity: Decimal) -> int:
    """Return what a quantity costs where one unit costs `each`; `InvalidInput` if no cost is so large.

    Exact for whole quantities; of a fraction, rounded once, half away from zero.
    """
    whole = int(quantity)
    if whole == quantity and whole * each <= MAX_LEDGER_UNITS:
        return whole * each
    return quantize(EXACT.multiply(quantity, each), 0, ROUND_HALF_UP)


def write_cost(cost: CostPrice) -> str:
    """Return what a version says of calls, as text: equal texts cost equally."""
    rates = [
        {
            "kind": rate.kind,
            "metric": metric_document(rate.metric),
            "amount": f"{rate.amount.normalize():f}",
            "per": rate.per,
        }
        for rate in cost.rates
    ]
    return json.dumps({"filter": filter_text(cost.filter), "rates": rates}, ensure_ascii=False, separators=(",", ":"))


def read_cost(text: str) -> tuple[Filter, tuple[Rate, ...]]:
    """Return the filter and the rates that `write_cost` wrote."""
    document: dict[str, Any] = json.loads(text)
    return parse_filter("filter", document["filter"]), tuple(_read_rate(rate) for rate in document["rates"])


def _read_rate(document: dict[str, Any]) -> Rate:
    metric = read_metric(document["metric"])
    if not isinstance(metric, Count | Sum | SumOf):
        message = f"a rate's metric adds up; {document['metric']['type']} does not"
        raise TypeError(message)
    return Rate(kind=document["kind"], metric=metric, amount=Decimal(document["amount"]), per=document["per"])


def _spans(versions: Sequence[CostPrice]) -> list[Span]:
    ordered = sorted(versions, key=lambda version: version.effective_at)
    found = []
    for place, version in enumerate(ordered):
        until = ordered[place + 1].effective_at if place + 1 < len(ordered) else None
        if version.ends_at is not None:
            until = version.ends_at if until is None else min(until, version.ends_at)
        if until is None or until > version.effective_at:
            found.append(Span(version, version.effective_at, until))
    return found
