"""The period totals that one transaction works on: loaded once, changed in memory, written once.

Everything that settles units or moves them into and out of leases goes through a book, so that what is reserved is
always computed from totals and never accumulated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEDGER_UNITS
from faregate.base.money import EXACT, to_ledger_units
from faregate.base.periods import Period
from faregate.domain.catalog.models import Percentage
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceList
from faregate.domain.customers.subscription import Pays
from faregate.domain.ledger.overspend import overspent
from faregate.domain.ledger.reserve import PriceUse, reserved_amount
from faregate.domain.pricing.paid_ahead import units_paid_ahead
from faregate.domain.pricing.percentage import EventsSoFar, event_amount
from faregate.domain.pricing.rating import WHOLE, DimensionKey, debit_total, leaf_of, rate_period
from faregate.services.known_terms import KnownTerms
from faregate.storage.database import Transaction
from faregate.storage.ledger import (
    PriceTotal,
    TotalKey,
    change_reserved,
    empty_total,
    lock_accounts,
    read_totals,
    write_totals,
)

_NOTHING: Final = Decimal(0)


class Rated(NamedTuple):
    """What is rated of one dimension; of a percentage, the events that it comes of."""

    total: Decimal
    events: EventsSoFar | None


class AccountBook:
    """Totals by key. Loading locks their accounts, in id order, before a total is read."""

    def __init__(
        self,
        transaction: Transaction,
        prices: PriceList,
        keys: Mapping[TotalKey, Period],
        *,
        terms: KnownTerms | None = None,
    ) -> None:
        self._transaction = transaction
        terms = terms or KnownTerms(transaction)
        subscriptions = terms.subscriptions({key.subscription_id for key in keys})
        self._prices = {
            key: subscriptions[key.subscription_id].version_paid(prices, key.price_id, period_start=key.period_start)
            for key in keys
        }
        self._subscriptions = subscriptions
        self.accounts = lock_accounts(transaction, {key.subscription_id for key in keys})
        self._balances = {subscription_id: account.balance for subscription_id, account in self.accounts.items()}
        self._totals = read_totals(transaction, keys)
        self._reserved_changes: dict[str, int] = {}
        self._free_up_to: dict[TotalKey, Decimal] = {}
        for key, period in keys.items():
            if key not in self._totals:
                self._totals[key] = empty_total(key.subscription_id, key.price_id, period)

    @property
    def currencies(self) -> dict[str, str]:
        """Return the currency of each subscription."""
        return {key: found.currency.code for key, found in self._subscriptions.items()}

    def use(self, key: TotalKey) -> PriceUse:
        """Return what is settled and outstanding of a price."""
        total = self._totals[key]
        return PriceUse(price=self._prices[key], totals=total.totals, outstanding=total.outstanding)

    def owed(self, key: TotalKey) -> int:
        """Return what the whole period comes to with the total as it is, in ledger units, as its invoice has it."""
        price, total = self._prices[key], self._totals[key]
        if not total.is_used and not self._subscriptions[key.subscription_id].can_use(key.period_start):
            # A period that begins in a pause owes nothing without usage.
            return 0
        return to_ledger_units(rate_period(price, total.totals), price.currency)

    def settle(self, key: TotalKey, quantity: Decimal, dimension: DimensionKey = ()) -> int:
        """Add a quantity to a dimension's total; return its debit in ledger units: q(rate(after)) - q(rate(before)).

        Raises `InvalidInput`, and changes nothing, where the total or the balance would not fit the ledger.
        """
        total, price = self._totals[key], self._prices[key]
        if self._paid_run(key, [(quantity, dimension)], 0):
            return 0
        added, so_far = rated_part(price, total, quantity, dimension=dimension)
        totals = total.totals | {dimension: EXACT.add(total.totals.get(dimension, Decimal(0)), added)}
        debited = debit_total(price, totals)
        debit = debited - total.debited
        balance = self._balances[key.subscription_id] - debit
        if abs(balance) > MAX_LEDGER_UNITS:
            raise InvalidInput.of("quantity", f"{quantity} would make the balance larger than the ledger can hold")
        self._balances[key.subscription_id] = balance
        total.totals, total.debited = totals, debited
        total.settled = EXACT.add(total.settled, quantity)
        if so_far is not None:
            total.events[dimension] = so_far
        self._free_up_to[key] = EXACT.add(totals.get(WHOLE, _NOTHING), units_paid_ahead(price, totals))
        return debit

    def settle_all(self, key: TotalKey, used: Sequence[tuple[Decimal, DimensionKey]]) -> list[int]:
        """Add quantities to a total, in order; return the debit of each, as `settle` does.

        Units of a package that is paid are added up and cost nothing: a run of them is one addition.
        """
        debits: list[int] = []
        place = 0
        while place < len(used):
            run = self._paid_run(key, used, place)
            debits.extend([0] * run)
            place += run
            if place < len(used):
                quantity, dimension = used[place]
                debits.append(self.settle(key, quantity, dimension))
                place += 1
        return debits

    def _paid_run(self, key: TotalKey, used: Sequence[tuple[Decimal, DimensionKey]], place: int) -> int:
        """Add those of the quantities from `place` on that are paid ahead; return how many."""
        total = self._totals[key]
        before = total.totals.get(WHOLE, _NOTHING)
        free_up_to = self._free_up_to.get(key, before)
        if free_up_to <= before:
            return 0
        after, end = before, place
        while end < len(used):
            quantity, dimension = used[end]
            further = EXACT.add(after, quantity)
            if dimension != WHOLE or quantity < 0 or further > free_up_to:
                break
            after = further
            end += 1
        if end > place:
            total.totals = {WHOLE: after}
            total.settled = EXACT.add(total.settled, EXACT.subtract(after, before))
        return end - place

    def take_back(self, key: TotalKey, quantity: Decimal, dimension: DimensionKey) -> int:
        """Take an event's quantity out of a total, where that does not depend on others; return its debit."""
        total, model = self._totals[key], leaf_of(self._prices[key].model, dimension)
        before = total.totals.get(dimension, _NOTHING)
        if not isinstance(model, Percentage):
            left = Rated(total=EXACT.subtract(before, quantity), events=None)
            return self.restate(key, left, dimension, moved=EXACT.minus(quantity))
        so_far = total.events.get(dimension, EventsSoFar())
        events = EventsSoFar(count=so_far.count - 1, value=EXACT.subtract(so_far.value, quantity))
        left = Rated(total=EXACT.subtract(before, event_amount(model, quantity, EventsSoFar())), events=events)
        return self.restate(key, left if events.count else None, dimension, moved=EXACT.minus(quantity))

    def restate(self, key: TotalKey, rated: Rated | None, dimension: DimensionKey, *, moved: Decimal) -> int:
        """Put what is rated of a dimension in place of what was, None where nothing is; return the debit.

        `moved`: by how many units the quantity changes. Raises `InvalidInput`, and changes nothing, where the balance
        would not fit the ledger.
        """
        total, price = self._totals[key], self._prices[key]
        totals = {place: amount for place, amount in total.totals.items() if place != dimension}
        if rated is not None:
            totals[dimension] = rated.total
        debited = debit_total(price, totals)
        debit = debited - total.debited
        balance = self._balances[key.subscription_id] - debit
        if abs(balance) > MAX_LEDGER_UNITS:
            raise InvalidInput.of("quantity", "the balance would be larger than the ledger can hold")
        self._balances[key.subscription_id] = balance
        total.totals, total.debited = totals, debited
        total.settled = EXACT.add(total.settled, moved)
        total.events.pop(dimension, None)
        if rated is not None and rated.events is not None:
            total.events[dimension] = rated.events
        self._free_up_to.pop(key, None)
        return debit

    def put_out(self, key: TotalKey, units: int) -> None:
        """Count units as outstanding in a lease."""
        self._totals[key].outstanding += units

    def take_in(self, key: TotalKey, units: int) -> None:
        """Count outstanding units as drawn or returned."""
        self._totals[key].outstanding -= units

    def overspent(self) -> dict[str, int]:
        """Return by how much prepaid accounts fell below what they may spend, once the book is saved, in ledger units.

        What is spent out of units that were held leaves what is available as it is: only the rest can make it fall.
        """
        fallen = {}
        for subscription_id, account in self.accounts.items():
            spent = account.balance - self._balances[subscription_id]
            after = account.available - spent - self._reserved_changes.get(subscription_id, 0)
            amount = overspent(before=account.available, after=after)
            if amount and self._subscriptions[subscription_id].pays is Pays.PREPAID:
                fallen[subscription_id] = amount
        return fallen

    def save(self) -> None:
        """Recompute what is reserved and write totals and accounts."""
        differences: dict[str, int] = {}
        for total in self._totals.values():
            reserved = reserved_amount(self.use(total.key))
            account_id = total.key.subscription_id
            differences[account_id] = differences.get(account_id, 0) + reserved - total.reserved
            total.reserved = reserved
        self._reserved_changes = differences
        write_totals(self._transaction, self._totals.values())
        for subscription_id, difference in sorted(differences.items()):
            change_reserved(self._transaction, subscription_id, difference)


def rated_part(
    price: Price, total: PriceTotal, quantity: Decimal, *, dimension: DimensionKey
) -> tuple[Decimal, EventsSoFar | None]:
    """Return what an event adds to what is rated: its quantity; of a percentage its amount, and the events so far."""
    model = leaf_of(price.model, dimension)
    if not isinstance(model, Percentage):
        return quantity, None
    before = total.events.get(dimension, EventsSoFar())
    return event_amount(model, quantity, before), before.plus(quantity)
