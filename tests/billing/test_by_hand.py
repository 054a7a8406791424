"""The two months of docs/billing.md, as they are written there, lived through."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from faregate.domain.ledger.burning import GrantKind
from tests.billing.desk import Desk
from tests.services.world import DOLLAR

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs" / "billing.md"


def tables_of(heading: str) -> Iterator[list[dict[str, str]]]:
    """Yield the tables below a heading, each row by its column names."""
    (section,) = re.findall(rf"^## {heading}$(.*?)(?=^## )", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for block in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE):
        names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
        yield [dict(zip(names, row, strict=True)) for row in rows]


def units(text: str) -> int:
    return int(text.replace(",", ""))


def cents(text: str) -> int:
    return int(Decimal(text) * 100)


def live_through(desk: Desk, heading: str) -> None:
    calls, lines, (sums,) = tables_of(heading)
    for call in calls:
        desk.use(units(call["input tokens"]), units(call["output tokens"]))
    desk.close_month(APRIL)
    (invoice,) = desk.invoices()
    assert [(line.description, line.quantity, line.amount) for line in invoice.lines] == [
        (line["price"], Decimal(units(line["units"])), cents(line["amount"].split("=")[1])) for line in lines
    ]
    assert invoice.total == cents(sums["total"])
    assert invoice.credit_applied == cents(sums["credit applied"])
    assert invoice.amount_due == cents(sums["amount due"])
    rounding = sum(Decimal(str(row["amount"])) for row in desk.world.rows("ledger_entry") if row["kind"] == "rounding")
    assert rounding == Decimal(sums["rounding"])
    assert desk.balance() == Decimal(sums["balance after"]) * DOLLAR


def test_the_postpaid_month_comes_out_as_calculated_by_hand(postpaid: Desk) -> None:
    live_through(postpaid, "A postpaid month")


def test_the_prepaid_month_comes_out_as_calculated_by_hand(prepaid: Desk) -> None:
    prepaid.world.grant("1.00", caller_id="gift", kind=GrantKind.PROMOTIONAL)
    prepaid.world.grant("2.00", caller_id="top-up")
    live_through(prepaid, "A prepaid month")
