"""Margins beside the applier: exactly once, whatever the slices, and counted again where the past changes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput, NotFound, TooLarge
from faregate.services.change import Change
from faregate.services.corrections import cancel_event, correct_event
from faregate.services.costs import archive_cost, create_cost
from faregate.services.keep_margins import MarginKeeper
from faregate.services.margins import MarginQuery, read_margin_report
from faregate.storage.database import Database
from faregate.wire.api.common import decode_body
from faregate.wire.api.costs import CostArchive, CostCreate, MarginBy, MarginReport, MarginView
from tests.services.test_backfill import add_meter, run, start
from tests.services.world import APP, NOW, PERIOD_START, Call, World, make_world

MARCH = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
DAY = timedelta(days=1)


@pytest.fixture
def postpaid(database: Database) -> World:
    """A world of $0.50 an input token."""
    return make_world(database, pays="postpaid", input_size=1)


def a_cost(world: World, amount: str = "0.10", *, name: str = "input", **fields: str) -> str:
    shape = {
        "name": name,
        "filter_text": "response.status == 200",
        "rates": [
            {
                "kind": "input",
                "metric": {"type": "sum", "field": "response.body.usage.prompt_tokens"},
                "amount": amount,
            }
        ],
        "currency": "USD",
        "effective_at": "2026-01-01T00:00:00Z",
    }
    request = decode_body(msgspec.json.encode(shape | fields), CostCreate)
    with world.database.begin() as transaction:
        return create_cost(transaction, _change(world), request).cost_id


def _change(world: World) -> Change:
    return Change(application_id=APP, now=NOW, new_id=world.new_id)


def keep(world: World, *, most: int = 1_000, keeper: MarginKeeper | None = None) -> None:
    keeper = keeper or MarginKeeper()
    while True:
        with world.database.snapshot() as transaction:
            if not keeper.has_more(transaction):
                return
        with world.database.begin() as transaction:
            keeper.keep_next(transaction, most=most)


def report(world: World, by: MarginBy = MarginBy.COMPANY, cursor: str | None = None, limit: int = 100) -> MarginReport:
    query = MarginQuery(application_id=APP, from_at=MARCH[0], to_at=MARCH[1], by=by)
    with world.database.snapshot() as transaction:
        return read_margin_report(transaction, query, cursor=cursor, limit=limit)


def total(world: World) -> MarginView:
    (row,) = report(world).totals
    return row


def _crash_in(world: World, keeper: MarginKeeper) -> None:
    with world.database.begin() as transaction:
        keeper.keep_next(transaction, most=2)
        raise RuntimeError("crash")


def calls(count: int, *, tokens: int = 10) -> list[Call]:
    return [
        Call(request_id=f"r{number}", prompt_tokens=tokens, completion_tokens=0, sequence=number)
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("most", [1, 3, 1_000])
def test_each_event_counts_once_whatever_the_slices(postpaid: World, most: int) -> None:
    a_cost(postpaid)
    postpaid.take(*calls(5), *calls(5))
    keep(postpaid, most=most)
    keep(postpaid, most=most)
    row = total(postpaid)
    assert (row.events, row.uncosted_events) == (5, 0)
    assert (row.revenue, row.cost, row.margin, row.margin_percent) == ("25.00", "5.00", "20.00", "80.00")
    assert not row.below_cost


def test_events_from_before_the_first_cost_price_are_counted_and_none_without_one(postpaid: World) -> None:
    postpaid.take(*calls(3))
    keep(postpaid)
    assert (report(postpaid).totals, report(postpaid).behind_events) == ([], 3)
    a_cost(postpaid)
    keep(postpaid, most=2)
    assert (total(postpaid).events, report(postpaid).behind_events) == (3, 0)


def test_a_crash_repeats_work_and_never_sums(postpaid: World) -> None:
    a_cost(postpaid)
    postpaid.take(*calls(4))
    keeper = MarginKeeper()
    with pytest.raises(RuntimeError, match="crash"):
        _crash_in(postpaid, keeper)
    keep(postpaid, most=3, keeper=keeper)
    assert total(postpaid).events == 4


def test_an_uncosted_event_has_a_revenue_and_no_margin(postpaid: World) -> None:
    a_cost(postpaid, filter_text='request.route == "/none"')
    postpaid.take(*calls(2))
    keep(postpaid)
    row = total(postpaid)
    assert (row.uncosted_events, row.revenue, row.uncosted_revenue) == (2, "10.00", "10.00")
    assert (row.cost, row.margin, row.margin_percent, row.below_cost) == ("0.00", "0.00", None, False)


def test_calls_that_cost_more_than_they_bring_are_below_cost(postpaid: World) -> None:
    a_cost(postpaid, "0.75")
    postpaid.take(*calls(2))
    keep(postpaid)
    assert (total(postpaid).margin, total(postpaid).margin_percent, total(postpaid).below_cost) == (
        "-5.00",
        "-50.00",
        True,
    )


def test_a_cost_price_that_took_effect_earlier_is_counted_for_the_days_since(postpaid: World) -> None:
    a_cost(postpaid)
    days = [PERIOD_START + DAY, NOW - DAY, NOW]
    postpaid.take(*(Call(request_id=f"r{n}", sequence=n, occurred_at=at) for n, at in enumerate(days, 1)))
    keep(postpaid)
    a_cost(postpaid, "0.20", effective_at=(NOW - DAY).isoformat())
    assert report(postpaid).days_recounted == 2
    keep(postpaid, most=1)
    costs = {row.value: row.cost for row in report(postpaid, MarginBy.DAY).data}
    assert costs == {"2026-03-02": "1.00", "2026-03-09": "2.00", "2026-03-10": "2.00"}
    assert report(postpaid).days_recounted == 0


def test_events_that_come_while_days_are_counted_again_count_once(postpaid: World) -> None:
    a_cost(postpaid)
    postpaid.take(*calls(4))
    keep(postpaid)
    a_cost(postpaid, "0.20")
    keeper = MarginKeeper()
    with postpaid.database.begin() as transaction:
        keeper.keep_next(transaction, most=2)
    postpaid.take(*calls(6)[4:])
    a_cost(postpaid, "0.30")
    with postpaid.database.begin() as transaction:
        keeper.keep_next(transaction, most=3)
    keep(postpaid, most=2, keeper=keeper)
    assert (total(postpaid).events, total(postpaid).cost) == (6, "18.00")


def test_an_ended_cost_price_leaves_later_calls_uncosted(postpaid: World) -> None:
    cost_id = a_cost(postpaid)
    postpaid.take(*calls(2), Call(request_id="early", sequence=9, occurred_at=NOW - DAY))
    keep(postpaid)
    for at in (NOW - 2 * DAY, NOW - timedelta(hours=1)):
        with postpaid.database.begin() as transaction:
            archive_cost(transaction, _change(postpaid), CostArchive(at=at), cost_id=cost_id)
        keep(postpaid)
    uncosted = {row.value: row.uncosted_events for row in report(postpaid, MarginBy.DAY).data}
    assert uncosted == {"2026-03-09": 0, "2026-03-10": 2}


def test_what_a_backfill_charges_is_in_the_revenue(postpaid: World) -> None:
    a_cost(postpaid)
    postpaid.take(*calls(2, tokens=1))
    keep(postpaid)
    add_meter(postpaid)
    postpaid.take(Call(request_id="later", prompt_tokens=1, completion_tokens=3, sequence=7))
    start(postpaid)
    run(postpaid)
    keep(postpaid)
    assert total(postpaid).revenue == "4.50"
    debits = Decimal(postpaid.debits()).scaleb(-9)
    assert Decimal(total(postpaid).revenue) == debits


def test_a_cancelled_call_is_in_no_margin_and_a_corrected_one_as_it_was_corrected(postpaid: World) -> None:
    a_cost(postpaid)
    postpaid.take(*calls(3))
    keep(postpaid)
    fields: dict[str, object] = {"response": {"body": {"usage": {"prompt_tokens": 4}}}}
    with postpaid.database.begin() as transaction:
        cancel_event(transaction, _change(postpaid), "evt_1", correction_id="one", reason="")
        correct_event(transaction, _change(postpaid), "evt_2", correction_id="two", reason="", fields=fields)
    postpaid.apply()
    keep(postpaid, most=1)
    row = total(postpaid)
    assert (row.events, row.cost, row.revenue) == (2, "1.40", "7.00")
    assert Decimal(row.revenue) == Decimal(postpaid.debits()).scaleb(-9)


def test_refused_calls_and_calls_of_nobody(postpaid: World) -> None:
    a_cost(postpaid)
    postpaid.take(
        Call(request_id="refused", blocked_by="rul_1", sequence=1),
        Call(request_id="unknown", company_id=None, sequence=2),
        Call(request_id="failed", status=500, sequence=3),
    )
    keep(postpaid)
    rows = {(row.value, row.currency): row for row in report(postpaid).data}
    assert set(rows) == {(None, "USD"), ("acme", None)}
    assert (rows[None, "USD"].cost, rows[None, "USD"].revenue) == ("1.00", "0.00")
    assert (rows["acme", None].uncosted_events, rows["acme", None].margin_percent) == (1, None)


def test_rows_come_in_parts_and_by_any_of_the_five(postpaid: World) -> None:
    a_cost(postpaid)
    postpaid.take(*(Call(request_id=f"r{n}", route=f"/r{n}", sequence=n) for n in range(5)))
    keep(postpaid)
    seen, cursor = [], None
    while True:
        part = report(postpaid, MarginBy.ROUTE, cursor=cursor, limit=2)
        seen += [row.value for row in part.data]
        cursor = part.next_cursor
        if cursor is None:
            break
    assert seen == [f"/r{n}" for n in range(5)]
    assert [report(postpaid, by).data[0].value for by in MarginBy] == ["acme", None, None, "/r0", "2026-03-10"]


@pytest.mark.parametrize(
    ("start_at", "end_at", "field"),
    [(MARCH[0] + DAY / 2, MARCH[1], "from"), (MARCH[0], MARCH[0], "to"), (MARCH[0], MARCH[0] + 401 * DAY, "to")],
)
def test_a_report_is_about_whole_days_and_not_too_many(
    postpaid: World, start_at: datetime, end_at: datetime, field: str
) -> None:
    query = MarginQuery(application_id=APP, from_at=start_at, to_at=end_at, by=MarginBy.DAY)
    with pytest.raises(InvalidInput, match=field), postpaid.database.snapshot() as transaction:
        read_margin_report(transaction, query, cursor=None, limit=1)


def test_a_cost_price_that_cannot_be_is_refused(postpaid: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cost_id = a_cost(postpaid)
    with pytest.raises(InvalidInput, match="never changes"):
        a_cost(postpaid, currency="EUR")
    with pytest.raises(InvalidInput, match="takes effect"), postpaid.database.begin() as transaction:
        archive_cost(transaction, _change(postpaid), CostArchive(at=datetime(2025, 1, 1, tzinfo=UTC)), cost_id=cost_id)
    with pytest.raises(NotFound), postpaid.database.begin() as transaction:
        archive_cost(transaction, _change(postpaid), CostArchive(), cost_id="cst_none")
    monkeypatch.setattr("faregate.services.costs.MAX_COSTS", 1)
    with pytest.raises(TooLarge, match="at most 1"):
        a_cost(postpaid)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.sampled_from([200, 500])), max_size=12),
    slices=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    amount=st.decimals(min_value=0, max_value=2, places=9),
)
def test_revenue_is_what_was_debited_and_cost_what_units_cost(
    calls: list[tuple[int, int, int]], slices: list[int], amount: Decimal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("margins") / "one.sqlite3"
    database = Database(f"sqlite:///{path}")
    try:
        world = make_world(database, pays="postpaid", input_size=3)
        a_cost(world, f"{amount:f}")
        keeper = MarginKeeper()
        for place, (tokens, days, status) in enumerate(calls):
            at = NOW - days * DAY
            world.take(
                Call(request_id=f"r{place}", prompt_tokens=tokens, status=status, sequence=place, occurred_at=at)
            )
            keep(world, most=slices[place % len(slices)], keeper=keeper)
        rows = report(world).totals
        revenue = sum(Decimal(row.revenue) for row in rows)
        assert revenue == Decimal(world.debits()).scaleb(-9)
        units = sum(tokens for tokens, _, status in calls if status == 200)
        assert sum(Decimal(row.cost) for row in rows) == units * amount
        assert sum(row.events for row in rows) == len(calls)
        assert sum(row.uncosted_events for row in rows) == sum(status != 200 for _, _, status in calls)
    finally:
        database.close()
