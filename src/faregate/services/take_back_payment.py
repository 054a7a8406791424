"""Credit that was paid for and whose money went back: a refund or a dispute at the billing provider takes it back.

Once for each refund and dispute, by the ledger's rules: what is free of the grant, and beyond that the balance, which
the next credit pays. A dispute that is won, or a refund that fails after all, gives back what it took, as a grant of
its own.
"""

from __future__ import annotations

from decimal import Decimal

from faregate.base.money import currency, from_minor_units
from faregate.domain.billing.standing import ChargeStanding, DisputePhase, DisputeStanding
from faregate.domain.ledger.burning import GrantKind
from faregate.services.change import Change
from faregate.services.credit import NewGrant, give_grant
from faregate.services.grant_changes import GrantPlace, is_taken_back, take_back_grant
from faregate.storage.database import Transaction
from faregate.storage.top_ups import BoughtGrant


def take_charge(transaction: Transaction, change: Change, *, bought: BoughtGrant, charge: ChargeStanding) -> str:
    """Take back what was refunded of a payment; return what came of it."""
    taken = [
        refund.refund_id
        for refund in charge.refunds
        if not refund.has_failed
        and take_back_grant(
            transaction,
            change,
            _place(bought),
            amount=_major(refund.amount, charge.currency),
            reason="the payment was refunded",
            caller_id=f"refund:{refund.refund_id}",
        )
    ]
    given = [
        _give_back(
            transaction,
            change,
            bought,
            amount=_major(refund.amount, charge.currency),
            why="a refund failed",
            caller_id=f"refund:{refund.refund_id}:failed",
        )
        for refund in charge.refunds
        if refund.has_failed
        and is_taken_back(transaction, change, _place(bought), caller_id=f"refund:{refund.refund_id}")
    ]
    if not taken and not given:
        return "taken back already"
    parts = [f"credit of {bought.grant_id} taken back for {', '.join(taken)}"] if taken else []
    return "; ".join([*parts, *(f"the refund failed: {grant_id} gives the credit back" for grant_id in given)])


def take_dispute(transaction: Transaction, change: Change, *, bought: BoughtGrant, dispute: DisputeStanding) -> str:
    """Take back what a dispute has taken, or give it back where it was won; return what came of it."""
    caller_id = f"dispute:{dispute.dispute_id}"
    if dispute.phase is DisputePhase.INQUIRY:
        return "an inquiry, which takes no money"
    if dispute.phase is not DisputePhase.WON:
        is_new = take_back_grant(
            transaction,
            change,
            _place(bought),
            amount=_major(dispute.amount, dispute.currency),
            reason="the payment is disputed",
            caller_id=caller_id,
        )
        return f"credit of {bought.grant_id} taken back" if is_new else "taken back already"
    if not is_taken_back(transaction, change, _place(bought), caller_id=caller_id):
        return "won; nothing was taken back for it"
    amount = _major(dispute.amount, dispute.currency)
    given = _give_back(
        transaction, change, bought, amount=amount, why="a dispute was won", caller_id=f"{caller_id}:won"
    )
    return f"won: {given} gives the credit back"


def _give_back(
    transaction: Transaction, change: Change, bought: BoughtGrant, *, amount: Decimal, why: str, caller_id: str
) -> str:
    """Return the grant that gives back what was taken; a repeat returns the first one's."""
    wanted = NewGrant(
        application_id=change.application_id,
        subscription_id=bought.subscription_id,
        amount=amount,
        kind=GrantKind.PAID,
        description=why,
        caller_id=caller_id,
        is_paid_for=True,
    )
    return give_grant(transaction, wanted, new_id=change.new_id, now=change.now).grant_id


def _place(bought: BoughtGrant) -> GrantPlace:
    return GrantPlace(subscription_id=bought.subscription_id, grant_id=bought.grant_id)


def _major(amount: int, code: str) -> Decimal:
    return from_minor_units(amount, currency(code))
