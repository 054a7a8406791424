"""The walkthrough's amounts against the calculation by hand in docs/walkthrough.md, read from the document itself."""

import re
from decimal import Decimal
from math import ceil
from typing import Any

import pytest

from tests.support.tree import ROOT

Walkthrough = dict[str, Any]
Row = dict[str, str]

UNITS = "Units"
MONEY = "Money"
PACKAGE = 1_000_000


def sections() -> dict[str, list[list[Row]]]:
    """The document's tables, by the heading they stand under; those of one heading in order."""
    found: dict[str, list[list[Row]]] = {}
    heading, header = "", None
    text = (ROOT / "docs/walkthrough.md").read_text()
    for line in text.replace("\N{MINUS SIGN}", "-").replace("\N{MULTIPLICATION SIGN}", "x").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if header is None:
            header = cells
            found.setdefault(heading, []).append([])
        elif not set(line) <= set("|- "):
            found[heading][-1].append(dict(zip(header, cells, strict=True)))
    return found


def rows(heading: str, table: int = 0) -> list[Row]:
    return sections()[heading][table]


def value(cell: str) -> str:
    """The result of a cell, `2.00` of `4.00 - 0.50 - 1.50 = 2.00`, without thousands' commas."""
    return cell.rpartition("=")[2].strip().lstrip("$").replace(",", "")


def calculate(expression: str) -> Decimal:
    """Work out sums and products, with at most one pair of parentheses, as a pocket calculator does."""
    text = expression.replace(",", "")
    bracket = re.search(r"\(([^()]*)\)", text)
    if bracket:
        text = text[: bracket.start()] + str(calculate(bracket[1])) + text[bracket.end() :]
    total, sign = Decimal(0), 1
    for part in re.split(r"\s([+-])\s", text):
        if part.strip() in {"+", "-"}:
            sign = 1 if part.strip() == "+" else -1
            continue
        product = Decimal(1)
        for factor in part.split("x"):
            product *= Decimal(factor.strip())
        total += sign * product
    return total


def answered(walkthrough: Walkthrough) -> list[tuple[str, dict[str, Any]]]:
    return [(step["step"], call) for step in walkthrough["steps"] for call in step["calls"] if call["status"] == 200]


def charge(call: dict[str, Any], price: str) -> dict[str, Any]:
    (found,) = [charge for charge in call["charges"] if charge["price"] == price]
    assert isinstance(found, dict)
    return found


def unit_rows() -> list[Row]:
    return rows(UNITS) + rows(f"{UNITS}, the first period") + rows(f"{UNITS}, the second period")


def money_rows() -> list[Row]:
    return rows(MONEY) + rows(f"{MONEY}, the first period") + rows(f"{MONEY}, the second period")


def test_every_line_of_arithmetic_in_the_document_is_right() -> None:
    lines = [cell for tables in sections().values() for table in tables for row in table for cell in row.values()]
    calculated = [cell for cell in lines if "=" in cell]
    assert len(calculated) > 90
    wrong = [cell for cell in calculated if calculate(cell.rpartition("=")[0]) != Decimal(value(cell))]
    assert wrong == []


@pytest.mark.parametrize("heading", [UNITS, f"{UNITS}, the first period", f"{UNITS}, the second period"])
def test_the_documents_totals_follow_from_its_calls_and_its_packages_from_its_totals(heading: str) -> None:
    for way in ("in", "out"):
        total = 0
        for row in rows(heading):
            total += int(value(row[way]))
            assert int(value(row[f"total {way}"])) == total
            assert int(row[f"packages {way}"]) == ceil(Decimal(total) / PACKAGE)


