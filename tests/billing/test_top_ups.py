"""Accounts that top themselves up, over a real database and the embedded provider."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from faregate.base.errors import Conflict, InvalidInput, Unavailable
from faregate.domain.billing.provider import BillingProvider, ProviderCharge, ProviderCustomer, ProviderPayment
from faregate.domain.billing.top_up import TopUpPause, TopUpStatus
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.change import Change
from faregate.services.run_top_ups import TopUpRunner
from faregate.services.subscriptions import pause_subscription
from faregate.services.top_ups import begin_top_up, read_auto_top_up, remove_auto_top_up, set_auto_top_up
from faregate.storage.database import Database
from faregate.storage.top_ups import TopUpRow, list_top_ups
from faregate.wire.api.top_ups import AutoTopUpSet
from tests.billing.desk import Desk, FaultyProvider, Once
from tests.billing.test_kill import open_desk
from tests.services.world import APP, COMPANY, DOLLAR, NOW, SUBSCRIPTION, make_world

ACME = ProviderCustomer(lookup_key=f"{APP}/{COMPANY}", name="Acme")
HOUR = timedelta(hours=1)


def set_terms(
    desk: Desk, *, below: str = "5", amount: str = "20", most: str | None = None, cool_off_minutes: int = 0
) -> None:
    world = desk.world
    request = AutoTopUpSet(
        below=Decimal(below),
        amount=Decimal(amount),
        most_in_30_days=None if most is None else Decimal(most),
        cool_off_minutes=cool_off_minutes,
    )
    with world.database.begin() as transaction:
        change = Change(application_id=APP, now=world.clock.now(), new_id=world.new_id)
        set_auto_top_up(transaction, change, request, subscription_id=SUBSCRIPTION)


def run(desk: Desk, provider: BillingProvider | None = None) -> int:
    world = desk.world
    runner = TopUpRunner(world.database, provider or desk.provider, world.clock, new_id=world.new_id)
    return asyncio.run(runner.run())


def top_ups(desk: Desk) -> list[TopUpRow]:
    with desk.world.database.snapshot() as transaction:
        return list_top_ups(transaction, SUBSCRIPTION)


def statuses(desk: Desk) -> list[str]:
    return [row.status.value for row in top_ups(desk)]


def pause(desk: Desk) -> TopUpPause | None:
    world = desk.world
    with world.database.snapshot() as transaction:
        return read_auto_top_up(transaction, APP, SUBSCRIPTION, now=world.clock.now()).paused


@pytest.fixture
def paying(prepaid: Desk) -> Desk:
    """A prepaid customer with a card that works and no credit."""
    prepaid.provider.set_payment_method(ACME, "pm_card_visa")
    return prepaid


def test_an_account_below_its_threshold_is_topped_up_once(paying: Desk) -> None:
    set_terms(paying)
    assert run(paying) == 1
    assert run(paying) == 0
    (row,) = top_ups(paying)
    assert (row.status, row.amount, row.failure) == (TopUpStatus.PAID, 20 * DOLLAR, None)
    assert paying.balance() == 20 * DOLLAR
    (grant,) = paying.world.rows("credit_grant")
    assert (grant["grant_id"], grant["kind"], grant["amount"]) == (row.grant_id, "paid", 20 * DOLLAR)
    assert pause(paying) is TopUpPause.ENOUGH


def test_credit_that_is_bought_lets_the_company_in_again(paying: Desk) -> None:
    assert paying.cohorts()
    set_terms(paying)
    run(paying)
    assert not paying.cohorts()


def test_an_account_that_is_spent_again_is_topped_up_again(paying: Desk) -> None:
    set_terms(paying)
    run(paying)
    paying.use(0, 10_000_001)
    assert paying.balance() == 20 * DOLLAR - 11 * 1_500_000_000
    assert run(paying) == 1
    assert paying.balance() == 40 * DOLLAR - 11 * 1_500_000_000


def test_side_by_side_runs_pay_for_no_more_than_is_due(paying: Desk) -> None:
    set_terms(paying, amount="1", below="1.50")
    world = paying.world
    runner = TopUpRunner(world.database, paying.provider, world.clock, new_id=world.new_id)

    async def run_many() -> None:
        await asyncio.gather(*(runner.run() for _ in range(8)))

    asyncio.run(run_many())
    paid = [row for row in top_ups(paying) if row.status is TopUpStatus.PAID]
    assert 1 <= len(paid) <= 2
    assert paying.balance() == len(paid) * DOLLAR


def test_a_declined_payment_gives_no_credit_and_does_not_loop(paying: Desk) -> None:
    paying.provider.set_payment_method(ACME, "pm_card_chargeCustomerFail")
    set_terms(paying)
    for _ in range(5):
        run(paying)
    assert [(row.status.value, row.failure) for row in top_ups(paying)] == [("failed", "card_declined")]
    assert pause(paying) is TopUpPause.COOLING_OFF
    for hours in range(1, 8):
        paying.move(NOW + hours * HOUR)
        run(paying)
    assert statuses(paying) == ["failed"] * 3
    assert pause(paying) is TopUpPause.STOPPED
    assert paying.balance() == 0


def test_an_account_that_waits_takes_no_turn_on_the_writing_thread(paying: Desk) -> None:
    paying.provider.set_payment_method(ACME, "pm_card_chargeCustomerFail")
    set_terms(paying)
    run(paying)
    commits: list[None] = []
    paying.world.database.after_commit = lambda: commits.append(None)
    run(paying)
    assert pause(paying) is TopUpPause.COOLING_OFF
    assert not commits


def test_a_stopped_account_goes_on_when_its_terms_are_set_again(paying: Desk) -> None:
    paying.provider.set_payment_method(ACME, "pm_card_authenticationRequired")
    set_terms(paying)
    for hours in range(5):
        paying.move(NOW + hours * HOUR)
        run(paying)
    paying.provider.set_payment_method(ACME, "pm_card_mastercard")
    run(paying)
    assert [row.failure for row in top_ups(paying)] == ["authentication_required"] * 3
    set_terms(paying)
    run(paying)
    assert statuses(paying)[3:] == ["paid"]


def test_a_customer_without_a_payment_method_is_told_so(prepaid: Desk) -> None:
    set_terms(prepaid)
    run(prepaid)
    assert [row.failure for row in top_ups(prepaid)] == ["no_payment_method"]


def test_no_more_than_the_limit_is_bought(paying: Desk) -> None:
    set_terms(paying, below="1000", amount="20", most="50")
    for _ in range(5):
        run(paying)
    assert paying.balance() == 40 * DOLLAR
    assert pause(paying) is TopUpPause.LIMIT_REACHED
    paying.move(NOW + timedelta(days=30))
    run(paying)
    assert paying.balance() == 60 * DOLLAR


def test_the_cool_off_is_kept_between_payments(paying: Desk) -> None:
    set_terms(paying, below="1000", cool_off_minutes=30)
    run(paying)
    paying.move(NOW + timedelta(minutes=29))
    assert run(paying) == 0
    paying.move(NOW + timedelta(minutes=30))
    assert run(paying) == 1


def test_an_answer_that_was_lost_is_asked_for_again_and_paid_once(paying: Desk) -> None:
    set_terms(paying)
    faulty = FaultyProvider(paying.provider, after=Once("take_payment"))
    assert run(paying, faulty) == 0
    assert statuses(paying) == ["pending"]
    assert pause(paying) is TopUpPause.PENDING
    assert run(paying, faulty) == 0, "it is asked again only after a while"
    paying.move(NOW + timedelta(seconds=2))
    assert run(paying, faulty) == 1
    assert paying.balance() == 20 * DOLLAR


def test_a_provider_that_is_away_is_asked_ever_more_seldom(paying: Desk) -> None:
    set_terms(paying)
    asked: list[str] = []

    def away(method: str, key: str) -> None:
        asked.append(f"{method}:{key}")
        raise Unavailable("the line is dead")

    faulty = FaultyProvider(paying.provider, before=away)
    for second in range(60):
        paying.move(NOW + timedelta(seconds=second))
        run(paying, faulty)
    assert 4 <= len(asked) <= 7
    assert len(set(asked)) == 1, "always for the same payment"
    assert statuses(paying) == ["pending"]


def test_a_provider_that_does_not_answer_is_no_outcome(paying: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faregate.services.provider_calls.PROVIDER_TIMEOUT_S", 0.05)
    answered = threading.Event()

    def hang(method: str, key: str) -> None:
        del method, key
        answered.wait(0.5)

    set_terms(paying)
    run(paying, FaultyProvider(paying.provider, before=hang))
    answered.set()
    assert statuses(paying) == ["pending"]
    monkeypatch.undo()
    paying.move(NOW + timedelta(seconds=2))
    run(paying)
    assert paying.balance() == 20 * DOLLAR


def test_what_the_provider_refuses_for_good_is_a_failed_payment(paying: Desk) -> None:
    set_terms(paying)

    def refuse(method: str, key: str) -> None:
        del method, key
        raise InvalidInput.of("currency", "is not one of this account")

    run(paying, FaultyProvider(paying.provider, before=refuse))
    assert [(row.status.value, row.failure) for row in top_ups(paying)] == [("failed", "invalid_input")]


def test_a_crash_of_one_payment_leaves_the_others_alone(paying: Desk) -> None:
    set_terms(paying)

    def crash(method: str, key: str) -> None:
        del method, key
        raise ZeroDivisionError("a bug of ours")

    assert run(paying, FaultyProvider(paying.provider, before=crash)) == 0
    assert statuses(paying) == ["pending"]


def test_two_outcomes_of_one_payment_give_its_credit_once(paying: Desk) -> None:
    set_terms(paying)
    world = paying.world
    runner = TopUpRunner(world.database, paying.provider, world.clock, new_id=world.new_id)
    with world.database.begin() as transaction:
        begin_top_up(transaction, APP, SUBSCRIPTION, new_id=world.new_id, now=NOW)

    async def both() -> None:
        await asyncio.gather(runner.run(), runner.run())

    asyncio.run(both())
    assert paying.balance() == 20 * DOLLAR


def test_a_subscription_that_is_paused_buys_nothing(paying: Desk) -> None:
    set_terms(paying)
    world = paying.world
    with world.database.begin() as transaction:
        change = Change(application_id=APP, now=NOW, new_id=world.new_id)
        pause_subscription(transaction, change, SUBSCRIPTION)
    assert run(paying) == 0
    assert statuses(paying) == []


def test_terms_that_were_removed_buy_nothing(paying: Desk) -> None:
    set_terms(paying)
    world = paying.world
    with world.database.begin() as transaction:
        change = Change(application_id=APP, now=NOW, new_id=world.new_id)
        remove_auto_top_up(transaction, change, SUBSCRIPTION)
        assert begin_top_up(transaction, APP, SUBSCRIPTION, new_id=world.new_id, now=NOW) is None
    assert run(paying) == 0


def test_credit_that_was_bought_pays_the_invoice_and_is_paid_for_once(paying: Desk) -> None:
    set_terms(paying)
    run(paying)
    paying.use(2_000_000, 0)
    paying.close_month(NOW.replace(month=4, day=1, hour=0))
    (invoice,) = paying.invoices()
    assert (invoice.total, invoice.credit_applied, invoice.amount_due) == (100, 100, 0)


_BUYER = """
import os, signal, sys
from pathlib import Path
from tests.billing.desk import FaultyProvider
from tests.billing.test_kill import open_desk
from tests.billing.test_top_ups import run

