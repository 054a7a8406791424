"""Re-rating: shown before it is applied, exact after it, and posted once."""

import tempfile
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.domain.catalog.models import ByDimension, PerUnit
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.terms_text import write_terms
from faregate.domain.catalog.versions import Terms
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.metric import Count, Metric, SumOf
from faregate.services.change import Change
from faregate.services.corrections import cancel_event
from faregate.services.rerating import (
    ReratingRun,
    begin_applying,
    cancel_rerating,
    draft_rerating,
    find_existing_rerating,
    keep_draft,
)
from faregate.services.rerating_preview import ReratingPreview
from faregate.storage import tables
from faregate.storage.database import Database
from faregate.storage.ledger import total_from_row
from faregate.storage.metered import find_series
from faregate.storage.reratings import Difference, Rerating, ReratingStatus, read_differences
from faregate.wire.api.meters import SumShape, UniqueShape, metric_shape
from faregate.wire.api.pricing import PackageModel, PerUnitModel
from faregate.wire.api.reratings import MeterCorrection, PriceCorrection, ReratingCreate
from tests.builders import priced
from tests.services.test_recount import (
    a_call,
    add_customer,
    every_price,
    metrics,
    numbered,
    set_meter,
    set_price,
)
from tests.services.world import APP, DOLLAR, NOW, PERIOD_START, SUBSCRIPTION, Call, World, make_world

PROMPT = "response.body.usage.prompt_tokens"
COMPLETION = "response.body.usage.completion_tokens"
ONE_MODEL = PerUnit(amount=Decimal(1))
ONE_DOLLAR = PriceCorrection(price_id="prc_in", model=PerUnitModel(amount=Decimal(1)))
COMPLETIONS = MeterCorrection(meter="mtr_in", metric=SumShape(field=COMPLETION))


def a_rerating(
    price: PriceCorrection | None = None, meter: MeterCorrection | None = None, *, since: object = PERIOD_START
) -> ReratingCreate:
    if price is not None:
        return ReratingCreate(price=price, from_at=since)  # type: ignore[arg-type]
    return ReratingCreate(meter=meter or COMPLETIONS, from_at=since)  # type: ignore[arg-type]


@dataclass
class Operator:
    """Somebody who re-rates."""

    world: World

    def change(self) -> Change:
        return Change(application_id=APP, now=self.world.clock.now(), new_id=self.world.new_id)

    def draft(self, request: ReratingCreate, *, most: int = 20_000) -> Rerating:
        with self.world.database.snapshot() as reading:
            drafted = draft_rerating(
                reading, APP, request, rerating_id=self.world.new_id("rrt"), now=self.world.clock.now()
            )
        return self.keep(drafted, most=most)

    def keep(self, drafted: Rerating, *, most: int = 20_000) -> Rerating:
        with self.world.database.snapshot() as reading:
            preview = ReratingPreview(reading, drafted)
            while preview.step(reading, most=most):
                pass
        with self.world.database.begin() as transaction:
            return keep_draft(transaction, preview)

    def begin(self, rerating: Rerating) -> Rerating:
        with self.world.database.snapshot() as reading:
            again = ReratingPreview(reading, rerating)
            while again.step(reading):
                pass
        with self.world.database.begin() as transaction:
            return begin_applying(transaction, self.change(), again)

    def run(self, rerating: Rerating, *, most: int = 1_000_000) -> Rerating:
        with self.world.database.snapshot() as reading:
            run = ReratingRun(reading, rerating)
        while run.more and most:
            most -= 1
            with self.world.database.snapshot() as reading:
                while run.count(reading):
                    pass
            with self.world.database.begin() as transaction:
                rerating = run.bring(transaction, self.change())
        return rerating

    def apply(self, request: ReratingCreate) -> Rerating:
        return self.run(self.begin(self.draft(request)))

    def differences(self, rerating: Rerating) -> list[Difference]:
        with self.world.database.snapshot() as reading:
            return read_differences(reading, rerating.rerating_id, after=None, limit=None)


def entries(world: World, *, price_id: str | None = None, kind: str | None = None) -> int:
    return -sum(
        int(str(row["amount"]))
        for row in world.rows("ledger_entry")
        if price_id in {None, row["price_id"]} and kind in {None, row["kind"]}
    )


