"""The period totals that one transaction works on: loaded once, changed in memory, written once.

Everything that settles units or moves them into and out of leases goes through a book, so that what is reserved is
always computed from totals and never accumulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEDGER_UNITS
from faregate.base.money import EXACT
from faregate.base.periods import Period
from faregate.domain.catalog.price import Price
from faregate.domain.ledger.reserve import PriceUse, reserved_amount
from faregate.domain.pricing.rating import debit_total, units_paid_ahead
from faregate.storage.database import Transaction
from faregate.storage.ledger import (
    TotalKey,
    change_reserved,
    empty_total,
    lock_accounts,
    read_totals,
    write_totals,
)


class AccountBook:
    """Totals by key. Loading locks their accounts, in id order, before a total is read."""

    def __init__(self, transaction: Transaction, prices: Mapping[str, Price], keys: Mapping[TotalKey, Period]) -> None:
        self._transaction = transaction
        self._prices = prices
        self.accounts = lock_accounts(transaction, {key.subscription_id for key in keys}) if keys else {}
        self._balances = {subscription_id: account.balance for subscription_id, account in self.accounts.items()}
        self._totals = read_totals(transaction, keys)
        self._free_up_to: dict[TotalKey, Decimal] = {}
        for key, period in keys.items():
            if key not in self._totals:
                self._totals[key] = empty_total(key.subscription_id, key.price_id, period)

    def use(self, key: TotalKey) -> PriceUse:
        """Return what is settled and outstanding of a price."""
        total = self._totals[key]
        return PriceUse(price=self._prices[key.price_id], settled=total.settled, outstanding=total.outstanding)

    def settle(self, key: TotalKey, quantity: Decimal) -> int:
        """Add a quantity to the total; return its debit in ledger units: q(rate(after)) - q(rate(before)).

        Raises `InvalidInput`, and changes nothing, where the total or the balance would not fit the ledger.
        """
        total = self._totals[key]
        settled = EXACT.add(total.settled, quantity)
        free_up_to = self._free_up_to.get(key)
        if free_up_to is not None and settled <= free_up_to:
            total.settled = settled
            return 0
        price = self._prices[key.price_id]
        debited = debit_total(price, settled)
        debit = debited - total.debited
        balance = self._balances[key.subscription_id] - debit
        if abs(balance) > MAX_LEDGER_UNITS:
            raise InvalidInput.of("quantity", f"{quantity} would make the balance larger than the ledger can hold")
        self._balances[key.subscription_id] = balance
        total.settled, total.debited = settled, debited
        self._free_up_to[key] = EXACT.add(settled, units_paid_ahead(price, settled))
        return debit

    def put_out(self, key: TotalKey, units: int) -> None:
        """Count units as outstanding in a lease."""
        self._totals[key].outstanding += units

    def take_in(self, key: TotalKey, units: int) -> None:
        """Count outstanding units as drawn or returned."""
        self._totals[key].outstanding -= units

    def save(self) -> None:
        """Recompute what is reserved and write totals and accounts."""
        differences: dict[str, int] = {}
        for total in self._totals.values():
            reserved = reserved_amount(self.use(total.key))
            account_id = total.key.subscription_id
            differences[account_id] = differences.get(account_id, 0) + reserved - total.reserved
            total.reserved = reserved
        write_totals(self._transaction, self._totals.values())
        for subscription_id, difference in sorted(differences.items()):
            change_reserved(self._transaction, subscription_id, difference)
