"""What a re-rating would change: the difference of every subscription and billing period. Nothing is written.

A preview sees the log up to one position. Computed again up to there it shows the same, unless something else than new
events has changed what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Final, NamedTuple

from faregate.base.money import EXACT
from faregate.base.periods import Period
from faregate.services.recount import ROWS, Recount
from faregate.services.rerated import billed_periods, is_billed, period_amounts, read_rerated
from faregate.storage.database import Transaction
from faregate.storage.ledger import PriceTotal
from faregate.storage.reratings import Difference, Rerating, totals_of_prices
from faregate.storage.subscriptions import SubscriptionRow

SUBSCRIPTIONS: Final = 500
"""Subscriptions whose states are in memory at once."""


class _Sides(NamedTuple):
    """A subscription's totals as they are stored, and as they are counted again, by period and version."""

    stored: Mapping[datetime, Mapping[str, PriceTotal]]
    counted: Mapping[datetime, Mapping[str, PriceTotal]]


class ReratingPreview:
    """A preview on its way: `step` until it says that nothing is left."""

    def __init__(self, transaction: Transaction, rerating: Rerating) -> None:
        self.rerating = rerating
        self._rerated = read_rerated(transaction, rerating)
        self._stored = by_period(
            totals_of_prices(
                transaction,
                [version.price_id for version in self._rerated.series.every_version],
                span=rerating.span,
            )
        )
        rows = self._rerated.subscriptions
        self._groups = iter([rows[first : first + SUBSCRIPTIONS] for first in range(0, len(rows), SUBSCRIPTIONS)])
        self._group: tuple[SubscriptionRow, ...] = ()
        self._recount: Recount | None = None
        self._found: list[Difference] = []
        self._digest = hashlib.blake2b(digest_size=20)
        self.event_count = 0

    def step(self, transaction: Transaction, *, most: int = ROWS) -> bool:
        """Count the next events; return whether there may be more."""
        if self._recount is None:
            group = next(self._groups, None)
            if group is None:
                return False
            self._group, self._recount = group, Recount(self._rerated.scope(group))
        if not self._recount.step(transaction, through=self.rerating.through, most=most):
            self._compare(self._recount)
            self.event_count += self._recount.event_count
            self._recount = None
        return True

    @property
    def differences(self) -> list[Difference]:
        """Return what changes, by subscription and period."""
        return self._found

    @property
    def digest(self) -> str:
        """Return what is equal for previews that come to the same amounts."""
        return self._digest.hexdigest()

    def _compare(self, recount: Recount) -> None:
        counted = by_period(recount.totals().values())
        for row in self._group:
            sides = _Sides(
                self._stored.get(row.subscription.subscription_id, {}),
                counted.get(row.subscription.subscription_id, {}),
            )
            starts = {period.start for period in billed_periods(row, self.rerating.span)}
            for start in sorted(starts.union(*sides)):
                found = self._difference(row, start, sides)
                if found.quantity_after or found.amount_after or found.is_invoiced:
                    # Where nothing is counted, what is stored may be of later events alone.
                    after = f"{found.quantity_after:f} {found.amount_after} {found.is_invoiced}"
                    self._digest.update(f"{found.subscription_id} {start} {after}\n".encode())
                if found.quantity_before != found.quantity_after or found.amount_before != found.amount_after:
                    self._found.append(found)

    def _difference(self, row: SubscriptionRow, start: datetime, sides: _Sides) -> Difference:
        subscription, is_invoiced = row.subscription, is_billed(row, start)
        period = subscription.period_at(start) or Period(start, start)
        stored, counted = (side.get(start, {}) for side in sides)
        before = period_amounts(
            self._rerated.prices,
            self._rerated.standing,
            subscription,
            period=period,
            totals=stored,
            is_invoiced=is_invoiced,
        )
        after = period_amounts(
            self._rerated.prices,
            self._rerated.series,
            subscription,
            period=period,
            totals=counted,
            is_invoiced=is_invoiced,
        )
        return Difference(
            company_id=subscription.company_id,
            subscription_id=subscription.subscription_id,
            period_start=period.start,
            period_end=period.end,
            currency=subscription.currency.code,
            is_invoiced=is_invoiced,
            quantity_before=_quantity(stored),
            quantity_after=_quantity(counted),
            amount_before=sum(before.values()),
            amount_after=sum(after.values()),
        )


def by_period(totals: Iterable[PriceTotal]) -> dict[str, dict[datetime, dict[str, PriceTotal]]]:
    """Return totals by subscription, by the start of their period, and by the version of the price."""
    found: dict[str, dict[datetime, dict[str, PriceTotal]]] = {}
    for total in totals:
        of_subscription = found.setdefault(total.key.subscription_id, {})
        of_subscription.setdefault(total.key.period_start, {})[total.key.price_id] = total
    return found


def _quantity(totals: Mapping[str, PriceTotal]) -> Decimal:
    return reduce(EXACT.add, (total.settled for total in totals.values()), Decimal(0))
