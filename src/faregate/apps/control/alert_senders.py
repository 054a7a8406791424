"""Alerts on their way out: signed webhooks over HTTP, and e-mail over SMTP."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final, assert_never

import msgspec
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import RequestError

from faregate.apps.control.settings import SmtpSecurity, SmtpSettings
from faregate.base.clock import Clock
from faregate.base.errors import Unavailable
from faregate.base.limits import ALERT_TIMEOUT_S
from faregate.services.alerts import alert_view
from faregate.storage.alerts import AlertKind, AlertRow, DueDelivery
from faregate.wire.api.alerts import AlertView
from faregate.wire.webhooks import signed_headers

_CONNECT_WITHIN: Final = timedelta(seconds=5)
_TYPES: Final = {
    AlertKind.LIMIT: "limit.reached",
    AlertKind.BALANCE: "balance.low",
    AlertKind.USAGE_REPORT: "usage_report.failed",
}
_FIRST_SUCCESS: Final = 200
_FIRST_OTHER: Final = 300


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted; `type` is `limit.reached`, `balance.low` or `usage_report.failed`."""

    type: str
    data: AlertView


class WebhookSender:
    """Posts alerts; a status below 300 says that it was taken. Redirects are not followed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._client = (
            ClientBuilder()
            .follow_redirects(enable=False)
            .no_proxy()
            .connect_timeout(_CONNECT_WITHIN)
            .timeout(timedelta(seconds=ALERT_TIMEOUT_S))
            .build()
        )

    async def send(self, due: DueDelivery) -> None:
        """Post the alert, signed; raises `Unavailable`."""
        alert = due.alert
        body = msgspec.json.encode(WebhookBody(type=_TYPES[alert.kind], data=alert_view(alert)))
        at_s = int(self._clock.now().timestamp())
        headers = signed_headers(due.destination.secret, message_id=alert.alert_id, at_s=at_s, body=body)
        request = self._client.post(due.destination.address).headers(headers | {"content-type": "application/json"})
        try:
            response = await request.body_bytes(body).build().send()
        except RequestError as error:
            raise Unavailable(f"the receiver did not answer: {type(error).__name__}") from error
        if not _FIRST_SUCCESS <= response.status < _FIRST_OTHER:
            raise Unavailable(f"the receiver answered {response.status}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class EmailSender:
    """Hands alerts to an SMTP server, each on a connection of its own, in a thread."""

    def __init__(self, settings: SmtpSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    async def send(self, due: DueDelivery) -> None:
        """Send the alert; raises `Unavailable`. The server's own words may bear an address, never a password."""
        message = self._message(due)
        try:
            await asyncio.to_thread(self._deliver, message)
        except smtplib.SMTPResponseException as error:
            raise Unavailable(f"the mail server answered {error.smtp_code} ({type(error).__name__})") from error
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(f"the mail server did not take it: {type(error).__name__}") from error

    def _deliver(self, message: EmailMessage) -> None:
        settings, context = self._settings, ssl.create_default_context()
        if settings.security is SmtpSecurity.TLS:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=ALERT_TIMEOUT_S, context=context
            )
        else:
            connection = smtplib.SMTP(settings.host, settings.port, timeout=ALERT_TIMEOUT_S)
        with connection:
            if settings.security is SmtpSecurity.STARTTLS:
                connection.starttls(context=context)
            if settings.user is not None:
                connection.login(settings.user, settings.password or "")
            connection.send_message(message)

    def _message(self, due: DueDelivery) -> EmailMessage:
        alert, message = due.alert, EmailMessage()
        message["Subject"] = _subject(alert)
        message["From"] = self._settings.sender
        message["To"] = due.destination.address
        message["Date"] = format_datetime(self._clock.now())
        # The same for a repeat, so that mail programs show it once.
        message["Message-ID"] = f"<{alert.alert_id}.{due.destination.destination_id}@faregate>"
        message["X-Faregate-Alert"] = alert.alert_id
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_text(alert))
        return message


def _subject(alert: AlertRow) -> str:
    match alert.kind:
        case AlertKind.LIMIT:
            what = f"{alert.percent}% of {alert.name}"
        case AlertKind.BALANCE:
            what = f"{alert.name}: balance is low"
        case AlertKind.USAGE_REPORT:
            what = f"usage report {alert.source_id} failed"
        case other:
            assert_never(other)
    # A subject's id is what an event called it; a header is one line (RFC 5322).
    return " ".join(f"[Faregate] {what}, {alert.subject} {alert.subject_id}".split())


def _text(alert: AlertRow) -> str:
    """Return the alert in words."""
    if alert.kind is AlertKind.LIMIT:
        until = "" if alert.period_end is None else f" to {alert.period_end:%Y-%m-%d %H:%M} UTC"
        first = (
            f"{alert.subject} {alert.subject_id} of company {alert.company_id} has used {alert.measured:f} of "
            f"{alert.amount:f} {alert.unit} ({alert.percent}%) of the limit {alert.name!r}."
        )
        return f"{first}\n\nPeriod: {alert.period_start:%Y-%m-%d %H:%M}{until}\nAlert: {alert.alert_id}\n"
    if alert.kind is AlertKind.USAGE_REPORT:
        return (
            f"The billing provider does not have {alert.measured:f} units of {alert.unit} that company "
            f"{alert.company_id} used on {alert.period_start:%Y-%m-%d %H:%M} UTC. See why, mend it, and send it "
            "again:\n\n"
            f"    faregate usage-reports --resend {alert.source_id}\n\nAlert: {alert.alert_id}\n"
        )
    threshold = f"{alert.percent}% of the last grant of " if alert.percent is not None else ""
    return (
        f"The balance of subscription {alert.subject_id} of company {alert.company_id} is {alert.measured:f} "
        f"{alert.unit}: below {threshold}{alert.amount:f} {alert.unit}.\n\nAlert: {alert.alert_id}\n"
    )
