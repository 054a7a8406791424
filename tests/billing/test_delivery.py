import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from structlog.testing import capture_logs

from faregate.base.errors import InvalidInput, Unavailable
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.provider_messages import CreditMessage, decode_message, encode_message
from faregate.services.retries import retry_delay
from faregate.storage import tables
from faregate.storage.database import Database
from tests.billing.desk import Desk, FaultyProvider, Once
from tests.services.world import NOW, make_world

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
AFTER = NOW + timedelta(minutes=10)


class OutFor:
    """A fault for everything that concerns one customer's usage."""

    def __init__(self, customer: str) -> None:
        self._customer = customer
        self.asked = 0

    def __call__(self, method: str, key: str) -> None:
        if method == "report_usage" and key == self._customer:
            self.asked += 1
            raise Unavailable("the line is dead")


def test_a_failure_holds_back_its_own_subscription_and_no_other(postpaid: Desk) -> None:
    postpaid.add_company("beta")
    postpaid.use(1_000_000, 1)
    postpaid.use(2_000_000, 0, company_id="beta")
    fault = OutFor("app_1/acme")
    postpaid.close_month(APRIL, FaultyProvider(postpaid.provider, before=fault))
    assert [(invoice.company_id, invoice.total) for invoice in postpaid.invoices()] == [("beta", 100)]
    assert [(row["kind"], row["attempts"], row["last_error"]) for row in postpaid.waiting()] == [
        ("usage", 1, "the line is dead"),
        ("usage", 0, None),
        ("period_close", 0, None),
    ]


def test_a_failed_message_is_not_tried_again_before_its_delay_and_then_in_order(postpaid: Desk) -> None:
    postpaid.use(1_000_000, 0)
    fault = OutFor("app_1/acme")
    faulty = FaultyProvider(postpaid.provider, before=fault)
    postpaid.close_month(APRIL, faulty)
    postpaid.tick(faulty)
    assert fault.asked == 1
    postpaid.move(APRIL + timedelta(minutes=2, seconds=2))
    postpaid.tick(faulty)
    assert fault.asked == 2
    postpaid.move(APRIL + timedelta(minutes=3))
    postpaid.tick()
    assert postpaid.waiting() == []
    assert postpaid.invoices("acme")[0].total == 50


def test_a_failure_is_logged_with_its_key_and_counted(postpaid: Desk) -> None:
    postpaid.use(1, 0)
    postpaid.move(AFTER)
    with capture_logs() as logs:
        postpaid.tick(FaultyProvider(postpaid.provider, before=OutFor("app_1/acme")))
    failed = [entry for entry in logs if entry["event"] == "outbox.delivery_failed"]
    assert [(entry["key"], entry["attempts"]) for entry in failed] == [("mtr_in:acme:2026-03-10T12:00:00.000000Z", 1)]


def test_an_answer_lost_after_the_provider_took_usage_counts_once(postpaid: Desk) -> None:
    postpaid.use(1_000_000, 0)
    postpaid.move(AFTER)
    postpaid.tick(FaultyProvider(postpaid.provider, after=Once("report_usage")))
    postpaid.close_month(APRIL)
    assert postpaid.invoices()[0].total == 50


def test_an_answer_lost_after_the_provider_took_credit_counts_once(prepaid: Desk) -> None:
    prepaid.world.grant("0.20")
    prepaid.use(1, 0)
    prepaid.tick(FaultyProvider(prepaid.provider, after=Once("create_credit_grant")))
    prepaid.close_month(APRIL)
    assert prepaid.invoices()[0].credit_applied == 20


def test_a_message_that_cannot_be_read_is_counted_and_the_others_go_on(postpaid: Desk) -> None:
    postpaid.add_company("beta")
    postpaid.use(1, 1)
    postpaid.use(1, 1, company_id="beta")
    postpaid.move(AFTER)
    broken = FaultyProvider(postpaid.provider, before=OutFor("app_1/acme"))
    postpaid.tick(broken)
    with postpaid.world.database.begin() as transaction:
        waiting = tables.outbox.c.delivered_at.is_(None)
        transaction.execute(update(tables.outbox).where(waiting).values(payload="{}"))
    postpaid.move(AFTER + timedelta(hours=1))
    postpaid.tick()
    assert [(row["subscription_id"], row["attempts"]) for row in postpaid.waiting()] == [("sub_1", 2), ("sub_1", 0)]
    assert "missing required field" in str(postpaid.waiting()[0]["last_error"])


