"""Reports of usage: in parallel, and what becomes of those that fail."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from faregate.base.errors import InvalidInput, NotFound, Unavailable
from faregate.domain.billing.provider import MeterEvent
from faregate.storage import tables
from tests.billing.desk import Desk, FaultyProvider
from tests.services.world import NOW

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
AFTER = NOW + timedelta(minutes=10)
KEY = "mtr_in:acme:2026-03-10T12:00:00.000000Z"


@dataclass
class Refusing(FaultyProvider):
    """Refuses some reports, by what their identifier begins with, until it is mended."""

    refused: str = ""
    taken: list[str] = field(default_factory=list)

    def report_usage(self, usage: MeterEvent) -> None:
        if self.refused and usage.identifier.startswith(self.refused):
            raise InvalidInput.of("payload", "is not what the provider takes")
        super().report_usage(usage)
        self.taken.append(usage.identifier)


def failures(desk: Desk) -> list[tuple[object, object]]:
    return [(row["key"], row["failure"]) for row in desk.outbox() if row["failure"] is not None]


def test_customers_are_told_side_by_side_and_one_customer_one_call_at_a_time(postpaid: Desk) -> None:
    companies = ["acme", *(f"company-{number}" for number in range(3))]
    for company_id in companies[1:]:
        postpaid.add_company(company_id)
    for company_id in companies:
        postpaid.use(1, 1, company_id=company_id)
    together = threading.Barrier(len(companies), timeout=5)
    running: set[str] = set()
    at_once: list[str] = []

    def meet(method: str, key: str) -> None:
        if method == "report_usage":
            if key in running:
                at_once.append(key)
            running.add(key)
            together.wait()

    def leave(method: str, key: str) -> None:
        if method == "report_usage":
            running.discard(key)

    postpaid.move(AFTER)
    postpaid.tick(FaultyProvider(postpaid.provider, before=meet, after=leave))
    assert postpaid.waiting() == []
    assert at_once == []


def test_a_customer_whose_calls_hang_delays_no_other(postpaid: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faregate.services.provider_calls.PROVIDER_TIMEOUT_S", 0.3)
    postpaid.add_company("beta")
    postpaid.use(1, 1)
    postpaid.use(1, 1, company_id="beta")
    told = threading.Event()

    def hang(method: str, key: str) -> None:
        if method == "report_usage" and key == "app_1/acme":
            assert told.wait(5)

    def tell(method: str, key: str) -> None:
        if method == "report_usage" and key == "app_1/beta":
            told.set()

    postpaid.move(AFTER)
    postpaid.tick(FaultyProvider(postpaid.provider, before=hang, after=tell))
    assert told.is_set()
    assert {row["subscription_id"] for row in postpaid.waiting()} <= {"sub_1"}


def test_a_refused_report_holds_back_itself_and_the_close_but_no_other_usage(postpaid: Desk) -> None:
    postpaid.use(1_000_000, 1)
    provider = Refusing(postpaid.provider, refused="mtr_in:")
    postpaid.close_month(APRIL, provider)
    postpaid.use(5, 5, at=APRIL + timedelta(hours=1))
    postpaid.move(APRIL + timedelta(hours=2))
    postpaid.tick(provider)
    assert failures(postpaid) == [(KEY, "refused"), ("mtr_in:acme:2026-04-01T01:00:00.000000Z", "refused")]
    assert [row["kind"] for row in postpaid.waiting() if row["failure"] is None] == ["period_close"]
    assert str(postpaid.waiting()[1]["last_error"]).startswith(f"waits for the usage report {KEY}, which is refused")
    assert [key.split(":")[0] for key in provider.taken] == ["mtr_out", "mtr_out"]
    assert postpaid.invoices() == []


def test_a_customer_that_is_not_mapped_is_tried_again_and_never_taken_for_delivered(postpaid: Desk) -> None:
    def unmapped(method: str, key: str) -> None:
        if method == "report_usage":
            raise NotFound("customer", key)

    postpaid.use(1, 0)
    postpaid.move(AFTER)
    postpaid.tick(FaultyProvider(postpaid.provider, before=unmapped))
    (row,) = postpaid.waiting()
    assert (row["attempts"], row["failure"], row["last_error"]) == (1, None, "there is no customer 'app_1/acme'")
    postpaid.move(AFTER + timedelta(minutes=1))
    postpaid.tick()
    assert postpaid.waiting() == []


def test_usage_that_is_too_old_to_report_is_an_item_of_the_same_invoice(postpaid: Desk) -> None:
    postpaid.use(1_400_000, 300_000)
    postpaid.use(1_200_000, 0, at=NOW + timedelta(minutes=5))
    provider = Refusing(postpaid.provider, refused=KEY)
    postpaid.close_month(APRIL, provider)
    assert postpaid.invoices() == []
    postpaid.move(NOW + timedelta(days=35))
    postpaid.tick(provider)
    assert failures(postpaid) == [(KEY, "refused")]
    postpaid.move(NOW + timedelta(days=35, hours=1))
    postpaid.tick(provider)
    assert failures(postpaid) == [(KEY, "too_old")]
    (invoice,) = postpaid.invoices()
    assert [(line.price_id, line.quantity, line.amount) for line in invoice.lines] == [
        ("prc_in", Decimal(2_600_000), 150),
        ("prc_out", Decimal(300_000), 150),
    ]
    (theirs,) = postpaid.provider_invoices()
    assert [(line.price, line.quantity, line.amount) for line in theirs.lines] == [
        ("prc_in", Decimal(1_200_000), 100),
        ("prc_out", Decimal(300_000), 150),
        ("prc_in+unreported", Decimal(1_400_000), 50),
    ]


def test_a_period_of_which_nothing_was_reported_in_time_is_billed_whole_as_items(postpaid: Desk) -> None:
    postpaid.use(1_000_001, 0)

    def dead(method: str, key: str) -> None:
        raise Unavailable(f"the line is dead at {method} of {key}")

    postpaid.close_month(APRIL, FaultyProvider(postpaid.provider, before=dead))
    postpaid.move(NOW + timedelta(days=36))
    postpaid.tick()
    assert failures(postpaid) == [(KEY, "too_old")]
    assert [(line.description, line.quantity, line.amount) for line in postpaid.invoices()[0].lines] == [
        ("Input Tokens", Decimal(1_000_001), 100)
    ]


def test_a_report_has_the_instant_that_it_is_counted_at(postpaid: Desk) -> None:
    postpaid.use(1, 0)
    postpaid.move(AFTER)
    postpaid.tick()
    (row,) = postpaid.messages("usage")
    assert row["usage_at"] == NOW


def test_a_report_whose_instant_is_missing_is_named(postpaid: Desk) -> None:
    postpaid.use(1, 0)
    postpaid.move(AFTER)
    postpaid.tick(FaultyProvider(postpaid.provider, before=_dead_line))
    with postpaid.world.database.begin() as transaction:
        transaction.execute(update(tables.outbox).values(usage_at=None, retry_at=None))
    postpaid.tick()
    assert postpaid.waiting()[0]["last_error"] == "usage_at: is missing from a report of usage"


def _dead_line(method: str, key: str) -> None:
    raise Unavailable(f"the line is dead at {method} of {key}")
