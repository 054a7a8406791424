"""A control plane that the sandbox bills, and follows what happens there: by polling, and by the sandbox's webhooks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from stripe import CardError, StripeClient

from faregate.apps.control.settings import Billing
from faregate.apps.secret_files import CLI_TOKEN_FILE, SANDBOX_KEY_FILE
from faregate.domain.governance.rule import Cohort
from faregate.providers.stripe.client import connect
from faregate.services.gateway_calls import main_application
from faregate.storage.governance import read_memberships
from tests.control.control_plane import WEBHOOK_SECRET, Handle, started

WITHIN_S = 20.0


@contextmanager
def following(
    data: Path, *, secret: str = WEBHOOK_SECRET, poll_s: int = 3_600
) -> Iterator[tuple[Handle, StripeClient]]:
    with started(data, billing=Billing.SANDBOX, webhook_secret=secret, stripe_poll_s=poll_s) as control:
        key = (data / SANDBOX_KEY_FILE).read_text().strip()
        yield control, connect(key, base_url=f"{control.running.origin}/sandbox")


def owing(stripe: StripeClient, name: str) -> tuple[str, str]:
    """A customer made there, whose card was declined for an invoice made there; the ids of both."""
    customer = stripe.v1.customers.create({"name": name})
    method = stripe.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    stripe.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    invoice_id = stripe.v1.invoices.create({"customer": customer.id, "auto_advance": False}).id or ""
    stripe.v1.invoice_items.create({"customer": customer.id, "invoice": invoice_id, "amount": 250, "currency": "usd"})
    stripe.v1.invoices.finalize_invoice(invoice_id)
    with pytest.raises(CardError):
        stripe.v1.invoices.pay(invoice_id)
    return customer.id, invoice_id


def becomes(control: Handle, company_id: str, *, blocked: bool) -> bool:
    def is_so() -> bool:
        found = control.read(lambda tx: read_memberships(tx, main_application(tx), [company_id]))
        return (Cohort.UNPAID_INVOICES in found.get(company_id, frozenset())) is blocked

    return _within(is_so)


def _within(is_so: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + WITHIN_S
    while time.monotonic() < until_s:
        if is_so():
            return True
        time.sleep(0.02)
    return False


def test_what_happens_at_the_provider_decides_access_by_poll_and_by_webhook(tmp_path: Path) -> None:
    data = tmp_path / "kept"
    with following(data, poll_s=1) as (control, stripe):
        company_id, invoice_id = owing(stripe, "Globex")
        assert becomes(control, company_id, blocked=True)
        stripe.v1.invoices.pay(invoice_id, {"paid_out_of_band": True})
        assert becomes(control, company_id, blocked=False)
        port = control.running.port
        endpoint = stripe.v1.webhook_endpoints.create(
            {"url": f"http://127.0.0.1:{port}/webhooks/stripe", "enabled_events": ["*"]}
        )
    secret = str(endpoint.secret)
    with following(data, secret=secret) as (control, stripe):
        stripe.v1.webhook_endpoints.update(
            endpoint.id, {"url": f"http://127.0.0.1:{control.running.port}/webhooks/stripe"}
        )
        company_id, invoice_id = owing(stripe, "Initech")
        assert becomes(control, company_id, blocked=True)
        stripe.v1.invoices.pay(invoice_id, {"paid_out_of_band": True})
        assert becomes(control, company_id, blocked=False)
        token = (data / CLI_TOKEN_FILE).read_text().strip()
        body = msgspec.json.encode({"return_url": "https://example.com/"})
        path = f"/api/v1/companies/{company_id}/portal-sessions"
        opened = control.ask("POST", path, body, authorization=f"Bearer {token}")
        assert opened.status == 201, opened.body
        assert str(opened.json()["url"]).startswith("http")
