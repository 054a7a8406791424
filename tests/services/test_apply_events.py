from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert

from faregate.domain.ledger.burning import GrantKind
from faregate.services.credit import NewGrant, give_grant
from faregate.storage import tables
from faregate.storage.database import Database
from tests.services.world import APP, COMPANY, DOLLAR, NOW, PERIOD_START, Call, World, make_world


def test_the_first_unit_of_a_package_costs_the_package_and_the_rest_of_it_nothing(world: World) -> None:
    world.grant("10")
    world.take(Call(request_id="a", prompt_tokens=1, completion_tokens=1, sequence=1))
    assert world.account().balance == 8 * DOLLAR
    world.take(Call(request_id="b", prompt_tokens=999_999, completion_tokens=1, sequence=2))
    assert world.account().balance == 8 * DOLLAR
    world.take(Call(request_id="c", prompt_tokens=1, completion_tokens=1, sequence=3))
    assert world.account().balance == Decimal("7.5") * DOLLAR
    assert world.total("prc_in").settled == Decimal(1_000_001)


def test_a_repeated_event_changes_nothing(world: World) -> None:
    call = Call(prompt_tokens=7)
    world.take(call)
    before = world.rows("account"), world.rows("usage_window"), world.rows("charge"), world.rows("ledger_entry")
    world.take(call, call)
    world.take(call)
    assert before == (
        world.rows("account"),
        world.rows("usage_window"),
        world.rows("charge"),
        world.rows("ledger_entry"),
    )
    assert world.rows("set_aside") == []


def test_another_body_under_a_gateways_request_id_is_a_conflict_and_not_billed(world: World) -> None:
    world.take(Call(prompt_tokens=7))
    world.take(Call(prompt_tokens=70, sequence=2))
    assert world.total("prc_in").settled == Decimal(7)
    assert [row["reason"] for row in world.rows("set_aside")] == ["conflict"]


def test_a_malformed_event_is_set_aside_and_its_neighbours_count(world: World) -> None:
    world.log(Call(request_id="a").body(), b'{"request": 1}', b"not json", Call(request_id="b", sequence=2).body())
    world.apply()
    assert world.total("prc_in").settled == Decimal(20)
    assert [row["reason"] for row in world.rows("set_aside")] == ["malformed", "malformed"]


def test_an_event_more_than_five_minutes_ahead_is_set_aside_unless_it_is_a_replay(world: World) -> None:
    ahead = NOW + timedelta(minutes=5, microseconds=1)
    world.take(
        Call(request_id="a", occurred_at=NOW + timedelta(minutes=5)),
        Call(request_id="b", occurred_at=ahead, sequence=2),
        Call(request_id="c", occurred_at=ahead, sequence=3, replay=True),
    )
    assert world.total("prc_in").settled == Decimal(20)
    assert [row["reason"] for row in world.rows("set_aside")] == ["ahead"]


def test_only_calls_of_the_route_with_status_200_that_no_rule_blocked_are_metered(world: World) -> None:
    world.take(
        Call(request_id="a"),
        Call(request_id="b", route="/ai/other", sequence=2),
        Call(request_id="c", status=500, sequence=3),
        Call(request_id="d", blocked_by="rul_1", sequence=4),
    )
    assert world.total("prc_in").settled == Decimal(10)


def test_a_missing_quantity_is_shown_as_unmeterable_and_zero_counts_as_zero(world: World) -> None:
    world.take(
        Call(request_id="a", prompt_tokens=None),
        Call(request_id="b", prompt_tokens=0, sequence=2),
        Call(request_id="c", prompt_tokens="12", sequence=3),
    )
    assert world.total("prc_in").settled == Decimal(12)
    assert [row["meter_id"] for row in world.rows("unmeterable")] == ["mtr_in"]
    window = next(row for row in world.rows("usage_window") if row["meter_id"] == "mtr_in")
    assert window["event_count"] == 2


def test_a_users_events_belong_to_its_company(world: World) -> None:
    with world.database.begin() as transaction:
        transaction.execute(
            insert(tables.user).values(
                application_id=APP, user_id="ann", company_id=COMPANY, name="Ann", created_at=NOW
            )
        )
    world.take(Call(company_id=None, user_id="ann"), Call(request_id="x", company_id=None, user_id="bob", sequence=2))
    assert world.total("prc_in").settled == Decimal(10)
    assert len(world.rows("unmeterable")) == 2


