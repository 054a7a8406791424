"""Reports of usage: in parallel, and what becomes of those that fail."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from faregate.base.errors import Conflict, InvalidInput, NotFound, Unavailable
from faregate.base.ids import new_id
from faregate.domain.billing.provider import MeterEvent
from faregate.domain.billing.provider_usage import MeterError
from faregate.services.change import Change
from faregate.services.usage_reports import keep_meter_errors, resend_all_reports, resend_report
from faregate.storage import tables
from tests.billing.desk import Desk, FaultyProvider
from tests.services.world import APP, NOW

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


class WholeUnits(FaultyProvider):
    """Counts as Stripe does: whole units."""

    def report_usage(self, usage: MeterEvent) -> None:
        if usage.value % 1:
            raise InvalidInput.of("value", "must be a whole number")
        super().report_usage(usage)


def test_what_a_provider_of_whole_units_cannot_count_is_an_item_of_the_same_invoice(postpaid: Desk) -> None:
    provider = WholeUnits(postpaid.provider)
    postpaid.use(1_000_001.5, 0)  # type: ignore[arg-type] # meters add up any number
    postpaid.use(2, 0, at=NOW + timedelta(minutes=5))
    postpaid.close_month(APRIL, provider)
    postpaid.tick(provider)
    assert failures(postpaid) == [(KEY, "fraction")]
    ours = {line.price_id: (line.quantity, line.amount) for line in postpaid.invoices()[0].lines}
    assert ours == {"prc_in": (Decimal("1000003.5"), 100)}
    theirs = {line.price: (line.quantity, line.amount) for line in postpaid.provider_invoices()[0].lines}
    assert theirs == {"prc_in": (Decimal(2), 50), "prc_in+unreported": (Decimal("1000001.5"), 50)}


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


@dataclass
class Counting(FaultyProvider):
    """Counts how often it is asked for its account."""

    asked: int = 0

    def account(self) -> str:
        self.asked += 1
        return super().account()


def test_a_provider_that_nothing_waits_for_is_not_asked_anything(postpaid: Desk) -> None:
    provider = Counting(postpaid.provider)
    postpaid.tick(provider)
    assert provider.asked == 0
    postpaid.use(1, 0)
    postpaid.move(AFTER)
    postpaid.tick(provider)
    assert (provider.asked, postpaid.waiting()) == (1, [])


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


def resend(desk: Desk, of: str | None = None) -> object:
    change = Change(application_id=APP, now=desk.world.clock.now(), new_id=new_id)
    with desk.world.database.begin() as transaction:
        return resend_all_reports(transaction, change) if of is None else resend_report(transaction, change, of)


def lose(desk: Desk, identifier: str) -> int:
    error = MeterError(identifier=identifier, code="archived_meter", message="the meter takes no events")
    with desk.world.database.begin() as transaction:
        return keep_meter_errors(transaction, [error], now=desk.world.clock.now())


def alerts(desk: Desk) -> list[tuple[object, object, object, object]]:
    return [(row["kind"], row["source_id"], row["company_id"], row["measured"]) for row in desk.world.rows("alert")]


def test_refused_reports_are_sent_again_under_a_new_identifier_and_the_period_closes(postpaid: Desk) -> None:
    postpaid.use(1_000_000, 1)
    provider = Refusing(postpaid.provider, refused=KEY)
    postpaid.close_month(APRIL, provider)
    assert alerts(postpaid) == [("usage_report", "rpt_1", "acme", Decimal(1_000_000))]
    provider.refused = "nothing"
    assert resend(postpaid) == 1
    postpaid.tick(provider)
    assert provider.taken == ["mtr_out:acme:2026-03-10T12:00:00.000000Z", f"{KEY}:s1"]
    assert [invoice.total for invoice in postpaid.invoices()] == [200]
    assert resend(postpaid) == 0


def test_a_report_that_the_provider_lost_is_kept_as_such_until_it_is_sent_again(postpaid: Desk) -> None:
    postpaid.use(1_000_000, 0)
    postpaid.move(AFTER)
    provider = Refusing(postpaid.provider)
    postpaid.tick(provider)
    with postpaid.provider._file.transaction() as connection:
        connection.execute("DELETE FROM meter_event")
    assert [lose(postpaid, KEY), lose(postpaid, KEY), lose(postpaid, "somebody-else's")] == [1, 0, 0]
    assert failures(postpaid) == [(KEY, "lost")]
    postpaid.close_month(APRIL, provider)
    assert postpaid.invoices() == []
    resend(postpaid, "rpt_1")
    assert lose(postpaid, KEY) == 0
    postpaid.tick(provider)
    assert provider.taken == [KEY, f"{KEY}:s1"]
    assert [invoice.total for invoice in postpaid.invoices()] == [50]
    assert lose(postpaid, f"{KEY}:s1") == 1


def test_a_report_that_keeps_failing_raises_one_alert_and_is_tried_on(postpaid: Desk) -> None:
    postpaid.use(1, 0)
    counted = []
    for minute in range(8):
        postpaid.move(AFTER + timedelta(minutes=minute))
        postpaid.tick(FaultyProvider(postpaid.provider, before=_dead_line))
        counted.append(len(alerts(postpaid)))
    assert counted == [0, 0, 0, 1, 1, 1, 1, 1]
    assert alerts(postpaid)[0][:2] == ("usage_report", "rpt_1")
    assert postpaid.waiting()[0]["failure"] is None


def test_only_what_the_provider_lacks_and_may_still_take_is_sent_again(postpaid: Desk) -> None:
    postpaid.use(1, 1)
    provider = Refusing(postpaid.provider, refused=KEY)
    postpaid.move(AFTER)
    postpaid.tick(provider)
    for of, told in (("rpt_2", "the provider has this report"), ("rpt_9", "no usage report"), ("7", "no usage report")):
        with pytest.raises((Conflict, NotFound), match=told):
            resend(postpaid, of)
    postpaid.close_month(APRIL, provider)
    postpaid.move(NOW + timedelta(days=40))
    postpaid.tick(provider)
    assert failures(postpaid) == [(KEY, "too_old")]
    with pytest.raises(Conflict, match="takes no such usage"):
        resend(postpaid, "rpt_1")
