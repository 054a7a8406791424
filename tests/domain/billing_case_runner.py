"""Runs a case of billing_cases.json, or another of its kind, through the core: `run_case(case)` gives the answer.

The case files say a thing in the words of the system that it was taken from; the modules beside this one translate
those words, and compute nothing themselves.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from tests.domain import case_credits, case_rating, case_time, case_usage

Case = Mapping[str, Any]
Answer = dict[str, Any]

AREAS: Final[Mapping[str, Callable[[Case], Answer]]] = {
    "credits": case_credits.run,
    "credits.conversion": case_credits.convert,
    "credits.determinism": case_credits.run_in_parts,
    "credits.rollover": case_credits.run_or_roll_over,
    "credits.balance": case_credits.balance,
    "credits.correction": case_credits.correct,
    "enforcement": case_credits.reserve,
    "metering.latest": case_usage.aggregate,
    "metering.prorated_recurring": case_usage.prorated_presence,
    "metering.streaming": case_usage.aborted_stream,
    "metering": case_usage.aggregate,
    "proration.plan_change": case_time.change_plan,
    "proration.discount": case_time.change_discounted_plan,
    "proration.leading_period": case_time.leading_period,
    "proration.seats": case_time.change_seats,
    "rating": case_rating.rate_case,
    "rating.commitment": case_rating.commit,
    "rating.coupons": case_rating.take_coupons,
    "rating.graduated.prorated": case_rating.rate_prorated,
    "refund": case_rating.give_back,
    "reservation": case_credits.reserve,
    "rounding": case_rating.round_money,
    "rounding.subtotal": case_rating.add_lines,
    "rounding.units": case_usage.round_value,
    "rounding.usage": case_rating.round_usage,
    "stripe.timestamp": case_usage.report_in_time,
    "stripe.value": case_usage.report_whole_units,
    "time.dst_days": case_time.count_days,
    "time.dst_window": case_time.daily_windows,
    "time.elapsed_cycles": case_time.count_cycles,
    "time.next_billing": case_time.next_border,
    "time.period": case_time.find_period,
    "time.timezone": case_time.find_period,
    "time.timezone.double_billing": case_time.count_invoices,
}
"""By area; an area that is not named goes by the longest beginning of it that is."""


def run_case(case: Case) -> Answer:
    """Return what the core says to a case; `KeyError` for an area that it has no word for."""
    area = case["area"]
    while area not in AREAS:
        area, _, last = area.rpartition(".")
        if not last or not area:
            raise KeyError(case["area"])
    return AREAS[area](case["input"])


def differences(expected: Answer, actual: Answer) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which the answer is not what is expected, each with both."""
    return {name: (value, actual.get(name)) for name, value in expected.items() if not is_same(value, actual.get(name))}


def is_same(expected: object, actual: object) -> bool:
    """Compare as the cases mean it: numbers by value, however they are written."""
    if isinstance(expected, Mapping):
        return isinstance(actual, Mapping) and all(is_same(value, actual.get(key)) for key, value in expected.items())
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(is_same(left, right) for left, right in zip(expected, actual, strict=True))
        )
    if isinstance(expected, bool) or expected is None or isinstance(actual, bool) or actual is None:
        return bool(expected is actual)
    left, right = _number(expected), _number(actual)
    return bool(left == right if left is not None and right is not None else expected == actual)


def _number(value: object) -> Fraction | None:
    if isinstance(value, Fraction):
        return value
    text = str(value)
    try:
        if "/" in text:
            return Fraction(text)
        return Fraction(Decimal(text))
    except (InvalidOperation, ValueError):
        return None
