"""Periods and proration in the words of billing_cases.json."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from faregate.base.money import currency, from_minor_units
from faregate.base.periods import (
    Alignment,
    Cadence,
    CadenceUnit,
    Period,
    PeriodCalendar,
    cycles_in,
    day_containing,
    days_begun,
    days_between,
)
from faregate.domain.catalog.adjustments import FixedDiscount, PercentDiscount
from faregate.domain.pricing.adjusting import discounted
from faregate.domain.pricing.proration import prorated_change, prorated_seats, share_left

Input = Mapping[str, Any]
Answer = dict[str, Any]

_UNITS = {"D": CadenceUnit.DAY, "W": CadenceUnit.WEEK, "M": CadenceUnit.MONTH, "Y": CadenceUnit.YEAR}
_NAMES = {
    "day": CadenceUnit.DAY,
    "daily": CadenceUnit.DAY,
    "week": CadenceUnit.WEEK,
    "weekly": CadenceUnit.WEEK,
    "month": CadenceUnit.MONTH,
    "monthly": CadenceUnit.MONTH,
    "quarter": CadenceUnit.QUARTER,
    "quarterly": CadenceUnit.QUARTER,
    "year": CadenceUnit.YEAR,
    "yearly": CadenceUnit.YEAR,
    "annual": CadenceUnit.YEAR,
}


def zone_of(given: Input) -> tzinfo:
    return ZoneInfo(given["timezone"]) if given.get("timezone") else UTC


def instant(text: str, zone: tzinfo = UTC) -> datetime:
    """An ISO instant; a date is its midnight in the zone."""
    if len(text) == len("2024-01-31"):
        return datetime.combine(date.fromisoformat(text), time(), tzinfo=zone).astimezone(UTC)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def cadence_of(given: Input) -> Cadence:
    text = str(given.get("interval") or given.get("billing_period") or "month").lower()
    if match := re.fullmatch(r"p(\d+)([dwmy])", text):
        return Cadence(unit=_UNITS[match[2].upper()], count=int(match[1]))
    return Cadence(unit=_NAMES[text], count=int(given.get("count", 1)))


def find_period(given: Input) -> Answer:
    """The period at an instant; of a billing run, the period that it bills: the last one that is over."""
    zone = zone_of(given)
    is_calendar = given.get("billing") == "calendar"
    anchor_text = given.get("anchor") or given.get("subscription_at") or given.get("started") or "2000-01-01"
    calendar = PeriodCalendar(
        anchor=instant(anchor_text, zone),
        cadence=cadence_of(given),
        zone=zone,
        alignment=Alignment.CALENDAR if is_calendar else Alignment.ANNIVERSARY,
    )
    if "billing_at" not in given:
        period = calendar.period_containing(instant(given["at"], zone))
        return {"from": _stamp(period.start), "to": _stamp(period.end)}
    if not is_calendar:
        # Their runs bill whole days of the customer's zone: the anchor is the day's midnight.
        midnight = day_containing(instant(anchor_text, zone), zone).start
        calendar = PeriodCalendar(anchor=midnight, cadence=cadence_of(given), zone=zone)
    over = calendar.period_containing(calendar.period_containing(instant(given["billing_at"])).start - _TICK)
    last = over.end - timedelta(seconds=1)
    return {
        "from": _stamp(over.start),
        "to": _stamp(last),
        "from_date": over.start.astimezone(zone).date().isoformat(),
        "to_date": last.astimezone(zone).date().isoformat(),
        "from_datetime": _stamp(over.start),
        "to_datetime": _stamp(last),
    }


def count_invoices(given: Input) -> Answer:
    """How many invoices some billing runs make: one for each period that is over, whatever runs see it."""
    zone = zone_of(given)
    started = instant(given["started"], zone)
    calendar = PeriodCalendar(anchor=started, cadence=cadence_of(given), zone=zone)
    billed: set[datetime] = set()
    for run in given["runs"]:
        period = calendar.period_containing(instant(run))
        while period.start > started:
            period = calendar.period_containing(period.start - _TICK)
            billed.add(period.start)
    return {"invoices": len(billed)}


def next_border(given: Input) -> Answer:
    zone = zone_of(given)
    calendar = PeriodCalendar(anchor=instant(given["anchor"], zone), cadence=cadence_of(given), zone=zone)
    following = calendar.period_containing(instant(given["current"], zone)).end.astimezone(zone)
    return {"next": following.date().isoformat()}


def count_cycles(given: Input) -> Answer:
    start, target = instant(given["start"]), instant(given["target"])
    # The billing day is a day of the month; January has every one of them.
    anchor = start.replace(month=1, day=int(given["billing_day"])) if "billing_day" in given else start
    calendar = PeriodCalendar(anchor=anchor, cadence=cadence_of(given))
    return {"elapsed": calendar.borders_passed(start, target)}


def daily_windows(given: Input) -> Answer:
    zone = zone_of(given)
    start, end = instant(given["from"], zone), instant(given["to"], zone)
    windows, at = [], start
    while at < end:
        windows.append(day_containing(at, zone))
        at = windows[-1].end
    counted = [
        day_containing(datetime.combine(day.start.astimezone(zone).date(), time(10), tzinfo=zone), zone)
        for day in windows
    ]
    odd = [window for window in windows if window.end - window.start != timedelta(days=1)]
    return {
        "windows": len(set(counted)),
        "dst_window": [_stamp(odd[0].start), _stamp(odd[0].end)] if odd else None,
        "contiguous": windows[0].start == start
        and windows[-1].end == end
        and all(left.end == right.start for left, right in pairwise(windows)),
    }


def count_days(given: Input) -> Answer:
    count = days_begun if given.get("inclusive") else days_between
    return {"days": count(instant(given["from"]), instant(given["to"]), zone_of(given))}


def change_plan(given: Input) -> Answer:
    """A change of plan inside a period. Where both ends of a period are counted, it ends a day later."""
    zone = zone_of(given)
    start, end = (instant(text, zone) for text in given["period"])
    if given.get("convention") == "inclusive_days":
        end = day_containing(end, zone).end
    share = share_left(Period(start, end), instant(given["change"], zone))
    unit = currency(given.get("currency", "USD"))
    old, new = _amount(given, "old"), _amount(given, "new")
    result = prorated_change(old=old, new=new, share=share, places=unit.minor_places)
    return {
        "credit_cents": result.credit if share else None,
        "charge_cents": result.charge if share else None,
        "net_cents": result.net,
        "credit": from_minor_units(result.credit, unit),
        "charge": from_minor_units(result.charge, unit),
        "net": from_minor_units(result.net, unit),
    }


def _amount(given: Input, which: str) -> Decimal:
    if which in given:
        return Decimal(str(given[which]))
    return Decimal(str(given.get(f"{which}_qty", 0))) * Decimal(str(given.get(f"{which}_price", 0)))


def change_discounted_plan(given: Input) -> Answer:
    """Discounts come off the period's amount before it is prorated."""
    unit = currency(given.get("currency", "USD"))
    amounts = {}
    for which in ("old", "new"):
        amount = from_minor_units(int(given[f"{which}_cents"]), unit)
        if given.get(f"{which}_discount"):
            kind, value = given[f"{which}_discount"]
            number = Decimal(str(value))
            amount = discounted(
                PercentDiscount(percent=number) if kind.startswith("percent") else FixedDiscount(amount=number), amount
            )
        amounts[which] = amount
    share = Fraction(given["factor"])
    result = prorated_change(old=amounts["old"], new=amounts["new"], share=share, places=unit.minor_places)
    return {"credit_cents": -result.credit, "debit_cents": result.charge, "net_cents": result.net}


def change_seats(given: Input) -> Answer:
    """Seats change now at the present price; the next cycle has the new price."""
    unit = currency(given.get("currency", "USD"))
    before, after = int(given["old_seats"]), int(given["new_seats"])
    entry = prorated_seats(
        unit=from_minor_units(int(given["old_price_cents"]), unit),
        before=before,
        after=after,
        share=Fraction(given["factor"]),
        places=unit.minor_places,
    )
    return {
        "entry_cents": abs(entry),
        "direction": "credit" if entry < 0 else "debit",
        "next_cycle_cents": int(given.get("new_price_cents", given["old_price_cents"])) * after,
    }


def leading_period(given: Input) -> Answer:
    start, following = instant(given["start"]), instant(given["next_cycle"])
    calendar = PeriodCalendar(anchor=following, cadence=cadence_of(given))
    cycles = cycles_in(Period(start, following), calendar)
    nine = Decimal(cycles.numerator) / Decimal(cycles.denominator)
    return {"factor": nine.quantize(Decimal("1e-9")), "as_fraction": cycles}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_TICK = timedelta(microseconds=1)
