"""One entry of a catalog file, made so: plans, prices, meters, routes and rules, each known by its name."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from msgspec import UNSET

from faregate.base.errors import FieldFault, InvalidInput
from faregate.domain.catalog.price import Plan
from faregate.domain.catalog.versions import PriceSeries, PriceVersion
from faregate.domain.metering.meter import Meter
from faregate.services.catalog import create_plan, create_price, create_version
from faregate.services.catalog_differences import compared, created, differing_fields
from faregate.services.change import Change
from faregate.services.change_routes import change_route, create_route, wanted_enforce
from faregate.services.meters import change_meter, create_meter
from faregate.services.routes import route_from_row
from faregate.services.rules import create_rule, replace_rule, wanted_rule
from faregate.storage.catalog import find_plan_by_name
from faregate.storage.database import Transaction
from faregate.storage.metered import series_of_plan
from faregate.storage.meters import find_meter_by_name
from faregate.storage.routes import find_route_by_name
from faregate.storage.rules import find_rule_by_name
from faregate.wire.api.catalog import PlanCreate, PriceCreate, PriceVersionCreate, PriceView, price_view, to_series
from faregate.wire.api.catalog_document import MeterEntry, PlanEntry, PriceEntry, ResourceDifference
from faregate.wire.api.meters import MeterChange, MeterCreate, MeterView, meter_view
from faregate.wire.api.routes import RouteChange, RouteCreate, route_view
from faregate.wire.api.rules import RuleCreate, rule_view


def apply_plan(transaction: Transaction, change: Change, entry: PlanEntry) -> ResourceDifference:
    """Make the plan where there is none of the name; a plan is nothing but its name and its prices."""
    plan = find_plan_by_name(transaction, change.application_id, entry.name)
    if plan is None:
        plan = create_plan(transaction, change, PlanCreate(name=entry.name))
        return created("plan", plan.name)
    return compared("plan", plan.name, before=PlanCreate(name=plan.name), after=PlanCreate(name=entry.name))


def apply_price(transaction: Transaction, change: Change, entry: PriceEntry, *, plan_name: str) -> ResourceDifference:
    """Make the price where its plan has none of the name; `InvalidInput` where the file wants one to change."""
    plan = plan_named(transaction, change, plan_name)
    request = PriceCreate(
        plan_id=plan.plan_id,
        name=entry.name,
        model=entry.model,
        adjustments=entry.adjustments,
        currency=entry.currency,
        currency_options=entry.currency_options,
        period=entry.period,
        tax_behavior=entry.tax_behavior,
    )
    label = f"{plan.name} / {entry.name}"
    before = _find_price(transaction, plan, entry.name)
    if before is None:
        create_price(transaction, change, request)
        return created("price", label)
    wanted = to_series(request, before.series_id, effective_at=change.now)
    latest = before.latest
    terms = wanted.versions[0].terms
    if terms == latest.terms:
        # 0.5 and 0.50 are one amount, written twice.
        terms = latest.terms
    _refuse_differences(before, replace(wanted, versions=(replace(latest, terms=latest.terms),)))
    if terms == latest.terms:
        return compared("price", label, before=price_view(before), after=price_view(before))
    after = _changed_price(transaction, change, entry, before=before, wanted=replace(latest, terms=terms))
    return compared("price", label, before=_latest_view(before), after=_latest_view(after))


def _changed_price(
    transaction: Transaction, change: Change, entry: PriceEntry, *, before: PriceSeries, wanted: PriceVersion
) -> PriceSeries:
    """Make the version that the file asks for; `InvalidInput` names what differs where it has no `effective_at`."""
    if entry.effective_at is UNSET:
        _refuse_differences(before, replace(before, versions=(wanted,), replacements=()))
    version = PriceVersionCreate(
        model=entry.model,
        adjustments=entry.adjustments,
        currency_options=entry.currency_options,
        effective_at=entry.effective_at,
        applies_to=entry.applies_to,
    )
    return create_version(transaction, change, version, price_id=before.series_id)


def apply_meter(transaction: Transaction, change: Change, entry: MeterEntry) -> ResourceDifference:
    """Make or change the meter; `InvalidInput` where the file wants another price; else errors as `change_meter`."""
    plan = plan_named(transaction, change, entry.plan)
    price = _find_price(transaction, plan, entry.price)
    if price is None:
        raise InvalidInput.of("price", f"the plan {plan.name!r} has no price {entry.price!r}")
    request = MeterCreate(
        name=entry.name,
        price_id=price.series_id,
        filter=entry.filter,
        filter_text=entry.filter_text,
        metric=entry.metric,
        group_by=entry.group_by,
        units=entry.units,
        reporting_period=entry.reporting_period,
    )
    before = find_meter_by_name(transaction, change.application_id, entry.name)
    if before is None:
        create_meter(transaction, change, request)
        return created("meter", entry.name)
    if before.price_id != price.series_id:
        raise InvalidInput.of("price", "of a meter never changes; make another meter under another name")
    wanted = MeterChange(
        filter=entry.filter,
        filter_text=entry.filter_text,
        metric=entry.metric,
        group_by=entry.group_by,
        units=entry.units,
        reporting_period=entry.reporting_period,
    )
    after = change_meter(transaction, change, wanted, meter_id=before.meter_id)
    return compared("meter", entry.name, before=_as_compared(before), after=_as_compared(after))


def _as_compared(meter: Meter) -> MeterView:
    """Return the view without the filter's text, which says the same as its tree."""
    return msgspec.structs.replace(meter_view(meter), filter_text="")


