"""Say where something is sold for less than it costs: as a list, and in the log when a price or a cost is made."""

from __future__ import annotations

from datetime import datetime

import structlog

from faregate.domain.costing.below_cost import BelowCost, find_below_cost
from faregate.storage.costs import costs_of_application
from faregate.storage.database import Transaction
from faregate.storage.metered import series_of_application
from faregate.storage.meters import meters_of_application
from faregate.wire.api.costs import WarningView
from faregate.wire.patterns import compile_pattern

_log = structlog.get_logger(__name__)


def read_warnings(transaction: Transaction, application_id: str, *, at: datetime) -> list[WarningView]:
    """Return every price that lies below a cost at an instant or later, by price, meter and cost."""
    costs = costs_of_application(transaction, application_id)
    if not costs:
        return []
    found = find_below_cost(
        series_of_application(transaction, application_id),
        meters_of_application(transaction, application_id),
        costs,
        matchers=compile_pattern,
        at=at,
    )
    return [_view(one) for one in found]


def warn_of_below_cost(
    transaction: Transaction,
    application_id: str,
    *,
    at: datetime,
    price_id: str | None = None,
    cost_id: str | None = None,
) -> list[WarningView]:
    """Log the warnings, those of one price or cost version if it is named, and return them."""
    views = [
        view
        for view in read_warnings(transaction, application_id, at=at)
        if price_id in {None, view.price_id} and cost_id in {None, view.cost_id}
    ]
    for view in views:
        _log.warning(
            "price.below_cost",
            application_id=application_id,
            price_id=view.price_id,
            price_name=view.price_name,
            model=view.model,
            price=view.price,
            cost=view.cost,
            cost_id=view.cost_id,
            rate=view.rate,
            currency=view.currency,
        )
    return views


def _view(found: BelowCost) -> WarningView:
    model = found.model or (", ".join(found.values) or None)
    of = "" if model is None else f" for {model}"
    unit = found.cost.currency.code
    return WarningView(
        message=(
            f"{found.series.name!r}{of} sells at {found.unit_price} {unit}, "
            f"below its cost of {found.unit_cost} {unit} ({found.cost.name!r}, {found.rate.kind})"
        ),
        price_id=found.version.price_id,
        price_name=found.series.name,
        meter_name=found.meter.name,
        model=model,
        cost_id=found.cost.cost_id,
        cost_name=found.cost.name,
        rate=found.rate.kind,
        currency=unit,
        price=str(found.unit_price),
        cost=str(found.unit_cost),
    )
