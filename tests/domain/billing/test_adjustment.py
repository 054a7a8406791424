from hypothesis import given
from hypothesis import strategies as st

from faregate.base.money import currency, minor_to_ledger_units
from faregate.domain.billing.adjustment import PriceBill, bill_adjustments, bill_line

USD = currency("USD")
CENT = 10_000_000
amounts = st.integers(-5_000_000_000, 5_000_000_000)
bills = st.builds(PriceBill, owed=amounts, billed=st.integers(-500, 500))


def test_a_line_is_the_whole_rounded_once_less_what_was_billed() -> None:
    bill = PriceBill().with_line(4, rounding=-4_000_000, unit=USD)
    assert bill == PriceBill(owed=4 * CENT + 4_000_000, billed=4, rounding=-4_000_000)
    step = bill_line(bill.plus(4_000_000), USD, room=0)
    assert (step.line, step.rounding, step.is_whole) == (1, 6_000_000, True)


@given(changes=st.lists(amounts, max_size=20), often=st.lists(st.booleans(), min_size=20, max_size=20))
def test_however_adjustments_are_split_over_invoices_the_lines_are_the_rounded_whole(
    changes: list[int], often: list[bool]
) -> None:
    bill, lines, rounded = PriceBill(), 0, 0
    for change, now in zip([*changes, 0], [*often[: len(changes)], True], strict=True):
        bill = bill.plus(change)
        if now:
            step = bill_line(bill, USD, room=10**12)
            bill, lines, rounded = step.after, lines + step.line, rounded + step.rounding
    assert lines == bill.billed == PriceBill(owed=sum(changes)).unbilled(USD)
    assert sum(changes) + rounded == minor_to_ledger_units(lines, USD)


@given(waiting=st.lists(bills, max_size=6), room=st.integers(0, 700))
def test_an_invoice_never_comes_below_zero_and_what_it_has_no_room_for_waits(
    waiting: list[PriceBill], room: int
) -> None:
    numbered = list(enumerate(waiting))
    steps = dict(bill_adjustments(numbered, USD, room=room))
    total = room + sum(step.line for step in steps.values())
    assert total >= 0
    for number, bill in numbered:
        step = steps.get(number)
        left = bill.unbilled(USD) if step is None else step.after.unbilled(USD)
        assert left <= 0
        assert (left == 0) == (step is not None and step.is_whole)
        if left:
            assert total == 0
    assert list(steps) == sorted(steps)


def test_what_is_owed_makes_room_for_what_is_given_back() -> None:
    back, owed = PriceBill(owed=-9 * CENT), PriceBill(owed=5 * CENT)
    steps = dict(bill_adjustments([("a", back), ("b", owed)], USD, room=1))
    assert {key: (step.line, step.is_whole) for key, step in steps.items()} == {"a": (-6, False), "b": (5, True)}
    assert bill_adjustments([("a", back)], USD, room=0) == []
