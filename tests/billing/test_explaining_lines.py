"""From an invoice line to its windows and events: sums agree at every level."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from faregate.base.errors import InvalidInput, NotFound
from faregate.domain.catalog.models import PerUnit
from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.metric import Max, Metric, Sum, Unique
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.explain_line import LineRef, explain_line, line_windows, window_events
from faregate.storage import tables
from faregate.storage.database import Database
from faregate.storage.state_feed import record_change
from faregate.wire.api.explanations import LineExplanationView, LineWindowView, WindowEventView
from tests.billing.desk import Desk
from tests.billing.test_every_model import add_version, every_price
from tests.builders import a_meter, priced
from tests.services.test_corrections import cancel, correct
from tests.services.world import APP, NOW, PERIOD_START, Call, make_world

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
ONE = Decimal(1)
TOKENS = FieldPath("response.body.usage.prompt_tokens")

metrics = st.sampled_from([Sum(path=TOKENS), Max(path=TOKENS), Unique(path=TOKENS)])
calls = st.lists(
    st.tuples(
        st.integers(0, 70),
        st.timedeltas(timedelta(0), timedelta(minutes=20)),
        st.sampled_from(["small", "large", None]),
    ),
    max_size=8,
)


def set_meter(desk: Desk, metric: Metric, *, group_by: tuple[str, ...] = ()) -> None:
    definition = write_definition(a_meter(metric=metric, group_by=group_by).definition)
    with desk.world.database.begin() as transaction:
        transaction.execute(
            update(tables.meter).where(tables.meter.c.meter_id == "mtr_in").values(definition=definition)
        )
        record_change(transaction, "meter", "mtr_in")


def use(desk: Desk, tokens: int, after: timedelta, user_id: str | None = None, company_id: str = "acme") -> None:
    desk.calls += 1
    call = Call(
        request_id=f"req_{desk.calls}",
        sequence=desk.calls,
        prompt_tokens=tokens,
        completion_tokens=0,
        user_id=user_id,
        occurred_at=NOW + after,
        company_id=company_id,
        replay=True,
    )
    desk.world.take(call)


def put_right(desk: Desk, wrong: Mapping[int, int | None], *, of: int) -> None:
    """Cancel calls, or correct what they used, by their numbers."""
    for number, tokens in wrong.items():
        if number > of:
            continue
        if tokens is None:
            cancel(desk.world, f"req_{number}", name=f"c{number}")
        else:
            correct(desk.world, f"req_{number}", tokens, name=f"c{number}")


def explained(desk: Desk, ref: LineRef) -> LineExplanationView:
    with desk.world.database.snapshot() as transaction:
        return explain_line(transaction, ref)


def windows(desk: Desk, ref: LineRef, *, limit: int = 2) -> list[LineWindowView]:
    found: list[LineWindowView] = []
    cursor: str | None = None
    with desk.world.database.snapshot() as transaction:
        while True:
            page = line_windows(transaction, ref, cursor=cursor, limit=limit)
            assert len(page.data) <= limit
            found += page.data
            cursor = page.next_cursor
            if cursor is None:
                return found


def events(desk: Desk, ref: LineRef, window: str, *, limit: int = 2) -> list[WindowEventView]:
    found: list[WindowEventView] = []
    cursor: str | None = None
    with desk.world.database.snapshot() as transaction:
        while True:
            page = window_events(transaction, ref, window=window, cursor=cursor, limit=limit)
            assert len(page.data) <= limit
            found += page.data
            cursor = page.next_cursor
            if cursor is None:
                return found


def sums_agree(desk: Desk, ref: LineRef) -> LineExplanationView:
    line = explained(desk, ref)
    assert Decimal(line.steps[-1].subtotal if line.steps else 0) == Decimal(line.amount)
    assert sum(Decimal(step.amount) for step in line.steps) == Decimal(line.amount)
    movements = [line.debited, line.closing, line.rounding]
    assert sum(map(Decimal, movements)) == Decimal(line.amount)
    if line.is_adjustment:
        return line
    quantity = debited = Decimal(0)
    for window in windows(desk, ref):
        inside = events(desk, ref, window.window)
        assert all(window.start <= event.occurred_at < window.end for event in inside)
        assert len(inside) - 2 * sum(event.corrects is not None for event in inside) == window.event_count
        assert sum(Decimal(event.quantity) for event in inside) == Decimal(window.billed_quantity)
        assert sum(Decimal(event.amount) for event in inside) == Decimal(window.amount)
        quantity += Decimal(window.billed_quantity)
        debited += Decimal(window.amount)
    assert quantity == Decimal(line.quantity) + Decimal(line.changed_quantity)
    assert debited + Decimal(line.rerated) == Decimal(line.debited) + Decimal(line.changed_debited)
    return line


def every_line(desk: Desk) -> list[LineExplanationView]:
    return [
        sums_agree(desk, LineRef(APP, invoice.invoice_id, number))
        for invoice in desk.invoices()
        for number in range(1, len(invoice.lines) + 1)
    ]


@settings(max_examples=30)
@given(
    price=every_price,
    metric=metrics,
    group_by=st.sampled_from([(), ("user_id",)]),
    sent=calls,
    late=calls,
    wrong=st.dictionaries(st.integers(1, 8), st.none() | st.integers(71, 99), max_size=3),
    wrong_later=st.booleans(),
)
def test_steps_windows_and_events_add_up_to_the_line_whenever_they_come(
    *,
    price: object,
    metric: Metric,
    group_by: tuple[str, ...],
    sent: list[tuple[int, timedelta, str | None]],
    late: list[tuple[int, timedelta, str | None]],
    wrong: dict[int, int | None],
    wrong_later: bool,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        provider = EmbeddedProvider(Path(folder) / "sandbox.sqlite3")
        desk = Desk(
            world=make_world(Database(f"sqlite:///{folder}/faregate.sqlite3"), pays="postpaid"), provider=provider
        )
        desk.set_terms("prc_in", priced(price.model, price.adjustments))  # type: ignore[attr-defined]
        set_meter(desk, metric, group_by=group_by)
        for tokens, after, user_id in sent:
            use(desk, tokens, after, user_id)
        if not wrong_later:
            put_right(desk, wrong, of=len(sent))
        desk.close_month(APRIL)
        on_time = every_line(desk)
        assert all(Decimal(line.changed_quantity) == Decimal(line.changed_debited) == 0 for line in on_time)
        for tokens, after, user_id in late:
            use(desk, tokens, after, user_id)
        if wrong_later:
            put_right(desk, wrong, of=len(sent))
        desk.close_month(MAY)
        known = ("steps", "debited", "closing", "rounding", "amount")
        for before, now in zip(on_time, every_line(desk), strict=False):
            assert [getattr(before, name) for name in known] == [getattr(now, name) for name in known]
        desk.world.database.close()
        provider.close()


def test_a_line_is_explained_by_its_own_windows_and_their_events(postpaid: Desk) -> None:
    postpaid.add_company("beta")
    for number in range(5):
        use(postpaid, 300_000, timedelta(minutes=2 * number))
        use(postpaid, 300_000, timedelta(minutes=2 * number), company_id="beta")
    postpaid.close_month(APRIL)
    (invoice,) = postpaid.invoices("acme")
    ref = LineRef(APP, invoice.invoice_id, 1)
    line = explained(postpaid, ref)
    assert (line.quantity, line.amount, line.debited, line.closing, line.rounding) == (
        "1500000",
        "1.00",
        "1.00",
        "0.00",
        "0.00",
    )
    assert [(step.kind.value, step.words, step.subtotal) for step in line.steps] == [
        ("used", "1500000 units metered", "0"),
        ("packages", "1500000 / 1000000: 2 packages begun x 0.50", "1.00"),
    ]
    found = windows(postpaid, ref)
    assert [(one.quantity, one.amount, one.event_count) for one in found] == [
        ("900000", "0.50", 3),
        ("600000", "0.50", 2),
    ]
    assert [(one.quantity, one.amount) for one in events(postpaid, ref, found[0].window)] == [
        ("300000", "0.50"),
        ("300000", "0.00"),
        ("300000", "0.00"),
    ]
    sums_agree(postpaid, ref)


def test_two_versions_of_a_price_share_a_period_and_no_window(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE)))
    change = timedelta(minutes=2)
    add_version(postpaid, PerUnit(amount=Decimal(3)), at=NOW + change)
    use(postpaid, 2, change - timedelta(microseconds=1))
    use(postpaid, 4, change)
    postpaid.close_month(APRIL)
    (invoice,) = postpaid.invoices()
    refs = [LineRef(APP, invoice.invoice_id, number) for number in (1, 2)]
    assert [explained(postpaid, ref).price_version for ref in refs] == [1, 2]
    names = [[window.window for window in windows(postpaid, ref)] for ref in refs]
    assert len({name for found in names for name in found}) == 2
    for ref in refs:
        sums_agree(postpaid, ref)
    with pytest.raises(NotFound):
        events(postpaid, refs[0], names[1][0])


def test_a_line_or_a_window_that_is_not_there_is_named(postpaid: Desk) -> None:
    use(postpaid, 1, timedelta(0))
    postpaid.close_month(APRIL)
    (invoice,) = postpaid.invoices()
    (window,) = windows(postpaid, LineRef(APP, invoice.invoice_id, 1))
    for ref in (LineRef(APP, invoice.invoice_id, 0), LineRef(APP, invoice.invoice_id, 2), LineRef(APP, "in_9", 1)):
        with pytest.raises(NotFound):
            explained(postpaid, ref)
        with pytest.raises(NotFound):
            events(postpaid, ref, window.window)
    for name in ("nothing", window.window[:-4], "WyJtdHJfb3V0IiwwLCIiXQ"):
        with pytest.raises(NotFound):
            events(postpaid, LineRef(APP, invoice.invoice_id, 1), name)
    with postpaid.world.database.snapshot() as transaction, pytest.raises(InvalidInput):
        line_windows(transaction, LineRef(APP, invoice.invoice_id, 1), cursor="nothing", limit=1)


def test_a_late_event_is_told_from_what_was_invoiced_and_is_its_own_line_on_the_next_invoice(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=Decimal("0.003"))))
    use(postpaid, 100, timedelta(0))
    postpaid.close_month(APRIL)
    use(postpaid, 50, timedelta(minutes=1))
    (invoice,) = postpaid.invoices()
    ref = LineRef(APP, invoice.invoice_id, 1)
    line = explained(postpaid, ref)
    assert (line.quantity, line.amount, line.steps[-1].words) == ("100", "0.30", "100 units x 0.003")
    assert (line.changed_quantity, line.changed_debited) == ("50", "0.15")
    assert [(one.quantity, one.amount) for one in windows(postpaid, ref)] == [("150", "0.45")]
    postpaid.close_month(MAY)
    adjusted = LineRef(APP, postpaid.invoices()[1].invoice_id, 1)
    line = explained(postpaid, adjusted)
    assert (line.is_adjustment, line.adjusted_invoice_id, line.period_start) == (True, invoice.invoice_id, PERIOD_START)
    assert (line.amount, line.debited, line.closing, line.rounding) == ("0.15", "0.15", "0.00", "0.00")
    (step,) = line.steps
    assert (step.kind.value, step.subtotal) == ("adjustment", "0.15")
    assert step.words.endswith(": 50 units")
    assert [(one.quantity, one.amount) for one in windows(postpaid, adjusted)] == [("150", "0.45")]


def test_an_invoice_from_before_lines_kept_their_totals_is_explained_by_the_periods_own(postpaid: Desk) -> None:
    use(postpaid, 1_200_000, timedelta(0))
    postpaid.close_month(APRIL)
    (invoice,) = postpaid.invoices()
    with postpaid.world.database.begin() as transaction:
        lines = msgspec.json.encode([replace(line, totals=()) for line in invoice.lines]).decode()
        transaction.execute(update(tables.invoice).values(lines=lines))
    sums_agree(postpaid, LineRef(APP, invoice.invoice_id, 1))


def test_a_window_lists_what_was_taken_back_beside_what_took_it_back(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE)))
    use(postpaid, 5, timedelta(0))
    use(postpaid, 7, timedelta(minutes=1))
    correct(postpaid.world, "req_1", 2)
    postpaid.close_month(APRIL)
    ref = LineRef(APP, postpaid.invoices()[0].invoice_id, 1)
    assert sums_agree(postpaid, ref).quantity == "9"
    (window,) = windows(postpaid, ref)
    inside = events(postpaid, ref, window.window)
    assert [(event.quantity, event.amount) for event in inside] == [
        ("5", "5.00"),
        ("-5", "-5.00"),
        ("2", "2.00"),
        ("7", "7.00"),
    ]
    assert [event.corrects for event in inside] == [None, inside[0].event_id, None, None]