def apply_route(transaction: Transaction, change: Change, entry: RouteCreate) -> ResourceDifference:
    """Make or change the route."""
    row = find_route_by_name(transaction, change.application_id, entry.name)
    if row is None:
        create_route(transaction, change, entry)
        return created("route", entry.name)
    before = route_from_row(row)
    fields = {name: getattr(entry, name) for name in RouteChange.__struct_fields__}
    request = RouteChange(**fields | {"enforce": wanted_enforce(entry)})
    after = change_route(transaction, change, request, route_id=before.route_id)
    return compared("route", entry.name, before=route_view(before), after=route_view(after))


def apply_rule(transaction: Transaction, change: Change, entry: RuleCreate) -> ResourceDifference:
    """Make or change the rule."""
    name = rule_name(entry)
    before = find_rule_by_name(transaction, change.application_id, name)
    if before is None:
        create_rule(transaction, change, entry)
        return created("rule", name)
    if before.template is not entry.template:
        raise InvalidInput.of("template", f"of the rule {name!r} never changes; it is {before.template.value!r}")
    after = wanted_rule(entry, before.rule_id)
    replace_rule(transaction, before, after)
    return compared("rule", name, before=rule_view(before), after=rule_view(after))


def rule_name(entry: RuleCreate) -> str:
    """Return the name that the rule goes by: its template's, where it has none of its own."""
    return wanted_rule(msgspec.structs.replace(entry, block_what=[]), "").name


def plan_named(transaction: Transaction, change: Change, name: str) -> Plan:
    """Return the plan; `InvalidInput` on `plan` if there is none of that name."""
    plan = find_plan_by_name(transaction, change.application_id, name)
    if plan is None:
        raise InvalidInput.of("plan", f"there is no plan {name!r}")
    return plan


def _find_price(transaction: Transaction, plan: Plan, name: str) -> PriceSeries | None:
    return next((price for price in series_of_plan(transaction, plan.plan_id) if price.name == name), None)


def _latest_view(series: PriceSeries) -> PriceView:
    return price_view(replace(series, versions=(series.latest,), replacements=()))


def _refuse_differences(before: PriceSeries, after: PriceSeries) -> None:
    faults = [
        FieldFault(
            field=difference.field,
            message=f"is {difference.before}, and prices never change; "
            "say from when other terms hold (effective_at), or make another price under another name",
        )
        for difference in differing_fields(_latest_view(before), _latest_view(after))
    ]
    if faults:
        raise InvalidInput(*faults)
