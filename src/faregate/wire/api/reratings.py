"""Re-ratings on the wire: a correction, and the difference that it makes to every customer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.wire.api.catalog import CurrencyOptions
from faregate.wire.api.common import DecimalText, Identifier, Instant, Name, Text
from faregate.wire.api.filters import FilterShape, FilterText
from faregate.wire.api.meters import MetricShape, UnitsShape
from faregate.wire.api.pricing import AdjustmentsShape, ModelShape

Status = Literal["draft", "applying", "applied", "cancelled"]


class PriceCorrection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms that a version of a price should have had, in every currency that it has.

    The price goes by its id, or by the names of plan and price. `version` is the number of the one that was wrong: the
    one that took effect last before `from`, where it is left out.
    """

    price_id: Identifier | UnsetType = UNSET
    plan: Name | UnsetType = UNSET
    price: Name | UnsetType = UNSET
    version: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    model: ModelShape
    adjustments: AdjustmentsShape = AdjustmentsShape()
    currency_options: CurrencyOptions = {}


class MeterCorrection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a meter, by its name or id, should have counted: what is given is corrected, the rest stays."""

    meter: Name
    filter: FilterShape | UnsetType = UNSET
    filter_text: FilterText | UnsetType = UNSET
    metric: MetricShape | UnsetType = UNSET
    units: UnitsShape | UnsetType = UNSET


class ReratingCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price or a meter to correct, for all billing periods that have an instant in [`from`, `to`).

    Without `to` the correction holds from then on. A corrected meter counts so from the moment it is applied in any
    case.
    """

    description: Text = ""
    price: PriceCorrection | UnsetType = UNSET
    meter: MeterCorrection | UnsetType = UNSET
    from_at: Instant = msgspec.field(name="from")
    to_at: Instant | UnsetType = msgspec.field(name="to", default=UNSET)


class CurrencyDifferenceView(Struct, frozen=True, kw_only=True):
    """What all differences of one currency add up to; above zero, customers owe more."""

    currency: str
    amount_before: DecimalText
    amount_after: DecimalText
    difference: DecimalText
    difference_count: int
    company_count: int


class ReratingView(Struct, frozen=True, kw_only=True):
    """A re-rating. Whole billing periods are rated again, every one that touches [`from`, `to`).

    `rated_from` and `rated_to`: from the first to the last period in which something changes; null where nothing does.
    `before` and `after`: the definition of a meter, or the terms of the version `corrected_version_id` by currency.
    """

    rerating_id: str
    status: Status
    description: str
    price_id: str
    corrected_version_id: str | None
    meter_id: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    from_at: Instant = msgspec.field(name="from")
    to_at: Instant | None = msgspec.field(name="to")
    rated_from: Instant | None
    rated_to: Instant | None
    totals: list[CurrencyDifferenceView]
    created_at: Instant
    started_at: Instant | None
    applied_at: Instant | None


class DifferenceView(Struct, frozen=True, kw_only=True):
    """What a subscription's billing period comes to, before and after. An invoiced one is billed by an adjustment."""

    company_id: str
    subscription_id: str
    period_start: Instant
    period_end: Instant
    is_invoiced: bool
    quantity_before: DecimalText
    quantity_after: DecimalText
    quantity_difference: DecimalText
    amount_before: DecimalText
    amount_after: DecimalText
    difference: DecimalText
    currency: str
