"""More cases of the kinds that billing_cases.json has, at the edges; every expectation is worked out by hand."""

from typing import Any, Final

import pytest

from tests.domain.billing_case_runner import differences, run_case

FLAT_AND_UNIT: Final = [
    {"up_to": "5", "flat": "100", "unit": "0"},
    {"up_to": "10", "flat": "50", "unit": "3"},
    {"up_to": "inf", "flat": "7", "unit": "0.5"},
]
OPEN_TIER: Final = [{"up_to": None, "flat": "2.5", "unit": "0.001"}]
VOLUME: Final = [
    {"up_to": "100", "flat": "10", "unit": "2"},
    {"up_to": "200", "flat": "0", "unit": "1"},
    {"up_to": None, "flat": "50", "unit": "0.5"},
]


def rated(model: str, quantity: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a case
    return {"model": model, "quantity": quantity} | more


RATING: Final = [
    # 100 + (50 + 3 x 5) + (7 + 0.5 x 2.5)
    ("rating.graduated", rated("graduated", "12.5", tiers=FLAT_AND_UNIT), {"amount": "173.25"}),
    # a thousandth above a border has entered the tier: 100 + 50 + 3 x 0.001
    ("rating.graduated", rated("graduated", "5.001", tiers=FLAT_AND_UNIT), {"amount": "150.003"}),
    ("rating.graduated", rated("graduated", "10", tiers=FLAT_AND_UNIT), {"amount": "165"}),
    # 165 + 7 + 0.5 x (10^15 - 10)
    (
        "rating.graduated",
        rated("graduated", "1e15", tiers=FLAT_AND_UNIT),
        {"amount": "500000000000167"},
    ),
    # below zero nothing was used: what is due without usage stays due
    ("rating.graduated", rated("graduated", "-3", tiers=FLAT_AND_UNIT), {"amount": "100"}),
    ("rating.graduated", rated("graduated", "0", tiers=OPEN_TIER), {"amount": "2.5"}),
    ("rating.graduated", rated("graduated", "1", tiers=OPEN_TIER), {"amount": "2.501"}),
    # one more unit from 5 enters the second tier: 50 + 3
    (
        "rating.graduated.progressive",
        rated("graduated", "1", tiers=FLAT_AND_UNIT, previous_quantity="5"),
        {"amount": "53", "lines": [{"tier": 2, "qty": "1", "amount": "53"}]},
    ),
    # a correction below zero gives back what the units cost, the flat fee of the left tier too: 165 - 150 + 15
    (
        "rating.graduated.progressive",
        rated("graduated", "-5", tiers=FLAT_AND_UNIT, previous_quantity="10"),
        {"amount": "-65"},
    ),
    ("rating.volume", rated("volume", "0", tiers=VOLUME), {"amount": "0"}),
    ("rating.volume", rated("volume", "-1", tiers=VOLUME), {"amount": "0"}),
    ("rating.volume", rated("volume", "0.001", tiers=VOLUME), {"amount": "10.002"}),
    ("rating.volume", rated("volume", "200", tiers=VOLUME), {"amount": "200"}),
    ("rating.volume", rated("volume", "200.000000001", tiers=VOLUME), {"amount": "150.0000000005"}),
    ("rating.volume", rated("volume", "1e15", tiers=VOLUME), {"amount": "500000000000050"}),
    # packages
    ("rating.package", rated("package", "0.000001", package_size="10", amount="15"), {"packages": "1", "amount": "15"}),
    ("rating.package", rated("package", "10.5", package_size="10", amount="15"), {"packages": "2", "amount": "30"}),
    ("rating.package", rated("package", "-10", package_size="10", amount="15"), {"packages": "0", "amount": "0"}),
    (
        "rating.package",
        rated("package", "199.999", package_size="100", amount="1", rounding="down"),
        {"packages": "1", "amount": "1"},
    ),
    (
        "rating.package",
        rated("package", "121", package_size="10", amount="100", free_units="20"),
        {"packages": "11", "amount": "1100"},
    ),
    (
        "rating.package",
        rated("package", "20", package_size="10", amount="100", free_units="20"),
        {"packages": "0", "amount": "0"},
    ),
    (
        "rating.package",
        rated("package", "9" * 24, package_size="1000000", amount="0.000000001"),
        {"amount": "1000000000"},
    ),
    # adjustments in their order: 20 x 10 = 200, 25 % off = 150, 30 off = 120, at most 100
    (
        "rating.discount_then_cap",
        rated("unit", "20", unit="10", percentage_discount="25", fixed_discount="30", maximum_spend="100"),
        {"gross": "200", "discounts": ["50", "30", "20"], "discount": "100", "amount": "100"},
    ),
    # a discount greater than the amount leaves nothing, and a minimum is charged all the same
    (
        "rating.discount_then_cap",
        rated("unit", "1", unit="10", fixed_discount="30", minimum_spend="4"),
        {"gross": "10", "discounts": ["10"], "amount": "4", "true_up": "4"},
    ),
    # what was billed before counts towards the cap: 95 of 100 billed, 20 more leave 5
    (
        "rating.discount_then_cap",
        rated("unit", "2", unit="10", previous_billed="95", maximum_spend="100"),
        {"gross": "20", "amount": "5"},
    ),
    # percentages: (3 - 1 free) events of 50 at 10 % + 0.25
    (
        "rating.percentage",
        {
            "model": "percentage",
            "rate_percent": "10",
            "fixed_per_event": "0.25",
            "event_values": ["50"] * 3,
            "free_events": 1,
        },
        {"amount": "10.5"},
    ),
    # 120 of value is free: 50, 50, then 20 of the third; 30 at 10 % + 0.25
    (
        "rating.percentage",
        {
            "model": "percentage",
            "rate_percent": "10",
            "fixed_per_event": "0.25",
            "event_values": ["50"] * 3,
            "free_units": "120",
        },
        {"amount": "3.25"},
    ),
    # whichever is used up first: one free event
    (
        "rating.percentage",
        {
            "model": "percentage",
            "rate_percent": "10",
            "event_values": ["50"] * 3,
            "free_events": 1,
            "free_units": "120",
        },
        {"amount": "10"},
    ),
    ("rating.percentage", {"model": "percentage", "rate_percent": "10", "event_values": []}, {"amount": "0"}),
    (
        "rating.percentage.minmax",
        {
            "model": "percentage",
            "rate_percent": "1",
            "event_values": ["0", "100", "500"],
            "min_per_event": "1",
            "max_per_event": "3",
        },
        {"amount": "5"},
    ),
    # 10 x 1 % + 200, 10 x 2 % + 300, 0.5 x 3 % + 400
    (
        "rating.graduated_percentage",
        {
            "model": "graduated_percentage",
            "tiers": [
                {"up_to": "10", "flat": "200", "rate_percent": "1"},
                {"up_to": "20", "flat": "300", "rate_percent": "2"},
                {"up_to": None, "flat": "400", "rate_percent": "3"},
            ],
            "quantity": "20.5",
        },
        {"amount": "900.315"},
    ),
    # blocks of all tiers: 10 blocks of 100, then 5 begun blocks of 1,000 of the 4,001 left
    (
        "rating.block_tiers",
        rated(
            "block_tiers",
            "5001",
            policy="ALL_TIERS",
            tiers=[
                {"size": "100", "max_blocks": "10", "price": "1"},
                {"size": "1000", "max_blocks": "100", "price": "2"},
            ],
        ),
        {"amounts": ["10", "10"], "amount": "20"},
    ),
    ("rating.precision", rated("unit", "3", unit="0.000000000001"), {"amount_precise": "0.000000000003"}),
    # a commitment in a currency without cents: 8,500.5 is 8,501 (half away from zero)
    ("rating.commitment", {"commitment": "8501", "used": "8500.5", "currency": "JPY"}, {"true_up": "0"}),
    ("rating.commitment", {"commitment": "10.000", "used": "9.9995", "currency": "KWD"}, {"true_up": "0.000"}),
    ("rating.commitment", {"commitment": "10.000", "used": "9.9994", "currency": "KWD"}, {"true_up": "0.001"}),
    ("rating.commitment", {"commitment": "100", "used": "0", "currency": "IDR"}, {"true_up": "100"}),
    ("rating.commitment", {"commitment": "100", "used": "250", "currency": "USD"}, {"true_up": "0", "total": "250"}),
    # coupons: half of 101 is 51 (50.5), 50 left; 20 off, 30 left; 100 % of it
    (
        "rating.coupons",
        {
            "amount_cents": 101,
            "coupons": [{"percent": "50"}, {"fixed_cents": 20}, {"percent": "100"}, {"fixed_cents": 5}],
        },
        {"discounts_cents": [51, 20, 30, 0], "discount_cents": 101, "total_cents": 0},
    ),
    ("rating.coupons", {"amount_cents": 0, "coupons": [{"fixed_cents": 20}]}, {"discount_cents": 0, "total_cents": 0}),
    ("rating.coupons", {"amount_cents": 999, "coupons": []}, {"discount_cents": 0, "total_cents": 999}),
    (
        "rating.coupons",
        {"amount_cents": 15, "coupons": [{"percentage": "12.5"}]},
        {"discount_cents": 2, "total_cents": 13},
    ),
    # all of it: 100 % of the fee and of its tax
    (
        "refund.credit_note",
        {"fee_cents": 999, "unused_fraction": "1", "tax_percent": "7.25"},
        {"subtotal_cents": 999, "tax_cents": 72, "total_cents": 1071},
    ),
    # thirds: 333.33 -> 333; the last one may give back no more than the fee
    (
        "refund.credit_note",
        {"fee_cents": 100, "unused_fraction": "2/3", "tax_percent": "0", "credited_subtotal_cents": 67},
        {"subtotal_cents": 33, "tax_cents": 0, "total_cents": 33},
    ),
]

ROUNDING: Final = [
    ("rounding.currency", {"amount": amount, "currency": code}, {"rounded": rounded})
    for amount, code, rounded in (
        ("0.5", "JPY", "1"),
        ("0.4999999999", "JPY", "0"),
        ("-0.5", "JPY", "-1"),
        ("1234.5", "KRW", "1235"),
        ("2.5", "CLP", "3"),
        ("10.5", "ISK", "11"),
        ("10.0005", "KWD", "10.001"),
        ("10.00049", "BHD", "10.000"),
        ("-10.0005", "TND", "-10.001"),
        ("1999.995", "IDR", "2000.00"),
        ("0.0000000000005", "USD", "0.00"),
        ("-10.275", "USD", "-10.28"),
        ("-0.004", "EUR", "0.00"),
        ("92233720.005", "USD", "92233720.01"),
        ("1.005", "IRR", "1.01"),
    )
] + [
    ("rounding.subtotal", {"line_amounts": ["0.0005", "0.0005"], "currency": "KWD"}, {"subtotal": "0.002"}),
    ("rounding.subtotal", {"line_amounts": ["0.5", "0.5", "-0.5"], "currency": "JPY"}, {"subtotal": "1"}),
    ("rounding.subtotal", {"line_amount": "0.004", "count": 1000, "currency": "USD"}, {"subtotal": "0.00"}),
    ("rounding.subtotal", {"line_amounts": [], "currency": "USD"}, {"subtotal": "0"}),
    ("rounding.usage", {"quantity": "1500", "unit": "0.001", "currency": "JPY"}, {"amount": "2"}),
    ("rounding.usage", {"quantity": "1", "unit": "0.0005", "currency": "KWD"}, {"amount": "0.001"}),
    ("rounding.usage", {"quantity": "333", "unit": "0.015", "currency": "IDR"}, {"amount": "5.00"}),
    ("rounding.half_away", {"amount": "-8.5"}, {"rounded": "-9"}),
    ("rounding.half_away", {"amount": "2.4999999999999999999"}, {"rounded": "2"}),
    ("rounding.units", {"units": "-123.456", "function": "floor", "precision": None}, {"units": "-124"}),
    ("rounding.units", {"units": "-123.456", "function": "ceil", "precision": "1"}, {"units": "-123.4"}),
    ("rounding.units", {"units": "-2.5", "function": "round", "precision": "0"}, {"units": "-3"}),
    ("rounding.units", {"units": "0", "function": "ceil", "precision": "-3"}, {"units": "0"}),
    ("rounding.units", {"units": "0.001", "function": "ceil", "precision": "-3"}, {"units": "1000"}),
    ("rounding.units", {"units": "123.456", "function": "round", "precision": "10"}, {"units": "123.456"}),
]


def day(
    zone: str, first: str, last: str, days: int, odd: list[str] | None
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return (
        "time.dst_window",
        {"timezone": zone, "window": "DAY", "from": first, "to": last},
        {"windows": days, "dst_window": odd, "contiguous": True},
    )


def period(anchor: str, interval: str, at: str, begin: str, end: str, zone: str = "UTC") -> tuple[str, Any, Any]:
    return (
        "time.period",
        {"anchor": anchor, "interval": interval, "at": at, "timezone": zone},
        {"from": begin, "to": end},
    )


TIME: Final = [
    # half an hour: from +10:30 to +11:00, and back
    day("Australia/Lord_Howe", "2024-10-04", "2024-10-08", 4, ["2024-10-05T13:30:00Z", "2024-10-06T13:00:00Z"]),
    day("Australia/Lord_Howe", "2024-04-05", "2024-04-09", 4, ["2024-04-06T13:00:00Z", "2024-04-07T13:30:00Z"]),
    # December 30 was left out: from the 28th to January 2 there are four days, of 24 hours each
    day("Pacific/Apia", "2011-12-28", "2012-01-02", 4, None),
    # clocks change at midnight: the day begins at one o'clock, or has its first hour twice
    day("America/Sao_Paulo", "2018-11-03", "2018-11-06", 3, ["2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"]),
    day("America/Havana", "2024-11-02", "2024-11-05", 3, ["2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"]),
    # quarters of an hour, and no change of clocks
    day("Asia/Kathmandu", "2024-02-28", "2024-03-02", 3, None),
    # anchors on days that a month does not have
    period("2024-01-30T00:00:00Z", "P1M", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-30T00:00:00Z"),
    period("2023-01-30T00:00:00Z", "P1M", "2023-02-28T12:00:00Z", "2023-02-28T00:00:00Z", "2023-03-30T00:00:00Z"),
    period("2023-01-29T00:00:00Z", "P1M", "2023-02-28T00:00:00Z", "2023-02-28T00:00:00Z", "2023-03-29T00:00:00Z"),
    period("2024-01-29T00:00:00Z", "P1M", "2024-02-28T23:59:59Z", "2024-01-29T00:00:00Z", "2024-02-29T00:00:00Z"),
    period("2024-01-31T15:00:00Z", "P1M", "2024-04-30T14:59:59Z", "2024-03-31T15:00:00Z", "2024-04-30T15:00:00Z"),
    period("2024-02-29T00:00:00Z", "P1Y", "2025-02-28T00:00:00Z", "2025-02-28T00:00:00Z", "2026-02-28T00:00:00Z"),
    period("2024-02-29T00:00:00Z", "P1Y", "2028-03-01T00:00:00Z", "2028-02-29T00:00:00Z", "2029-02-28T00:00:00Z"),
    period("2023-11-30T00:00:00Z", "P3M", "2024-03-01T00:00:00Z", "2024-02-29T00:00:00Z", "2024-05-30T00:00:00Z"),
    # before the anchor too, and 2100 is no leap year
    period("2024-03-31T00:00:00Z", "P1M", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z"),
    period("2000-02-29T00:00:00Z", "P1Y", "2100-03-01T00:00:00Z", "2100-02-28T00:00:00Z", "2101-02-28T00:00:00Z"),
    # days and weeks
    period("2024-02-28T12:00:00Z", "P1D", "2024-02-29T11:59:59Z", "2024-02-28T12:00:00Z", "2024-02-29T12:00:00Z"),
    period("2024-12-30T00:00:00Z", "P1W", "2025-01-05T23:59:59Z", "2024-12-30T00:00:00Z", "2025-01-06T00:00:00Z"),
    period("2024-01-01T00:00:00Z", "P2W", "2024-01-15T00:00:00Z", "2024-01-15T00:00:00Z", "2024-01-29T00:00:00Z"),
    # on the customer's wall clock: midnight of New York is at five o'clock UTC in winter, and at four in summer
    period(
        "2024-01-31", "P1M", "2024-03-31T04:00:00Z", "2024-03-31T04:00:00Z", "2024-04-30T04:00:00Z", "America/New_York"
    ),
    period(
        "2024-02-10", "P1M", "2024-03-10T05:00:00Z", "2024-03-10T05:00:00Z", "2024-04-10T04:00:00Z", "America/New_York"
    ),
    # an anchor at 02:30, which March 10 does not have: as if clocks had not changed, 02:30 at UTC-5
    period(
        "2024-02-10T07:30:00Z",
        "P1M",
        "2024-03-10T07:30:00Z",
        "2024-03-10T07:30:00Z",
        "2024-04-10T06:30:00Z",
        "America/New_York",
    ),
    # a calendar month of Samoa that lost a day has 30: from December 1 at UTC-10 to January 1 at UTC+14
    (
        "time.timezone",
        {"billing": "calendar", "interval": "month", "timezone": "Pacific/Apia", "billing_at": "2012-01-15T00:00:00Z"},
        {"from": "2011-12-01T10:00:00Z", "to": "2011-12-31T09:59:59Z"},
    ),
    (
        "time.timezone",
        {"billing": "calendar", "interval": "week", "timezone": "Asia/Kolkata", "billing_at": "2024-03-04T00:00:00Z"},
        {"from": "2024-02-25T18:30:00Z", "to": "2024-03-03T18:29:59Z"},
    ),
    (
        "time.timezone",
        {
            "billing": "calendar",
            "interval": "year",
            "timezone": "Pacific/Auckland",
            "billing_at": "2024-12-31T11:00:00Z",
        },
        {"from": "2023-12-31T11:00:00Z", "to": "2024-12-31T10:59:59Z"},
    ),
    (
        "time.timezone",
        {"billing": "calendar", "interval": "quarter", "timezone": "UTC", "billing_at": "2024-04-01T00:00:00Z"},
        {"from": "2024-01-01T00:00:00Z", "to": "2024-03-31T23:59:59Z"},
    ),
    (
        "time.period",
        {"subscription_at": "2023-01-31T01:00:00Z", "billing_at": "2023-03-31T00:30:00Z", "timezone": "UTC"},
        {"from_date": "2023-02-28", "to_date": "2023-03-30"},
    ),
    (
        "time.timezone.double_billing",
        {
            "started": "2023-05-23",
            "interval": "week",
            "timezone": "Pacific/Apia",
            "runs": ["2023-05-29T10:59:59Z", "2023-05-29T11:00:00Z", "2023-06-05T11:00:00Z"],
        },
        {"invoices": 2},
    ),
    (
        "time.next_billing",
        {"current": "2024-01-31", "anchor": "2024-01-31", "interval": "month", "count": 1},
        {"next": "2024-02-29"},
    ),
    (
        "time.next_billing",
        {"current": "2024-02-29", "anchor": "2024-01-31", "interval": "month", "count": 1},
        {"next": "2024-03-31"},
    ),
    (
        "time.next_billing",
        {"current": "2024-02-29", "anchor": "2024-02-29", "interval": "year", "count": 1},
        {"next": "2025-02-28"},
    ),
    (
        "time.next_billing",
        {"current": "2024-12-31", "anchor": "2024-12-31", "interval": "day", "count": 3},
        {"next": "2025-01-03"},
    ),
    (
        "time.next_billing",
        {"current": "2024-02-22", "anchor": "2024-02-22", "interval": "week", "count": 2},
        {"next": "2024-03-07"},
    ),
    (
        "time.elapsed_cycles",
        {"start": "2024-01-31", "target": "2024-02-28", "billing_day": 31, "interval": "month"},
        {"elapsed": 0},
    ),
    (
        "time.elapsed_cycles",
        {"start": "2023-01-31", "target": "2023-02-28", "billing_day": 31, "interval": "month"},
        {"elapsed": 1},
    ),
    ("time.elapsed_cycles", {"start": "2024-02-29", "target": "2027-02-28", "interval": "year"}, {"elapsed": 3}),
    (
        "time.elapsed_cycles",
        {"start": "2024-03-01", "target": "2024-03-01", "billing_day": 1, "interval": "month"},
        {"elapsed": 0},
    ),
    ("time.elapsed_cycles", {"start": "2024-02-26", "target": "2024-03-11", "interval": "week"}, {"elapsed": 2}),
    (
        "time.dst_days",
        {"from": "2024-10-05T00:00:00Z", "to": "2024-10-06T13:00:00Z", "timezone": "Australia/Lord_Howe"},
        {"days": 2},
    ),
    ("time.dst_days", {"from": "2024-02-28T00:00:00Z", "to": "2024-03-01T00:00:00Z", "timezone": "UTC"}, {"days": 2}),
    (
        "time.dst_days",
        {"from": "2024-02-28T00:00:00Z", "to": "2024-03-01T00:00:00Z", "timezone": "UTC", "inclusive": True},
        {"days": 3},
    ),
    # March of New York has 743 hours and 31 days
    (
        "time.dst_days",
        {
            "from": "2024-03-01T05:00:00Z",
            "to": "2024-04-01T03:59:59Z",
            "timezone": "America/New_York",
            "inclusive": True,
        },
        {"days": 31},
    ),
    (
        "time.dst_days",
        {
            "from": "2024-11-01T04:00:00Z",
            "to": "2024-12-01T04:59:59Z",
            "timezone": "America/New_York",
            "inclusive": True,
        },
        {"days": 30},
    ),
]

PRORATION: Final = [
    # 10 of 29 days of a leap February are left: 290 x 10/29
    (
        "proration.plan_change",
        {
            "convention": "half_open_days",
            "period": ["2024-02-01", "2024-03-01"],
            "change": "2024-02-20",
            "old": "290",
            "new": "580",
        },
        {"credit_cents": -10000, "charge_cents": 20000, "net_cents": 10000},
    ),
    # a currency without cents: 100 x 10/29 = 34.48, 200 x 10/29 = 68.97
    (
        "proration.plan_change",
        {
            "convention": "half_open_days",
            "period": ["2024-02-01", "2024-03-01"],
            "change": "2024-02-20",
            "old": "100",
            "new": "200",
            "currency": "JPY",
        },
        {"credit": "-34", "charge": "69", "net": "35"},
    ),
    # thousandths: 1 x 10/29 = 0.34483
    (
        "proration.plan_change",
        {
            "convention": "half_open_days",
            "period": ["2024-02-01", "2024-03-01"],
            "change": "2024-02-20",
            "old": "1",
            "new": "0",
            "currency": "KWD",
        },
        {"credit": "-0.345", "charge": "0", "net": "-0.345"},
    ),
    # on the first day all of both
    (
        "proration.plan_change",
        {
            "convention": "half_open_days",
            "period": ["2025-01-01", "2025-01-31"],
            "change": "2025-01-01",
            "old": "100",
            "new": "200",
        },
        {"credit_cents": -10000, "charge_cents": 20000, "net_cents": 10000},
    ),
    (
        "proration.seats",
        {"old_price_cents": 1000, "old_seats": 2, "new_seats": 5, "factor": "1/3"},
        {"entry_cents": 1000, "direction": "debit", "next_cycle_cents": 5000},
    ),
    (
        "proration.leading_period",
        {"start": "2024-02-20", "next_cycle": "2024-03-01", "billing_period": "month"},
        {"as_fraction": "10/29"},
    ),
    (
        "proration.leading_period",
        {"start": "2023-07-15", "next_cycle": "2024-02-29", "billing_period": "year"},
        {"as_fraction": "229/366"},
    ),
    (
        "proration.discount",
        {
            "old_cents": 1000,
            "new_cents": 2000,
            "factor": "1/3",
            "old_discount": ["percent", "100"],
            "new_discount": ["fixed", "30"],
        },
        {"credit_cents": 0, "debit_cents": 0},
    ),
]


def credits_of(grants: list[dict[str, Any]], usage: list[list[str]], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    return {
        "grants": [{"amount": "100", "effective": "0", "expires": "+30d"} | grant for grant in grants],
        "usage": usage,
    } | more


CREDIT: Final = [
    # grants of equal order burn as they were given
    ("credits.order", credits_of([{"id": "b"}, {"id": "a"}], [["+1h", "30"]]), {"balances": {"b": "70", "a": "100"}}),
    # promotional before paid at equal priority and expiry, whichever came first
    (
        "credits.order",
        credits_of([{"id": "paid", "kind": "paid"}, {"id": "gift", "kind": "promotional"}], [["+1h", "130"]]),
        {"balances": {"paid": "70", "gift": "0"}},
    ),
    # the sooner to end goes first, though it was given later; one that never ends goes last
    (
        "credits.order",
        credits_of(
            [{"id": "never", "expires": None}, {"id": "late"}, {"id": "soon", "expires": "+2d"}], [["+1h", "150"]]
        ),
        {"balances": {"never": "100", "late": "50", "soon": "0"}},
    ),
    # priority above all
    (
        "credits.order",
        credits_of(
            [{"id": "two", "priority": 2, "expires": "+1d"}, {"id": "one", "priority": 1, "kind": "paid"}],
            [["+1h", "10"]],
        ),
        {"balances": {"two": "100", "one": "90"}},
    ),
    # credit that ended pays nothing, and an instant at the end belongs to what comes after
    (
        "credits.effective",
        credits_of([{"id": "g", "expires": "+1d"}], [["+1d", "10"]]),
        {"balances": {"g": "0"}, "overage": "10"},
    ),
    # overage is paid by the next credit that begins
    (
        "credits.burn",
        credits_of(
            [{"id": "g1", "amount": "10"}, {"id": "g2", "amount": "50", "effective": "+2h"}], [["+1h", "25"]], at="+3h"
        ),
        {"balances": {"g1": "0", "g2": "35"}, "overage": "0", "balance": "35"},
    ),
    # a grant on January 31 that recurs monthly is whole again on February 29
    (
        "credits.recurrence",
        {
            "grants": [
                {"id": "g", "amount": "100", "effective": "2024-01-31", "recurs": "P1M", "expires": "2025-01-31"}
            ],
            "usage": [["2024-02-28T23:59:59", "40"], ["2024-02-29T00:00:00", "30"]],
            "from": "2024-01-31",
        },
        {"balances": {"g": "70"}, "overage": "0"},
    ),
    # nothing to spend, nothing spent; a huge amount, and the finest
    ("credits.burn", credits_of([], [["+1h", "5"]]), {"balances": {}, "overage": "5", "balance": "-5"}),
    (
        "credits.burn",
        credits_of([{"id": "g", "amount": "9000000000"}], [["+1h", "0.000000001"]]),
        {"balances": {"g": "8999999999.999999999"}},
    ),
    # what is given back goes to the last that was taken
    (
        "credits.correction",
        {"consumed": {"a": "5", "b": "5", "c": "5"}, "restore": "15"},
        {"still_consumed": {"a": "0", "b": "0", "c": "0"}},
    ),
    (
        "credits.correction",
        {"consumed": {"a": "5", "b": "5"}, "restore": "0"},
        {"still_consumed": {"a": "5", "b": "5"}},
    ),
    ("credits.conversion", {"credits": "0", "conversion_rate": "0.01"}, {"currency_amount": "0"}),
    ("credits.conversion", {"credits": "12345", "conversion_rate": "0.000001"}, {"currency_amount": "0.012345"}),
    # holds
    ("reservation", {"buckets": [5, 10], "reserve": 15, "settle": 15}, {"remaining": 0, "allowed": True}),
    ("reservation", {"buckets": [5, 10], "reserve": 16}, {"allowed": False, "remaining": 15}),
    ("reservation.race", {"balance": 15, "reserve": 8, "then": ["expire", "settle 4"]}, {"balance": 15, "refused": 1}),
    ("enforcement.fail_closed", {"grants": [], "reserve": 0}, {"allowed": True}),
    ("enforcement.fail_closed", {"grants": [5], "reserve": 6}, {"allowed": False}),
]

USAGE: Final = [
    ("metering.unique", {"aggregation": "unique", "by_customer_id": ["a"], "by_external_id": ["a"]}, {"value": 1}),
    ("metering.latest", {"aggregation": "latest", "values": [["-1d", 14], ["-2d", 18]]}, {"value": "14"}),
    ("metering", {"aggregation": "sum", "values": ["0.1", "0.2", "0.3"]}, {"value": "0.6"}),
    ("metering", {"aggregation": "max", "values": ["0", "0.5"]}, {"value": "0.5"}),
    ("metering", {"aggregation": "min", "values": ["0", "1e20"]}, {"value": "0"}),
    ("metering", {"aggregation": "count", "values": ["0", "0"]}, {"value": 2}),
    ("metering", {"aggregation": "average", "values": ["1", "2", "2"]}, {"value": "1.666666666667"}),
    ("metering", {"aggregation": "sum", "values": []}, {"value": 0}),
    # three from the first, three more from the 16th of a month of 31 days: 3 + 3 x 16/31
    (
        "metering.weighted_sum",
        {
            "aggregation": "weighted_sum",
            "deltas": [["2023-08-01T00:00:00Z", "31"], ["2023-08-16T00:00:00Z", "31"]],
            "period": ["2023-08-01T00:00:00Z", "2023-09-01T00:00:00Z"],
        },
        {"value": "47"},
    ),
    # what leaves at the period's end was there all the time
    (
        "metering.weighted_sum",
        {
            "aggregation": "weighted_sum",
            "deltas": [["2024-02-01T00:00:00Z", "29"], ["2024-02-29T00:00:00Z", "-29"]],
            "period": ["2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"],
        },
        {"value": "28"},
    ),
    ("metering.prorated_recurring", {"aggregation": "unique_recurring_prorated", "period_days": 29}, {"value": "1/29"}),
    ("stripe.timestamp", {"ages": ["35d", "-5m", "0d", "-301s"]}, {"accepted": [True, True, True, False]}),
    ("stripe.value", {"aggregate": "0.25"}, {"reported": 0}),
    (
        "metering.streaming",
        {"stream": "aborted", "usage": {"prompt_tokens": 7, "completion_tokens": 0}},
        {"billed_tokens": 7, "estimated": False},
    ),
    (
        "metering.streaming",
        {"stream": "aborted", "usage": None, "prompt_tokens_estimate": 18},
        {"billed_tokens": 18, "estimated": True},
    ),
]

CASES: Final[list[tuple[str, Any, Any]]] = [*RATING, *ROUNDING, *TIME, *PRORATION, *CREDIT, *USAGE]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param({"area": area, "input": given, "expected": expected}, id=f"{number}-{area}")
        for number, (area, given, expected) in enumerate(CASES)
    ],
)
def test_a_case_at_the_edge_comes_out_as_worked_out_by_hand(case: dict[str, Any]) -> None:
    assert differences(case["expected"], run_case(case)) == {}
