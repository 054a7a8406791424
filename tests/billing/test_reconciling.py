"""Usage in three books: the ledger's windows, the reports, and what the provider counted."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from faregate.base.errors import InvalidInput, NotFound
from faregate.services.reconcile import read_last, reconcile
from faregate.storage import tables
from faregate.wire.api.reconciliations import ReconciliationView
from tests.billing.desk import Desk, FaultyProvider
from tests.billing.test_reporting import Refusing
from tests.services.world import APP, NOW

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
KEY = "mtr_in:acme:2026-03-10T12:00:00.000000Z"

DOUBLED = """
INSERT INTO meter_event (identifier, customer, price, value, timestamp)
SELECT 'again', customer, price, value, timestamp FROM meter_event WHERE identifier = ?
"""


@pytest.fixture
def used(postpaid: Desk) -> Desk:
    """Two companies' usage of a day, reported."""
    postpaid.add_company("beta")
    for number in range(4):
        at = NOW + timedelta(minutes=5 * number)
        postpaid.use(100 + number, 10, at=at)
        postpaid.use(200 + number, 20, at=at, company_id="beta")
    postpaid.move(LATER)
    postpaid.tick()
    return postpaid


def check(desk: Desk, provider: FaultyProvider | None = None, **span: datetime) -> ReconciliationView:
    return asyncio.run(
        reconcile(
            desk.world.database,
            provider or desk.provider,
            desk.world.clock,
            application_id=APP,
            new_id=desk.world.new_id,
            **span,
        )
    )


def found(view: ReconciliationView) -> list[tuple[str, str, str, str | None, list[str], list[str]]]:
    return [(row.kind, row.company_id, row.sent, row.provider, row.windows, row.events) for row in view.differences]


def at_provider(desk: Desk, statement: str, *values: object) -> None:
    with desk.provider._file.transaction() as connection:
        assert connection.execute(statement, values).rowcount == 1


def test_books_that_agree_have_no_difference_and_the_result_is_kept(used: Desk) -> None:
    view = check(used)
    assert view.differences == []
    assert (view.customers, view.windows, view.reports, view.adjusted_windows) == (2, 16, 16, 0)
    assert view.to_at == LATER - timedelta(hours=1)
    with used.world.database.snapshot() as transaction:
        assert read_last(transaction, APP) == view


@pytest.mark.parametrize(
    ("statement", "values", "counted"),
    [
        ("DELETE FROM meter_event WHERE identifier = ?", (KEY,), "0"),
        ("UPDATE meter_event SET value = '77' WHERE identifier = ?", (KEY,), "77"),
        (DOUBLED, (KEY,), "200"),
    ],
    ids=["lost", "changed", "doubled"],
)
def test_a_report_that_the_provider_has_otherwise_is_found_and_named(
    used: Desk, statement: str, values: tuple[str], counted: str
) -> None:
    at_provider(used, statement, *values)
    assert found(check(used)) == [
        ("provider", "acme", "100", counted, ["mtr_in@2026-03-10T12:00:00Z"], ["evt_1"]),
    ]
    assert check(used).differences[0].reports == ["rpt_1"]


def test_usage_that_only_the_provider_has_is_found_on_its_day(used: Desk) -> None:
    at_provider(
        used,
        "INSERT INTO meter_event (identifier, customer, price, value, timestamp)"
        " SELECT 'strange', customer, price, '5', timestamp - 7200000000 FROM meter_event WHERE identifier = ?",
        KEY,
    )
    (difference,) = check(used).differences
    assert (difference.at, difference.sent, difference.provider) == (datetime(2026, 3, 10, tzinfo=UTC), "0", "5")


def test_a_report_that_was_not_sent_is_found_and_named(postpaid: Desk) -> None:
    postpaid.use(100, 10)
    postpaid.move(LATER)
    postpaid.tick(Refusing(postpaid.provider, refused=KEY))
    (difference,) = check(postpaid).differences
    assert (difference.kind, difference.reported, difference.sent) == ("not_sent", "100", "0")
    assert (difference.reports, difference.events) == (["rpt_1"], ["evt_1"])


def test_a_window_that_was_never_reported_as_it_is_is_found(used: Desk) -> None:
    window = tables.usage_window
    with used.world.database.begin() as transaction:
        one = (window.c.company_id == "beta", window.c.meter_id == "mtr_out", window.c.start_at == NOW)
        transaction.execute(update(window).where(*one).values(billed_quantity=Decimal(21)))
    (difference,) = check(used).differences
    assert (difference.kind, difference.ledger, difference.reported) == ("not_reported", "21", "20")
    assert difference.windows == ["mtr_out@2026-03-10T12:00:00Z"]


def test_what_came_after_the_invoice_is_billed_by_the_next_one_and_differs_nowhere(used: Desk) -> None:
    used.close_month(APRIL)
    used.use(1_000_000, 0, at=NOW)
    used.move(APRIL + timedelta(hours=2))
    used.tick()
    view = check(used)
    assert (view.differences, view.adjusted_windows) == ([], 1)


def test_usage_that_is_billed_as_an_item_differs_nowhere(postpaid: Desk) -> None:
    postpaid.use(100, 10)
    provider = Refusing(postpaid.provider, refused=KEY)
    postpaid.close_month(APRIL, provider)
    postpaid.move(NOW + timedelta(days=36))
    postpaid.tick(provider)
    assert check(postpaid, from_at=NOW).differences == []


def test_a_span_that_has_not_passed_is_refused_and_nothing_is_there_before_the_first(postpaid: Desk) -> None:
    with pytest.raises(InvalidInput, match="from_at: must be before"):
        check(postpaid, from_at=NOW + timedelta(days=1))
    with pytest.raises(NotFound), postpaid.world.database.snapshot() as transaction:
        read_last(transaction, APP)


def test_whole_days_and_the_begun_one_are_both_compared(used: Desk) -> None:
    for day in (1, 2):
        used.use(50, 5, at=NOW + timedelta(days=day))
    used.move(NOW + timedelta(days=2, hours=2))
    used.tick()
    asked: list[str] = []
    before: Callable[[str, str], None] = lambda method, key: asked.append(f"{method} {key}")  # noqa: E731
    view = check(used, FaultyProvider(used.provider, before=before))
    assert (view.differences, view.reports) == ([], 20)
    assert len(asked) == 8
