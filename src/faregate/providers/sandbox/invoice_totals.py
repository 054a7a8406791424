"""An invoice's sums: discounts, then credit on usage, then tax, then what its customer's balance leaves to be paid.

subtotal = sum of the lines; total = subtotal - discounts - credit + exclusive tax. Whole minor units throughout.
"""

from __future__ import annotations

from faregate.providers.arithmetic import apportioned, taken_off
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.tax import inclusive_part, net_of, tax_lines


def discount_lines(invoice: Json, lines: list[Json]) -> None:
    """Take discounts off the lines: each from what the earlier ones left, rounded once, shared among the lines."""
    for discount in invoice["_discounts"]:
        chosen = [line for line in lines if _takes(discount, line)]
        left = [max(0, net_of(line)) for line in chosen]
        off = taken_off(sum(left), percent_off=discount["percent_off"], amount_off=discount["amount_off"])
        for line, amount in zip(chosen, apportioned(off, left), strict=True):
            line["discount_amounts"].append({"amount": amount, "discount": discount["discount"]})
            line["pretax_credit_amounts"].append(
                {
                    "amount": amount,
                    "credit_balance_transaction": None,
                    "discount": discount["discount"],
                    "type": "discount",
                }
            )


def totals(sandbox: Sandbox, invoice: Json, lines: list[Json]) -> Json:
    """Return the fields of an invoice that its lines, discounted and credited, decide; sets the lines' taxes."""
    tax_lines(sandbox, invoice, lines)
    taxes = [tax for line in lines for tax in line["taxes"]]
    subtotal = sum(line["amount"] for line in lines)
    net = sum(net_of(line) for line in lines)
    exclusive = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    total = net + exclusive
    return {
        "lines": {
            "object": "list",
            "data": lines,
            "has_more": False,
            "total_count": len(lines),
            "url": f"/v1/invoices/{invoice['id']}/lines",
        },
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - sum(inclusive_part(line) for line in lines),
        "total": total,
        "total_discount_amounts": summed(lines, "discount_amounts"),
        "total_excluding_tax": total - sum(tax["amount"] for tax in taxes),
        "total_pretax_credit_amounts": summed(lines, "pretax_credit_amounts"),
        "total_taxes": summed(lines, "taxes"),
    } | due(invoice, total)


def due(invoice: Json, total: int) -> Json:
    """Return what is to be paid of a total after the customer's balance, which is credit where it is below zero."""
    left = total + invoice["starting_balance"]
    amount = max(0, left) if total > 0 else 0
    return {"amount_due": amount, "amount_remaining": amount - invoice["amount_paid"]}


def _takes(discount: Json, line: Json) -> bool:
    if not line["discountable"]:
        return False
    products = discount["products"]
    details = (line["pricing"] or {}).get("price_details")
    return products is None or (details is not None and details["product"] in products)


def summed(lines: list[Json], name: str) -> list[Json]:
    """Return the lines' entries of a name added up by what they are of: a discount, a transaction or a tax rate."""
    summed: dict[str, Json] = {}
    for line in lines:
        for entry in line[name]:
            key = repr([part for field, part in entry.items() if field not in {"amount", "taxable_amount"}])
            before = summed.get(key)
            if before is None:
                summed[key] = dict(entry)
                continue
            for field in ("amount", "taxable_amount"):
                if field in entry:
                    before[field] += entry[field]
    return list(summed.values())
