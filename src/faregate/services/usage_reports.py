"""Reports of usage as operators see them: which failed and why, an alert for each, and sending them again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import structlog

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.ids import new_id
from faregate.domain.billing.provider_usage import MeterError, UsageFailure, key_of_identifier, report_identifier
from faregate.services.change import Change
from faregate.services.provider_messages import UsageMessage, decode_message
from faregate.storage import usage_reports as stored
from faregate.storage.alerts import AlertKind, AlertRow, add_alerts
from faregate.storage.database import Transaction
from faregate.storage.outbox import OutboxRow, mark_given_up
from faregate.wire.api.common import plain
from faregate.wire.api.usage_reports import UsageReportStatus, UsageReportView

_log = structlog.get_logger(__name__)

_PREFIX: Final = "rpt_"
ALARMED_ATTEMPT: Final = 4
"""A report that fails this often in a row, about seven seconds, raises an alert, though it is tried on."""


def list_usage_reports(
    transaction: Transaction,
    application_id: str,
    *,
    status: UsageReportStatus | None,
    subscription_id: str | None,
    after: int,
    limit: int,
) -> list[OutboxRow]:
    """Return reports in the order they were written, after the one with this number."""
    return stored.list_reports(
        transaction,
        application_id,
        status=None if status is None else status.value,
        subscription_id=subscription_id,
        after=after,
        limit=limit,
    )


def usage_report_view(row: OutboxRow) -> UsageReportView:
    """Return a report as it travels."""
    usage = _message(row)
    status = UsageReportStatus.WAITING if row.failure is None else UsageReportStatus(row.failure.value)
    return UsageReportView(
        report_id=report_id(row),
        identifier=report_identifier(row.key, resends=row.resends),
        status=UsageReportStatus.SENT if row.delivered_at is not None else status,
        subscription_id=row.subscription_id,
        company_id=usage.company_id,
        price_id=usage.price_id,
        value=plain(usage.value),
        usage_at=usage.timestamp,
        period_start=usage.period_start,
        created_at=row.created_at,
        sent_at=row.delivered_at,
        failed_at=row.failed_at,
        retry_at=row.retry_at,
        attempts=row.attempts,
        resends=row.resends,
        last_error=row.last_error,
    )


def report_id(row: OutboxRow) -> str:
    """Return the id of a report in the API."""
    return f"{_PREFIX}{row.outbox_id}"


def resend_report(transaction: Transaction, change: Change, of: str) -> OutboxRow:
    """Send a report again: at once where it waits, under a new identifier where it was refused or lost.

    Raises `NotFound`, and `Conflict` where the provider has it, or takes it no more.
    """
    number = of.removeprefix(_PREFIX)
    outbox_id = int(number) if of.startswith(_PREFIX) and number.isascii() and number.isdigit() else -1
    row = stored.find_report(transaction, change.application_id, outbox_id)
    if row is None:
        raise NotFound("usage report", of)
    if row.delivered_at is not None:
        raise Conflict("status", "the provider has this report")
    if row.is_billed_as_item:
        raise Conflict("status", f"the provider takes no such usage ({row.failure}); the invoice has it as an item")
    stored.send_again(transaction, change.application_id, outbox_id=outbox_id)
    _log.info("usage.report_resent", key=row.key)
    return stored.find_report(transaction, change.application_id, outbox_id) or row


def resend_all_reports(transaction: Transaction, change: Change) -> int:
    """Send every report again that failed and may still be taken; return how many."""
    resent = stored.send_again(transaction, change.application_id)
    if resent:
        _log.info("usage.reports_resent", application_id=change.application_id, resent=resent)
    return resent


def keep_meter_errors(transaction: Transaction, errors: Sequence[MeterError], *, now: datetime) -> int:
    """Keep reports as lost that the provider took and dropped afterwards; return how many that made a difference to.

    A repeat changes nothing, and so does what is told of an earlier sending of a report. Reports that are not ours are
    logged: usage that others send to the same account.
    """
    by_identifier = {error.identifier: error for error in errors}
    keys = {*by_identifier, *(key_of_identifier(identifier) for identifier in by_identifier)}
    lost = 0
    for row in stored.reports_of_keys(transaction, keys):
        error = by_identifier.pop(report_identifier(row.key, resends=row.resends), None)
        if error is not None and row.failure is None:
            fail_report(transaction, row, UsageFailure.LOST, error=f"{error.code}: {error.message}", now=now)
            lost += 1
    for identifier, error in by_identifier.items():
        _log.warning("usage.unknown_report_failed", identifier=identifier, code=error.code)
    return lost


def fail_report(transaction: Transaction, row: OutboxRow, failure: UsageFailure, *, error: str, now: datetime) -> None:
    """Keep a report as failed for good, and raise an alert."""
    mark_given_up(transaction, row.outbox_id, failure=failure, error=error, now=now)
    raise_alert(transaction, row, now=now)
    _log.error("usage.report_failed", key=row.key, failure=failure.value, error=error)


def raise_alert(transaction: Transaction, row: OutboxRow, *, now: datetime) -> None:
    """Raise an alert of a report that the provider does not have."""
    try:
        usage = _message(row)
    except InvalidInput:
        usage = None
    add_alerts(
        transaction,
        row.application_id,
        [
            AlertRow(
                alert_id=new_id("alr"),
                application_id=row.application_id,
                kind=AlertKind.USAGE_REPORT,
                source_id=report_id(row),
                name=row.key,
                subject="subscription",
                subject_id=row.subscription_id,
                company_id="" if usage is None else usage.company_id,
                period_start=row.usage_at or row.created_at,
                period_end=None,
                percent=None,
                measured=Decimal(0) if usage is None else usage.value,
                amount=Decimal(0),
                unit="" if usage is None else usage.price_id,
                created_at=now,
            )
        ],
    )


def _message(row: OutboxRow) -> UsageMessage:
    message = decode_message(row.kind, row.payload)
    if not isinstance(message, UsageMessage):
        raise InvalidInput.of("kind", f"{row.kind!r} is no report of usage")
    return message
