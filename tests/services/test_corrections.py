"""Events that are cancelled and corrected: what is left is what would be had they never been counted."""

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faregate.base.errors import Conflict, InvalidInput, NotFound, Unavailable
from faregate.domain.catalog.models import ByDimension, Percentage, PerUnit
from faregate.domain.catalog.price import Price
from faregate.domain.metering.metric import Average, Count, Latest, Max, Metric, Min, Sum, Unique, WeightedSum
from faregate.domain.metering.units import UNCHANGED, UnitRounding, Units
from faregate.domain.pricing.rating import debit_total, leaves
from faregate.services.change import Change
from faregate.services.corrections import cancel_event, correct_event
from faregate.storage import tables
from faregate.storage.corrections import Correction
from faregate.storage.database import Database
from faregate.storage.ledger import TotalKey, read_totals
from tests.billing.test_every_model import every_price
from tests.builders import priced, terms_text
from tests.services.test_meter_states import FIELD, set_meter
from tests.services.test_recount import run as recount
from tests.services.test_recount import scope
from tests.services.world import APP, DOLLAR, NOW, PERIOD_START, SUBSCRIPTION, Call, World, make_world

ONE = Decimal(1)
KEY = TotalKey(SUBSCRIPTION, "prc_in", PERIOD_START)
METRICS: list[tuple[Metric, Units]] = [
    (Sum(path=FIELD), UNCHANGED),
    (Count(), UNCHANGED),
    (Sum(path=FIELD), Units(multiply=Decimal("0.3"), rounding=UnitRounding.UP)),
    (Unique(path=FIELD), UNCHANGED),
    (Min(path=FIELD), UNCHANGED),
    (Max(path=FIELD), UNCHANGED),
    (Average(path=FIELD), UNCHANGED),
    (Latest(path=FIELD), UNCHANGED),
    (WeightedSum(path=FIELD), UNCHANGED),
]


def ask(world: World, event: str, *, name: str, fields: dict[str, object] | None = None) -> Correction:
    with world.database.begin() as transaction:
        change = Change(application_id=APP, now=world.clock.now(), new_id=world.new_id)
        if fields is None:
            return cancel_event(transaction, change, event, correction_id=name, reason="")
        return correct_event(transaction, change, event, correction_id=name, reason="", fields=fields)


def cancel(world: World, event: str, *, name: str = "c1") -> Correction:
    asked = ask(world, event, name=name)
    world.apply()
    return asked


def tokens(prompt: int) -> dict[str, object]:
    return {"response": {"body": {"usage": {"prompt_tokens": prompt}}}}


def correct(world: World, event: str, prompt: int, *, name: str = "c1") -> Correction:
    asked = ask(world, event, name=name, fields=tokens(prompt))
    world.apply()
    return asked


def set_price(world: World, price: Price) -> None:
    with world.database.begin() as transaction:
        statement = tables.price.update().where(tables.price.c.price_id == "prc_in")
        transaction.execute(statement.values(terms=terms_text(price)))


def call(number: int, prompt: int, *, user_id: str | None = None) -> Call:
    return Call(
        request_id=f"r{number}",
        sequence=number,
        prompt_tokens=prompt,
        completion_tokens=0,
        user_id=user_id,
        occurred_at=NOW - timedelta(minutes=7 * (number % 5)),
    )


def facts(world: World) -> tuple[object, ...]:
    """All that usage comes to, but for what has nothing in it."""
    windows = sorted(
        (str(row["meter_id"]), str(row["start_at"]), str(row["group_key"]), Decimal(str(row["quantity"])), row["state"])
        for row in world.rows("usage_window")
        if row["event_count"]
    )
    days = sorted(
        (str(row["meter_id"]), str(row["start_at"]), str(row["group_key"]), Decimal(str(row["quantity"])), row["state"])
        for row in world.rows("usage_day")
        if row["event_count"]
    )
    states = sorted(
        (str(row["meter_id"]), str(row["group_key"]), str(row["state"])) for row in world.rows("meter_total")
    )
    with world.database.snapshot() as transaction:
        total = read_totals(transaction, [KEY]).get(KEY)
    totals = {} if total is None else {place: amount for place, amount in total.totals.items() if amount}
    events = {} if total is None else total.events
    settled = Decimal(0) if total is None else total.settled
    return windows, days, states, totals, events, settled, world.account().balance


