"""End a grant, refund what is left of a paid one, correct one: each an entry of its own, nothing rewritten."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.limits import MAX_LEDGER_UNITS
from faregate.base.money import from_ledger_units
from faregate.domain.customers.subscription import Subscription
from faregate.domain.ledger.burning import GrantKind
from faregate.domain.ledger.credit_account import CreditAccount, GrantPhase, KeptGrant, Movement, voided
from faregate.services import subscriptions
from faregate.services.accounts import refresh_accounts
from faregate.services.change import Change
from faregate.services.credit import ledger_units
from faregate.services.mirror_credit import mirror_credit
from faregate.services.posting import CreditBook
from faregate.storage.credit import GrantRow, read_grant
from faregate.storage.database import Transaction
from faregate.storage.ledger import Account, EntryKind, NewEntry, posted_before


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPlace:
    """A grant, by its subscription and its own id."""

    subscription_id: str
    grant_id: str


def find_existing(transaction: Transaction, place: GrantPlace) -> GrantRow:
    """Return a grant; `NotFound` where the subscription has none of that id."""
    row = read_grant(transaction, place.subscription_id, place.grant_id)
    if row is None:
        raise NotFound("grant", place.grant_id)
    return row


def void_grant(transaction: Transaction, change: Change, place: GrantPlace, *, reason: str) -> GrantRow:
    """End a grant now; what running calls lean on goes as they end. Again, it changes nothing.

    Raises `NotFound`, and `Conflict` on `grant_id` where it has ended by itself.
    """
    open_grant = _OpenGrant(transaction, change, place)
    if open_grant.kept.grant.voided_at is not None:
        return find_existing(transaction, place)
    open_grant.require(GrantPhase.SCHEDULED, GrantPhase.ACTIVE)
    open_grant.credit.replace_grant(voided(open_grant.kept.grant, change.now))
    open_grant.book.words[place.grant_id] = reason
    open_grant.book.cross(place.subscription_id, change.now)
    return open_grant.save()


def refund_grant(
    transaction: Transaction,
    change: Change,
    place: GrantPlace,
    *,
    amount: Decimal | None,
    reason: str,
    caller_id: str,
) -> GrantRow:
    """Take what is refunded out of a paid grant: at most what is not used and not reserved; all of that by default.

    Raises `InvalidInput` on `amount` for more, and `Conflict` on `grant_id` where nothing can be refunded. A repeated
    `caller_id` refunds nothing more.
    """
    open_grant = _OpenGrant(transaction, change, place)
    entry = _entry(change, place, EntryKind.REFUND, amount=0, reason=reason, caller_id=caller_id)
    if posted_before(transaction, [entry]):
        return find_existing(transaction, place)
    open_grant.require(GrantPhase.ACTIVE)
    if open_grant.kept.grant.kind is not GrantKind.PAID:
        raise Conflict("grant_id", "is promotional: nobody paid for it; void it instead")
    free = open_grant.kept.remaining - open_grant.leaned_on
    if not free:
        raise Conflict("grant_id", "has nothing left that is neither used nor reserved for running calls")
    units = free if amount is None else ledger_units("amount", amount, open_grant.subscription)
    if units > free:
        most = from_ledger_units(free, open_grant.subscription.currency)
        raise InvalidInput.of("amount", f"must be at most {most}: the rest is used, or reserved for running calls")
    movements = open_grant.credit.withdraw(place.grant_id, units)
    open_grant.post(
        _entry(change, place, EntryKind.REFUND, amount=-units, reason=reason, caller_id=caller_id), movements
    )
    return open_grant.save()


def take_back_grant(
    transaction: Transaction, change: Change, place: GrantPlace, *, amount: Decimal, reason: str, caller_id: str
) -> bool:
    """Take back what the provider has paid back of a grant, used or not; return whether this call did it.

    What the grant no longer has, or running calls lean on, is taken of the balance, and the next credit pays it. A
    repeated `caller_id` takes nothing more.
    """
    open_grant = _OpenGrant(transaction, change, place)
    entry = _entry(change, place, EntryKind.REFUND, amount=0, reason=reason, caller_id=caller_id)
    if posted_before(transaction, [entry]):
        return False
    units = ledger_units("amount", amount, open_grant.subscription)
    own = max(0, min(units, open_grant.kept.remaining - open_grant.leaned_on))
    movements = open_grant.credit.withdraw(place.grant_id, own) if own else ()
    movements += open_grant.credit.post(own - units) if own < units else ()
    open_grant.post(
        _entry(change, place, EntryKind.REFUND, amount=-units, reason=reason, caller_id=caller_id), movements
    )
    open_grant.save()
    return True


def is_taken_back(transaction: Transaction, change: Change, place: GrantPlace, *, caller_id: str) -> bool:
    """Return whether `take_back_grant` was called with the caller's id."""
    entry = _entry(change, place, EntryKind.REFUND, amount=0, reason="", caller_id=caller_id)
    return bool(posted_before(transaction, [entry]))


