from decimal import Decimal

from faregate.apps.story.replaying.books import Difference, MonthBooks, differences
from faregate.apps.story.replaying.playing import Played
from faregate.apps.story.replaying.report import record_of, render
from faregate.apps.story.replaying.sending import Failure, Sent
from faregate.apps.story.trace_sum import MonthSum, TraceSum
from tests.story.screen import shown

NOVEMBER = MonthSum(year=2023, month=11, calls=2, tokens_in=1_000_001, tokens_out=7)
SUMMED = TraceSum(months=(NOVEMBER,))


def books(**changed: object) -> dict[str, MonthBooks]:
    kept = MonthBooks(
        month="2023-11",
        calls=2,
        tokens_in=1_000_001,
        tokens_out=7,
        debits={"Input Tokens": Decimal("1.00"), "Output Tokens": Decimal("1.50")},
        invoice="INV-000001",
        invoiced=Decimal("2.50"),
        status="paid",
    )
    for name, value in changed.items():
        setattr(kept, name, value)
    return {"2023-11": kept}


def test_books_that_equal_the_file_differ_in_nothing() -> None:
    record = record_of(SUMMED, Played(sent=Sent(answered=2, seconds=0.5), books=books()))
    assert record.ok
    assert record.difference.money == 0
    assert "Nothing differs" in shown(render(record, SUMMED))


def test_every_difference_is_named_with_both_figures_and_its_month() -> None:
    found = differences(SUMMED.months, books(calls=1, invoiced=Decimal("2.00")))
    assert found == [
        Difference(month="2023-11", what="calls", file="2", books="1"),
        Difference(month="2023-11", what="money invoiced", file="2.50", books="2.00"),
    ]


def test_a_debit_finer_than_a_cent_differs_too() -> None:
    (found,) = differences(SUMMED.months, books(debits={"Input Tokens": Decimal("2.500000001")}))
    assert (found.what, found.file, found.books) == ("money debited", "2.50", "2.500000001")


def test_months_that_only_one_side_has_differ() -> None:
    only_file = differences(SUMMED.months, {})
    only_books = differences((), books())
    assert {entry.what for entry in only_file} == {entry.what for entry in only_books}
    assert len(only_file) == 5


def test_what_differs_and_what_failed_is_shown_and_not_ok() -> None:
    sent = Sent(answered=1, failures=[Failure(row=3, what="502 no upstream")], seconds=0.5)
    record = record_of(SUMMED, Played(sent=sent, books=books(calls=1)))
    assert not record.ok
    assert (record.failed, record.difference.calls) == (1, -1)
    page = shown(render(record, SUMMED))
    assert "2023-11: calls: 2 by the file, 1 in the books" in page
    assert "row 3 failed: 502 no upstream" in page
    assert "Nothing differs" not in page


def test_calls_that_failed_alone_are_not_ok_though_the_books_agree() -> None:
    sent = Sent(answered=2, failures=[Failure(row=9, what="cut")], seconds=0.5)
    assert not record_of(SUMMED, Played(sent=sent, books=books())).ok
