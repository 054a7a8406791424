from datetime import timedelta

import pytest

from faregate.base.errors import NotFound, Unavailable
from faregate.base.limits import MAX_EVENT_ATTEMPTS
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider_events import EventSource, EventStatus, EventSubject
from faregate.domain.billing.provider_usage import MeterError
from faregate.domain.billing.standing import Collection, CustomerStanding, InvoiceStanding
from faregate.domain.governance.rule import Cohort
from faregate.services.invoices import get_invoice
from faregate.storage.billing import insert_invoice
from faregate.storage.provider_events import EventRow
from tests.builders import a_subscription_standing, an_invoice, an_invoice_standing
from tests.services.provider_world import CUSTOMER, ProviderWorld
from tests.services.world import APP, COMPANY, NOW, SUBSCRIPTION, World

OVERDUE = {Cohort.UNPAID_INVOICES}


@pytest.fixture
def there(world: World) -> ProviderWorld:
    made = ProviderWorld(world)
    made.link()
    return made


def overdue(there: ProviderWorld) -> bool:
    return Cohort.UNPAID_INVOICES in there.cohorts()


def test_an_invoice_that_nobody_here_made_blocks_its_company_and_lets_it_in_when_it_is_paid(
    there: ProviderWorld,
) -> None:
    outcome = there.invoice(an_invoice_standing(attempts=1), "invoice.payment_failed")
    assert outcome == f"invoice of {COMPANY} is open, overdue"
    assert overdue(there)
    there.invoice(an_invoice_standing(status=InvoiceStatus.PAID, amount_remaining=0), "invoice.paid")
    assert not overdue(there)


def test_an_invoice_that_was_sent_blocks_by_the_clock_at_its_due_time(there: ProviderWorld) -> None:
    due_at = NOW + timedelta(days=14)
    sent = an_invoice_standing(collection=Collection.SEND_INVOICE, due_at=due_at)
    assert "overdue from 2026-03-24" in there.invoice(sent, "invoice.finalized")
    there.world.clock.at = due_at - timedelta(microseconds=1)
    assert not overdue(there)
    there.world.clock.at = due_at
    assert overdue(there)


def test_a_void_invoice_blocks_nobody_and_an_uncollectible_one_does(there: ProviderWorld) -> None:
    there.invoice(an_invoice_standing(status=InvoiceStatus.UNCOLLECTIBLE))
    assert overdue(there)
    there.invoice(an_invoice_standing(status=InvoiceStatus.VOID))
    assert not overdue(there)


def test_a_draft_is_kept_and_blocks_nobody(there: ProviderWorld) -> None:
    assert there.invoice(an_invoice_standing(status=None), "invoice.created").endswith("is draft")
    assert not overdue(there)


def test_an_answer_that_is_older_than_the_payment_does_not_open_the_invoice_again(there: ProviderWorld) -> None:
    there.invoice(an_invoice_standing(status=InvoiceStatus.PAID, amount_remaining=0))
    there.invoice(an_invoice_standing(attempts=1))
    assert not overdue(there)


def test_a_subscription_that_is_past_due_blocks_until_it_is_active(there: ProviderWorld) -> None:
    for status, is_blocked in (("past_due", True), ("unpaid", True), ("active", False)):
        there.provider.subscriptions["sub_there"] = a_subscription_standing(
            provider_subscription_id="sub_there", status=status
        )
        there.hear("customer.subscription.updated", "sub_there")
        there.work()
        assert overdue(there) is is_blocked


def test_events_in_any_order_and_twice_come_to_the_same_and_one_reading_answers_them(there: ProviderWorld) -> None:
    there.provider.invoices["in_1"] = an_invoice_standing(status=InvoiceStatus.PAID, amount_remaining=0)
    heard = [there.hear(f"invoice.{kind}", "in_1") for kind in ("paid", "created", "payment_failed", "finalized")]
    assert there.work() == 4
    assert there.provider.asked == ["in_1"]
    assert {there.row(event_id).status for event_id in heard} == {EventStatus.DONE}
    assert not overdue(there)


