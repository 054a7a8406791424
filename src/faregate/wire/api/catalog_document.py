"""The catalog as a file: what `faregate apply -f catalog.yaml` sends, and the difference that it is answered with.

Everything is known by its name, and a company or a user by its id. What the file leaves out of a resource is at its
default (a company's or user's name stays as it is); what the application has beyond the file is left alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from faregate.base.limits import MAX_COUPONS
from faregate.base.periods import Alignment
from faregate.domain.catalog.price import BillingPeriod, TaxBehavior
from faregate.domain.catalog.versions import AppliesTo
from faregate.domain.customers.subscription import Pays
from faregate.domain.metering.windows import ReportingPeriod
from faregate.wire.api.catalog import CurrencyCode, CurrencyOptions
from faregate.wire.api.common import Identifier, Instant, Name
from faregate.wire.api.costs import Rates, WarningView
from faregate.wire.api.coupons import CouponCreate
from faregate.wire.api.customers import PaymentTerms, TimeZone
from faregate.wire.api.filters import FilterShape, FilterText
from faregate.wire.api.limits import LimitTerms
from faregate.wire.api.meters import GroupFields, MetricShape, UnitsShape
from faregate.wire.api.pricing import AdjustmentsShape, ModelShape
from faregate.wire.api.routes import RouteCreate
from faregate.wire.api.rules import RuleCreate


class PriceEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price of the plan that it stands in.

    Where the price stands with other terms, `effective_at` says from when these hold, as a new version; without it, a
    difference is refused.
    """

    name: Name
    model: ModelShape
    adjustments: AdjustmentsShape = AdjustmentsShape()
    currency: CurrencyCode
    currency_options: CurrencyOptions = {}
    period: BillingPeriod = BillingPeriod.MONTH
    effective_at: Instant | UnsetType = UNSET
    applies_to: AppliesTo = AppliesTo.ALL
    tax_behavior: TaxBehavior = TaxBehavior.AUTO


class PlanEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan with its prices."""

    name: Name
    prices: list[PriceEntry] = field(default_factory=list)


class MeterEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter, and the price that it feeds, by the names of plan and price."""

    name: Name
    plan: Name
    price: Name
    filter: FilterShape | UnsetType = UNSET
    filter_text: FilterText | UnsetType = UNSET
    metric: MetricShape
    group_by: GroupFields = []
    units: UnitsShape = UnitsShape()
    reporting_period: ReportingPeriod = ReportingPeriod.FIVE_MINUTES


class CostEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What calls cost upstream.

    Where the cost price stands with another filter or other rates, `effective_at` says from when these hold, as a new
    version; without it, a difference is refused. A new one without it holds from now on.
    """

    name: Name
    filter: FilterShape | UnsetType = UNSET
    filter_text: FilterText | UnsetType = UNSET
    rates: Rates
    currency: CurrencyCode
    effective_at: Instant | UnsetType = UNSET


class UserEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user of the company that it stands in."""

    user_id: Identifier
    name: Name | UnsetType = UNSET


class SubscriptionEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan that the company it stands in is on, by the plan's name.

    `coupons`: those that it is given, once each, in this order; one that it was ever given is not given again.
    """

    plan: Name
    pays: Pays
    currency: CurrencyCode | UnsetType = UNSET
    started_at: Instant | UnsetType = UNSET
    payment_terms_days: PaymentTerms = 30
    time_zone: TimeZone = "UTC"
    alignment: Alignment = Alignment.ANNIVERSARY
    trial_ends_at: Instant | UnsetType = UNSET
    coupons: Annotated[list[Identifier], Meta(max_length=MAX_COUPONS)] = []


class CompanyEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A company with its users and subscriptions. Keys and credit are given by hand, never by file."""

    company_id: Identifier
    name: Name | UnsetType = UNSET
    users: list[UserEntry] = field(default_factory=list)
    subscriptions: list[SubscriptionEntry] = field(default_factory=list)


class LimitEntry(LimitTerms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit, by its name; `plan` and `meter` by theirs.

    Where it stands with another subject, measure or time, a difference is refused: these never change.
    """

    plan: Name | None = None
    meter: Name | None = None


class CatalogDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    plans: list[PlanEntry] = field(default_factory=list)
    meters: list[MeterEntry] = field(default_factory=list)
    costs: list[CostEntry] = field(default_factory=list)
    routes: list[RouteCreate] = field(default_factory=list)
    rules: list[RuleCreate] = field(default_factory=list)
    coupons: list[CouponCreate] = field(default_factory=list)
    companies: list[CompanyEntry] = field(default_factory=list)
    limits: list[LimitEntry] = field(default_factory=list)


class CatalogApply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A catalog to make so, all of it or nothing; `dry_run` only tells the difference."""

    catalog: CatalogDocument
    dry_run: bool = False


class Action(StrEnum):
    """What becomes of a resource."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


class FieldDifference(Struct, frozen=True, kw_only=True):
    """A field that changes; `before` is null where there was none."""

    field: str
    before: str | None
    after: str | None


class ResourceDifference(Struct, frozen=True, kw_only=True):
    """A resource of the file, and what becomes of it."""

    action: Action
    kind: str
    name: str
    fields: list[FieldDifference]


class CatalogApplied(Struct, frozen=True, kw_only=True):
    """The difference between the file and the application, in the file's order; made unless `dry_run`.

    `warnings`: what is possible with it and probably not meant, such as a price below its cost.
    """

    dry_run: bool
    differences: list[ResourceDifference]
    warnings: list[WarningView]
