"""Make and end provider cost prices; days that one holds for are counted again in the background."""

from __future__ import annotations

from msgspec import UNSET

from faregate.base.errors import InvalidInput, NotFound, TooLarge
from faregate.base.limits import MAX_COSTS
from faregate.domain.costing.cost import CostPrice
from faregate.services.below_cost import warn_of_below_cost
from faregate.services.change import Change
from faregate.storage.costs import costs_of_application, end_cost, find_cost, insert_cost
from faregate.storage.database import Transaction
from faregate.storage.margins import redo_days, start_margins
from faregate.wire.api.common import to_utc
from faregate.wire.api.costs import CostArchive, CostCreate, to_cost


def create_cost(transaction: Transaction, change: Change, request: CostCreate) -> CostPrice:
    """Make a cost price, or a version of the one of its name; `InvalidInput` names what cannot be.

    It may take effect in the past: margins are then told by it from that day on.
    """
    cost = to_cost(request, change.new_id("cst"), now=change.now)
    known = costs_of_application(transaction, change.application_id)
    if len(known) >= MAX_COSTS:
        raise TooLarge(f"an application has at most {MAX_COSTS} versions of cost prices")
    if any(earlier.name == cost.name and earlier.currency != cost.currency for earlier in known):
        raise InvalidInput.of("currency", "of a cost price never changes; make another one under another name")
    insert_cost(transaction, change.application_id, cost, created_at=change.now)
    start_margins(transaction)
    redo_days(transaction, change.application_id, from_at=cost.effective_at, to_at=None)
    if not change.is_part:
        warn_of_below_cost(transaction, change.application_id, at=change.now, cost_id=cost.cost_id)
    return cost


def archive_cost(transaction: Transaction, change: Change, request: CostArchive, *, cost_id: str) -> CostPrice:
    """Let a version hold no longer; `NotFound`, and `InvalidInput` on `at` before it took effect.

    Archived again, it ends at the new moment.
    """
    cost = find_existing_cost(transaction, change.application_id, cost_id)
    ends_at = change.now if request.at is UNSET else to_utc(request.at)
    if ends_at < cost.effective_at:
        raise InvalidInput.of("at", "must not be before the cost price takes effect")
    end_cost(transaction, cost_id, ends_at)
    first = ends_at if cost.ends_at is None else min(ends_at, cost.ends_at)
    redo_days(transaction, change.application_id, from_at=first, to_at=None)
    return find_existing_cost(transaction, change.application_id, cost_id)


def find_existing_cost(transaction: Transaction, application_id: str, cost_id: str) -> CostPrice:
    """Return the version; `NotFound` if there is none of that id."""
    cost = find_cost(transaction, application_id, cost_id)
    if cost is None:
        raise NotFound("cost", cost_id)
    return cost
