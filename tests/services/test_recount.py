"""Counting kept events again comes to what the applier stored, for every meter and every price."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from faregate.base.errors import InvalidInput
from faregate.base.periods import Period, Span
from faregate.domain.catalog.price import Price
from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.history import MeterChange, MeterHistory
from faregate.domain.metering.metric import (
    Average,
    Count,
    Latest,
    Max,
    Metric,
    Min,
    Sum,
    Unique,
    WeightedSum,
)
from faregate.domain.metering.units import UNCHANGED, UnitRounding, Units
from faregate.services.recount import Recount, RecountScope, days_of, first_period
from faregate.storage import tables
from faregate.storage.database import Database, Transaction
from faregate.storage.kept_events import newest_admitted
from faregate.storage.ledger import total_from_row
from faregate.storage.metered import read_all_meters, read_all_prices, read_subscriptions
from faregate.storage.state_feed import record_change
from faregate.storage.usage import WindowKey, read_windows
from faregate.storage.usage_states import DayKey, MeterTotalKey, read_days, read_meter_totals
from tests.builders import a_filter, a_meter, a_subscription, priced, terms_text
from tests.domain.pricing.models import MODELS, percentages, prices_of, table_prices
from tests.services.world import APP, NOW, PERIOD_START, SUBSCRIPTION, Call, World, add_subscription, make_world

FIELD: Final = FieldPath("response.body.usage.prompt_tokens")
EVER: Final = Span(PERIOD_START)
metrics: Final = st.sampled_from(
    [
        Count(),
        Sum(path=FIELD),
        Unique(path=FIELD),
        Min(path=FIELD),
        Max(path=FIELD),
        Average(path=FIELD),
        Latest(path=FIELD),
        WeightedSum(path=FIELD),
    ]
)
every_price: Final = st.sampled_from([*MODELS]).flatmap(prices_of) | percentages.map(priced) | table_prices
a_call: Final = st.builds(
    lambda tokens, minutes, company, user: Call(
        prompt_tokens=tokens,
        occurred_at=NOW - timedelta(minutes=minutes),
        company_id=company,
        user_id=user,
        replay=True,
    ),
    st.integers(0, 70),
    st.sampled_from([0, 1, 4, 7, 700, 3_000, 9_000, 14_000]),
    st.sampled_from(["acme", "globex", "nobody"]),
    st.sampled_from(["small", "large", "other"]),
)


def set_price(world: World, price: Price) -> None:
    with world.database.begin() as transaction:
        transaction.execute(
            update(tables.price).where(tables.price.c.price_id == "prc_in").values(terms=terms_text(price))
        )


def set_meter(world: World, metric: Metric, units: Units = UNCHANGED, group_by: tuple[str, ...] = ()) -> None:
    definition = write_definition(
        a_meter(a_filter(response__status=200), metric=metric, units=units, group_by=group_by).definition
    )
    with world.database.begin() as transaction:
        transaction.execute(
            update(tables.meter).where(tables.meter.c.meter_id == "mtr_in").values(definition=definition)
        )
        record_change(transaction, "meter", "mtr_in")


def add_customer(world: World, subscription_id: str, company_id: str) -> None:
    with world.database.begin() as transaction:
        transaction.execute(
            insert(tables.company).values(application_id=APP, company_id=company_id, name=company_id, created_at=NOW)
        )
        add_subscription(transaction, subscription_id, company_id, "postpaid")


def scope(transaction: Transaction, *, series_id: str = "prc_in", span: Span = EVER) -> RecountScope:
    prices = read_all_prices(transaction)
    series = prices.series_of(series_id)
    assert series is not None
    meters = [meter for meter in read_all_meters(transaction)[APP] if meter.price_id == series_id]
    ids = transaction.execute(select(tables.subscription.c.subscription_id)).scalars().all()
    return RecountScope(
        application_id=APP,
        prices=prices,
        series=series,
        meters=[MeterHistory(made=meter) for meter in meters],
        subscriptions=[*read_subscriptions(transaction, ids).values()],
        span=span,
        with_windows=True,
    )


def run(transaction: Transaction, wanted: RecountScope, *, most: int = 1_000) -> Recount:
    recount, through = Recount(wanted), newest_admitted(transaction)
    while recount.step(transaction, through=through, most=most):
        pass
    assert recount.position == through
    return recount


def stored_totals(transaction: Transaction, price_id: str = "prc_in") -> dict[object, object]:
    rows = transaction.execute(select(tables.price_total).where(tables.price_total.c.price_id == price_id))
    return {total.key: total for total in map(total_from_row, rows)}


def as_kept(recount: Recount) -> dict[object, object]:
    """Totals as a row gives them back: one of zero that has no dimensions is none at all."""
    return {
        key: total if total.settled or total.events or total.totals.keys() != {()} else replace(total, totals={})
        for key, total in recount.totals().items()
    }


def require_as_stored(world: World, *, most: int = 1_000) -> Recount:
    """Assert that a recount of meters and prices as they are is what the database has."""
    with world.database.snapshot() as transaction:
        wanted = scope(transaction)
        recount = run(transaction, wanted, most=most)
        assert as_kept(recount) == stored_totals(transaction)
        window = tables.usage_window
        of_meter = select(window).where(window.c.meter_id == "mtr_in")
        keys = [
            WindowKey(*(getattr(row, name) for name in WindowKey._fields))
            for row in transaction.execute(of_meter.where(window.c.subscription_id != ""))
        ]
        assert recount.windows == read_windows(transaction, keys)
        places = [
            MeterTotalKey(*(getattr(row, name) for name in MeterTotalKey._fields))
            for row in transaction.execute(select(tables.meter_total))
        ]
        assert recount.states == read_meter_totals(transaction, places)
        days = days_of(recount.windows.values(), [history.made for history in wanted.meters])
        day = tables.usage_day
        rows = transaction.execute(select(day).where(day.c.meter_id == "mtr_in", day.c.company_id != "nobody"))
        kept = [DayKey(*(getattr(row, name) for name in DayKey._fields)) for row in rows]
        assert days == read_days(transaction, kept)
    return recount


def numbered(calls: Sequence[Call]) -> list[Call]:
    return [
        Call(
            request_id=f"req_{number}",
            sequence=number,
            prompt_tokens=call.prompt_tokens,
            occurred_at=call.occurred_at,
            company_id=call.company_id,
            user_id=call.user_id,
            replay=True,
        )
        for number, call in enumerate(calls, start=1)
    ]


@settings(max_examples=60)
@given(
    price=every_price,
    metric=metrics,
    units=st.sampled_from([UNCHANGED, Units(multiply=Decimal("0.1"), rounding=UnitRounding.UP)]),
    group_by=st.sampled_from([(), ("user_id",)]),
    calls=st.lists(a_call, max_size=9),
    size=st.integers(1, 4),
)
def test_a_recount_of_what_has_not_changed_is_what_the_applier_stored(
    price: Price, metric: Metric, units: Units, group_by: tuple[str, ...], calls: list[Call], size: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Database(f"sqlite:///{folder}/faregate.sqlite3"), pays="postpaid")
        add_customer(world, "sub_2", "globex")
        set_price(world, priced(price.model, price.adjustments))
        set_meter(world, metric, units, group_by)
        for start in range(0, len(calls), size):
            world.take(*numbered(calls)[start : start + size], *numbered(calls)[:1])
        require_as_stored(world, most=size)
        world.database.close()


@pytest.fixture
def postpaid(database: Database) -> World:
    return make_world(database, pays="postpaid", input_size=1)


def history_of(transaction: Transaction, *changes: MeterChange) -> list[MeterHistory]:
    (made,) = scope(transaction).meters
    return [MeterHistory(made=made.made, changes=changes)]


def corrected(field: str, position: int, span: Span = EVER) -> MeterChange:
    meter = a_meter(a_filter(response__status=200), metric=Sum(path=FieldPath(field)), meter_id="mtr_in")
    return MeterChange(meter=replace(meter, price_id="prc_in"), position=position, span=span)


def recounted(world: World, *changes: MeterChange, span: Span = EVER) -> dict[str, Decimal]:
    """The units of each subscription, counted again."""
    with world.database.snapshot() as transaction:
        wanted = scope(transaction, span=span)
        again = RecountScope(
            application_id=APP,
            prices=wanted.prices,
            series=wanted.series,
            meters=history_of(transaction, *changes),
            subscriptions=wanted.subscriptions,
            span=span,
        )
        found = run(transaction, again)
        assert found.windows == {}
        return {key.subscription_id: total.settled for key, total in found.totals().items()}


def test_both_databases_recount_to_what_they_store(postpaid: World) -> None:
    set_meter(postpaid, Average(path=FIELD))
    postpaid.take(Call(prompt_tokens=4), Call(request_id="two", sequence=2, prompt_tokens=7))
    postpaid.take(Call(request_id="early", sequence=3, occurred_at=PERIOD_START - timedelta(days=2)))
    recount = require_as_stored(postpaid, most=1)
    assert recount.event_count == 3
    assert len(recount.totals()) == len(recount.states) == 1


def test_a_meter_that_was_made_later_does_not_count_what_came_before_it(postpaid: World) -> None:
    postpaid.take(Call(prompt_tokens=4))
    with postpaid.database.begin() as transaction:
        made = dict(
            transaction.execute(select(tables.meter).where(tables.meter.c.meter_id == "mtr_in")).mappings().one()
        )
        transaction.execute(insert(tables.meter).values(**made | {"meter_id": "mtr_too", "name": "Too"}))
        record_change(transaction, "meter", "mtr_too")
    postpaid.take(Call(request_id="two", sequence=2, prompt_tokens=7))
    with postpaid.database.snapshot() as transaction:
        recount = run(transaction, scope(transaction))
        assert as_kept(recount) == stored_totals(transaction)
    assert [total.settled for total in recount.totals().values()] == [Decimal(18)]


def test_a_corrected_meter_counts_all_kept_events_of_its_periods_and_every_later_one(postpaid: World) -> None:
    postpaid.take(Call(prompt_tokens=4, completion_tokens=100))
    postpaid.take(Call(request_id="images", sequence=2, route="/ai/images", prompt_tokens=1, completion_tokens=50))
    completion = "response.body.usage.completion_tokens"
    assert recounted(postpaid) == {SUBSCRIPTION: Decimal(4)}
    assert recounted(postpaid, corrected(completion, 2)) == {SUBSCRIPTION: Decimal(150)}
    # In other periods, what was counted before the correction stays.
    april = Span(PERIOD_START + timedelta(days=31))
    assert recounted(postpaid, corrected(completion, 2, april)) == {SUBSCRIPTION: Decimal(4)}
    # Events that came after it were counted by it, if it met them.
    assert recounted(postpaid, corrected(completion, 0, april)) == {SUBSCRIPTION: Decimal(100)}


def test_only_whole_periods_that_touch_the_span_are_counted(postpaid: World) -> None:
    april = PERIOD_START + timedelta(days=31)
    postpaid.take(
        Call(prompt_tokens=4), Call(request_id="april", sequence=2, prompt_tokens=7, occurred_at=april, replay=True)
    )
    march = Span(april - timedelta(days=1), april)
    assert recounted(postpaid, span=march) == {SUBSCRIPTION: Decimal(4)}
    assert recounted(postpaid, span=Span(april)) == {SUBSCRIPTION: Decimal(7)}
    assert recounted(postpaid, span=Span(PERIOD_START - timedelta(days=2), PERIOD_START - timedelta(days=1))) == {}


def test_events_that_came_later_are_added_to_a_recount(postpaid: World) -> None:
    postpaid.take(Call(prompt_tokens=4))
    with postpaid.database.snapshot() as transaction:
        recount = run(transaction, scope(transaction))
    postpaid.take(Call(request_id="two", sequence=2, prompt_tokens=7))
    with postpaid.database.snapshot() as transaction:
        assert not recount.step(transaction, through=newest_admitted(transaction))
        assert as_kept(recount) == stored_totals(transaction)


def test_an_event_that_no_row_prices_and_one_without_a_quantity_are_left_out(postpaid: World) -> None:
    postpaid.take(Call(prompt_tokens="many"), Call(request_id="two", sequence=2, prompt_tokens=7))
    require_as_stored(postpaid)


def test_a_unique_count_with_too_many_values_cannot_be_recounted(
    postpaid: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_meter(postpaid, Unique(path=FIELD))
    postpaid.take(*numbered([Call(prompt_tokens=number) for number in range(3)]))
    monkeypatch.setattr("faregate.services.meter_totals.MAX_UNIQUE_VALUES", 2)
    with postpaid.database.snapshot() as transaction, pytest.raises(InvalidInput, match="at most 2 different values"):
        run(transaction, scope(transaction))


def test_the_first_period_of_a_span_is_the_one_that_holds_its_start() -> None:
    subscription = a_subscription(started_at=NOW)
    later = NOW + timedelta(days=40)
    assert first_period(subscription, EVER) == Period(NOW, NOW + timedelta(days=31))
    assert first_period(subscription, Span(later)) == subscription.period_at(later)
    assert first_period(subscription, Span(PERIOD_START, NOW)) is None