def require_debits_equal_totals(world: World) -> None:
    """Assert that every total is what its entries took, and the balance what is left."""
    with world.database.snapshot() as reading:
        totals = [total_from_row(row) for row in reading.execute(tables.price_total.select())]
    for total in totals:
        posted = -sum(
            int(str(row["amount"]))
            for row in world.rows("ledger_entry")
            if (row["subscription_id"], row["price_id"], row["period_start"]) == total.key
        )
        assert posted == total.debited, total.key
    for row in world.rows("account"):
        of_account = [one for one in world.rows("ledger_entry") if one["subscription_id"] == row["subscription_id"]]
        assert row["balance"] == sum(int(str(one["amount"])) for one in of_account)


@pytest.fixture
def operator(database: Database) -> Operator:
    return Operator(make_world(database, pays="postpaid", input_size=1))


def test_a_draft_shows_the_difference_and_changes_nothing(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=0))
    before = operator.world.rows("price_total"), operator.world.account()
    drafted = operator.draft(a_rerating(ONE_DOLLAR))
    (found,) = operator.differences(drafted)
    assert (found.quantity_before, found.quantity_after) == (Decimal(4), Decimal(4))
    assert (found.amount_before, found.amount_after) == (2 * DOLLAR, 4 * DOLLAR)
    assert (found.company_id, found.subscription_id, found.is_invoiced) == ("acme", SUBSCRIPTION, False)
    assert (operator.world.rows("price_total"), operator.world.account()) == before


def test_a_corrected_price_is_posted_once_and_stands_from_then_on(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=0))
    applied = operator.apply(a_rerating(ONE_DOLLAR))
    assert applied.status is ReratingStatus.APPLIED
    assert entries(operator.world) == 4 * DOLLAR
    operator.world.take(Call(request_id="two", sequence=2, prompt_tokens=1, completion_tokens=0))
    assert entries(operator.world) == 5 * DOLLAR
    require_debits_equal_totals(operator.world)
    operator.run(applied)
    operator.run(find(operator, applied))
    assert entries(operator.world) == 5 * DOLLAR
    with operator.world.database.snapshot() as reading:
        series = find_series(reading, APP, "prc_in")
    assert series is not None
    (made,) = series.replacements
    assert made.replaces is not None
    assert (made.replaces.price_id, made.replaces.rerating_id) == ("prc_in", applied.rerating_id)
    assert len(series.versions) == 1


def find(operator: Operator, rerating: Rerating) -> Rerating:
    with operator.world.database.snapshot() as reading:
        return find_existing_rerating(reading, APP, rerating.rerating_id)


def test_a_corrected_meter_counts_what_it_missed_and_counts_so_from_then_on(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=7))
    operator.world.take(Call(request_id="two", sequence=2, prompt_tokens=None, completion_tokens=5, status=200))
    drafted = operator.draft(a_rerating())
    assert [(row.quantity_before, row.quantity_after) for row in operator.differences(drafted)] == [
        (Decimal(4), Decimal(12))
    ]
    operator.run(operator.begin(drafted))
    operator.world.take(Call(request_id="three", sequence=3, prompt_tokens=100, completion_tokens=1))
    assert operator.world.total("prc_in").settled == Decimal(13)
    (window,) = [row for row in operator.world.rows("usage_window") if row["meter_id"] == "mtr_in"]
    assert (window["quantity"], window["event_count"]) == (Decimal(13), 3)
    (day,) = [row for row in operator.world.rows("usage_day") if row["meter_id"] == "mtr_in"]
    assert (day["quantity"], day["event_count"]) == (Decimal(13), 3)
    require_debits_equal_totals(operator.world)
    # What was corrected is what a later re-rating stands on.
    later = operator.draft(a_rerating(ONE_DOLLAR))
    assert [(row.quantity_before, row.quantity_after) for row in operator.differences(later)] == [
        (Decimal(13), Decimal(13))
    ]


