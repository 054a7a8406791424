"""Count what calls use of caps and quotas, in the transaction of their charges; and tell gateways what is used up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from faregate.base.money import EXACT, currency, from_ledger_units
from faregate.base.periods import Period
from faregate.domain.customers.subscription import Subscription
from faregate.domain.limits.counting import LimitPeriods, LimitTable, tokens_used
from faregate.domain.limits.limit import Limit, Measure, Stage, Subject
from faregate.services.admit_events import AdmittedEvent
from faregate.services.raise_alerts import alert_of_limit
from faregate.storage.database import Transaction
from faregate.storage.limits import LimitUse, OwnedLimit, UseKey, counted_limits, read_uses, write_uses
from faregate.storage.metered import subscriptions_of_companies
from faregate.storage.state_feed import latest_version, limit_block_id, record_change
from faregate.storage.usage import Charge
from faregate.wire.patterns import compile_pattern

_ONE: Final = Decimal(1)
_NONE: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class CountedLimits:
    """An application's caps and quotas, ready to be asked; by id, too."""

    table: LimitTable
    by_id: Mapping[str, OwnedLimit]


class LimitSet:
    """The caps and quotas of every application, read once and again whenever one changes."""

    def __init__(self) -> None:
        self._version = -1
        self._of: dict[str, CountedLimits] = {}

    def of(self, transaction: Transaction, application_id: str) -> CountedLimits:
        """Return an application's, as the transaction sees them."""
        version = latest_version(transaction, "limit")
        if version != self._version:
            self._of, self._version = {}, version
        found = self._of.get(application_id)
        if found is None:
            owned = counted_limits(transaction, application_id)
            found = self._of[application_id] = CountedLimits(
                LimitTable([one.limit for one in owned], compile_pattern), {one.limit.limit_id: one for one in owned}
            )
        return found


@dataclass(slots=True)
class _Added:
    period: Period
    company_id: str
    amount: Decimal = _NONE


@dataclass(slots=True)
class _Charged:
    """What the events of a batch were charged, by position."""

    spend: dict[int, dict[str, int]] = field(default_factory=dict)
    quantity: dict[tuple[int, str], Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Used:
    """A batch's events, what they were charged, and the currency of each subscription."""

    admitted: Sequence[AdmittedEvent]
    charges: Sequence[Charge]
    currencies: Mapping[str, str]


def count_limits(
    transaction: Transaction, application_id: str, limits: CountedLimits, *, used: Used, now: datetime
) -> None:
    """Add what a batch's events use, and raise the alerts that it crosses. Calls that were refused use nothing."""
    subscriptions = _subscriptions(transaction, application_id, used.admitted)
    charged, periods = _charged(used), LimitPeriods()
    added: dict[UseKey, _Added] = {}
    for entry in used.admitted:
        event = entry.event
        if event.company_id is None or event.blocked_by is not None:
            continue
        theirs = subscriptions.get(event.company_id, [])
        plans = frozenset(found.plan_id for found in theirs if found.lives_at(event.occurred_at))
        for limit, subject_id in limits.table.of(_subjects(entry), _route(entry), plans):
            if event.occurred_at < limits.by_id[limit.limit_id].created_at:
                continue
            amount = _amount(limit, entry, charged)
            if amount:
                period = periods.at(limit, theirs, event.occurred_at)
                key = UseKey(limit.limit_id, subject_id, period.start)
                place = added.setdefault(key, _Added(period, event.company_id))
                place.amount = EXACT.add(place.amount, amount)
    _add(transaction, limits, added, now=now)


def _add(transaction: Transaction, limits: CountedLimits, added: Mapping[UseKey, _Added], *, now: datetime) -> None:
    standing = read_uses(transaction, list(added))
    uses = []
    for key, more in added.items():
        owned = limits.by_id[key.limit_id]
        limit = owned.limit
        use = standing.get(key) or LimitUse(
            key=key, period_end=more.period.end, company_id=more.company_id, used=_NONE, reached=False
        )
        before, use.used = use.used, EXACT.add(use.used, more.amount)
        stage = limit.stage(use.used)
        if limit.hard and stage is not limit.stage(before):
            record_change(transaction, "limit_block", limit_block_id(key.limit_id, key.subject_id))
        use.reached = stage is not Stage.FREE
        alert_of_limit(transaction, owned, use, before=before, now=now)
        uses.append(use)
    write_uses(transaction, uses)


def _subscriptions(
    transaction: Transaction, application_id: str, admitted: Iterable[AdmittedEvent]
) -> dict[str, list[Subscription]]:
    companies = {entry.event.company_id for entry in admitted if entry.event.company_id is not None}
    found: dict[str, list[Subscription]] = {}
    for subscription, _ in subscriptions_of_companies(transaction, application_id, companies):
        found.setdefault(subscription.company_id, []).append(subscription)
    return found


def _charged(used: Used) -> _Charged:
    charged = _Charged()
    for charge in used.charges:
        place = charge.position, charge.meter_id
        charged.quantity[place] = EXACT.add(charged.quantity.get(place, _NONE), charge.quantity)
        if charge.amount:
            spent = charged.spend.setdefault(charge.position, {})
            code = used.currencies[charge.subscription_id]
            spent[code] = spent.get(code, 0) + charge.amount
    return charged


def _amount(limit: Limit, entry: AdmittedEvent, charged: _Charged) -> Decimal:
    match limit.measure:
        case Measure.REQUESTS:
            return Decimal(entry.event.weight)
        case Measure.TOKENS:
            response = entry.event.fields["response"]
            return Decimal(tokens_used(response["body"])) if isinstance(response, dict) else _NONE
        case Measure.SPEND:
            code = limit.currency or ""
            units = charged.spend.get(entry.position, {}).get(code, 0)
            return from_ledger_units(units, currency(code)) if units else _NONE
        case Measure.METER:
            return charged.quantity.get((entry.position, limit.meter_id or ""), _NONE)


def _subjects(entry: AdmittedEvent) -> dict[Subject, str | None]:
    return {
        Subject.KEY: None if entry.facts is None else entry.facts.key_id,
        Subject.USER: entry.event.user_id,
        Subject.COMPANY: entry.event.company_id,
    }


def _route(entry: AdmittedEvent) -> str:
    request = entry.event.fields["request"]
    route = request["route"] if isinstance(request, dict) else ""
    return str(route)