@pytest.fixture
def postpaid(database: Database) -> World:
    return make_world(database, pays="postpaid", input_size=1)


def test_a_cancelled_event_gets_a_compensating_charge_and_the_account_its_money(postpaid: World) -> None:
    postpaid.take(call(1, 3), call(2, 4))
    cancel(postpaid, "evt_1")
    charges = [
        (row["position"], row["quantity"], row["amount"])
        for row in postpaid.rows("charge")
        if row["meter_id"] == "mtr_in"
    ]
    assert charges == [(1, 3, 3 * DOLLAR // 2), (2, 4, 2 * DOLLAR), (3, -3, -3 * DOLLAR // 2)]
    assert postpaid.account().balance == -2 * DOLLAR
    assert postpaid.total("prc_in").settled == 4
    entries = [row for row in postpaid.rows("ledger_entry") if row["price_id"] == "prc_in"]
    assert [row["amount"] for row in entries] == [-7 * DOLLAR // 2, 3 * DOLLAR // 2]
    assert entries[1]["description"] == "takes back the event evt_1"


def test_a_corrected_event_counts_at_its_own_time_with_its_new_quantity(postpaid: World) -> None:
    postpaid.take(call(1, 3), call(2, 4))
    asked = correct(postpaid, "r1", 10)
    assert (asked.position, asked.replacement_position) == (3, 4)
    assert postpaid.total("prc_in").settled == 14
    charge = next(row for row in postpaid.rows("charge") if row["position"] == 4 and row["meter_id"] == "mtr_in")
    assert (charge["quantity"], charge["occurred_at"]) == (10, call(1, 3).occurred_at)
    cancel(postpaid, "evt_4", name="c2")
    assert postpaid.total("prc_in").settled == 4


def test_a_repeat_answers_the_same_and_another_correction_of_the_event_is_a_conflict(postpaid: World) -> None:
    postpaid.take(call(1, 3), call(2, 4))
    first = cancel(postpaid, "evt_1")
    before = facts(postpaid)
    assert ask(postpaid, "evt_1", name="c1").position == first.position
    with pytest.raises(Conflict, match="names another correction already"):
        ask(postpaid, "evt_2", name="c1")
    with pytest.raises(Conflict, match="names another correction already"):
        ask(postpaid, "evt_1", name="c1", fields=tokens(5))
    with pytest.raises(Conflict, match="is cancelled already, by the correction 'c1'"):
        ask(postpaid, "evt_1", name="c2")
    correct(postpaid, "evt_2", 5, name="c3")
    with pytest.raises(Conflict, match="correct evt_5, which stands for it"):
        ask(postpaid, "evt_2", name="c4")
    with pytest.raises(Conflict, match="counts nowhere"):
        ask(postpaid, "evt_3", name="c5")
    with pytest.raises(NotFound):
        ask(postpaid, "evt_99", name="c6")
    postpaid.apply()
    assert facts(postpaid) != before
    assert len(postpaid.rows("correction")) == 2


def test_an_event_that_is_not_metered_yet_cannot_be_corrected_yet(postpaid: World) -> None:
    postpaid.log(call(1, 3).body())
    with pytest.raises(Unavailable, match="not metered yet"):
        ask(postpaid, "evt_1", name="c1")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "event"),
        ({"request": {"time": "2026-03-09T12:00:00Z"}}, "event.request.time"),
        ({"faregate": None}, "event.faregate"),
        ({"request": None}, "event"),
        ({"metadata": {"long": "x" * (1 << 20)}}, "event"),
    ],
)
def test_a_correction_that_cannot_be_is_refused_by_its_field(
    postpaid: World, fields: dict[str, object], field: str
) -> None:
    postpaid.take(call(1, 3))
    with pytest.raises(InvalidInput) as refused:
        ask(postpaid, "evt_1", name="c1", fields=fields)
    assert [fault.field for fault in refused.value.faults] == [field]