def test_a_provider_that_crashes_holds_back_one_subscription_only(postpaid: Desk) -> None:
    postpaid.add_company("beta")
    postpaid.use(1, 0)
    postpaid.use(1, 0, company_id="beta")

    def crash(method: str, key: str) -> None:
        if (method, key) == ("report_usage", "app_1/acme"):
            raise ZeroDivisionError("a bug of ours")

    postpaid.move(AFTER)
    postpaid.tick(FaultyProvider(postpaid.provider, before=crash))
    assert {row["subscription_id"] for row in postpaid.waiting()} == {"sub_1"}
    assert postpaid.waiting()[0]["last_error"] == "ZeroDivisionError: a bug of ours"


def test_a_provider_that_does_not_answer_in_time_is_a_failure_and_a_late_answer_harmless(
    postpaid: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faregate.services.provider_calls.PROVIDER_TIMEOUT_S", 0.05)
    answered = threading.Event()

    def hang(method: str, key: str) -> None:
        del key
        if method == "report_usage":
            answered.wait(0.5)

    postpaid.use(1_000_000, 0)
    postpaid.move(AFTER)
    postpaid.tick(FaultyProvider(postpaid.provider, before=hang))
    assert "did not answer within" in str(postpaid.waiting()[0]["last_error"])
    answered.set()
    monkeypatch.undo()
    postpaid.close_month(APRIL)
    assert postpaid.invoices()[0].total == 50


def test_a_message_for_a_subscription_that_is_not_there_is_shown_as_such(postpaid: Desk) -> None:
    postpaid.use(1, 0)
    with postpaid.world.database.begin() as transaction:
        message = encode_message(
            CreditMessage(subscription_id="gone", grant_id="grn_1", amount="1", currency="USD", kind="paid")
        )
        transaction.execute(
            tables.outbox.insert().values(
                application_id="app_1",
                kind="credit_grant",
                key="credit_grant:grn_1",
                subscription_id="gone",
                payload=message,
                created_at=NOW,
            )
        )
    postpaid.move(AFTER)
    postpaid.tick()
    assert [row["last_error"] for row in postpaid.waiting()] == ["there is no subscription 'gone'"]


def test_an_unknown_kind_of_message_is_named() -> None:
    with pytest.raises(InvalidInput, match="'postcard' is not one of usage"):
        decode_message("postcard", "{}")


@given(attempts=st.integers(0, 10_000), outbox_id=st.integers(1, 10**9))
def test_delays_grow_and_are_bounded(attempts: int, outbox_id: int) -> None:
    delay = retry_delay(attempts, outbox_id)
    assert timedelta(seconds=1) <= delay < timedelta(seconds=375)
    assert delay <= retry_delay(attempts + 1, outbox_id)


@settings(max_examples=12)
@given(
    usage=st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 3_000_000)), min_size=1, max_size=4),
    passes=st.lists(st.integers(1, 60 * 24 * 21), max_size=4),
    lost=st.sampled_from(["ensure_subscription", "report_usage", "close_period", "nothing"]),
)
def test_however_often_it_is_repeated_a_month_gives_one_invoice(
    tmp_path_factory: pytest.TempPathFactory, usage: list[tuple[int, int]], passes: list[int], lost: str
) -> None:
    folder = tmp_path_factory.mktemp("repeated")
    with (
        closing(Database(f"sqlite:///{folder / 'faregate.sqlite3'}")) as database,
        closing(EmbeddedProvider(folder / "sandbox.sqlite3")) as provider,
    ):
        desk = Desk(world=make_world(database, pays="postpaid"), provider=provider)
        for tokens in usage:
            desk.use(*tokens)
        faulty = FaultyProvider(provider, after=Once(lost))
        for minutes in sorted(passes):
            desk.move(NOW + timedelta(minutes=minutes))
            desk.tick(faulty)
        for hours in (1, 2, 3):
            desk.close_month(APRIL + timedelta(hours=hours), faulty)
        total = sum(
            -(-sum(column) // 1_000_000) * cents
            for column, cents in zip(zip(*usage, strict=True), (50, 150), strict=True)
        )
        assert [invoice.total for invoice in desk.invoices()] == ([total] if total else [])
        assert desk.waiting() == []
        assert desk.balance() == 0
