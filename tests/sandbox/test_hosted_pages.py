"""The sandbox's hosted pages in a real Chromium: light and dark, wide and narrow."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect
from stripe import StripeClient

from tests.control.control_plane import Handle
from tests.sandbox.test_checkout import check_out
from tests.sandbox.test_hosted_invoice import open_invoice
from tests.sandbox.test_payments import make_customer
from tests.support.browser import running_browser

_WIDE, _NARROW = 1280, 360


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as opened:
        yield opened


@contextmanager
def page_of(browser: Browser, *, width: int = _WIDE, dark: bool = False) -> Iterator[Page]:
    """A page; at the end, what the browser complained of is a failure."""
    context = browser.new_context(color_scheme="dark" if dark else "light", viewport={"width": width, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [text for text in complaints if "422" not in text] == []


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.parametrize(("width", "dark"), [(_WIDE, False), (_NARROW, True)])
def test_a_buyer_is_declined_then_asked_and_comes_back_to_the_seller(
    browser: Browser, control: Handle, stripe: StripeClient, *, width: int, dark: bool
) -> None:
    # Any page of another site will do; this one is on the same port, by another name.
    seller = control.running.origin.replace("127.0.0.1", "localhost")
    session = check_out(stripe, success_url=f"{seller}/login?session={{CHECKOUT_SESSION_ID}}")
    with page_of(browser, width=width, dark=dark) as page:
        page.goto(str(session.url))
        assert fits(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("Pay 50.00 USD")
        page.get_by_label("Email").first.fill("ada@example.com")
        page.get_by_label("Card number").fill("4000 0000 0000 0002")
        page.get_by_label("Expires").fill("12 / 40")
        page.get_by_label("CVC").fill("123")
        page.get_by_role("button", name="Pay", exact=True).click()
        expect(page.get_by_role("alert")).to_have_text("Your card was declined.")
        page.get_by_label("Email").first.fill("ada@example.com")
        page.get_by_label("Card number").fill("4000 0027 6000 3184")
        page.get_by_label("Expires").fill("12 / 40")
        page.get_by_label("CVC").fill("123")
        page.get_by_role("button", name="Pay", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Is this you?")
        assert fits(page)
        page.get_by_role("button", name="Complete").click()
        page.wait_for_url(f"{seller}/login?session={session.id}")
    assert stripe.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_the_portal_and_an_invoice_fit_a_narrow_page_and_take_a_card(
    browser: Browser, control: Handle, stripe: StripeClient
) -> None:
    customer = make_customer(stripe)
    invoice = open_invoice(stripe, customer)
    portal = stripe.v1.billing_portal.sessions.create({"customer": customer})
    with page_of(browser, width=_NARROW, dark=True) as page:
        page.goto(portal.url)
        assert fits(page)
        page.get_by_text("Add a card").click()
        page.get_by_label("Card number").fill("5555 5555 5555 4444")
        page.get_by_label("Expires").fill("12 / 40")
        page.get_by_label("CVC").fill("123")
        page.get_by_role("button", name="Add, and pay by it").click()
        expect(page.get_by_text("Mastercard ending in 4444")).to_be_visible()
        page.get_by_role("link", name=str(invoice.number)).click()
        assert fits(page)
        page.get_by_role("button", name="Pay with Mastercard ending in 4444").click()
        expect(page.get_by_text("paid", exact=True)).to_be_visible()
    assert stripe.v1.invoices.retrieve(invoice.id).status == "paid"
