"""A cost price of a catalog file, made so: known by its name."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from msgspec import UNSET

from faregate.base.errors import FieldFault, InvalidInput
from faregate.domain.costing.cost import write_cost
from faregate.services.catalog_differences import compared, created, differing_fields
from faregate.services.change import Change
from faregate.services.costs import create_cost
from faregate.storage.costs import costs_by_name
from faregate.storage.database import Transaction
from faregate.wire.api.catalog_document import CostEntry, ResourceDifference
from faregate.wire.api.costs import CostCreate, CostView, cost_view, to_cost


def apply_cost(transaction: Transaction, change: Change, entry: CostEntry) -> ResourceDifference:
    """Make the cost price, or a version of it; `InvalidInput` names what differs where the file has no moment for it.

    It is compared with the version that takes effect last.
    """
    request = CostCreate(
        name=entry.name,
        filter=entry.filter,
        filter_text=entry.filter_text,
        rates=entry.rates,
        currency=entry.currency,
        effective_at=entry.effective_at,
    )
    versions = costs_by_name(transaction, change.application_id, entry.name)
    if not versions:
        create_cost(transaction, change, request)
        return created("cost", entry.name)
    before = max(reversed(versions), key=lambda version: version.effective_at)
    wanted = to_cost(request, before.cost_id, now=before.effective_at)
    if before.ends_at is None and (write_cost(wanted), wanted.currency) == (write_cost(before), before.currency):
        return compared(
            "cost", entry.name, before=_as_compared(cost_view(before)), after=_as_compared(cost_view(before))
        )
    if entry.effective_at is UNSET:
        same_moment = cost_view(replace(wanted, effective_at=before.effective_at))
        raise InvalidInput(
            *(
                FieldFault(
                    field=difference.field,
                    message=f"is {difference.before}; say from when other rates hold (effective_at)",
                )
                for difference in differing_fields(_as_compared(cost_view(before)), _as_compared(same_moment))
            )
        )
    after = create_cost(transaction, change, request)
    return compared("cost", entry.name, before=_as_compared(cost_view(before)), after=_as_compared(cost_view(after)))


def _as_compared(view: CostView) -> CostView:
    """Return the view without its id, and without the filter's tree, which says the same as its text."""
    return msgspec.structs.replace(view, cost_id="", filter=None)
