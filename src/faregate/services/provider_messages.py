"""What waits in the outbox: one JSON document a message, decoded into one of a closed union."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from faregate.base.errors import InvalidInput
from faregate.base.periods import Period
from faregate.domain.billing.invoice import RatedTotals
from faregate.domain.pricing.breakdown import LinePart

USAGE: Final = "usage"
CREDIT_GRANT: Final = "credit_grant"
PERIOD_CLOSE: Final = "period_close"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageMessage:
    """Raw units of a price that a company used: a window's quantity, or the difference to what was reported of it."""

    subscription_id: str
    company_id: str
    price_id: str
    value: Decimal
    timestamp: datetime
    period_start: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditMessage:
    """A grant to mirror; `amount` is a numeral of ledger units."""

    subscription_id: str
    grant_id: str
    amount: str
    currency: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedLine:
    """What a price came to by our totals; `amount` in minor units. `rated`: the provider takes the line as it is.

    `closing` and `rounding` are ledger units: what the period owes beyond its usage, and what then makes the debits
    equal the line. `adjusts`: where the earlier period began whose amount the line adjusts. `totals` is what was rated.
    """

    price_id: str
    quantity: Decimal
    amount: int
    rated: bool = False
    description: str = ""
    closing: int = 0
    rounding: int = 0
    parts: tuple[LinePart, ...] = ()
    adjusts: datetime | None = None
    totals: RatedTotals = ()

    @property
    def line_id(self) -> str:
        """Return what tells the line apart on its invoice: its price, or the price and period that it adjusts."""
        return self.price_id if self.adjusts is None else f"{self.price_id}@{self.adjusts:%Y-%m-%dT%H:%M:%S.%fZ}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedDiscount:
    """A coupon that the provider is to take off, and what that is by our reckoning; amounts in minor units."""

    redemption_id: str
    coupon_id: str
    name: str
    percent_off: Decimal | None
    amount_off: int | None
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodCloseMessage:
    """A period that is over: everything of it stands before this message.

    `lines` and `discounts` are what the invoice must say.
    """

    subscription_id: str
    period_start: datetime
    period_end: datetime
    issued_at: datetime
    lines: tuple[ExpectedLine, ...]
    discounts: tuple[ExpectedDiscount, ...] = ()

    @property
    def period(self) -> Period:
        """Return the period as one."""
        return Period(self.period_start, self.period_end)

    @property
    def total(self) -> int:
        """Return the sum of the lines less the discounts, in minor units."""
        return sum(line.amount for line in self.lines) - sum(discount.amount for discount in self.discounts)


ProviderMessage = UsageMessage | CreditMessage | PeriodCloseMessage

_TYPES: Final[dict[str, type[ProviderMessage]]] = {
    USAGE: UsageMessage,
    CREDIT_GRANT: CreditMessage,
    PERIOD_CLOSE: PeriodCloseMessage,
}


def encode_message(message: ProviderMessage) -> str:
    """Return the message's JSON."""
    return msgspec.json.encode(message).decode()


def decode_message(kind: str, payload: str) -> ProviderMessage:
    """Return the message; `InvalidInput` for a kind or document that is none of ours."""
    message_type = _TYPES.get(kind)
    if message_type is None:
        raise InvalidInput.of("kind", f"{kind!r} is not one of {', '.join(_TYPES)}")
    try:
        return msgspec.json.decode(payload, type=message_type)
    except msgspec.DecodeError as error:
        raise InvalidInput.of("payload", str(error)) from error
