from datetime import UTC, datetime, timedelta

import pytest

from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.overdue import invoice_overdue_from, subscription_overdue_from
from faregate.domain.billing.standing import Collection
from tests.builders import a_subscription_standing, an_invoice_standing

SEEN = datetime(2026, 3, 10, tzinfo=UTC)
DUE = SEEN + timedelta(days=14)


def test_an_invoice_that_was_sent_is_overdue_from_its_due_time() -> None:
    sent = an_invoice_standing(collection=Collection.SEND_INVOICE, due_at=DUE)
    assert invoice_overdue_from(sent, seen_at=SEEN) == DUE
    without = an_invoice_standing(collection=Collection.SEND_INVOICE, due_at=None)
    assert invoice_overdue_from(without, seen_at=SEEN) is None


def test_an_invoice_to_be_charged_is_overdue_once_a_payment_was_tried_and_failed() -> None:
    charged = an_invoice_standing(collection=Collection.CHARGE_AUTOMATICALLY, due_at=None, attempts=0)
    assert invoice_overdue_from(charged, seen_at=SEEN) is None
    tried = an_invoice_standing(collection=Collection.CHARGE_AUTOMATICALLY, due_at=None, attempts=1)
    assert invoice_overdue_from(tried, seen_at=SEEN) == SEEN


@pytest.mark.parametrize("status", [None, InvoiceStatus.PAID, InvoiceStatus.VOID])
def test_a_draft_and_one_that_nobody_owes_is_not_overdue(status: InvoiceStatus | None) -> None:
    assert invoice_overdue_from(an_invoice_standing(status=status, attempts=3), seen_at=SEEN) is None


def test_nothing_is_overdue_of_which_nothing_remains() -> None:
    assert invoice_overdue_from(an_invoice_standing(amount_remaining=0), seen_at=SEEN) is None


def test_an_uncollectible_invoice_is_overdue_at_once() -> None:
    lost = an_invoice_standing(status=InvoiceStatus.UNCOLLECTIBLE, due_at=DUE)
    assert invoice_overdue_from(lost, seen_at=SEEN) == SEEN


@pytest.mark.parametrize(
    ("status", "overdue"),
    [("active", False), ("trialing", False), ("canceled", False), ("past_due", True), ("unpaid", True)],
)
def test_a_subscription_is_overdue_while_the_provider_finds_it_unpaid(status: str, *, overdue: bool) -> None:
    found = subscription_overdue_from(a_subscription_standing(status=status), seen_at=SEEN)
    assert found == (SEEN if overdue else None)