def test_the_documents_money_uses_the_packages_and_balances_before() -> None:
    for kind in ("", ", the first period", ", the second period"):
        packages_in, packages_out = 0, 0
        for units, money in zip(rows(UNITS + kind), rows(MONEY + kind), strict=True):
            assert money["input"].startswith(f"({units['packages in']} - {packages_in}) x 0.50 = ")
            assert money["output"].startswith(f"({units['packages out']} - {packages_out}) x 1.50 = ")
            packages_in, packages_out = int(units["packages in"]), int(units["packages out"])
            assert (
                money["balance"].rpartition(" = ")[0].endswith(f"- {value(money['input'])} - {value(money['output'])}")
            )


def test_the_walkthrough_holds_every_check(walkthrough: Walkthrough) -> None:
    assert [step["step"] for step in walkthrough["steps"]] == list("abcdefghijkl")
    assert [check for step in walkthrough["steps"] for check in step["checks"] if not check["held"]] == []
    assert walkthrough["ok"] is True


def test_every_calls_tokens_are_those_of_the_document(walkthrough: Walkthrough) -> None:
    found = [
        (step, charge(call, "Input Tokens")["quantity"], charge(call, "Output Tokens")["quantity"])
        for step, call in answered(walkthrough)
    ]
    assert found == [(row["step"], value(row["in"]), value(row["out"])) for row in unit_rows()]


def test_every_charge_balance_and_remainder_is_that_of_the_document_to_the_last_digit(walkthrough: Walkthrough) -> None:
    found = [
        (
            step,
            charge(call, "Input Tokens")["amount"],
            charge(call, "Output Tokens")["amount"],
            call["balance"],
            call["paid_ahead"]["Input Tokens"],
            call["paid_ahead"]["Output Tokens"],
        )
        for step, call in answered(walkthrough)
    ]
    names = ("input", "output", "balance", "input paid ahead", "output paid ahead")
    assert found == [(row["step"], *(value(row[name]) for name in names)) for row in money_rows()]


def test_every_refusal_is_that_of_the_document(walkthrough: Walkthrough) -> None:
    refused = [
        (step["step"], call["customer"], call["code"], call["balance"])
        for step in walkthrough["steps"]
        for call in step["calls"]
        if call["status"] == 402
    ]
    names = ("step", "customer", "error.code", "balance")
    assert refused == [tuple(row[name] for name in names) for row in rows("The refusals")]
    assert {call["status"] for step in walkthrough["steps"] for call in step["calls"]} == {200, 402}


def test_every_invoice_is_that_of_the_document_to_the_last_digit(walkthrough: Walkthrough) -> None:
    invoices = [invoice for step in walkthrough["steps"] for invoice in step["invoices"]]
    lines = [
        (invoice["customer"], line["price"], line["quantity"], line["amount"])
        for invoice in invoices
        for line in sorted(invoice["lines"], key=lambda each: each["price"])
    ]
    assert lines == [
        (row["customer"], row["price"], value(row["units"]), value(row["amount"])) for row in rows("The invoices")
    ]
    totals = [
        (entry["customer"], entry["total"], entry["credit_applied"], entry["amount_due"], entry["status"])
        for entry in invoices
    ]
    assert totals == [
        (row["customer"], value(row["total"]), value(row["paid by credit"]), value(row["to pay"]), row["status"])
        for row in rows("The invoices", 1)
    ]
    checked = {check["what"]: check["found"] for step in walkthrough["steps"] for check in step["checks"]}
    for row in rows("The invoices", 1):
        assert checked[f"{row['customer']}: balance afterwards"] == value(row["balance afterwards"])


def test_ledger_and_invoice_agree_line_by_line_and_are_those_of_the_document(walkthrough: Walkthrough) -> None:
    books = [entry for step in walkthrough["steps"] for entry in step["books"]]
    by_price = sorted(books, key=lambda entry: (entry["customer"], entry["price"]))
    assert [(entry["customer"], entry["price"], entry["debited"], entry["invoiced"]) for entry in by_price] == [
        (row["customer"], row["price"], value(row["debits"]), value(row["debits"])) for row in rows("The books agree")
    ]
    assert all(entry["used"] == entry["invoiced_quantity"] for entry in books)
