import time
from datetime import UTC, datetime, timedelta

import pytest

from faregate.base.errors import NotFound, Unavailable
from faregate.domain.billing.invoice import Invoice, InvoiceStatus
from faregate.domain.governance.rule import Cohort
from faregate.services.invoices import get_invoice
from tests.billing.desk import Desk, FaultyProvider, Once

APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def invoiced(desk: Desk) -> Invoice:
    desk.use(1, 1)
    desk.close_month(APRIL)
    return desk.invoices()[0]


def memberships_sent(desk: Desk) -> int:
    return [row["kind"] for row in desk.world.rows("state_change")].count("membership")


def test_a_company_is_in_the_cohort_from_the_instant_its_invoice_is_due(postpaid: Desk) -> None:
    invoice = invoiced(postpaid)
    postpaid.move(invoice.due_at - timedelta(microseconds=1))
    postpaid.tick()
    assert postpaid.cohorts() == set()
    postpaid.move(invoice.due_at)
    postpaid.tick()
    assert postpaid.cohorts() == {Cohort.UNPAID_INVOICES}


def test_gateways_hear_of_it_once(postpaid: Desk) -> None:
    invoice = invoiced(postpaid)
    postpaid.move(invoice.due_at)
    postpaid.tick()
    postpaid.tick()
    assert memberships_sent(postpaid) == 1


def test_paying_lets_the_company_in_again(postpaid: Desk) -> None:
    invoice = invoiced(postpaid)
    postpaid.move(invoice.due_at + timedelta(days=1))
    postpaid.tick()
    paid = postpaid.pay(invoice.invoice_id)
    assert (paid.status, paid.paid_at) == (InvoiceStatus.PAID, invoice.due_at + timedelta(days=1))
    assert postpaid.cohorts() == set()
    assert memberships_sent(postpaid) == 2


def test_paying_again_changes_nothing(postpaid: Desk) -> None:
    invoice = invoiced(postpaid)
    paid = postpaid.pay(invoice.invoice_id)
    postpaid.move(invoice.due_at + timedelta(days=1))
    assert postpaid.pay(invoice.invoice_id) == paid
    assert postpaid.invoices() == [paid]
    assert postpaid.balance() == 0


def test_another_overdue_invoice_keeps_the_company_out(postpaid: Desk) -> None:
    first = invoiced(postpaid)
    may = datetime(2026, 5, 1, tzinfo=UTC)
    postpaid.use(1, 1, at=APRIL + timedelta(minutes=2))
    postpaid.close_month(may)
    postpaid.move(may + timedelta(days=20))
    postpaid.tick()
    postpaid.pay(first.invoice_id)
    assert postpaid.cohorts() == {Cohort.UNPAID_INVOICES}
    postpaid.pay(postpaid.invoices()[1].invoice_id)
    assert postpaid.cohorts() == set()


def test_a_company_can_be_in_both_cohorts_and_leaves_each_for_its_own_reason(prepaid: Desk) -> None:
    prepaid.world.grant("1.00")
    invoice = invoiced(prepaid)
    prepaid.move(invoice.due_at)
    prepaid.tick()
    assert prepaid.cohorts() == {Cohort.NO_AVAILABLE_CREDITS, Cohort.UNPAID_INVOICES}
    prepaid.pay(invoice.invoice_id)
    assert prepaid.cohorts() == {Cohort.NO_AVAILABLE_CREDITS}
    prepaid.world.grant("5.00", caller_id="grant-2")
    assert prepaid.cohorts() == set()


def test_a_payment_whose_answer_is_lost_is_asked_again_and_made_once(postpaid: Desk) -> None:
    invoice = invoiced(postpaid)
    lost = Once("pay_invoice")
    paid = postpaid.pay(invoice.invoice_id, FaultyProvider(postpaid.provider, after=lost))
    assert lost.happened
    assert paid.paid_at == postpaid.provider.get_invoice(invoice.invoice_id).paid_at


def test_a_payment_that_the_provider_never_takes_leaves_the_invoice_open(postpaid: Desk) -> None:
    invoice = invoiced(postpaid)

    def dead(method: str, key: str) -> None:
        raise Unavailable(f"{method} of {key} went nowhere")

    with pytest.raises(Unavailable):
        postpaid.pay(invoice.invoice_id, FaultyProvider(postpaid.provider, before=dead))
    assert postpaid.invoices() == [invoice]


def test_a_payment_the_provider_took_before_a_crash_is_recorded_by_a_repeat(postpaid: Desk) -> None:
    invoice = invoiced(postpaid)
    taken = postpaid.provider.pay_invoice(invoice.invoice_id, paid_at=invoice.issued_at + timedelta(hours=1))
    postpaid.move(invoice.due_at + timedelta(days=3))
    assert postpaid.pay(invoice.invoice_id).paid_at == taken.paid_at


def test_a_provider_that_does_not_answer_a_payment_in_time_is_unavailable(
    postpaid: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = invoiced(postpaid)
    for module in ("invoices", "provider_calls"):
        monkeypatch.setattr(f"faregate.services.{module}.PROVIDER_TIMEOUT_S", 0.02)

    def slow(method: str, key: str) -> None:
        del method, key
        time.sleep(0.1)

    with pytest.raises(Unavailable, match="did not answer within"):
        postpaid.pay(invoice.invoice_id, FaultyProvider(postpaid.provider, before=slow))


def test_an_unknown_invoice_is_not_found(postpaid: Desk) -> None:
    with pytest.raises(NotFound, match="invoice"):
        postpaid.pay("in_none")
    with postpaid.world.database.snapshot() as transaction, pytest.raises(NotFound, match="invoice"):
        get_invoice(transaction, "app_2", "in_none")