def test_what_fails_is_tried_again_after_a_while_and_delays_nothing_else(there: ProviderWorld) -> None:
    there.provider.invoices["in_1"] = an_invoice_standing(attempts=1)
    event_id = there.hear("invoice.payment_failed", "in_1")
    there.provider.fault = Unavailable("the provider is away")
    assert there.work() == 0
    row = there.row(event_id)
    assert (row.status, row.attempts, row.last_error) == (EventStatus.WAITING, 1, "the provider is away")
    there.provider.fault = None
    assert there.work() == 0, "not yet"
    there.world.clock.at = NOW + timedelta(seconds=2)
    assert there.work() == 1
    assert overdue(there)


def test_a_fault_of_ours_is_kept_with_the_event_too(there: ProviderWorld) -> None:
    event_id = there.hear("invoice.paid", "in_1")
    there.provider.fault = RuntimeError("a bug")
    there.work()
    assert there.row(event_id).last_error == "RuntimeError: a bug"


def test_an_event_that_never_works_is_given_up(there: ProviderWorld) -> None:
    event_id = there.hear("invoice.paid", "in_1")
    there.provider.fault = Unavailable("away")
    for _ in range(MAX_EVENT_ATTEMPTS):
        there.world.clock.at += timedelta(minutes=7)
        there.work()
    there.world.clock.at += timedelta(days=1)
    there.work()
    row = there.row(event_id)
    assert (row.status, row.attempts) == (EventStatus.FAILED, MAX_EVENT_ATTEMPTS)


def test_what_the_provider_does_not_have_is_done_and_said(there: ProviderWorld) -> None:
    event_id = there.hear("invoice.deleted", "in_9")
    assert there.work() == 1
    assert there.row(event_id).outcome == "the provider does not have it: there is no object 'in_9'"


def test_what_is_missing_here_is_no_end_of_an_event(there: ProviderWorld) -> None:
    async def miss(rows: list[EventRow]) -> str:
        raise NotFound("plan", rows[0].event.object_id)

    there.others[EventSubject.CATALOG] = miss
    event_id = there.hear("price.updated", "price_1")
    assert there.work() == 0
    row = there.row(event_id)
    assert (row.status, row.last_error) == (EventStatus.WAITING, "there is no plan 'price_1'")


def test_an_event_of_no_matter_is_done_without_asking(there: ProviderWorld) -> None:
    event_id = there.hear("balance.available", "")
    there.work()
    assert (there.row(event_id).outcome, there.provider.asked) == ("nothing to do", [])


def test_subjects_of_others_are_handed_to_them(there: ProviderWorld) -> None:
    async def look(rows: list[EventRow]) -> str:
        return f"looked at {rows[0].event.object_id}"

    there.others[EventSubject.CATALOG] = look
    event_id = there.hear("price.updated", "price_1")
    there.work()
    assert there.row(event_id).outcome == "looked at price_1"


def test_a_customer_made_there_becomes_a_company_once_whatever_is_heard_first(there: ProviderWorld) -> None:
    there.provider.customers["cus_2"] = CustomerStanding(customer_id="cus_2", faregate_id="", name="Globex\n")
    there.invoice(an_invoice_standing(customer_id="cus_2", attempts=1))
    assert there.cohorts("cus_2") == OVERDUE
    there.hear("customer.created", "cus_2")
    there.provider.customers["cus_2"] = CustomerStanding(customer_id="cus_2", faregate_id="", name="Globex Ltd")
    there.work()
    companies = {row["company_id"]: row["name"] for row in there.world.rows("company")}
    assert companies == {COMPANY: "Acme", "cus_2": "Globex Ltd"}


def test_a_customer_that_bears_our_id_is_that_company(world: World) -> None:
    there = ProviderWorld(world)
    there.provider.customers[CUSTOMER] = CustomerStanding(
        customer_id=CUSTOMER, faregate_id=f"{APP}/{COMPANY}", name="Another name"
    )
    there.invoice(an_invoice_standing(attempts=1))
    assert overdue(there)
    assert [row["name"] for row in world.rows("company")] == ["Acme"]


