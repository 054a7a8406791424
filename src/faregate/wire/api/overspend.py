"""What prepaid subscriptions spent that they did not have."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from faregate.domain.ledger.overspend import OverspendCause


class OverspendView(Struct, frozen=True, kw_only=True):
    """What one subscription overspent for one cause: `amount` in all, in `times` transactions, `last_at` the last."""

    subscription_id: str
    company_id: str
    cause: OverspendCause
    amount: str
    currency: str
    times: int
    last_at: datetime