def adjust_grant(
    transaction: Transaction,
    change: Change,
    place: GrantPlace,
    *,
    amount: Decimal,
    reason: str,
    caller_id: str,
) -> GrantRow:
    """Correct a grant by a signed amount: more of it, or less.

    What a grant no longer has is taken of other credit, and beyond that the next credit pays it. Raises `InvalidInput`
    on `amount`, and `Conflict` on `grant_id` for more of a grant that is not active or recurs. A repeated `caller_id`
    changes nothing more.
    """
    open_grant = _OpenGrant(transaction, change, place)
    entry = _entry(change, place, EntryKind.ADJUST, amount=0, reason=reason, caller_id=caller_id)
    if posted_before(transaction, [entry]):
        return find_existing(transaction, place)
    units = ledger_units("amount", abs(amount), open_grant.subscription)
    units = units if amount > 0 else -units
    if abs(open_grant.credit.balance + units) > MAX_LEDGER_UNITS:
        raise InvalidInput.of("amount", "would make the balance larger than the ledger can hold")
    if amount > 0:
        open_grant.require(GrantPhase.ACTIVE)
        if open_grant.kept.grant.recurs is not None:
            raise Conflict("grant_id", "recurs: give another grant beside it instead")
        movements = open_grant.credit.enlarge(place.grant_id, units)
    else:
        own = min(-units, open_grant.kept.remaining - open_grant.leaned_on)
        movements = open_grant.credit.withdraw(place.grant_id, own) if own else ()
        movements += open_grant.credit.post(own + units) if own + units else ()
    open_grant.post(
        _entry(change, place, EntryKind.ADJUST, amount=units, reason=reason, caller_id=caller_id), movements
    )
    return open_grant.save()


class _OpenGrant:
    """A grant under change, with the credit that it belongs to, as time has made it by now."""

    def __init__(self, transaction: Transaction, change: Change, place: GrantPlace) -> None:
        self._transaction = transaction
        self._change = change
        self._place = place
        self._mirrored: list[tuple[EntryKind, int]] = []
        self.subscription: Subscription = subscriptions.find_existing(
            transaction, change.application_id, place.subscription_id
        ).subscription
        self.book = CreditBook(transaction, [place.subscription_id], gives_back=True)
        self.book.cross(place.subscription_id, change.now)
        self.credit: CreditAccount = self.book.credits[place.subscription_id]
        self.kept: KeptGrant = self.credit.grants.get(place.grant_id) or find_existing(transaction, place).kept

    @property
    def account(self) -> Account:
        return self.book.accounts[self._place.subscription_id]

    @property
    def leaned_on(self) -> int:
        """Return what of the grant units in leases lean on."""
        return self.credit.backing(self.account.reserved).get(self._place.grant_id, 0)

    def require(self, *phases: GrantPhase) -> None:
        if self.kept.phase not in phases:
            raise Conflict("grant_id", f"is {self.kept.phase.value}")

    def post(self, entry: NewEntry, movements: tuple[Movement, ...]) -> None:
        self.book.post_moved(entry, movements)
        self._mirrored.append((entry.kind, entry.amount))

    def save(self) -> GrantRow:
        """Write everything, and tell the provider."""
        ids = self.book.save()
        for kind, amount in self._mirrored:
            mirror_credit(
                self._transaction,
                self.account,
                self.kept.grant,
                amount=amount,
                name=f"{self._place.grant_id}:{kind.value}:{ids[-1]}",
                at=self._change.now,
            )
        refresh_accounts(self._transaction, subscription_ids=[self._place.subscription_id], now=self._change.now)
        return find_existing(self._transaction, self._place)


def _entry(change: Change, place: GrantPlace, kind: EntryKind, *, amount: int, reason: str, caller_id: str) -> NewEntry:
    return NewEntry(
        application_id=change.application_id,
        subscription_id=place.subscription_id,
        kind=kind,
        amount=amount,
        caller_id=f"{kind.value}:{place.grant_id}:{caller_id}",
        description=reason,
        occurred_at=change.now,
    )
