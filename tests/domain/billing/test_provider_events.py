import pytest

from faregate.domain.billing.provider_events import EventSubject, subject_of


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("invoice.paid", EventSubject.INVOICE),
        ("invoice.marked_uncollectible", EventSubject.INVOICE),
        ("invoice.upcoming", EventSubject.OTHER),
        ("invoiceitem.created", EventSubject.OTHER),
        ("customer.created", EventSubject.CUSTOMER),
        ("customer.deleted", EventSubject.CUSTOMER),
        ("customer.source.created", EventSubject.OTHER),
        ("customer.subscription.updated", EventSubject.SUBSCRIPTION),
        ("charge.refunded", EventSubject.CHARGE),
        ("charge.refund.updated", EventSubject.REFUND),
        ("refund.updated", EventSubject.REFUND),
        ("refund.failed", EventSubject.REFUND),
        ("charge.succeeded", EventSubject.OTHER),
        ("charge.dispute.created", EventSubject.DISPUTE),
        ("checkout.session.async_payment_succeeded", EventSubject.CHECKOUT),
        ("product.updated", EventSubject.CATALOG),
        ("price.created", EventSubject.CATALOG),
        ("billing.meter.deactivated", EventSubject.CATALOG),
        ("v1.billing.meter.error_report_triggered", EventSubject.METER_ERRORS),
        ("v1.billing.meter.no_meter_found", EventSubject.METER_ERRORS),
        ("account.updated", EventSubject.OTHER),
    ],
)
def test_an_event_makes_us_read_what_it_is_about(kind: str, subject: EventSubject) -> None:
    assert subject_of(kind) is subject