def test_usage_of_a_company_without_the_plan_is_kept_and_costs_nothing(world: World) -> None:
    world.take(Call(company_id="stranger"))
    (window,) = [row for row in world.rows("usage_window") if row["meter_id"] == "mtr_in"]
    assert (window["subscription_id"], window["quantity"]) == ("", Decimal(10))
    assert {row["amount"] for row in world.rows("charge")} == {0}


def test_charges_of_events_add_up_to_the_debits_and_the_rated_total(world: World) -> None:
    world.grant("100")
    calls = [Call(request_id=f"r{n}", prompt_tokens=300_000 + n, sequence=n) for n in range(1, 11)]
    world.log(*(call.body() for call in calls))
    world.apply(most=3)
    charges = sum(int(str(row["amount"])) for row in world.rows("charge"))
    assert charges == world.debits() == (4 * 5 + 15) * DOLLAR // 10


def test_a_window_is_cut_where_a_billing_period_begins(database: Database) -> None:
    world = make_world(database, pays="postpaid")
    anchored = datetime(2026, 3, 1, 0, 2, tzinfo=UTC)
    with database.begin() as transaction:
        transaction.execute(tables.subscription.update().values(started_at=anchored, billed_until=anchored))
    world.clock.at = datetime(2026, 4, 1, 0, 10, tzinfo=UTC)
    border = datetime(2026, 4, 1, 0, 2, tzinfo=UTC)
    world.take(
        Call(request_id="a", occurred_at=border - timedelta(microseconds=1)),
        Call(request_id="b", occurred_at=border, sequence=2),
    )
    windows = [row for row in world.rows("usage_window") if row["meter_id"] == "mtr_in"]
    spans = sorted((row["start_at"], row["end_at"]) for row in windows)
    assert spans == [(border - timedelta(minutes=2), border), (border, border + timedelta(minutes=3))]


def test_usage_of_a_period_already_invoiced_is_rated_in_its_own(world: World) -> None:
    april = datetime(2026, 4, 1, tzinfo=UTC)
    with world.database.begin() as transaction:
        transaction.execute(tables.subscription.update().values(billed_until=april))
    world.clock.at = april + timedelta(hours=1)
    world.take(Call(occurred_at=april - timedelta(seconds=5)))
    (total,) = [row for row in world.rows("price_total") if row["price_id"] == "prc_in"]
    assert total["period_start"] == PERIOD_START
    assert {(row["source"], row["billed_in"]) for row in world.rows("adjustment")} == {("late_event", None)}


def _apply_and_lose_the_connection(world: World) -> None:
    with world.database.begin() as transaction:
        assert world.applier.apply_next(transaction) == 1
        raise ConnectionAbortedError


def test_a_failed_transaction_leaves_no_effect_and_the_next_one_has_them_all(world: World) -> None:
    world.log(Call().body())
    with pytest.raises(ConnectionAbortedError):
        _apply_and_lose_the_connection(world)
    assert world.rows("charge") == []
    assert world.apply() == 1
    assert world.total("prc_in").settled == Decimal(10)


def test_a_repeated_grant_gives_nothing_more(world: World) -> None:
    world.grant("2", caller_id="same")
    world.grant("2", caller_id="same")
    assert world.account().balance == 2 * DOLLAR


def test_a_grant_reaches_the_provider_through_the_outbox(world: World) -> None:
    wanted = NewGrant(
        application_id=APP,
        subscription_id="sub_1",
        amount=Decimal("1.5"),
        kind=GrantKind.PROMOTIONAL,
        description="welcome",
        caller_id="w",
    )
    with world.database.begin() as transaction:
        grant = give_grant(transaction, wanted, new_id=world.new_id, now=NOW)
    assert [row["key"] for row in world.rows("outbox")] == [f"credit_grant:{grant.grant_id}"]


def test_period_totals_begin_with_the_subscriptions_period(world: World) -> None:
    world.take(Call())
    assert world.total("prc_in").key.period_start == PERIOD_START


def test_usage_that_the_ledger_cannot_hold_is_set_aside_alone(world: World) -> None:
    world.take(
        Call(request_id="a", sequence=1),
        Call(request_id="b", prompt_tokens=10**25, sequence=2),
        Call(request_id="c", sequence=3),
    )
    assert world.total("prc_in").settled == Decimal(20)
    assert [(row["position"], row["reason"]) for row in world.rows("set_aside")] == [(2, "unappliable")]