def die(method, key):
    os.kill(os.getpid(), signal.SIGKILL)

with open_desk(Path(sys.argv[1])) as desk:
    run(desk, FaultyProvider(desk.provider, **{sys.argv[2]: die}))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_killed_around_the_payment_pays_once_when_it_runs_again(tmp_path: Path, moment: str) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'faregate.sqlite3'}")) as database:
        make_world(database)
    with open_desk(tmp_path) as desk:
        desk.provider.set_payment_method(ACME, "pm_card_visa")
        set_terms(desk)
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, "-c", _BUYER, tmp_path, moment], cwd=root, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with open_desk(tmp_path) as desk:
        assert statuses(desk) == ["pending"]
        assert (run(desk), run(desk)) == (1, 0)
        assert desk.balance() == 20 * DOLLAR


Charge = Callable[[str, int], ProviderPayment]


@pytest.fixture
def charge(provider: EmbeddedProvider) -> Charge:
    def take(key: str, amount: int) -> ProviderPayment:
        wanted = ProviderCharge(lookup_key=key, customer=ACME, currency="USD", amount=amount, description="Credit")
        return provider.take_payment(wanted)

    return take


def test_the_provider_answers_a_repeat_with_the_first_outcome(provider: EmbeddedProvider, charge: Charge) -> None:
    first = charge("top_1", 2_000)
    provider.set_payment_method(ACME, "pm_card_visa")
    assert charge("top_1", 2_000) == first
    assert first.failure == "no_payment_method"
    assert charge("top_2", 2_000).failure is None


def test_the_provider_refuses_a_repeat_of_another_amount(charge: Charge) -> None:
    charge("top_1", 2_000)
    with pytest.raises(Conflict, match="with another amount"):
        charge("top_1", 2_001)


def test_the_provider_names_the_methods_that_it_takes(provider: EmbeddedProvider) -> None:
    with pytest.raises(InvalidInput, match=r"payment_method: .*pm_card_visa.*not 'pm_card_nobody'"):
        provider.set_payment_method(ACME, "pm_card_nobody")
