"""Rating, rounding, coupons and refunds in the words of billing_cases.json."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from faregate.base.money import EXACT, Currency, currency, from_minor_units, quantize, quantize_share, to_minor_units
from faregate.domain.billing.coupons import Coupon, FixedCoupon, PercentCoupon, coupon_discounts
from faregate.domain.billing.credit_note import CreditNote, credit_note
from faregate.domain.catalog.adjustments import Adjustments, Commitment, Discount, FixedDiscount, PercentDiscount
from faregate.domain.catalog.models import (
    Flat,
    Graduated,
    LeafModel,
    Package,
    PackageRounding,
    Percentage,
    PerUnit,
    Tier,
    Volume,
)
from faregate.domain.catalog.price import BillingPeriod, Price, TaxBehavior
from faregate.domain.pricing.adjusting import adjusted_usage, discounted
from faregate.domain.pricing.breakdown import PartKind, line_parts
from faregate.domain.pricing.package import packages_charged
from faregate.domain.pricing.percentage import events_amount
from faregate.domain.pricing.prorated_tiers import ProratedUnits, prorated_graduated_amount
from faregate.domain.pricing.rating import line_amount, rate, rate_period, true_up, whole

Input = Mapping[str, Any]
Answer = dict[str, Any]


def decimal(given: Input, name: str, otherwise: str = "0") -> Decimal:
    value = given.get(name)
    return Decimal(otherwise if value is None else str(value))


def optional(given: Input, name: str) -> Decimal | None:
    """A number; None where a case says nothing, or that there is no end (`inf`, as Stripe writes it)."""
    value = given.get(name)
    return None if value is None or str(value).lower() in {"inf", "infinity"} else Decimal(str(value))


def a_case_price(given: Input, model: LeafModel) -> Price:
    return Price(
        price_id="prc_1",
        plan_id="pln_1",
        name="Case",
        model=model,
        period=BillingPeriod.MONTH,
        currency=currency(given.get("currency", "USD")),
        tax_behavior=TaxBehavior.AUTO,
        adjustments=_adjustments(given),
    )


def rate_case(given: Input) -> Answer:
    """Any pricing model: the whole quantity, or what more of it costs after what was billed."""
    if given["model"] == "percentage":
        amount = events_amount(_percentage(given), [Decimal(str(value)) for value in given["event_values"]])
        return {"amount": adjusted_usage(_adjustments(given), amount)}
    model = _model(given)
    price = a_case_price(given, model)
    quantity = decimal(given, "precise_total_amount_cents" if given["model"].startswith("dynamic") else "quantity")
    if "previous_quantity" in given or "previous_billed" in given:
        return _rate_further(price, given, quantity)
    amount = rate_period(price, whole(quantity))
    answer = {"amount": amount, "amount_precise": amount, "amounts": _tier_amounts(price, quantity)}
    if isinstance(model, Package):
        answer["packages"] = packages_charged(model, EXACT.subtract(quantity, price.adjustments.included_units))
    if decimal(given, "quantity"):
        answer["unit_amount"] = Fraction(amount) / Fraction(decimal(given, "quantity"))
    return answer | _adjusting_parts(price, quantity)


def _rate_further(price: Price, given: Input, quantity: Decimal) -> Answer:
    """What a second bill in a period comes to: the period rated with it, less the period rated before."""
    unadjusted = _without_adjustments(price)
    if "previous_quantity" in given:
        before = decimal(given, "previous_quantity")
    else:
        before = _quantity_billed(price, decimal(given, "previous_billed"))
    after = EXACT.add(before, quantity)
    gross = EXACT.subtract(rate(unadjusted, whole(after)), rate(unadjusted, whole(before)))
    amount = EXACT.subtract(rate(price, whole(after)), rate(price, whole(before)))
    discounts, left = [], gross
    for discount in price.adjustments.discounts:
        taken = EXACT.subtract(left, discounted(discount, left))
        discounts.append(taken)
        left = EXACT.subtract(left, taken)
    if left != amount:
        discounts.append(EXACT.subtract(left, amount))
    answer = {"gross": gross, "discount": EXACT.subtract(gross, amount), "discounts": discounts, "amount": amount}
    if isinstance(price.model, Graduated):
        answer["lines"] = _further_lines(price, before, after)
    return answer


def _quantity_billed(price: Price, billed: Decimal) -> Decimal:
    """Return the quantity that was billed at so much: a case may name only the amount."""
    low, high = Decimal(0), Decimal(10**12)
    while EXACT.subtract(high, low) > Decimal("0.000000001"):
        middle = EXACT.multiply(EXACT.add(low, high), Decimal("0.5")).quantize(Decimal("1e-9"))
        if rate(price, whole(middle)) < billed:
            low = middle
        else:
            high = middle
    return high


def _further_lines(price: Price, before: Decimal, after: Decimal) -> list[Answer]:
    was = {part.tier: part for part in line_parts(price, whole(before)) if part.kind is PartKind.TIER}
    lines = []
    for part in line_parts(price, whole(after)):
        if part.kind is not PartKind.TIER or part.quantity is None:
            continue
        old = was.get(part.tier)
        quantity = EXACT.subtract(part.quantity, old.quantity if old is not None and old.quantity else Decimal(0))
        amount = EXACT.subtract(part.amount, old.amount if old is not None else Decimal(0))
        if quantity or amount:
            lines.append({"tier": part.tier, "qty": quantity, "amount": amount})
    return lines


def _adjusting_parts(price: Price, quantity: Decimal) -> Answer:
    parts = line_parts(price, whole(quantity))
    kinds = (PartKind.DISCOUNT, PartKind.MAXIMUM)
    discounts = [EXACT.minus(part.amount) for part in parts if part.kind in kinds]
    gross = rate_period(_without_adjustments(price), whole(quantity))
    discount = sum(discounts, Decimal(0))
    return {"gross": gross, "discounts": discounts, "discount": discount, "true_up": from_true_up(price, quantity)}


def from_true_up(price: Price, quantity: Decimal) -> Decimal:
    return from_minor_units(true_up(price, whole(quantity)), price.currency)


def _tier_amounts(price: Price, quantity: Decimal) -> list[Decimal]:
    return [part.amount for part in line_parts(price, whole(quantity)) if part.kind is PartKind.TIER]


def _without_adjustments(price: Price) -> Price:
    return a_case_price({"currency": price.currency.code}, _leaf(price))


def _leaf(price: Price) -> LeafModel:
    assert isinstance(price.model, LeafModel)
    return price.model


def commit(given: Input) -> Answer:
    """A commitment, and usage that comes to an amount."""
    price = a_case_price(given, PerUnit(amount=Decimal(1)))
    used = decimal(given, "used")
    return {
        "true_up": from_true_up(price, used),
        "amount": from_minor_units(line_amount(price, whole(used)), price.currency),
        "total": from_minor_units(line_amount(price, whole(used)), price.currency),
    }


def rate_prorated(given: Input) -> Answer:
    model = Graduated(tiers=_tiers(given))
    changes = [
        ProratedUnits(full=Decimal(full), prorated=Decimal(prorated))
        for full, prorated in zip(given["full"], given["prorated"], strict=True)
    ]
    exact = prorated_graduated_amount(model, changes)
    rounded = Decimal(quantize_share(Decimal(1), exact, 2)).scaleb(-2)
    return {"amount": exact, "amount_rounded_2": rounded}


def take_coupons(given: Input) -> Answer:
    subtotal = int(given["amount_cents"])
    discounts = coupon_discounts(subtotal, [_coupon(entry) for entry in given["coupons"]])
    return {"discount_cents": sum(discounts), "discounts_cents": discounts, "total_cents": subtotal - sum(discounts)}


def _coupon(entry: Input) -> Coupon:
    for name in ("fixed_cents", "amount_cents"):
        if entry.get(name) is not None:
            return FixedCoupon(amount=int(entry[name]), currency=currency("USD"))
    return PercentCoupon(percent=Decimal(str(next(entry[name] for name in entry if "percent" in name))))


def give_back(given: Input) -> Answer:
    credited = None
    if "credited_subtotal_cents" in given:
        credited = CreditNote(subtotal=given["credited_subtotal_cents"], tax=given.get("credited_tax_cents", 0))
    note = credit_note(
        int(given["fee_cents"]),
        share=Fraction(str(given["unused_fraction"])),
        tax_percent=decimal(given, "tax_percent"),
        credited=credited,
    )
    return {"subtotal_cents": note.subtotal, "tax_cents": note.tax, "total_cents": note.total}


def round_money(given: Input) -> Answer:
    amount = Decimal(given["amount"])
    if "currency" not in given:
        return {"rounded": Decimal(quantize(amount, int(given.get("places", 0)), ROUND_HALF_UP))}
    unit = currency(given["currency"])
    return {"rounded": from_minor_units(to_minor_units(amount, unit), unit)}


def add_lines(given: Input) -> Answer:
    unit = currency(given["currency"])
    amounts = given["line_amounts"] if "line_amounts" in given else [given["line_amount"]] * int(given["count"])
    cents = sum(to_minor_units(Decimal(amount), unit) for amount in amounts)
    return {"subtotal": from_minor_units(cents, unit)}


def round_usage(given: Input) -> Answer:
    price = a_case_price(given, PerUnit(amount=Decimal(given["unit"])))
    return {"amount": from_minor_units(line_amount(price, whole(Decimal(given["quantity"]))), price.currency)}


def _adjustments(given: Input) -> Adjustments:
    discounts: list[Discount] = []
    if given.get("percentage_discount") is not None:
        discounts.append(PercentDiscount(percent=decimal(given, "percentage_discount")))
    if given.get("fixed_discount") is not None:
        discounts.append(FixedDiscount(amount=decimal(given, "fixed_discount")))
    commitment = optional(given, "commitment")
    return Adjustments(
        included_units=decimal(given, "free_units" if "free_units" in given else "included_units"),
        discounts=tuple(discounts),
        maximum_spend=optional(given, "maximum_spend"),
        minimum_spend=optional(given, "minimum_spend"),
        commitment=None
        if commitment is None
        else Commitment(amount=commitment, overage=decimal(given, "overage_factor", "1")),
    )


def _model(given: Input) -> LeafModel:
    match given["model"]:
        case "graduated" | "graduated_percentage":
            return Graduated(tiers=_tiers(given))
        case "volume":
            return Volume(tiers=_tiers(given))
        case "package":
            rounding = PackageRounding(given.get("rounding") or "up")
            return Package(amount=decimal(given, "amount"), size=decimal(given, "package_size"), rounding=rounding)
        case "unit" | "per_unit" | "standard":
            return PerUnit(amount=decimal(given, "unit"))
        case "flat":
            return Flat(amount=decimal(given, "amount"))
        case "dynamic_event_amount":
            return PerUnit(amount=EXACT.scaleb(Decimal(1), -_currency(given).minor_places))
        case "block_tiers":
            top = given["policy"] == "TOP_TIER"
            return Volume(tiers=_blocks(given)) if top else Graduated(tiers=_blocks(given))
        case other:
            raise KeyError(other)


def _currency(given: Input) -> Currency:
    return currency(given.get("currency", "USD"))


def _percentage(given: Input) -> Percentage:
    free_events = given.get("free_events")
    return Percentage(
        percent=decimal(given, "rate_percent"),
        fixed=decimal(given, "fixed_per_event"),
        minimum=optional(given, "min_per_event"),
        maximum=optional(given, "max_per_event"),
        free_events=None if free_events is None else int(free_events),
        free_value=optional(given, "free_units"),
    )


def _tiers(given: Input) -> tuple[Tier, ...]:
    if "tiers_first_unit" in given:
        rows: Sequence[Input] = given["tiers_first_unit"]
        tops = [*(row["first_unit"] for row in rows[1:]), None]
        return tuple(_tier({**row, "up_to": top}) for row, top in zip(rows, tops, strict=True))
    return tuple(_tier(row) for row in given["tiers"])


def _tier(row: Input) -> Tier:
    unit = decimal(row, "unit")
    if row.get("rate_percent") is not None:
        unit = EXACT.multiply(decimal(row, "rate_percent"), Decimal("0.01"))
    return Tier(up_to=optional(row, "up_to"), unit=unit, flat=decimal(row, "flat"), cap=optional(row, "flat_cap"))


def _blocks(given: Input) -> tuple[Tier, ...]:
    """Tiers of blocks: each takes `max_blocks` blocks of `size` units; the last one all further ones."""
    tiers, top = [], Decimal(0)
    for row in given["tiers"]:
        top = EXACT.add(top, EXACT.multiply(decimal(row, "size"), decimal(row, "max_blocks")))
        tiers.append(Tier(up_to=top, unit=decimal(row, "price"), size=decimal(row, "size")))
    last = tiers[-1]
    tiers[-1] = Tier(up_to=None, unit=last.unit, size=last.size)
    return tuple(tiers)
