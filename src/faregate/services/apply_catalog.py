"""Make the application as a file says, all of it or nothing, and tell the difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from faregate.base.errors import Conflict, FieldFault, InvalidInput
from faregate.services.apply_costs import apply_cost
from faregate.services.apply_coupons import apply_coupon
from faregate.services.apply_customers import apply_company, apply_subscription, apply_user
from faregate.services.apply_limits import apply_limit
from faregate.services.apply_resources import (
    apply_meter,
    apply_plan,
    apply_price,
    apply_route,
    apply_rule,
    rule_name,
)
from faregate.services.below_cost import read_warnings, warn_of_below_cost
from faregate.services.change import Change
from faregate.services.reservable import find_unbounded
from faregate.storage.database import Transaction
from faregate.wire.api.catalog_document import Action, CatalogDocument, ResourceDifference
from faregate.wire.api.costs import WarningView

_ROOT: Final = "catalog"
_SOLD: Final = frozenset({"price", "meter", "cost"})
_SENT_AS: Final = {"price_id": "price", "plan_id": "plan", "meter_id": "meter"}
"""What the file calls by name and the services by id."""


class NothingKept(Exception):
    """A dry run has told the difference, and is undone."""

    def __init__(self, applied: Applied) -> None:
        super().__init__("a dry run keeps nothing")
        self.applied = applied


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The difference, in the file's order, and what is possible with it and probably not meant."""

    differences: list[ResourceDifference]
    warnings: list[WarningView]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One entry of the file. `needs`: paths without which it would only repeat what is wrong there."""

    path: str
    make: Callable[[Transaction, Change], ResourceDifference]
    needs: tuple[str, ...] = ()


def apply_catalog(transaction: Transaction, change: Change, document: CatalogDocument, *, dry_run: bool) -> Applied:
    """Create and update what the file names; return the difference, in the file's order, and warnings.

    Raises `InvalidInput` with every field of the file (`catalog.plans[0].name`) that cannot be, and `NothingKept` at
    the end of a dry run.
    """
    repeats = list(_repeats(document))
    if repeats:
        raise InvalidInput(*repeats)
    faults: list[FieldFault] = []
    differences = []
    failed: list[str] = []
    part = replace(change, is_part=True)
    for step in _steps(document):
        if any(path.startswith(need) for path in failed for need in step.needs):
            continue
        try:
            with transaction.begin_nested():
                differences.append(step.make(transaction, part))
        except (InvalidInput, Conflict) as error:
            failed.append(step.path)
            faults += _placed(step.path, error)
    if not faults:
        faults += _unbounded(transaction, change, document)
    if faults:
        raise InvalidInput(*faults)
    applied = Applied(differences=differences, warnings=_warnings(transaction, change, differences, dry_run=dry_run))
    if dry_run:
        raise NothingKept(applied)
    return applied


def _warnings(
    transaction: Transaction, change: Change, differences: list[ResourceDifference], *, dry_run: bool
) -> list[WarningView]:
    """Return the warnings, and log them where the file has changed what they are about."""
    changed = any(one.kind in _SOLD and one.action is not Action.UNCHANGED for one in differences)
    warn = warn_of_below_cost if changed and not dry_run else read_warnings
    return warn(transaction, change.application_id, at=change.now)


def _steps(document: CatalogDocument) -> Iterator[_Step]:
    for index, plan in enumerate(document.plans):
        path = f"plans[{index}]"
        yield _Step(path=path, make=partial(apply_plan, entry=plan))
        for place, price in enumerate(plan.prices):
            make = partial(apply_price, entry=price, plan_name=plan.name)
            yield _Step(path=f"{path}.prices[{place}]", make=make, needs=(path,))
    for index, meter in enumerate(document.meters):
        yield _Step(path=f"meters[{index}]", make=partial(apply_meter, entry=meter), needs=("plans",))
    for index, cost in enumerate(document.costs):
        yield _Step(path=f"costs[{index}]", make=partial(apply_cost, entry=cost))
    for index, route in enumerate(document.routes):
        yield _Step(path=f"routes[{index}]", make=partial(apply_route, entry=route))
    for index, rule in enumerate(document.rules):
        yield _Step(path=f"rules[{index}]", make=partial(apply_rule, entry=rule))
    for index, coupon in enumerate(document.coupons):
        yield _Step(path=f"coupons[{index}]", make=partial(apply_coupon, entry=coupon))
    yield from _customer_steps(document)


def _customer_steps(document: CatalogDocument) -> Iterator[_Step]:
    for index, company in enumerate(document.companies):
        path = f"companies[{index}]"
        yield _Step(path=path, make=partial(apply_company, entry=company))
        for place, user in enumerate(company.users):
            yield _Step(
                path=f"{path}.users[{place}]", make=partial(apply_user, entry=user, company_id=company.company_id)
            )
        for place, subscription in enumerate(company.subscriptions):
            make = partial(apply_subscription, entry=subscription, company_id=company.company_id)
            yield _Step(path=f"{path}.subscriptions[{place}]", make=make, needs=("plans", "coupons"))
    for index, limit in enumerate(document.limits):
        make = partial(apply_limit, entry=limit)
        yield _Step(path=f"limits[{index}]", make=make, needs=("plans", "meters", "companies"))


def _placed(path: str, error: InvalidInput | Conflict) -> list[FieldFault]:
    faults = error.faults if isinstance(error, InvalidInput) else (FieldFault(field=error.field, message=error.reason),)
    return [
        FieldFault(field=f"{_ROOT}.{path}.{_SENT_AS.get(fault.field, fault.field)}", message=fault.message)
        for fault in faults
    ]


def _repeats(document: CatalogDocument) -> Iterator[FieldFault]:
    """Return every name that the file says twice: the second would only change what the first has made."""
    yield from _repeated("plans[{}].name", (plan.name for plan in document.plans))
    for index, plan in enumerate(document.plans):
        yield from _repeated(f"plans[{index}].prices[{{}}].name", (price.name for price in plan.prices))
    yield from _repeated("meters[{}].name", (meter.name for meter in document.meters))
    yield from _repeated("costs[{}].name", (cost.name for cost in document.costs))
    yield from _repeated("routes[{}].name", (route.name for route in document.routes))
    yield from _repeated("rules[{}].name", (rule_name(rule) for rule in document.rules))
    yield from _repeated("coupons[{}].coupon_id", (coupon.coupon_id for coupon in document.coupons))
    yield from _repeated("limits[{}].name", (limit.name for limit in document.limits))
    yield from _repeated("companies[{}].company_id", (company.company_id for company in document.companies))
    for index, company in enumerate(document.companies):
        place = f"companies[{index}]"
        yield from _repeated(f"{place}.users[{{}}].user_id", (user.user_id for user in company.users))
        yield from _repeated(f"{place}.subscriptions[{{}}].plan", (entry.plan for entry in company.subscriptions))
        for row, entry in enumerate(company.subscriptions):
            yield from _repeated(f"{place}.subscriptions[{row}].coupons[{{}}]", entry.coupons)


def _repeated(path: str, names: Iterable[str]) -> Iterator[FieldFault]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield FieldFault(field=f"{_ROOT}.{path.format(index)}", message=f"{name!r} is in the file twice")
        seen.add(name)


def _unbounded(transaction: Transaction, change: Change, document: CatalogDocument) -> list[FieldFault]:
    """Check, when all is in place, what no single entry could know."""
    found = find_unbounded(transaction, change.application_id)
    if found is None:
        return []
    for index, meter in enumerate(document.meters):
        if meter.name == found.meter.name:
            return [FieldFault(field=f"{_ROOT}.meters[{index}].metric.field", message=found.message)]
    for index, route in enumerate(document.routes):
        if route.name == found.route.name:
            return [FieldFault(field=f"{_ROOT}.routes[{index}].enforce", message=found.message)]
    return [FieldFault(field=f"{_ROOT}.companies", message=found.message)]
