"""One pass over everything that time makes due: windows, period ends, deliveries, overdue invoices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faregate.base.clock import Clock
from faregate.base.failpoints import PERIOD_ENDED, WINDOWS_CLOSED, reach
from faregate.base.limits import ACCOUNTS_PER_TICK, WINDOW_CLOSE_GRACE
from faregate.domain.billing.provider import BillingProvider
from faregate.services.accounts import refresh_accounts
from faregate.services.business_clock import business_now
from faregate.services.close_period import end_periods, ended_period
from faregate.services.close_windows import close_windows
from faregate.services.deliver_outbox import deliver_outbox
from faregate.services.membership import newly_due_companies, refresh_membership
from faregate.storage.applications import list_applications
from faregate.storage.closing import periods_perhaps_ended, unreported_windows
from faregate.storage.database import Database, Transaction
from faregate.storage.events import consumer_position, log_head
from faregate.storage.ledger import due_accounts


async def billing_tick(database: Database, provider: BillingProvider, clock: Clock) -> None:
    """Close windows, begin and end credit, end periods, deliver, and block who is overdue: once, for every application.

    Runs every second, and at once after a clock was advanced; where nothing is due it costs a few reading statements.
    Whatever is cut short is done by the next pass.
    """
    for agenda in await database.read(lambda tx: _read_agendas(tx, clock)):
        await _work_off(database, clock, agenda)
    await deliver_outbox(database, provider, clock)
    for application_id, company_ids in (await database.read(lambda tx: _read_due(tx, clock))).items():
        await database.write(_refresh(application_id, company_ids, clock))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Agenda:
    """What is due in an application, and how long the event log was when that was read."""

    application_id: str
    has_windows: bool
    credit_due: list[str]
    ended: list[str]
    log_length: int


def _read_agendas(transaction: Transaction, clock: Clock) -> list[_Agenda]:
    log_length = log_head(transaction)
    return [
        _read_agenda(transaction, row.application_id, clock, log_length=log_length)
        for row in list_applications(transaction)
    ]


def _read_agenda(transaction: Transaction, application_id: str, clock: Clock, *, log_length: int) -> _Agenda:
    now = business_now(transaction, application_id, clock)
    windows = unreported_windows(transaction, application_id, ended_by=now - WINDOW_CLOSE_GRACE, limit=1)
    open_periods = periods_perhaps_ended(transaction, application_id, by=now)
    return _Agenda(
        application_id=application_id,
        has_windows=bool(windows),
        credit_due=due_accounts(transaction, application_id, now=now, limit=ACCOUNTS_PER_TICK),
        ended=[found.subscription.subscription_id for found in open_periods if ended_period(found, now)],
        log_length=log_length,
    )


async def _work_off(database: Database, clock: Clock, agenda: _Agenda) -> None:
    closed = int(agenda.has_windows)
    while closed:
        closed = await database.write(_close_windows(agenda.application_id, clock))
    for subscription_id in agenda.credit_due:
        await database.write(_cross_borders(agenda.application_id, subscription_id, clock))
    for subscription_id in agenda.ended:
        await database.write(_end_periods(agenda, subscription_id, clock))


def _close_windows(application_id: str, clock: Clock) -> Callable[[Transaction], int]:
    def close(transaction: Transaction) -> int:
        now = business_now(transaction, application_id, clock)
        closed = close_windows(transaction, application_id=application_id, now=now)
        reach(WINDOWS_CLOSED)
        return closed

    return close


def _cross_borders(application_id: str, subscription_id: str, clock: Clock) -> Callable[[Transaction], None]:
    def cross(transaction: Transaction) -> None:
        now = business_now(transaction, application_id, clock)
        refresh_accounts(transaction, subscription_ids=[subscription_id], now=now)

    return cross


def _end_periods(agenda: _Agenda, subscription_id: str, clock: Clock) -> Callable[[Transaction], int]:
    def end(transaction: Transaction) -> int:
        if consumer_position(transaction) < agenda.log_length:
            # Events accepted before this pass are not charged yet, and may be of the period: a later pass ends it.
            return 0
        ended = end_periods(transaction, subscription_id, now=business_now(transaction, agenda.application_id, clock))
        reach(PERIOD_ENDED)
        return ended

    return end


def _read_due(transaction: Transaction, clock: Clock) -> dict[str, set[str]]:
    due = {}
    for row in list_applications(transaction):
        now = business_now(transaction, row.application_id, clock)
        due[row.application_id] = newly_due_companies(transaction, row.application_id, now=now)
    return {application_id: companies for application_id, companies in due.items() if companies}


def _refresh(application_id: str, company_ids: set[str], clock: Clock) -> Callable[[Transaction], None]:
    def refresh(transaction: Transaction) -> None:
        now = business_now(transaction, application_id, clock)
        refresh_membership(transaction, application_id=application_id, company_ids=company_ids, now=now)

    return refresh
