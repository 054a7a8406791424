"""Provider cost prices and margins on the wire."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import MAX_COST_RATES
from faregate.base.money import EXACT, Currency, currency
from faregate.domain.catalog.validation import has_at_most_places
from faregate.domain.costing.cost import CostPrice, Rate, cost_places, unit_cost
from faregate.domain.metering.filter_text import filter_text
from faregate.domain.metering.metric import Count, Sum, SumOf
from faregate.wire.api.catalog import CurrencyCode
from faregate.wire.api.common import DecimalText, Instant, Name, bounded, plain, to_utc
from faregate.wire.api.filters import FilterShape, FilterText, filter_shape, to_filter
from faregate.wire.api.meters import CountShape, SumOfShape, SumShape, metric_shape, to_metric

Units = Literal[1, 1000, 1000000]
RateMetric = CountShape | SumShape | SumOfShape


class RateShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`amount` for every `per` units of a kind, such as input, cached input, output, or calls."""

    kind: Name
    metric: RateMetric
    amount: Decimal
    per: Units = 1


class RateView(Struct, frozen=True, kw_only=True):
    """A rate as it is kept."""

    kind: str
    metric: CountShape | SumShape | SumOfShape
    amount: DecimalText
    per: Units


Rates = Annotated[list[RateShape], Meta(max_length=MAX_COST_RATES)]
"""What a call costs adds up; without any, calls that match cost nothing."""


class CostCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What calls that match cost upstream, from a moment on (now, if left out; it may be in the past).

    Under a name that there is, it is a new version; of several that match a call, the costs add up.
    """

    name: Name
    filter: FilterShape | UnsetType = UNSET
    filter_text: FilterText | UnsetType = UNSET
    rates: Rates
    currency: CurrencyCode
    effective_at: Instant | UnsetType = UNSET


class CostArchive(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when the version holds no longer: now, if left out."""

    at: Instant | UnsetType = UNSET


class CostView(Struct, frozen=True, kw_only=True):
    """One version of a cost price; it holds until the next one of its name, or `ends_at`."""

    cost_id: str
    name: str
    filter: FilterShape
    filter_text: str
    rates: list[RateView]
    currency: str
    effective_at: datetime
    ends_at: datetime | None


class MarginBy(StrEnum):
    """What margins are told apart by."""

    COMPANY = "company"
    MODEL = "model"
    KEY = "key"
    ROUTE = "route"
    DAY = "day"


class MarginView(Struct, frozen=True, kw_only=True):
    """Calls of one value and currency. Null: calls without one, such as those of no key.

    `margin` = `revenue` - `uncosted_revenue` - `cost`. Calls that no cost price matches are uncosted: they count for
    revenue and for no margin. `margin_percent` is of the revenue that has a cost; null where there is none.
    """

    value: str | None
    currency: str | None
    events: int
    uncosted_events: int
    revenue: DecimalText
    uncosted_revenue: DecimalText
    cost: DecimalText
    margin: DecimalText
    margin_percent: DecimalText | None
    below_cost: bool


class BesideUsageView(Struct, frozen=True, kw_only=True):
    """Movements of accounts that belong to no call: flat fees and what lacks of minimums, rounding, corrections.

    `amount` is positive where it is owed to the operator.
    """

    kind: str
    currency: str
    amount: DecimalText


class MarginReport(Struct, frozen=True, kw_only=True):
    """A part of the rows by value and currency; the totals of all of them, by currency; what belongs to no call.

    `behind_events` calls are not in it yet, and `days_recounted` days are being counted again.
    """

    data: list[MarginView]
    next_cursor: str | None
    totals: list[MarginView]
    not_attributable: list[BesideUsageView]
    behind_events: int
    days_recounted: int


class WarningView(Struct, frozen=True, kw_only=True):
    """A price that lies below a cost: the units that the meter counts are sold for less than they cost.

    `price` and `cost` are amounts for so many units, before included units and discounts.
    """

    kind: Literal["below_cost"] = "below_cost"
    message: str
    price_id: str
    price_name: str
    meter_name: str
    model: str | None
    cost_id: str
    cost_name: str
    rate: str
    currency: str
    price: str
    cost: str


class Warnings(Struct, frozen=True, kw_only=True):
    """Everything that is possible and probably not meant."""

    data: list[WarningView]


def to_cost(request: CostCreate, cost_id: str, *, now: datetime) -> CostPrice:
    """Return the version that is asked for; `InvalidInput` names what cannot be."""
    unit = currency(request.currency)
    return CostPrice(
        cost_id=cost_id,
        name=request.name,
        currency=unit,
        filter=to_filter(request.filter, request.filter_text),
        rates=_rates(request.rates, unit),
        effective_at=now if request.effective_at is UNSET else to_utc(request.effective_at),
    )


def cost_view(cost: CostPrice) -> CostView:
    """Return a version as it travels."""
    return CostView(
        cost_id=cost.cost_id,
        name=cost.name,
        filter=filter_shape(cost.filter),
        filter_text=filter_text(cost.filter),
        rates=[_rate_view(rate) for rate in cost.rates],
        currency=cost.currency.code,
        effective_at=cost.effective_at,
        ends_at=cost.ends_at,
    )


def _rates(shapes: list[RateShape], unit: Currency) -> tuple[Rate, ...]:
    kinds = [shape.kind for shape in shapes]
    repeated = [place for place, kind in enumerate(kinds) if kind in kinds[:place]]
    if repeated:
        raise InvalidInput.of(f"rates[{repeated[0]}].kind", f"{kinds[repeated[0]]!r} is there twice")
    return tuple(_rate(f"rates[{place}]", shape, unit) for place, shape in enumerate(shapes))


def _rate(path: str, shape: RateShape, unit: Currency) -> Rate:
    try:
        metric = to_metric(shape.metric)
    except InvalidInput as error:
        faults = [FieldFault(field=f"{path}.{fault.field}", message=fault.message) for fault in error.faults]
        raise InvalidInput(*faults) from error
    if not isinstance(metric, Count | Sum | SumOf):
        raise InvalidInput.of(f"{path}.metric", "must be a count, sum or sum_of")
    amount = bounded(f"{path}.amount", shape.amount)
    places = cost_places(unit) - (len(str(shape.per)) - 1)
    if amount < 0 or not has_at_most_places(amount, places):
        raise InvalidInput.of(f"{path}.amount", f"must be 0 or more, with at most {places} decimal places")
    rate = Rate(kind=shape.kind, metric=metric, amount=amount.normalize(EXACT), per=shape.per)
    try:
        unit_cost(rate, unit)
    except InvalidInput as error:
        raise InvalidInput.of(f"{path}.amount", error.faults[0].message) from error
    return rate


def _rate_view(rate: Rate) -> RateView:
    shape = metric_shape(rate.metric)
    per: Units = 1 if rate.per == 1 else 1000 if rate.per == 1000 else 1000000  # noqa: PLR2004 - the three that can be
    if not isinstance(shape, CountShape | SumShape | SumOfShape):
        message = f"a rate's metric adds up; {shape} does not"
        raise TypeError(message)
    return RateView(kind=rate.kind, metric=shape, amount=plain(rate.amount), per=per)
