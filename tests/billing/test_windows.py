from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from tests.billing.desk import Desk
from tests.services.world import NOW, Call

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
WINDOW_END = NOW + timedelta(minutes=5)


def reports(desk: Desk) -> list[tuple[str, str, datetime]]:
    found = []
    for row in desk.messages("usage"):
        payload = msgspec.json.decode(str(row["payload"]))
        found.append((str(row["key"]), payload["value"], datetime.fromisoformat(payload["timestamp"])))
    return found


def call_of(prompt_tokens: str, number: int) -> Call:
    return Call(request_id=f"req_{number}", sequence=number, prompt_tokens=prompt_tokens, completion_tokens=0)


def test_a_window_is_reported_once_a_minute_after_its_end_as_raw_units(postpaid: Desk) -> None:
    postpaid.use(10, 0)
    postpaid.use(32, 0)
    postpaid.move(WINDOW_END + timedelta(seconds=59, microseconds=999_999))
    postpaid.tick()
    assert reports(postpaid) == []
    postpaid.move(WINDOW_END + timedelta(seconds=60))
    postpaid.tick()
    postpaid.tick()
    assert reports(postpaid) == [("mtr_in:acme:2026-03-10T12:00:00.000000Z", "42", NOW)]


def test_what_comes_into_a_reported_window_goes_as_the_difference_under_a_new_revision(postpaid: Desk) -> None:
    postpaid.use(10, 0)
    postpaid.move(WINDOW_END + timedelta(minutes=1))
    postpaid.tick()
    for more in (5, 7):
        postpaid.use(more, 0)
        postpaid.tick()
    assert reports(postpaid) == [
        ("mtr_in:acme:2026-03-10T12:00:00.000000Z", "10", NOW),
        ("mtr_in:acme:2026-03-10T12:00:00.000000Z:r1", "5", NOW),
        ("mtr_in:acme:2026-03-10T12:00:00.000000Z:r2", "7", NOW),
    ]
    postpaid.close_month(APRIL)
    assert postpaid.invoices()[0].lines[0].quantity == 22


def test_a_period_that_ends_inside_a_window_reports_it_inside_the_period(postpaid: Desk) -> None:
    last = APRIL - timedelta(seconds=1)
    postpaid.move(APRIL + timedelta(seconds=30))
    postpaid.use(10, 0, at=last)
    postpaid.use(20, 0, at=APRIL)
    postpaid.close_month(APRIL)
    assert postpaid.invoices()[0].lines[0].quantity == 10
    assert reports(postpaid)[0][2] == APRIL - timedelta(minutes=5)


def test_decimal_quantities_reach_the_invoice_exactly(postpaid: Desk) -> None:
    postpaid.world.take(*(call_of("0.1", number) for number in range(1, 4)))
    postpaid.close_month(APRIL)
    assert postpaid.invoices()[0].lines[0].quantity == Decimal("0.3")


def test_usage_of_a_company_without_a_subscription_is_nobodys_to_bill_and_stays_readable(postpaid: Desk) -> None:
    postpaid.use(10, 0, company_id="stranger")
    postpaid.move(WINDOW_END + timedelta(minutes=2))
    postpaid.tick()
    assert reports(postpaid) == []
    windows = [row for row in postpaid.world.rows("usage_window") if row["quantity"]]
    assert [(row["quantity"], row["dirty"]) for row in windows] == [(Decimal(10), False)]


def test_more_windows_than_one_transaction_takes_are_all_reported(
    postpaid: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faregate.services.close_windows.WINDOWS_PER_TRANSACTION", 7)
    monkeypatch.setattr("faregate.services.delivery_turn.DELIVERY_BATCH_ROWS", 4)
    for number in range(30):
        postpaid.use(1, 0, at=NOW - timedelta(minutes=5 * number))
    postpaid.move(WINDOW_END + timedelta(minutes=2))
    postpaid.tick()
    assert len(reports(postpaid)) == 30
    assert postpaid.waiting() == []