def test_a_body_that_looks_like_a_correction_is_none(postpaid: World) -> None:
    postpaid.take(call(1, 3))
    postpaid.log(b'{"cancels":"evt_1","correction_id":"c1","reason":""}')
    postpaid.apply()
    assert postpaid.total("prc_in").settled == 3
    assert [row["reason"] for row in postpaid.rows("set_aside")] == ["malformed"]


def test_a_correction_can_move_an_event_to_another_company_and_out_of_a_meter(postpaid: World) -> None:
    postpaid.take(call(1, 3), call(2, 4))
    ask(postpaid, "evt_1", name="c1", fields={"company_id": "other"})
    ask(postpaid, "evt_2", name="c2", fields={"response": {"status": 500}})
    postpaid.apply()
    assert postpaid.total("prc_in").settled == 0
    assert {row["company_id"] for row in postpaid.rows("usage_window") if row["event_count"]} == {"other"}
    assert postpaid.account().balance == 0


def test_corrections_and_events_are_applied_in_log_order_in_one_batch_or_many(tmp_path: Path) -> None:
    found = []
    for most in (1, 2, 100):
        world = make_world(Database(f"sqlite:///{tmp_path / str(most)}.sqlite3"), pays="postpaid", input_size=1)
        world.take(call(1, 3), call(2, 4))
        world.log(call(3, 1).body())
        ask(world, "evt_1", name="c1", fields=tokens(9))
        world.log(call(4, 1).body())
        ask(world, "evt_2", name="c2")
        world.apply(most=most)
        found.append(facts(world))
        world.database.close()
    assert found[0] == found[1] == found[2]


def test_a_meter_that_never_met_an_event_leaves_what_corrects_it_alone(postpaid: World) -> None:
    postpaid.take(call(1, 3))
    with postpaid.database.begin() as transaction:
        transaction.execute(tables.charge.delete().where(tables.charge.c.meter_id == "mtr_out"))
    correct(postpaid, "evt_1", 5)
    assert {row["meter_id"] for row in postpaid.rows("charge")} == {"mtr_in"}


def test_a_percentages_allowance_is_used_by_the_events_that_are_left(postpaid: World) -> None:
    set_price(postpaid, priced(Percentage(percent=Decimal(10), free_events=1)))
    postpaid.take(call(1, 100), call(2, 50))
    assert postpaid.account().balance == -5 * DOLLAR
    cancel(postpaid, "evt_1")
    assert postpaid.account().balance == 0
    cancel(postpaid, "evt_2", name="c2")
    assert postpaid.account().balance == 0


