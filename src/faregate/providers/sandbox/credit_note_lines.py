"""The lines of a credit note: parts of an invoice's lines, with their share of its discounts, credit and taxes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from faregate.providers.arithmetic import half_away_from_zero
from faregate.providers.sandbox.asking import Sandbox, refuse_others
from faregate.providers.sandbox.faults import Json, missing, refused
from faregate.providers.sandbox.tax import named_tax_rates, net_of, tax_lines

_OF_LINE: Final = frozenset({"amount", "invoice_line_item", "metadata", "quantity", "type"})
_OWN: Final = frozenset(
    {"description", "metadata", "quantity", "tax_rates", "type", "unit_amount", "unit_amount_decimal"}
)


def note_lines(sandbox: Sandbox, invoice: Json, sent: Json) -> list[Json]:
    """Return the lines of a credit note as a request says them; `amount` alone is one line, tax included."""
    if ("amount" in sent) is ("lines" in sent):
        raise refused("Set either `amount` or `lines`.", param="amount", code="parameter_missing")
    if "amount" in sent:
        if sent["amount"] < 1:
            raise refused("Invalid positive integer", param="amount")
        return [_line(sandbox, amount=sent["amount"], quantity=1, fields={"type": "custom_line_item"})]
    lines = []
    for place, one in enumerate(sent["lines"]):
        at = f"lines[{place}]"
        make = _own_line if one["type"] == "custom_line_item" else _line_of_line
        lines.append(make(sandbox, invoice, one, at=at))
    return lines


def line_total(line: Json) -> int:
    """Return what a credit note's line gives back, tax included."""
    exclusive: int = sum(tax["amount"] for tax in line["taxes"] if tax["tax_behavior"] == "exclusive")
    return net_of(line) + exclusive


def _line_of_line(sandbox: Sandbox, invoice: Json, sent: Json, *, at: str) -> Json:
    refuse_others(sent, _OF_LINE, f"a credit note's {at}")
    wanted = sent.get("invoice_line_item", "")
    of = next((line for line in invoice["lines"]["data"] if line["id"] == wanted), None)
    if of is None:
        raise missing("line_item", wanted, param=f"{at}[invoice_line_item]")
    if ("amount" in sent) is ("quantity" in sent):
        raise refused("Set either `amount` or `quantity`.", param=f"{at}[amount]", code="parameter_missing")
    quantity = sent.get("quantity")
    amount = sent.get("amount")
    if amount is None:
        amount = half_away_from_zero(Fraction(of["amount"] * quantity, of["quantity"] or 1))
    if not 0 < amount <= of["amount"]:
        raise refused(f"A line can be credited by 1 to {of['amount']}.", param=f"{at}[amount]")
    share = Fraction(amount, of["amount"])
    fields = {
        "description": of["description"],
        "discount_amounts": [_scaled(part, share) for part in of["discount_amounts"]],
        "invoice_line_item": of["id"],
        "metadata": sent.get("metadata", {}),
        "pretax_credit_amounts": [_scaled(part, share) for part in of["pretax_credit_amounts"]],
        "taxes": [_scaled(part, share) for part in of["taxes"]],
        "type": "invoice_line_item",
    }
    return _line(sandbox, amount=amount, quantity=quantity, fields=fields)


def _own_line(sandbox: Sandbox, invoice: Json, sent: Json, *, at: str) -> Json:
    refuse_others(sent, _OWN, f"a credit note's {at}")
    if ("unit_amount" in sent) is ("unit_amount_decimal" in sent):
        message = "Set either `unit_amount` or `unit_amount_decimal`."
        raise refused(message, param=f"{at}[unit_amount]", code="parameter_missing")
    unit: Any = sent.get("unit_amount", sent.get("unit_amount_decimal"))
    quantity = sent.get("quantity", 1)
    amount = half_away_from_zero(Fraction(unit) * quantity)
    if amount < 1:
        raise refused("A line of a credit note must give something back.", param=f"{at}[unit_amount]")
    rates = named_tax_rates(sandbox, sent.get("tax_rates"), param=f"{at}[tax_rates]")
    fields = {
        "description": sent.get("description"),
        "metadata": sent.get("metadata", {}),
        "tax_rates": rates,
        "type": "custom_line_item",
        "unit_amount": sent.get("unit_amount"),
        "unit_amount_decimal": str(unit),
    }
    line = _line(sandbox, amount=amount, quantity=quantity, fields=fields)
    of = {"_tax_rates": [rate["id"] for rate in rates], "_tax_behavior": "unspecified"}
    taxed = line | of
    tax_lines(sandbox, invoice | {"default_tax_rates": [], "automatic_tax": {"enabled": False}}, [taxed])
    return line | {"taxes": taxed["taxes"]}


def _line(sandbox: Sandbox, *, amount: int, quantity: int | None, fields: Json) -> Json:
    line: Json = {
        "id": sandbox.new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": None,
        "discount_amounts": [],
        "invoice_line_item": None,
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": quantity,
        "tax_rates": [],
        "taxes": [],
        "unit_amount": None,
        "unit_amount_decimal": None,
    } | fields
    return line | {"discount_amount": sum(part["amount"] for part in line["discount_amounts"])}


def _scaled(part: Json, share: Fraction) -> Json:
    names = [name for name in ("amount", "taxable_amount") if name in part]
    return part | {name: half_away_from_zero(part[name] * share) for name in names}
