"""Usage that could not be reported in time: the period's close bills it, as an item beside the provider's own line.

The provider's line is what it got; the item is what is missing to ours. Both together are our line, to the last digit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from faregate.base.money import EXACT
from faregate.domain.billing.provider import ProviderLine, RatedLine
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.rating import line_amount
from faregate.services.provider_messages import ExpectedLine, PeriodCloseMessage, UsageMessage, decode_message
from faregate.storage.outbox import OutboxRow

_SUFFIX: Final = "+unreported"


def unsent_units(reports: Sequence[OutboxRow], close: OutboxRow) -> dict[str, Decimal]:
    """Return the units of reports that are of the period which is closed, by price."""
    closing = decode_message(close.kind, close.payload)
    found: dict[str, Decimal] = {}
    for row in reports:
        usage = decode_message(row.kind, row.payload)
        if (
            isinstance(usage, UsageMessage)
            and isinstance(closing, PeriodCloseMessage)
            and usage.period_start == closing.period_start
        ):
            found[usage.price_id] = EXACT.add(found.get(usage.price_id, Decimal(0)), usage.value)
    return found


def unsent_lines(
    expected: Sequence[ExpectedLine], missing: Mapping[str, Decimal], prices: Collection[Price]
) -> tuple[RatedLine, ...]:
    """Return what an invoice must have beside the lines that the provider comes to by itself."""
    by_id = {price.price_id: price for price in prices}
    lines = []
    for line in expected:
        units = Decimal(0) if line.rated or line.adjusts is not None else missing.get(line.price_id, Decimal(0))
        if units:
            reported = {key: EXACT.subtract(total, units) for key, total in line.totals}
            lines.append(
                RatedLine(
                    price=line.line_id + _SUFFIX,
                    description=f"{line.description}: usage that was not reported in time",
                    quantity=units,
                    amount=line.amount - line_amount(by_id[line.price_id], reported),
                )
            )
    return tuple(lines)


def folded(
    issued: Sequence[ProviderLine], unsent: Sequence[RatedLine], expected: Sequence[ExpectedLine]
) -> tuple[ProviderLine, ...]:
    """Return an invoice's lines with those of `unsent_lines` in the lines that they complete."""
    items = {line.price for line in unsent}
    lines = {line.price: line for line in issued if line.price not in items}
    described = {line.line_id: line.description for line in expected}
    for line in issued:
        if line.price in items:
            of = line.price.removesuffix(_SUFFIX)
            own = lines.get(of) or ProviderLine(price=of, description=described[of], quantity=Decimal(0), amount=0)
            lines[of] = replace(own, quantity=EXACT.add(own.quantity, line.quantity), amount=own.amount + line.amount)
    return tuple(lines.values())
