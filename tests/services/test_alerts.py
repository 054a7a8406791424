"""Alerts are raised in the transaction that crosses a threshold, and delivered at least once, or given up visibly."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable, Coroutine
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from faregate.apps.control.alert_senders import EmailSender, WebhookSender
from faregate.apps.control.settings import SmtpSecurity, SmtpSettings
from faregate.base.errors import Unavailable
from faregate.base.limits import MAX_ALERT_ATTEMPTS
from faregate.domain.limits.limit import Measure, Per, Subject
from faregate.services import deliver_alerts as delivering
from faregate.services.alerts import create_balance_alert, create_destination, delete_destination
from faregate.services.change import Change
from faregate.services.deliver_alerts import deliver_alerts
from faregate.services.limits import change_limit
from faregate.storage.alerts import Destination, DestinationKind, DueDelivery
from faregate.storage.database import Database
from faregate.wire.api.alerts import BalanceAlertCreate, DestinationCreate
from faregate.wire.api.limits import LimitChange
from tests.gateway.scripted import Received, Script, scripted
from tests.services.test_count_limits import change, limit
from tests.services.world import APP, COMPANY, NOW, SUBSCRIPTION, Call, World, make_world
from tests.support.certificates import make_certificate
from tests.support.smtp_server import MailServer, mail_server


@pytest.fixture
def small(sqlite_url: str) -> World:
    """One database is enough where it is about what goes out."""
    return make_world(Database(sqlite_url))


def destination(world: World, *, url: str | None = None, email: str | None = None) -> Destination:
    with world.database.begin() as transaction:
        changing = Change(application_id=APP, now=world.clock.now(), new_id=world.new_id)
        return create_destination(transaction, changing, DestinationCreate(url=url, email=email))


def watch(world: World, **threshold: object) -> None:
    with world.database.begin() as transaction:
        changing = Change(application_id=APP, now=world.clock.now(), new_id=world.new_id)
        request = BalanceAlertCreate(name=f"Low {len(world.rows('balance_alert'))}", **threshold)  # type: ignore[arg-type]
        create_balance_alert(transaction, changing, request)


def percents(world: World) -> list[int]:
    """Return what was alerted, the smallest percentage first."""
    return sorted(int(str(row["percent"])) for row in world.rows("alert"))


def test_each_percentage_of_a_limit_is_alerted_once_a_period(world: World) -> None:
    limit(world, Measure.REQUESTS, "4", alert_at=[50, 80, 100])
    for number in range(1, 7):
        world.take(Call(request_id=f"r{number}", sequence=number))
    assert percents(world) == [50, 80, 100]
    first = next(row for row in world.rows("alert") if row["percent"] == 50)
    assert (first["kind"], first["subject"], first["subject_id"], first["company_id"]) == (
        "limit",
        "company",
        COMPANY,
        COMPANY,
    )
    world.clock.at = NOW + timedelta(days=1)
    world.take(Call(request_id="next", sequence=7, occurred_at=world.clock.at), Call(request_id="n2", sequence=8))
    world.take(Call(request_id="n3", sequence=9, occurred_at=world.clock.at))
    assert percents(world) == [50, 50, 80, 100]


def test_several_percentages_may_be_crossed_by_one_batch(world: World) -> None:
    limit(world, Measure.TOKENS, "10", per=Per.TOTAL, hard=False)
    world.take(Call(request_id="a"))
    assert percents(world) == [80, 100]


def test_a_lower_amount_raises_what_is_reached_by_it_and_nothing_twice(world: World) -> None:
    limit_id = limit(world, Measure.REQUESTS, "4", alert_at=[50, 100])
    world.take(*(Call(request_id=f"r{number}", sequence=number) for number in (1, 2)))
    assert percents(world) == [50]
    for amount in (2, 4, 2):
        changed = LimitChange(amount=Decimal(amount))
        change(world, lambda tx, made, changed=changed: change_limit(tx, made, changed, limit_id=limit_id))  # type: ignore[misc]
    assert percents(world) == [50, 100]


def test_a_balance_is_alerted_each_time_that_it_falls_below(world: World) -> None:
    watch(world, below_amount=Decimal(9), currency="USD")
    watch(world, below_percent=50)
    assert world.rows("alert") == []
    world.grant("10")
    world.take(Call(request_id="a"))
    assert [(row["percent"], row["measured"]) for row in world.rows("alert")] == [(None, Decimal(8))]
    world.take(Call(request_id="b", sequence=2))
    assert len(world.rows("alert")) == 1
    world.grant("10", caller_id="again")
    assert world.rows("low_balance") == []
    world.take(Call(request_id="c", sequence=3, prompt_tokens=20_000_000))
    assert sorted(str(row["percent"]) for row in world.rows("alert")) == ["None", "None"]
    world.take(Call(request_id="d", sequence=4, completion_tokens=4_000_000))
    assert sorted(str(row["percent"]) for row in world.rows("alert")) == ["50", "None", "None"]


def test_a_balance_that_is_low_already_is_alerted_at_once_and_one_without_credit_never(world: World) -> None:
    watch(world, below_amount=Decimal(100), currency="USD")
    assert world.rows("alert") == []
    world.grant("10")
    assert len(world.rows("alert")) == 1
    watch(world, below_amount=Decimal(50), currency="USD", subscription_id=SUBSCRIPTION)
    watch(world, below_amount=Decimal(50), currency="EUR")
    assert len(world.rows("alert")) == 2


def run(scenario: Coroutine[object, object, None]) -> None:
    asyncio.run(scenario)


def answering(status: int) -> Script:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())

    return answer


async def to_webhooks(world: World) -> int:
    sender = WebhookSender(world.clock)
    try:
        return await deliver_alerts(world.database, {DestinationKind.WEBHOOK: sender}, world.clock)
    finally:
        await sender.close()


def test_a_webhook_is_signed_so_that_its_receiver_can_tell_it_is_ours(small: World) -> None:
    async def scenario() -> None:
        async with scripted(answering(204)) as receiver:
            made = destination(small, url=f"{receiver.origin}/hook?x=1")
            limit(small, Measure.REQUESTS, "1", alert_at=[100])
            small.take(Call(request_id="a"))
            assert await to_webhooks(small) == 1
            assert await to_webhooks(small) == 0
        (request,) = receiver.requests
        (alert,) = small.rows("alert")
        message_id, at_s = request.header("webhook-id"), request.header("webhook-timestamp")
        assert message_id == alert["alert_id"]
        key = base64.b64decode(made.secret.removeprefix("whsec_"))
        signed = f"{message_id}.{at_s}.".encode() + request.body
        signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert request.header("webhook-signature") == f"v1,{signature}"
        assert request.target.endswith("/hook?x=1")
        assert request.json["type"] == "limit.reached"
        told = request.json["data"]
        assert isinstance(told, dict)
        assert (told["alert_id"], told["percent"], told["measured"], told["unit"]) == (message_id, 100, "1", "requests")

    run(scenario())


@pytest.mark.parametrize(("status", "error"), [(500, "answered 500"), (302, "answered 302"), (400, "answered 400")])
def test_a_failed_delivery_is_counted_and_repeated_later_under_the_same_id(
    small: World, status: int, error: str
) -> None:
    async def scenario() -> None:
        statuses = [status, 200]

        async def script(received: Received, writer: asyncio.StreamWriter) -> None:
            await answering(statuses.pop(0))(received, writer)

        async with scripted(script) as receiver:
            destination(small, url=receiver.origin)
            limit(small, Measure.REQUESTS, "1", alert_at=[100])
            small.take(Call(request_id="a"))
            assert await to_webhooks(small) == 0
            (waiting,) = small.rows("alert_delivery")
            assert waiting["attempts"] == 1
            assert error in str(waiting["last_error"])
            assert await to_webhooks(small) == 0
            small.clock.at += timedelta(seconds=2)
            assert await to_webhooks(small) == 1
        first, second = receiver.requests
        assert first.header("webhook-id") == second.header("webhook-id")
        assert first.header("webhook-timestamp") != second.header("webhook-timestamp")
        (done,) = small.rows("alert_delivery")
        assert (done["attempts"], done["last_error"], done["delivered_at"]) == (1, None, small.clock.at)

    run(scenario())


def test_a_receiver_that_is_away_or_silent_fails_by_itself_and_holds_back_nobody(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_: Received, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        monkeypatch.setattr(delivering, "ALERT_TIMEOUT_S", 0.3)
        async with scripted(answering(200)) as good, scripted(silent) as slow:
            for url in ("http://127.0.0.1:9/hook?token=secret-of-theirs", slow.origin, good.origin):
                destination(small, url=url)
            limit(small, Measure.REQUESTS, "1", alert_at=[100])
            small.take(Call(request_id="a"))
            assert await to_webhooks(small) == 1
        errors = [str(row["last_error"]) for row in small.rows("alert_delivery")]
        assert ["did not answer" in errors[0], "not taken within" in errors[1], errors[2]] == [True, True, "None"]
        assert "secret" not in errors[0]

    run(scenario())


def test_a_delivery_that_cannot_even_be_sent_fails_by_itself(small: World) -> None:
    async def scenario() -> None:
        async with scripted(answering(200)) as good:
            for url in ("http://127.0.0.1:99999/hook", good.origin):
                destination(small, url=url)
            limit(small, Measure.REQUESTS, "1", alert_at=[100])
            small.take(Call(request_id="a"))
            assert await to_webhooks(small) == 1
        assert [(row["attempts"], row["last_error"]) for row in small.rows("alert_delivery")] == [
            (1, "could not be sent: ValueError"),
            (0, None),
        ]

    run(scenario())


def test_a_crash_between_a_delivery_and_its_mark_repeats_it_under_the_same_id(small: World) -> None:
    class Crashing:
        def __init__(self) -> None:
            self.sent: list[str] = []

        async def send(self, due: DueDelivery) -> None:
            self.sent.append(due.alert.alert_id)
            if len(self.sent) == 1:
                raise asyncio.CancelledError("the process ends here")

    async def scenario() -> None:
        sender = Crashing()
        senders = {DestinationKind.WEBHOOK: sender}
        with pytest.raises(asyncio.CancelledError):
            await deliver_alerts(small.database, senders, small.clock)
        assert await deliver_alerts(small.database, senders, small.clock) == 1
        assert await deliver_alerts(small.database, senders, small.clock) == 0
        assert sender.sent == [row["alert_id"] for row in small.rows("alert")] * 2

    destination(small, url="http://127.0.0.1:9/hook")
    limit(small, Measure.REQUESTS, "1", alert_at=[100])
    small.take(Call(request_id="a"))
    run(scenario())


def test_a_delivery_is_given_up_after_enough_failures(small: World) -> None:
    class Failing:
        async def send(self, due: DueDelivery) -> None:
            raise Unavailable(f"no: {due.delivery.attempts}")

    async def scenario() -> None:
        for _ in range(MAX_ALERT_ATTEMPTS + 2):
            await deliver_alerts(small.database, {DestinationKind.WEBHOOK: Failing()}, small.clock)
            small.clock.at += timedelta(minutes=10)
        (row,) = small.rows("alert_delivery")
        assert row["attempts"] == MAX_ALERT_ATTEMPTS
        assert (row["gave_up_at"] is None, row["delivered_at"]) == (False, None)

    destination(small, url="http://127.0.0.1:9/hook")
    limit(small, Measure.REQUESTS, "1", alert_at=[100])
    small.take(Call(request_id="a"))
    run(scenario())


def test_a_deleted_destination_is_owed_nothing(small: World) -> None:
    made = destination(small, url="http://127.0.0.1:9/hook")
    limit(small, Measure.REQUESTS, "1", alert_at=[100])
    small.take(Call(request_id="a"))
    with small.database.begin() as transaction:
        changing = Change(application_id=APP, now=NOW, new_id=small.new_id)
        delete_destination(transaction, changing, made.destination_id)
    assert small.rows("alert_delivery") == []


def mail(small: World, server: MailServer, settings: Callable[[int], SmtpSettings]) -> int:
    """Raise an alert, e-mail it by the server at the port, and return how many were delivered."""

    async def scenario() -> int:
        async with mail_server(server, tls=server.context if settings(0).security is SmtpSecurity.TLS else None):
            sender = EmailSender(settings(server.port), small.clock)
            return await deliver_alerts(small.database, {DestinationKind.EMAIL: sender}, small.clock)

    destination(small, email="ops@example.com")
    limit(small, Measure.SPEND, "1", currency="USD", alert_at=[100])
    small.take(Call(request_id="a"))
    return asyncio.run(scenario())


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
def test_e_mail_leaves_over_tls_after_signing_in(
    small: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: SmtpSecurity
) -> None:
    certificate, context = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = MailServer(context=context)

    delivered = mail(
        small,
        server,
        lambda port: SmtpSettings(
            host="localhost", port=port, sender="faregate@example.com", user="me", password="right", security=security
        ),
    )
    assert delivered == 1
    assert server.logins == [("me", "right", True)]
    (message,) = server.messages
    (alert,) = small.rows("alert")
    assert (message["To"], message["From"]) == ("ops@example.com", "faregate@example.com")
    assert message["X-Faregate-Alert"] == alert["alert_id"]
    assert str(alert["alert_id"]) in str(message["Message-ID"])
    assert "100%" in message["Subject"]
    assert "has used 2.00 of 1 USD" in str(message.get_payload())


def test_a_mail_server_whose_certificate_nobody_trusts_gets_neither_password_nor_alert(
    small: World, tmp_path: Path
) -> None:
    _, context = make_certificate(tmp_path)
    server = MailServer(context=context)

    delivered = mail(
        small,
        server,
        lambda port: SmtpSettings(host="localhost", port=port, sender="a@example.com", user="me", password="right"),
    )
    assert delivered == 0
    assert (server.logins, server.messages) == ([], [])
    assert "SSLCertVerificationError" in str(small.rows("alert_delivery")[0]["last_error"])


@pytest.mark.parametrize(
    ("refusal", "password", "error"),
    [("550 nobody here", None, "SMTPRecipientsRefused"), ("", "wrong", "answered 535"), ("", None, None)],
)
def test_what_the_mail_server_refuses_is_shown_without_secrets(
    small: World, refusal: str, password: str | None, error: str | None
) -> None:
    user = None if password is None else "me"
    delivered = mail(
        small,
        MailServer(refusal=refusal),
        lambda port: SmtpSettings(
            host="127.0.0.1",
            port=port,
            sender="a@example.com",
            user=user,
            password=password,
            security=SmtpSecurity.NONE,
        ),
    )
    assert delivered == (error is None)
    shown = str(small.rows("alert_delivery")[0]["last_error"])
    assert (error or "None") in shown
    assert "wrong" not in shown


def test_a_subject_of_several_lines_is_told_of_in_one(small: World) -> None:
    server = MailServer()

    async def scenario() -> None:
        async with mail_server(server):
            settings = SmtpSettings(
                host="127.0.0.1", port=server.port, sender="a@example.com", security=SmtpSecurity.NONE
            )
            senders = {DestinationKind.EMAIL: EmailSender(settings, small.clock)}
            assert await deliver_alerts(small.database, senders, small.clock) == 1

    destination(small, email="ops@example.com")
    limit(small, Measure.REQUESTS, "1", subject=Subject.USER, alert_at=[100])
    small.take(Call(request_id="a", user_id="ann\nBcc: all@example.com"))
    run(scenario())
    (message,) = server.messages
    assert str(message["Subject"]).endswith(", user ann Bcc: all@example.com")
    assert message["Bcc"] is None


def test_without_a_mail_server_the_delivery_says_so(small: World) -> None:
    async def scenario() -> None:
        assert await deliver_alerts(small.database, {}, small.clock) == 0
        assert "not set up to send by email" in str(small.rows("alert_delivery")[0]["last_error"])

    destination(small, email="ops@example.com")
    limit(small, Measure.REQUESTS, "1", alert_at=[100])
    small.take(Call(request_id="a"))
    run(scenario())


def test_settings_show_no_password() -> None:
    settings = SmtpSettings(host="h", port=1, sender="a@example.com", user="me", password="hush")
    assert "hush" not in repr(settings)
    assert "hush" in str(msgspec.to_builtins(settings))