def test_usage_that_a_corrected_meter_does_not_count_is_given_back(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=7))
    operator.apply(a_rerating(meter=MeterCorrection(meter="Input Tokens Meter", filter_text="response.status == 201")))
    (window,) = [row for row in operator.world.rows("usage_window") if row["meter_id"] == "mtr_in"]
    assert (window["quantity"], window["billed_quantity"], window["event_count"]) == (0, 0, 0)
    assert operator.world.total("prc_in").settled == 0
    assert entries(operator.world, price_id="prc_in") == 0


def test_events_that_came_after_the_preview_are_rated_by_the_correction_too(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=0))
    drafted = operator.draft(a_rerating(ONE_DOLLAR))
    operator.world.take(Call(request_id="two", sequence=2, prompt_tokens=2, completion_tokens=0))
    started = operator.begin(drafted)
    operator.world.take(Call(request_id="three", sequence=3, prompt_tokens=1, completion_tokens=0))
    operator.run(started)
    assert entries(operator.world) == 7 * DOLLAR
    require_debits_equal_totals(operator.world)


def test_a_run_that_was_cut_short_goes_on_where_it_stopped(operator: Operator) -> None:
    add_customer(operator.world, "sub_2", "globex")
    operator.world.take(
        Call(prompt_tokens=4, completion_tokens=0),
        Call(request_id="two", sequence=2, prompt_tokens=3, completion_tokens=0, company_id="globex"),
    )
    started = operator.run(operator.begin(operator.draft(a_rerating(ONE_DOLLAR))), most=1)
    assert (started.status, started.done_through) == (ReratingStatus.APPLYING, SUBSCRIPTION)
    operator.world.take(Call(request_id="three", sequence=3, prompt_tokens=1, completion_tokens=0))
    ended = operator.run(started)
    assert ended.status is ReratingStatus.APPLIED
    assert entries(operator.world) == 8 * DOLLAR
    assert len([row for row in operator.world.rows("ledger_entry") if row["kind"] == "rerating"]) == 4
    require_debits_equal_totals(operator.world)


def test_what_has_changed_since_the_preview_refuses_it_and_is_named(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=7))
    drafted = operator.draft(a_rerating(ONE_DOLLAR))
    with operator.world.database.begin() as transaction:
        transaction.execute(tables.charge.delete().where(tables.charge.c.meter_id == "mtr_in"))
    with pytest.raises(Conflict, match="has changed since"):
        operator.begin(drafted)


def test_a_period_that_was_invoiced_since_the_preview_refuses_it(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=7))
    drafted = operator.draft(a_rerating(ONE_DOLLAR))
    with operator.world.database.begin() as transaction:
        transaction.execute(update(tables.subscription).values(billed_until=PERIOD_START + timedelta(days=31)))
    with pytest.raises(Conflict, match=r"acme, period from 2026-03-01: was 4 units = 4\S* USD, is 4 .*invoiced"):
        operator.begin(drafted)


def test_of_two_drafts_of_one_price_the_second_must_be_drafted_again(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=0))
    first, second = operator.draft(a_rerating(ONE_DOLLAR)), operator.draft(a_rerating())
    started = operator.begin(first)
    with pytest.raises(Conflict, match="is being applied"):
        operator.begin(second)
    operator.run(started)
    with pytest.raises(Conflict, match="was applied since"):
        operator.begin(second)
    with pytest.raises(Conflict, match="no draft"):
        operator.begin(first)


def test_a_replacement_is_put_right_by_correcting_its_version_again(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=0))
    operator.apply(a_rerating(ONE_DOLLAR))
    operator.world.clock.at = NOW + timedelta(minutes=1)
    again = PriceCorrection(plan="My AI API Plan", price="Input Tokens", model=PerUnitModel(amount=Decimal(2)))
    operator.apply(a_rerating(again))
    assert entries(operator.world) == 8 * DOLLAR
    require_debits_equal_totals(operator.world)


def test_a_row_that_a_price_lacked_prices_what_could_not_be_metered(operator: Operator) -> None:
    one = PerUnit(amount=Decimal(1))
    set_price(operator.world, priced(ByDimension(fields=("user_id",), table={("small",): one}, default=None)))
    operator.world.take(Call(prompt_tokens=4, completion_tokens=0, user_id="large"))
    assert len(operator.world.rows("unmeterable")) == 1
    operator.apply(a_rerating(ONE_DOLLAR))
    assert entries(operator.world) == 4 * DOLLAR


