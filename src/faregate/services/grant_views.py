"""Grants between the wire and the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from msgspec import UNSET

from faregate.base.errors import InvalidInput
from faregate.base.money import Currency, from_ledger_units
from faregate.base.periods import Cadence, PeriodCalendar
from faregate.domain.customers.subscription import Subscription
from faregate.domain.ledger.credit_account import GrantPhase, KeptGrant
from faregate.services.change import Change
from faregate.services.credit import NewGrant
from faregate.services.subscriptions import zone_of
from faregate.storage.billing_cycle import zone_name
from faregate.storage.credit import GrantRow
from faregate.wire.api.common import bounded, plain, to_utc
from faregate.wire.api.credit import GrantCreate, GrantStatus, GrantView, RecurrenceCreate, RecurrenceView


def new_grant(change: Change, subscription: Subscription, request: GrantCreate, *, caller_id: str) -> NewGrant:
    """Return the grant that is asked for; `InvalidInput` names the field that cannot be."""
    effective_at = None if request.effective_at is UNSET else to_utc(request.effective_at)
    return NewGrant(
        application_id=change.application_id,
        subscription_id=subscription.subscription_id,
        amount=bounded("amount", request.amount),
        kind=request.kind,
        description=request.description,
        caller_id=caller_id,
        priority=request.priority,
        effective_at=effective_at,
        expires_at=None if request.expires_at is UNSET else to_utc(request.expires_at),
        recurs=None
        if request.recurs is UNSET
        else _calendar(request.recurs, subscription, starts_at=effective_at or change.now),
        rolls_over=bounded("rolls_over", request.rolls_over),
    )


def grant_view(row: GrantRow, unit: Currency) -> GrantView:
    """Return a grant as the API shows it."""
    kept = row.kept
    terms = kept.grant
    return GrantView(
        grant_id=row.grant_id,
        subscription_id=row.subscription_id,
        amount=plain(from_ledger_units(terms.amount, unit)),
        currency=unit.code,
        kind=terms.kind,
        description=kept.description,
        created_at=row.created_at,
        status=_status(kept),
        remaining=plain(from_ledger_units(kept.remaining, unit)),
        burnt=plain(from_ledger_units(kept.burnt, unit)),
        priority=terms.priority,
        effective_at=terms.effective_at,
        expires_at=terms.expires_at,
        voided_at=terms.voided_at,
        recurs=None if terms.recurs is None else _recurrence(terms.recurs),
        rolls_over=plain(from_ledger_units(terms.rolls_over, unit)),
    )


def _calendar(request: RecurrenceCreate, subscription: Subscription, *, starts_at: datetime) -> PeriodCalendar:
    if request.unit is UNSET:
        if request != RecurrenceCreate():
            raise InvalidInput.of("recurs.unit", "is needed beside the other fields; leave out all for billing periods")
        return subscription.calendar
    return PeriodCalendar(
        anchor=starts_at if request.anchor is UNSET else to_utc(request.anchor),
        cadence=Cadence(unit=request.unit, count=request.count),
        zone=zone_of("recurs.time_zone", request.time_zone),
        alignment=request.alignment,
    )


def _recurrence(calendar: PeriodCalendar) -> RecurrenceView:
    return RecurrenceView(
        unit=calendar.cadence.unit,
        count=calendar.cadence.count,
        anchor=calendar.anchor,
        time_zone=zone_name(calendar.zone),
        alignment=calendar.alignment,
    )


def _status(kept: KeptGrant) -> GrantStatus:
    match kept.phase:
        case GrantPhase.SCHEDULED:
            return GrantStatus.SCHEDULED
        case GrantPhase.ACTIVE:
            return GrantStatus.ACTIVE if kept.is_live else GrantStatus.USED_UP
        case GrantPhase.ENDED:
            return GrantStatus.EXPIRED if kept.grant.voided_at is None else GrantStatus.VOIDED
        case _:
            assert_never(kept.phase)
