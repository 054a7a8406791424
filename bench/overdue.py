"""How soon the gateway decides by what happens at the billing provider: an invoice overdue there, then paid there.

The sandbox stands for the provider, spoken to by the official SDK. A declined card makes an invoice overdue that nobody
here made; from the provider's answer to the payment until the gateway's 402 is one figure, from the answer to the
payment that settles it until calls are let through again the other. Both with webhooks, and by poll alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.bar import Row, Run
from bench.cases import Customer, Offer, make_call_offer, make_customer, make_rules
from bench.chat_line import BAD_REQUEST, ask_in_vain
from bench.children import BenchError
from bench.stack import Stack, running_stack
from faregate.apps.secret_files import SANDBOX_KEY_FILE, read_secret
from faregate.providers.stripe.client import connect

if TYPE_CHECKING:
    from stripe import StripeClient

POLL_S: Final = 5
WEBHOOK_LIMIT_S: Final = 2.0

_BLOCKED: Final = 402
_GIVE_UP_S: Final = 30.0
_ASK_EVERY_S: Final = 0.005
_AMOUNT: Final = 250
_SAMPLES: Final = 10
_POLLED: Final = 2
_NO_POLL_S: Final = "86400"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The slowest of some changes, in seconds: overdue there to blocked here, and paid there to let in here."""

    way: str
    limit_s: float
    blocked_s: float
    let_in_s: float
    samples: int


def hold_overdue(run: Run) -> Iterator[Row]:
    """Let invoices come overdue at the provider and be paid there, and watch the gateway."""
    for found in measure_overdue(run):
        for what, taken_s in (("overdue there, blocked here", found.blocked_s), ("paid there, let in", found.let_in_s)):
            yield Row(
                bar=f"{what}: {found.way}, slowest of {found.samples}",
                measured=f"{taken_s:.2f} s",
                limit=f"under {found.limit_s:g} s",
                held=taken_s < found.limit_s,
                command=run.command("overdue"),
            )


def measure_overdue(run: Run) -> Iterator[Followed]:
    """Yield what was seen by poll, then with webhooks."""
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as temporary:
        folder = Path(temporary)
        with running_stack(keep=folder, BILLING="sandbox", STRIPE_POLL_S=str(POLL_S)) as stack:
            run.show("overdue at the provider, by poll")
            with closing(stack.api()) as api:
                make_rules(api)
            yield _follow(stack, way=f"by poll each {POLL_S} s", limit_s=POLL_S, samples=_POLLED)
            endpoint = _client(stack).v1.webhook_endpoints.create({"url": _url(stack), "enabled_events": ["*"]})
        secret = str(endpoint.secret)
        with running_stack(
            keep=folder, BILLING="sandbox", STRIPE_POLL_S=_NO_POLL_S, STRIPE_WEBHOOK_SECRET=secret
        ) as stack:
            run.show("overdue at the provider, with webhooks")
            _client(stack).v1.webhook_endpoints.update(endpoint.id, {"url": _url(stack)})
            yield _follow(stack, way="with webhooks", limit_s=WEBHOOK_LIMIT_S, samples=_SAMPLES)


def _follow(stack: Stack, *, way: str, limit_s: float, samples: int) -> Followed:
    blocked, let_in = [], []
    client = _client(stack)
    with closing(stack.api()) as api:
        application_id = api.get("/application")["application_id"]
        # The upstream of each stack has another port, so that each has a route of its own.
        offer = make_call_offer(api, stack.upstream.origin, route=f"/ai/{samples}")
        for number in range(samples):
            customer = make_customer(api, offer, f"{way.replace(' ', '-')}-{number}", pays="postpaid")
            _until(stack, offer, customer, status=BAD_REQUEST)
            invoice_id = _overdue(client, f"{application_id}/{customer.company_id}")
            blocked.append(_until(stack, offer, customer, status=_BLOCKED))
            client.v1.invoices.pay(invoice_id, {"paid_out_of_band": True})
            let_in.append(_until(stack, offer, customer, status=BAD_REQUEST))
    return Followed(way=way, limit_s=limit_s, blocked_s=max(blocked), let_in_s=max(let_in), samples=samples)


def _overdue(client: StripeClient, faregate_id: str) -> str:
    """Make a customer with a card that is declined, and an invoice that it is tried for; return the invoice's id."""
    from stripe import CardError  # noqa: PLC0415 - ten megabytes that no other bar needs

    v1 = client.v1
    customer = v1.customers.create({"name": faregate_id, "metadata": {"faregate_id": faregate_id}})
    method = v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    invoice_id = v1.invoices.create({"customer": customer.id, "auto_advance": False}).id or ""
    v1.invoice_items.create({"customer": customer.id, "invoice": invoice_id, "amount": _AMOUNT, "currency": "usd"})
    v1.invoices.finalize_invoice(invoice_id)
    with suppress(CardError):
        v1.invoices.pay(invoice_id)
    return invoice_id


def _until(stack: Stack, offer: Offer, customer: Customer, *, status: int) -> float:
    """Return the seconds from now until the gateway answers so."""
    started_s = time.perf_counter()
    while True:
        found = ask_in_vain(stack.gateway.port, offer, customer)
        taken_s = time.perf_counter() - started_s
        if found == status:
            return taken_s
        if taken_s > _GIVE_UP_S:
            raise BenchError(f"the gateway still answered {found}, not {status}, after {_GIVE_UP_S:g} s")
        time.sleep(_ASK_EVERY_S)


def _client(stack: Stack) -> StripeClient:
    key = read_secret(stack.folder / SANDBOX_KEY_FILE)
    if key is None:
        raise BenchError("the sandbox has no key")
    return connect(key, base_url=f"{stack.control_plane.origin}/sandbox")


def _url(stack: Stack) -> str:
    return f"{stack.control_plane.origin}/webhooks/stripe"