def test_a_correction_that_fails_is_set_aside_and_its_event_still_counts(
    postpaid: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    postpaid.take(call(1, 3))
    monkeypatch.setattr("faregate.services.account_book.MAX_LEDGER_UNITS", -1)
    correct(postpaid, "evt_1", 5)
    monkeypatch.undo()
    assert postpaid.total("prc_in").settled == 3
    aside = {row["position"]: str(row["detail"]) for row in postpaid.rows("set_aside")}
    assert "larger than the ledger can hold" in aside[2]
    assert "still counts" in aside[3]


kinds = st.sampled_from(["cancel", "correct"])
steps = st.lists(st.tuples(kinds, st.integers(0, 7), st.integers(0, 20)), max_size=6)
amounts = st.lists(st.integers(0, 20), min_size=1, max_size=8)


def _left_over(
    prompts: Sequence[int], wanted: Sequence[tuple[str, int, int]]
) -> tuple[dict[int, int], list[tuple[int, int | None]]]:
    """What is left of numbered calls, by number, and the corrections that are possible, one a call."""
    left, asked = dict(enumerate(prompts, start=1)), []
    seen: set[int] = set()
    for kind, place, prompt in wanted:
        number = place % len(prompts) + 1
        if number in seen or (kind == "correct" and prompt == left[number]):
            continue
        seen.add(number)
        asked.append((number, None if kind == "cancel" else prompt))
        if kind == "cancel":
            del left[number]
        else:
            left[number] = prompt
    return left, asked


def _world(folder: str, name: str, metric: tuple[Metric, Units], price: Price) -> World:
    world = make_world(Database(f"sqlite:///{folder}/{name}.sqlite3"), pays="postpaid", input_size=1)
    set_meter(world, metric[0], units=metric[1], group_by=("user_id",))
    set_price(world, price)
    return world


def _depends_on_order(price: Price, metric: tuple[Metric, Units]) -> bool:
    """Of a percentage, every change of the total is an event: which ones there are depends on the order of a state."""
    is_additive = metric in METRICS[:2]
    models = [*leaves(price.model)] if isinstance(price.model, ByDimension) else [price.model]
    return any(
        isinstance(model, Percentage) and bool(model.free_events or model.free_value or not is_additive)
        for model in models
    )


@settings(max_examples=30)
@given(
    metric=st.sampled_from(METRICS),
    any_price=every_price,
    prompts=amounts,
    wanted=steps,
    most=st.integers(1, 20),
    chance=st.randoms(use_true_random=False),
)
def test_what_is_left_is_what_would_be_had_the_right_events_come_alone(
    metric: tuple[Metric, Units],
    any_price: Price,
    prompts: list[int],
    wanted: list[tuple[str, int, int]],
    most: int,
    chance: Random,
) -> None:
    price = priced(any_price.model, any_price.adjustments, price_id="prc_in")
    left, asked = _left_over(prompts, wanted)
    with tempfile.TemporaryDirectory() as folder:
        world, plain = _world(folder, "world", metric, price), _world(folder, "plain", metric, price)
        users = ["small", "large"]
        calls = [call(number, prompt, user_id=users[number % 2]) for number, prompt in enumerate(prompts, start=1)]
        world.take(*calls)
        world.take(*calls[:2])
        chance.shuffle(asked)
        for number, prompt in asked:
            ask(world, f"r{number}", name=f"c{number}", fields=None if prompt is None else tokens(prompt))
        world.apply(most=most)
        order = sorted(left)
        if _depends_on_order(price, metric):
            # It is the log's; a corrected event has the place of its correction.
            corrected = [number for number, prompt in asked if prompt is not None]
            order = [number for number in order if number not in corrected] + corrected
        plain.take(*(call(number, left[number], user_id=users[number % 2]) for number in order))
        assert facts(world) == facts(plain)
        with world.database.snapshot() as transaction:
            total = read_totals(transaction, [KEY]).get(KEY)
        rows = [row for row in world.rows("ledger_entry") if row["price_id"] == "prc_in"]
        assert -sum(int(str(row["amount"])) for row in rows) == debit_total(price, total.totals if total else {})
        charges = sum(int(str(row["amount"])) for row in world.rows("charge") if row["meter_id"] == "mtr_in")
        assert charges == debit_total(price, total.totals if total else {})
        assert world.rows("set_aside") == []
        world.database.close()
        plain.database.close()


def test_a_recount_leaves_out_what_was_taken_back(postpaid: World) -> None:
    set_price(postpaid, priced(PerUnit(amount=ONE), price_id="prc_in"))
    postpaid.take(call(1, 3), call(2, 4), call(3, 5))
    cancel(postpaid, "evt_1")
    correct(postpaid, "evt_2", 9, name="c2")
    with postpaid.database.snapshot() as transaction:
        found = recount(transaction, scope(transaction)).totals()
        assert found == read_totals(transaction, [KEY])
        assert [total.settled for total in found.values()] == [14]
