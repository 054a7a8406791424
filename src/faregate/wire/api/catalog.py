"""Plans and prices on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import MAX_CURRENCIES
from faregate.base.money import Currency, currency
from faregate.domain.catalog.price import BillingPeriod, Plan, TaxBehavior
from faregate.domain.catalog.validation import adjustments_faults, model_faults, require
from faregate.domain.catalog.versions import AppliesTo, PriceSeries, PriceVersion, Terms
from faregate.wire.api.common import Identifier, Instant, Name
from faregate.wire.api.pricing import AdjustmentsShape, ModelShape, to_adjustments, to_model
from faregate.wire.api.pricing_views import AdjustmentsView, ModelView, adjustments_view, model_view

CurrencyCode = Annotated[str, Meta(min_length=3, max_length=3, examples=["USD"])]
"""ISO 4217, in capitals."""


class PlanCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan to make. Names are unique within the application."""

    name: Name


class PlanChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a plan. An archived one is not sold any more; its subscriptions go on."""

    name: Name | UnsetType = UNSET
    archived: bool | UnsetType = UNSET


class PlanView(Struct, frozen=True, kw_only=True):
    """A plan: a product of the catalog."""

    plan_id: str
    name: str
    archived: bool = False


class TermsShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is paid in one currency."""

    model: ModelShape
    adjustments: AdjustmentsShape = AdjustmentsShape()


CurrencyOptions = Annotated[dict[CurrencyCode, TermsShape], Meta(max_length=MAX_CURRENCIES)]
"""Terms in further currencies, by code; a subscription's currency chooses."""


class PriceCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price to make. Prices never change: a change is a new version, from a chosen moment on."""

    plan_id: Identifier
    name: Name
    model: ModelShape
    adjustments: AdjustmentsShape = AdjustmentsShape()
    currency: CurrencyCode
    currency_options: CurrencyOptions = {}
    period: BillingPeriod = BillingPeriod.MONTH
    tax_behavior: TaxBehavior = TaxBehavior.AUTO


class PriceVersionCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New terms of a price, in every currency that it has.

    They hold from `effective_at` (now, where it is left out) for all subscriptions, or for those that start then or
    later.
    """

    model: ModelShape
    adjustments: AdjustmentsShape = AdjustmentsShape()
    currency_options: CurrencyOptions = {}
    effective_at: Instant | UnsetType = UNSET
    applies_to: AppliesTo = AppliesTo.ALL


class TermsView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is paid in one currency."""

    model: ModelView
    adjustments: AdjustmentsView | None = None


class PriceVersionView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a price; invoice lines and charges name it by `version_id`.

    One that puts another right `replaces` it, by the re-rating `rerating_id`, in every billing period that has an
    instant from `replaces_from` until before `replaces_to` (for good, where that is left out).
    """

    version_id: str
    version: int
    effective_at: Instant
    applies_to: AppliesTo
    model: ModelView
    adjustments: AdjustmentsView | None = None
    currency_options: dict[str, TermsView] = {}
    replaces: str | None = None
    replaces_from: Instant | None = None
    replaces_to: Instant | None = None
    rerating_id: str | None = None


class PriceView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A price of a plan: the terms of its latest version, and, where it was changed, every version."""

    price_id: str
    plan_id: str
    name: str
    model: ModelView
    currency: str
    period: BillingPeriod
    tax_behavior: TaxBehavior
    adjustments: AdjustmentsView | None = None
    currency_options: dict[str, TermsView] = {}
    versions: list[PriceVersionView] = []


def plan_view(plan: Plan) -> PlanView:
    """Return a plan as it travels."""
    return PlanView(plan_id=plan.plan_id, name=plan.name, archived=plan.is_archived)


def price_view(series: PriceSeries) -> PriceView:
    """Return a price as it travels."""
    latest = series.latest
    unit, terms = next(iter(latest.terms.items()))
    every = series.every_version
    return PriceView(
        price_id=series.series_id,
        plan_id=series.plan_id,
        name=series.name,
        model=model_view(terms.model),
        currency=unit.code,
        period=series.period,
        tax_behavior=series.tax_behavior,
        adjustments=adjustments_view(terms.adjustments),
        currency_options=_options_view(latest.terms),
        versions=[_version_view(version) for version in every] if len(every) > 1 else [],
    )


def to_series(request: PriceCreate, price_id: str, *, effective_at: datetime) -> PriceSeries:
    """Return the price that is asked for, with its first version; `InvalidInput` names every field that cannot be."""
    version = PriceVersion(
        price_id=price_id,
        number=1,
        effective_at=effective_at,
        applies_to=AppliesTo.ALL,
        terms=to_terms(request, currency(request.currency)),
    )
    return PriceSeries(
        series_id=price_id,
        plan_id=request.plan_id,
        name=request.name,
        period=request.period,
        tax_behavior=request.tax_behavior,
        versions=(version,),
    )


def to_terms(request: PriceCreate | PriceVersionCreate, own: Currency) -> dict[Currency, Terms]:
    """Return the terms that are asked for, the price's own currency first; `InvalidInput` names what cannot be."""
    asked = {own: ("", TermsShape(model=request.model, adjustments=request.adjustments))}
    for code, option in request.currency_options.items():
        unit = _option_currency(code)
        if unit == own:
            message = "is the price's own currency; its terms stand in model and adjustments"
            raise InvalidInput.of(f"currency_options.{code}", message)
        asked[unit] = (f"currency_options.{code}.", option)
    terms = {}
    faults: list[FieldFault] = []
    for unit, (prefix, shape) in asked.items():
        found = Terms(
            model=to_model(f"{prefix}model", shape.model),
            adjustments=to_adjustments(f"{prefix}adjustments", shape.adjustments),
        )
        faults += model_faults(f"{prefix}model", found.model)
        faults += adjustments_faults(f"{prefix}adjustments", found.adjustments, found.model)
        terms[unit] = found
    require(faults)
    return terms


def _option_currency(code: str) -> Currency:
    try:
        return currency(code)
    except InvalidInput as error:
        raise InvalidInput.of(f"currency_options.{code}", error.faults[0].message) from error


def _options_view(terms: Mapping[Currency, Terms]) -> dict[str, TermsView]:
    _, *others = terms.items()
    return {
        unit.code: TermsView(model=model_view(of.model), adjustments=adjustments_view(of.adjustments))
        for unit, of in others
    }


def _version_view(version: PriceVersion) -> PriceVersionView:
    terms = next(iter(version.terms.values()))
    made = version.replaces
    return PriceVersionView(
        version_id=version.price_id,
        version=version.number,
        effective_at=version.effective_at,
        applies_to=version.applies_to,
        model=model_view(terms.model),
        adjustments=adjustments_view(terms.adjustments),
        currency_options=_options_view(version.terms),
        replaces=None if made is None else made.price_id,
        replaces_from=None if made is None else made.span.start,
        replaces_to=None if made is None else made.span.end,
        rerating_id=None if made is None else made.rerating_id,
    )
