"""Keep the margin of every day beside the applier, from what it has committed: docs/decisions/0007.

A consumer of its own: its position in the log is a row, and moves in the transaction of its sums, so that a crash
repeats work and never sums. What changes the past (a cost price that took effect earlier, charges that a backfill adds)
names the days that are to be counted again, from the events that are kept. Nothing is kept before the first cost price.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

from faregate.base.clock import to_microseconds
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_GROUP_VALUE_CHARACTERS
from faregate.domain.costing.cost_table import ANSWERED_MODEL, ASKED_MODEL, ROUTE, CostTable, fields_of_costs
from faregate.domain.metering.event import FieldPath, scalar_text
from faregate.storage.costs import CostStamp, cost_stamps, costs_of_application
from faregate.storage.database import Transaction
from faregate.storage.kept_events import KeptEvent, newest_admitted
from faregate.storage.margins import (
    MarginKey,
    MarginSum,
    Redo,
    Revenue,
    add_margins,
    end_redo,
    first_redo,
    forget_day,
    margin_position,
    move_margins,
    move_redo,
    read_admitted,
    read_redo,
    revenue_of,
)
from faregate.wire.metered_fields import MeteredFields
from faregate.wire.patterns import compile_pattern

SLICE: Final = 1_000
_DAY_US: Final = 86_400_000_000
_KEY: Final = FieldPath("faregate.key_id")
_UNCHARGED: Final = Revenue(0, None)


class MarginKeeper:
    """Adds events to their days, a slice a transaction. One a database, as the applier."""

    def __init__(self) -> None:
        self._of: dict[str, _Reader] = {}

    @staticmethod
    def has_more(transaction: Transaction) -> bool:
        """Return whether there is something to do."""
        position = margin_position(transaction)
        if position is None:
            return False
        return newest_admitted(transaction) > position or first_redo(transaction) is not None

    def keep_next(self, transaction: Transaction, *, most: int = SLICE) -> bool:
        """Add the next events, of a day that is to be counted again first; return whether there may be more."""
        position = margin_position(transaction)
        if position is None:
            return False
        redo = first_redo(transaction)
        if redo is not None:
            self._redo(transaction, redo, position=position, most=most)
            return True
        rows = read_admitted(transaction, after=position, limit=most)
        for application_id, group in groupby(rows, key=lambda row: row.application_id):
            self._add(transaction, application_id, [row.kept for row in group])
        if rows:
            move_margins(transaction, rows[-1].kept.position)
        return len(rows) == most

    def _redo(self, transaction: Transaction, redo: Redo, *, position: int, most: int) -> None:
        if redo.through is None:
            forget_day(transaction, redo)
            redo = replace(redo, through=position, after=(to_microseconds(redo.day_at), 0))
        rows = read_redo(transaction, redo, limit=most)
        self._add(transaction, redo.application_id, rows)
        if len(rows) < most:
            end_redo(transaction, redo)
        else:
            move_redo(transaction, replace(redo, after=(rows[-1].occurred_at_us, rows[-1].position)))

    def _add(self, transaction: Transaction, application_id: str, rows: list[KeptEvent]) -> None:
        if not rows:
            return
        stamps = cost_stamps(transaction, application_id)
        reader = self._of.get(application_id)
        if reader is None or reader.stamps != stamps:
            reader = self._of[application_id] = _Reader(transaction, application_id, stamps)
        revenues = revenue_of(transaction, [row.position for row in rows])
        add_margins(transaction, reader.sums(rows, revenues))


class _Reader:
    """Reads of events what margins need, with an application's cost prices as they stand."""

    def __init__(self, transaction: Transaction, application_id: str, stamps: list[CostStamp]) -> None:
        self.stamps = stamps
        self._application_id = application_id
        costs = costs_of_application(transaction, application_id)
        self._fields = MeteredFields({*fields_of_costs(costs), _KEY})
        reading = self._fields.reading
        self._table = CostTable(costs, compile_pattern, reading)
        self._answered, self._asked = reading(ANSWERED_MODEL), reading(ASKED_MODEL)
        self._key, self._route = reading(_KEY), reading(ROUTE)

    def sums(self, rows: Iterable[KeptEvent], revenues: dict[int, Revenue]) -> dict[MarginKey, MarginSum]:
        """Return what events come to. A refused call is none: it was neither made nor charged."""
        sums: dict[MarginKey, MarginSum] = {}
        for row in rows:
            try:
                tree = self._fields.decode(row.body)
            except InvalidInput:
                # Its meters could read it; that no cost can leaves it uncosted.
                tree = None
            if tree is not None and tree.blocked_by is not None:
                continue
            revenue = revenues.get(row.position, _UNCHARGED)
            self._add(sums, row, revenue, tree=tree)
        return sums

    def _add(
        self,
        sums: dict[MarginKey, MarginSum],
        row: KeptEvent,
        revenue: Revenue,
        *,
        tree: Any,  # noqa: ANN401 - a struct type that is made at run time
    ) -> None:
        cost, model, key, route = None, "", "", ""
        if tree is not None:
            tree.company_id = row.company_id
            at_us, weight = row.occurred_at_us, tree.weight or 1
            cost = self._table.cost(tree, at_us, weight=weight, currency=revenue.currency)
            model = _text(self._answered(tree)) or _text(self._asked(tree))
            key, route = _text(self._key(tree)), _text(self._route(tree))
        currency = revenue.currency or (cost[0] if cost is not None else "")
        day_us = row.occurred_at_us // _DAY_US * _DAY_US
        place = MarginKey(self._application_id, day_us, row.company_id or "", model, key, route, currency)
        total = sums.get(place)
        if total is None:
            total = sums[place] = MarginSum()
        total.event_count += 1
        total.revenue += revenue.amount
        if cost is None:
            total.uncosted_count += 1
            total.uncosted_revenue += revenue.amount
        else:
            total.cost += cost[1]


def _text(value: object) -> str:
    """Return a field's value as rows are told apart by: texts that any database keeps, not too long."""
    if type(value) is not str:
        value = scalar_text(value)
    if not isinstance(value, str):
        return ""
    return value[:MAX_GROUP_VALUE_CHARACTERS].replace("\0", "")
