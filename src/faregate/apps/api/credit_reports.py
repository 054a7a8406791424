"""Balances of the past, breakage, liability, and the audit of all accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.services import credit_reports
from faregate.services.business_clock import business_now
from faregate.storage.database import Transaction
from faregate.wire.api.common import to_utc
from faregate.wire.api.credit_reports import AuditView, BreakageReport, LiabilityReport, PastBalanceView

At = Annotated[datetime, QueryParameter(name="at", description="The moment (RFC 3339).")]
From = Annotated[datetime, QueryParameter(name="from", description="Not before this instant (RFC 3339).")]
To = Annotated[datetime, QueryParameter(name="to", description="Before this instant (RFC 3339).")]


@get("/subscriptions/{subscription_id:str}/past-balance", summary="Get a balance of the past", tags=["Credit"])
async def get_past_balance(call: NamedDependency[Call], subscription_id: FromPath[str], at: At) -> PastBalanceView:
    """Return the balance, and what was left of each grant, by the entries that were posted up to a moment."""
    return await call.read(
        lambda tx: credit_reports.read_past_balance(tx, call.application_id, subscription_id, at=to_utc(at))
    )


@get("/credit/breakage", summary="Read breakage", tags=["Credit"])
async def get_breakage(call: NamedDependency[Call], from_at: From, to_at: To) -> BreakageReport:
    """Credit that expired or was voided, month by month of UTC, paid and promotional apart."""
    return await call.read(
        lambda tx: credit_reports.read_breakage(tx, call.application_id, from_at=to_utc(from_at), to_at=to_utc(to_at))
    )


@get("/credit/liability", summary="Read liability", tags=["Credit"])
async def get_liability(call: NamedDependency[Call], at: At) -> LiabilityReport:
    """Credit that had been given and not used at a moment: what is owed to customers, of paid credit."""
    return await call.read(lambda tx: credit_reports.read_liability(tx, call.application_id, at=to_utc(at)))


@get("/audit", summary="Audit accounts", tags=["Credit"])
async def get_audit(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> AuditView:
    """Rebuild what is kept of accounts from the ledger, charges and leases; return what differs. `limit`: accounts."""

    def read(transaction: Transaction) -> AuditView:
        now = business_now(transaction, call.application_id, call.backend.clock)
        return credit_reports.read_audit(
            transaction, call.application_id, after=paging.after, limit=paging.limit, now=now
        )

    return await call.read(read)


HANDLERS = [get_past_balance, get_breakage, get_liability, get_audit]