def test_a_deleted_customer_is_said_and_its_company_stays(there: ProviderWorld) -> None:
    for customer_id, outcome in (
        (CUSTOMER, f"deleted there; company {COMPANY} stays here"),
        ("cus_9", "deleted there"),
    ):
        there.provider.customers[customer_id] = CustomerStanding(
            customer_id=customer_id, faregate_id="", name="", is_deleted=True
        )
        event_id = there.hear("customer.deleted", customer_id)
        there.work()
        assert there.row(event_id).outcome == outcome
    assert "who was deleted" in there.invoice(an_invoice_standing(invoice_id="in_9", customer_id="cus_9"))


def test_a_subscription_that_is_cancelled_there_ends_here_and_goes_on_when_that_is_taken_back(
    there: ProviderWorld,
) -> None:
    end = NOW + timedelta(days=21)

    def cancelled(**changed: object) -> dict[str, object]:
        standing = a_subscription_standing(faregate_id=SUBSCRIPTION, **changed)  # type: ignore[arg-type]
        there.provider.subscriptions[standing.provider_subscription_id] = standing
        there.hear("customer.subscription.updated", standing.provider_subscription_id)
        there.work()
        return there.world.rows("subscription")[0]

    before = cancelled()
    ending = cancelled(cancel_at=end)
    assert ending["cycle"] != before["cycle"]
    assert cancelled(cancel_at=end) == ending
    assert cancelled() == before
    assert "ends_at" in str(cancelled(status="canceled", ended_at=NOW)["cycle"])


def test_polling_finds_what_no_webhook_brought_and_keeps_nothing_twice(there: ProviderWorld) -> None:
    there.provider.invoices["in_1"] = an_invoice_standing(attempts=1)
    missed = there.event("invoice.payment_failed", "in_1")
    there.provider.events.append(missed)
    assert (there.poll(), there.poll()) == (1, 0)
    there.work()
    assert there.row(missed.event_id).source is EventSource.POLL
    assert overdue(there)


def test_polling_goes_on_where_it_ended_a_few_minutes_before(there: ProviderWorld) -> None:
    first = there.event("balance.available", "")
    there.world.clock.at += timedelta(hours=3)
    there.provider.events += [first, there.event("balance.available", "")]
    assert there.poll() == 2
    late = there.event("balance.available", "")
    there.world.clock.at += timedelta(days=2)
    there.provider.events.append(late)
    assert there.poll() == 1
    assert there.provider.asked == ["events since 03-09 15:00", "events since 03-10 14:55"]


def test_nothing_is_kept_of_a_poll_that_finds_nothing(there: ProviderWorld) -> None:
    assert there.poll() == 0
    assert there.world.rows("provider_cursor") == []


def test_each_report_of_errors_is_read_by_itself_and_kept(there: ProviderWorld) -> None:
    heard = [there.hear("v1.billing.meter.error_report_triggered", "mtr_1") for _ in range(2)]
    for event_id in heard:
        error = MeterError(identifier=f"key of {event_id}", code="meter_event_invalid_value", message="no")
        there.provider.meter_errors[event_id] = [error]
    there.work()
    assert there.provider.asked == heard
    assert there.row(heard[0]).outcome == "0 reports of usage were lost, of 1 that it names"


def test_an_invoice_of_ours_is_as_the_provider_said_whichever_comes_first(there: ProviderWorld) -> None:
    def keep(invoice_id: str, month: int) -> None:
        issued = an_invoice(invoice_id=invoice_id, month=month)
        with there.world.database.begin() as transaction:
            insert_invoice(transaction, APP, issued)

    def paid(invoice_id: str) -> InvoiceStanding:
        return an_invoice_standing(invoice_id=invoice_id, status=InvoiceStatus.PAID, amount_remaining=0, paid_at=NOW)

    keep("in_1", 1)
    there.invoice(an_invoice_standing(invoice_id="in_1", attempts=2))
    with there.world.database.snapshot() as transaction:
        payment = get_invoice(transaction, APP, "in_1").payment
    assert payment is not None
    assert (payment.attempts, payment.amount_remaining) == (2, 250)
    there.invoice(paid("in_1"))
    there.invoice(paid("in_2"))
    keep("in_2", 2)
    assert [(row["status"], row["paid_at"]) for row in there.world.rows("invoice")] == [("paid", NOW)] * 2
