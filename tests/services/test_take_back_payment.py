from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, select, update

from faregate.domain.billing.standing import ChargeStanding, DisputePhase, DisputeStanding, RefundStanding
from faregate.domain.ledger.burning import GrantKind
from faregate.services.credit import NewGrant, give_grant
from faregate.storage import tables
from tests.services.provider_world import ProviderWorld
from tests.services.world import APP, DOLLAR, NOW, SUBSCRIPTION, Call, World

TOP_UP = "top_1"


@pytest.fixture
def there(world: World) -> ProviderWorld:
    """A top-up of 20.00 that bought its credit."""
    wanted = NewGrant(
        application_id=APP,
        subscription_id=SUBSCRIPTION,
        amount=Decimal(20),
        kind=GrantKind.PAID,
        description="automatic top-up",
        caller_id=f"top_up:{TOP_UP}",
    )
    with world.database.begin() as transaction:
        grant = give_grant(transaction, wanted, new_id=world.new_id, now=NOW)
        transaction.execute(
            insert(tables.top_up).values(
                top_up_id=TOP_UP,
                application_id=APP,
                subscription_id=SUBSCRIPTION,
                amount=20 * DOLLAR,
                status="paid",
                grant_id=grant.grant_id,
                began_at=NOW,
                ended_at=NOW,
                attempts=0,
            )
        )
    return ProviderWorld(world)


def refunded(there: ProviderWorld, *amounts: int, faregate_id: str = TOP_UP) -> str:
    """The payment was refunded in parts, in cents; what came of it."""
    there.provider.charges["ch_1"] = ChargeStanding(
        charge_id="ch_1",
        faregate_id=faregate_id,
        currency="USD",
        refunds=tuple(RefundStanding(refund_id=f"re_{place}", amount=each) for place, each in enumerate(amounts)),
    )
    return heard(there, "charge.refunded", "ch_1")


def disputed(there: ProviderWorld, phase: DisputePhase) -> str:
    there.provider.disputes["dp_1"] = DisputeStanding(
        dispute_id="dp_1", faregate_id=TOP_UP, currency="USD", amount=2_000, phase=phase
    )
    return heard(there, "charge.dispute.updated", "dp_1")


def heard(there: ProviderWorld, kind: str, object_id: str) -> str:
    event_id = there.hear(kind, object_id)
    there.work()
    return there.row(event_id).outcome


def balance(there: ProviderWorld) -> int:
    return there.world.account().balance


def test_a_refund_takes_its_credit_back_once(there: ProviderWorld) -> None:
    assert "taken back for re_0" in refunded(there, 500)
    assert balance(there) == 15 * DOLLAR
    assert refunded(there, 500) == "taken back already"
    assert "taken back for re_1" in refunded(there, 500, 300)
    assert balance(there) == 12 * DOLLAR
    assert there.world.entries("refund") == [("refund", -5 * DOLLAR), ("refund", -3 * DOLLAR)]
    assert there.called_back == [SUBSCRIPTION] * 3


def test_what_was_used_already_is_owed_and_the_next_credit_pays_it(there: ProviderWorld) -> None:
    there.world.take(Call(prompt_tokens=10_000_000, completion_tokens=0))
    assert balance(there) == 15 * DOLLAR
    refunded(there, 2_000)
    assert balance(there) == -5 * DOLLAR
    assert there.world.left()[f"top_up:{TOP_UP}"] == 0
    there.world.grant("8.00", caller_id="next")
    assert balance(there) == 3 * DOLLAR
    assert there.world.left()["next"] == 3 * DOLLAR


def test_a_payment_that_bought_no_credit_takes_none_back(there: ProviderWorld) -> None:
    assert refunded(there, 500, faregate_id="") == "no credit was bought by that payment"
    assert (balance(there), there.called_back) == (20 * DOLLAR, [])


def test_a_refund_that_ends_later_is_taken_then_and_given_back_once_when_it_fails(there: ProviderWorld) -> None:
    assert refunded(there) == "taken back already"
    charge = there.provider.charges["ch_1"]
    ended = RefundStanding(refund_id="re_late", amount=500)
    there.provider.charges["ch_1"] = replace(charge, refunds=(ended,))
    assert "taken back for re_late" in heard(there, "refund.updated", "re_late")
    assert balance(there) == 15 * DOLLAR
    failed = replace(ended, has_failed=True)
    never_taken = RefundStanding(refund_id="re_never", amount=700, has_failed=True)
    there.provider.charges["ch_1"] = replace(charge, refunds=(failed, never_taken))
    assert "gives the credit back" in heard(there, "refund.failed", "re_late")
    heard(there, "charge.refund.updated", "re_late")
    assert balance(there) == 20 * DOLLAR


def test_a_refund_that_is_heard_of_before_its_credit_is_given_waits_for_it(there: ProviderWorld) -> None:
    top_up = update(tables.top_up).where(tables.top_up.c.top_up_id == TOP_UP)
    with there.world.database.begin() as transaction:
        grant_id = transaction.execute(select(tables.top_up.c.grant_id)).scalar()
        transaction.execute(top_up.values(status="pending", grant_id=None))
    assert refunded(there, 500) == ""
    with there.world.database.begin() as transaction:
        transaction.execute(top_up.values(status="paid", grant_id=grant_id))
    there.world.clock.at += timedelta(minutes=1)
    there.work()
    assert balance(there) == 15 * DOLLAR


def test_a_dispute_takes_the_credit_back_until_it_is_won(there: ProviderWorld) -> None:
    assert "inquiry" in disputed(there, DisputePhase.INQUIRY)
    assert balance(there) == 20 * DOLLAR
    assert "taken back" in disputed(there, DisputePhase.OPEN)
    assert disputed(there, DisputePhase.OPEN) == "taken back already"
    assert balance(there) == 0
    there.world.clock.at = NOW + timedelta(days=30)
    assert "gives the credit back" in disputed(there, DisputePhase.WON)
    disputed(there, DisputePhase.WON)
    assert balance(there) == 20 * DOLLAR


def test_a_lost_dispute_takes_once_and_one_won_before_it_was_heard_of_gives_nothing(there: ProviderWorld) -> None:
    assert disputed(there, DisputePhase.WON) == "won; nothing was taken back for it"
    assert balance(there) == 20 * DOLLAR
    disputed(there, DisputePhase.LOST)
    disputed(there, DisputePhase.LOST)
    assert balance(there) == 0
