"""Pricing models and adjustments on the wire, as they are kept: every number as its exact numeral."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import PricingModel
from faregate.domain.catalog.price import UNADJUSTED
from faregate.domain.catalog.terms_text import adjustments_document, model_document
from faregate.wire.api.common import DecimalText


class FlatModelView(Struct, frozen=True, kw_only=True, tag="flat"):
    """The flat model."""

    amount: DecimalText


class PerUnitModelView(Struct, frozen=True, kw_only=True, tag="per_unit"):
    """The per-unit model."""

    amount: DecimalText


class PackageModelView(Struct, frozen=True, kw_only=True, tag="package"):
    """The package model."""

    amount: DecimalText
    size: DecimalText
    round: str


class TierView(Struct, frozen=True, kw_only=True):
    """A tier; the last one has no `up_to`."""

    up_to: DecimalText | None
    unit: DecimalText
    flat: DecimalText
    size: DecimalText | None
    cap: DecimalText | None


class GraduatedModelView(Struct, frozen=True, kw_only=True, tag="graduated"):
    """The graduated model."""

    tiers: list[TierView]


class VolumeModelView(Struct, frozen=True, kw_only=True, tag="volume"):
    """The volume model."""

    tiers: list[TierView]


class PercentageModelView(Struct, frozen=True, kw_only=True, tag="percentage"):
    """The percentage model."""

    percent: DecimalText
    fixed: DecimalText
    minimum: DecimalText | None
    maximum: DecimalText | None
    free_events: int | None
    free_value: DecimalText | None


RowModelView = (
    FlatModelView | PerUnitModelView | PackageModelView | GraduatedModelView | VolumeModelView | PercentageModelView
)


class TableRowView(Struct, frozen=True, kw_only=True):
    """A row of a price table."""

    values: list[str]
    model: RowModelView


class ByDimensionModelView(Struct, frozen=True, kw_only=True, tag="by_dimension"):
    """A price table by fields of the event."""

    fields: list[str]
    table: list[TableRowView]
    default: RowModelView | None = None


ModelView = RowModelView | ByDimensionModelView


class DiscountView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A discount: one of the two."""

    percent: DecimalText | None = None
    amount: DecimalText | None = None


class CommitmentView(Struct, frozen=True, kw_only=True):
    """A commitment."""

    amount: DecimalText
    overage: DecimalText


class AdjustmentsView(Struct, frozen=True, kw_only=True):
    """A price's adjustments, in the order in which they are applied."""

    included_units: DecimalText = "0"
    discounts: list[DiscountView] = []
    maximum_spend: DecimalText | None = None
    minimum_spend: DecimalText | None = None
    commitment: CommitmentView | None = None


def model_view(model: PricingModel) -> ModelView:
    """Return a model as it travels."""
    return msgspec.convert(model_document(model), ModelView)  # type: ignore[no-any-return]


def adjustments_view(adjustments: Adjustments) -> AdjustmentsView | None:
    """Return adjustments as they travel; None for those that change nothing."""
    if adjustments == UNADJUSTED:
        return None
    return msgspec.convert(adjustments_document(adjustments), AdjustmentsView)