def test_a_draft_can_be_cancelled_and_nothing_else(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=0))
    drafted = operator.draft(a_rerating(ONE_DOLLAR))
    for _ in range(2):
        with operator.world.database.begin() as transaction:
            cancelled = cancel_rerating(transaction, operator.change(), drafted.rerating_id)
        assert cancelled.status is ReratingStatus.CANCELLED
    with pytest.raises(Conflict, match="no draft"):
        operator.begin(drafted)
    applied = operator.apply(a_rerating(ONE_DOLLAR))
    with operator.world.database.begin() as transaction, pytest.raises(Conflict, match="only a draft"):
        cancel_rerating(transaction, operator.change(), applied.rerating_id)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ReratingCreate(from_at=PERIOD_START), "price"),
        (ReratingCreate(from_at=PERIOD_START, price=ONE_DOLLAR, meter=COMPLETIONS), "price"),
        (a_rerating(ONE_DOLLAR, since=NOW + timedelta(days=1)), "from"),
        (ReratingCreate(from_at=PERIOD_START, to_at=PERIOD_START, price=ONE_DOLLAR), "to"),
        (a_rerating(PriceCorrection(price_id="none", model=ONE_DOLLAR.model)), "price.price_id"),
        (a_rerating(PriceCorrection(plan="none", price="x", model=ONE_DOLLAR.model)), "price.plan"),
        (a_rerating(PriceCorrection(plan="My AI API Plan", price="x", model=ONE_DOLLAR.model)), "price.price"),
        (a_rerating(PriceCorrection(price_id="prc_in", version=2, model=ONE_DOLLAR.model)), "price.version"),
        (
            a_rerating(PriceCorrection(price_id="prc_in", model=PackageModel(amount=Decimal(1), size=Decimal(0)))),
            "price.model.size",
        ),
        (a_rerating(meter=MeterCorrection(meter="none")), "meter.meter"),
        (a_rerating(meter=MeterCorrection(meter="mtr_in", metric=SumShape(field="nonsense"))), "meter.metric.field"),
        (a_rerating(meter=MeterCorrection(meter="mtr_in", metric=UniqueShape(field=PROMPT))), "meter.metric"),
    ],
)
def test_a_correction_that_cannot_be_names_its_field(operator: Operator, request_: ReratingCreate, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        operator.draft(request_)
    assert [fault.field for fault in caught.value.faults] == [field]


def test_a_price_in_two_currencies_is_corrected_in_both(operator: Operator) -> None:
    units = [priced(ONE_MODEL, code=code).currency for code in ("USD", "EUR")]
    both = {unit: Terms(model=ONE_MODEL) for unit in units}
    with operator.world.database.begin() as transaction:
        transaction.execute(
            update(tables.price).where(tables.price.c.price_id == "prc_in").values(terms=write_terms(both))
        )
    with pytest.raises(InvalidInput, match="EUR: is required"):
        operator.draft(a_rerating(ONE_DOLLAR))


def test_an_unknown_rerating_is_not_found(operator: Operator) -> None:
    with operator.world.database.snapshot() as reading, pytest.raises(NotFound):
        find_existing_rerating(reading, APP, "rrt_none")


@settings(max_examples=12)
@given(
    before=every_price,
    metric=metrics,
    calls=st.lists(a_call, max_size=8),
    cuts=st.tuples(st.integers(0, 8), st.integers(0, 8)).map(sorted),
    corrects=st.sampled_from(["price", "meter"]),
)
def test_after_it_is_applied_debits_are_the_rated_total_whatever_came_when(
    before: Price, metric: Metric, calls: list[Call], cuts: list[int], corrects: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        operator = Operator(make_world(Database(f"sqlite:///{folder}/faregate.sqlite3"), pays="postpaid"))
        world, events = operator.world, numbered(calls)
        add_customer(world, "sub_2", "globex")
        set_price(world, priced(before.model, before.adjustments))
        set_meter(world, metric)
        world.take(*events[: cuts[0]])
        drafted = operator.draft(a_rerating(ONE_DOLLAR) if corrects == "price" else right_meter(metric))
        world.take(*events[cuts[0] : cuts[1]])
        started = operator.begin(drafted)
        world.take(*events[cuts[1] :])
        applied = operator.run(started)
        require_debits_equal_totals(world)
        # All events at once, under the right price and meter from the start, come to the same.
        right = Operator(make_world(Database(f"sqlite:///{folder}/right.sqlite3"), pays="postpaid"))
        add_customer(right.world, "sub_2", "globex")
        set_price(right.world, priced(ONE_MODEL) if corrects == "price" else priced(before.model, before.adjustments))
        set_meter(right.world, metric if corrects == "price" else corrected_metric(metric))
        right.world.take(*events)
        assert balances(world) == balances(right.world)
        for table in ("usage_window", "usage_day", "meter_total"):
            assert usage(world, table) == usage(right.world, table)
        kept = world.rows("ledger_entry")
        operator.run(applied)
        assert world.rows("ledger_entry") == kept
        for one in (world, right.world):
            one.database.close()


def balances(world: World) -> dict[str, object]:
    return {str(row["subscription_id"]): row["balance"] for row in world.rows("account")}


def usage(world: World, table: str) -> list[object]:
    """Rows with something in them of whoever is on a plan; how far a window was reported is another matter."""
    rows = [
        {name: value for name, value in row.items() if name not in {"dirty", "reported_revision"}}
        for row in world.rows(table)
        if row.get("company_id") != "nobody" and row.get("event_count", 1)
    ]
    return sorted(rows, key=str)


def corrected_metric(metric: Metric) -> Metric:
    match metric:
        case Count() | SumOf():
            return metric
        case _:
            return replace(metric, path=FieldPath(COMPLETION))


def right_meter(metric: Metric) -> ReratingCreate:
    shape = metric_shape(corrected_metric(metric))
    return a_rerating(meter=MeterCorrection(meter="mtr_in", metric=shape))


def cancel(operator: Operator, event_id: str) -> None:
    with operator.world.database.begin() as transaction:
        cancel_event(transaction, operator.change(), event_id, correction_id=event_id, reason="")
    operator.world.apply()


def test_an_event_that_is_taken_back_while_a_run_is_on_its_way_is_left_out_of_it(operator: Operator) -> None:
    world = operator.world
    add_customer(world, "sub_2", "globex")
    world.take(
        Call(prompt_tokens=4, completion_tokens=0),
        Call(request_id="two", sequence=2, prompt_tokens=3, completion_tokens=0, company_id="globex"),
    )
    drafted = operator.draft(a_rerating(ONE_DOLLAR))
    cancelled = Call(request_id="three", sequence=3, prompt_tokens=50, completion_tokens=0)
    started = operator.begin(drafted)
    world.take(cancelled)
    with world.database.snapshot() as reading:
        run = ReratingRun(reading, started)
        while run.count(reading):
            pass
    cancel(operator, "evt_3")
    while run.more:
        with world.database.snapshot() as reading:
            run.count(reading)
        with world.database.begin() as transaction:
            run.bring(transaction, operator.change())
    assert entries(world) == 7 * DOLLAR
    require_debits_equal_totals(world)


def test_an_event_that_was_counted_again_is_not_corrected_by_its_old_charges(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=0))
    applied = operator.apply(a_rerating(ONE_DOLLAR))
    operator.world.take(Call(request_id="two", sequence=2, prompt_tokens=1, completion_tokens=0))
    with pytest.raises(Conflict, match=applied.rerating_id):
        cancel(operator, "evt_1")
    # What came later was charged by the correction, and can be taken back.
    cancel(operator, "evt_2")
    assert entries(operator.world) == 4 * DOLLAR
    require_debits_equal_totals(operator.world)


def test_an_event_that_was_cancelled_since_the_preview_refuses_it(operator: Operator) -> None:
    operator.world.take(Call(prompt_tokens=4, completion_tokens=0))
    drafted = operator.draft(a_rerating(ONE_DOLLAR))
    cancel(operator, "evt_1")
    with pytest.raises(Conflict, match="has changed since"):
        operator.begin(drafted)
