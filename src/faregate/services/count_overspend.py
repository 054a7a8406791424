"""Count what prepaid accounts spend that they do not have, by cause, in the transaction that does it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from faregate.domain.ledger.overspend import OverspendCause
from faregate.services.account_book import AccountBook
from faregate.services.admit_events import AdmittedEvent
from faregate.services.place_usage import Posting
from faregate.storage.database import Transaction
from faregate.storage.overspend import add_overspend
from faregate.wire.gateway_protocol import WhenCreditEnds


def count_usage(
    transaction: Transaction,
    book: AccountBook,
    *,
    postings: Sequence[Posting],
    admitted: Sequence[AdmittedEvent],
    short: Collection[str],
    now: datetime,
) -> None:
    """Count what a batch of events overspent; `short`: the leases that had fewer units left than were drawn.

    What one account overspent in a batch has one cause: the first that applies of agents, late, finished, not_held,
    above_hold.
    """
    fallen = book.overspent()
    if not fallen:
        return
    facts = {position: found for position, _, found in admitted}
    causes: dict[str, set[OverspendCause]] = {}
    for posting in postings:
        if posting.key is None or posting.key.subscription_id not in fallen:
            continue
        found = facts.get(posting.measured.position)
        if found is None:
            cause = OverspendCause.AGENTS
        elif any(drawn.lease_id in short for drawn in found.drawn):
            cause = OverspendCause.LATE
        elif found.credit_ended is WhenCreditEnds.FINISH:
            cause = OverspendCause.FINISHED
        else:
            cause = OverspendCause.ABOVE_HOLD if found.drawn else OverspendCause.NOT_HELD
        causes.setdefault(posting.key.subscription_id, set()).add(cause)
    first = {
        subscription_id: next(cause for cause in _IN_ORDER if cause in found)
        for subscription_id, found in causes.items()
    }
    count(transaction, book, fallen, causes=first, now=now)


def count(
    transaction: Transaction,
    book: AccountBook,
    fallen: Mapping[str, int],
    *,
    causes: Mapping[str, OverspendCause],
    now: datetime,
) -> None:
    """Count what accounts of a book overspent; `entry` where no cause is given."""
    for subscription_id, amount in sorted(fallen.items()):
        add_overspend(
            transaction,
            book.accounts[subscription_id].application_id,
            subscription_id,
            cause=causes.get(subscription_id, OverspendCause.ENTRY),
            amount=amount,
            at=now,
        )


_IN_ORDER = (
    OverspendCause.AGENTS,
    OverspendCause.LATE,
    OverspendCause.FINISHED,
    OverspendCause.NOT_HELD,
    OverspendCause.ABOVE_HOLD,
)
