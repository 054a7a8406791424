"""The pages of checkout: what is bought and by which card, and the question to a card's holder."""

from __future__ import annotations

from typing import Final

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.checkout import SESSION, wishes_of
from faregate.providers.sandbox.checkout_paying import authenticated, pay_session
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.hosted_base import (
    Form,
    Hosted,
    HostedPage,
    HostedRedirect,
    page_state,
    path_of,
    token_of,
)
from faregate.providers.sandbox.hosted_forms import label_of, money, submitted_method
from faregate.providers.sandbox.hosted_setups import go_on
from faregate.providers.sandbox.intents import error_of
from faregate.providers.sandbox.paying import authenticate
from faregate.providers.sandbox.setup_intents import authenticate_setup
from faregate.providers.sandbox.times import in_time_of_owner

_VERBS: Final = {"payment": "Pay", "setup": "Save", "subscription": "Subscribe"}


def show_checkout(sandbox: Sandbox, identifier: str, *, fault: str | None) -> Hosted:
    """Return a session's page; one that is complete leads back to its seller."""
    body = sandbox.store.get(SESSION, identifier)
    if body["status"] == "complete":
        return HostedRedirect(url=_success_url(body))
    if body["status"] != "open":
        shown = {"heading": "This page has expired", "back": body["cancel_url"]}
        return HostedPage(kind="closed", shown=shown, fault=fault)
    asking = _asking(sandbox, body)
    if asking is not None:
        return HostedRedirect(url=f"{sandbox.pages_url}/authentication/{asking}")
    currency, wishes = body["currency"], wishes_of(body)
    saved = sandbox.store.find("payment_method", "customer", body["customer"]) if body["customer"] else []
    shown = {
        "verb": _VERBS[body["mode"]],
        "lines": [
            {
                "name": line["description"],
                "quantity": line["quantity"],
                "amount": "by usage" if line["quantity"] is None else money(line["amount_total"], currency),
            }
            for line in body["line_items"]["data"]
        ],
        "total": None if body["amount_total"] is None else money(body["amount_total"], currency),
        "is_taxed": body["automatic_tax"]["enabled"] or "default_tax_rates" in wishes["subscription_data"],
        "email": body["customer_email"],
        "asks_email": body["customer"] is None,
        "saved": [{"id": method["id"], "label": label_of(method)} for method in saved if method["type"] == "card"],
        "takes_accounts": "us_bank_account" in body["payment_method_types"],
        "back": body["cancel_url"],
        "action": path_of(sandbox, "checkout", identifier),
        "token": token_of(sandbox, identifier),
    }
    return HostedPage(kind="checkout", shown=shown, targets=_targets(body), fault=fault)


def submit_checkout(sandbox: Sandbox, identifier: str, form: Form) -> None:
    """Try to complete a session with what was typed in."""
    body = sandbox.store.get(SESSION, identifier)
    sandbox = in_time_of_owner(sandbox, body)
    email = form.get("email") or body["customer_email"]
    if body["customer"] is None and not email:
        raise refused("Enter your email address.", param="email")
    method = submitted_method(sandbox, form, customer=body["customer"], email=email)
    pay_session(sandbox, body, method, email=email, name=form.get("name"))


def show_authentication(sandbox: Sandbox, identifier: str, *, fault: str | None) -> Hosted:
    """Return the page on which a card's holder is asked."""
    intent = _intent(sandbox, identifier)
    if intent["status"] != "requires_action":
        return _after_authentication(sandbox, intent)
    amount = money(intent["amount"], intent["currency"]) if "amount" in intent else None
    method = sandbox.store.get("payment_method", intent["payment_method"])
    shown = {
        "amount": amount,
        "method": label_of(method),
        "back": None,
        "action": path_of(sandbox, "authentication", identifier),
        "token": token_of(sandbox, identifier),
    }
    targets = [intent["next_action"]["redirect_to_url"]["return_url"]]
    sessions = sandbox.store.find(SESSION, intent["object"], intent["id"])
    targets += [target for body in sessions for target in _targets(body)]
    return HostedPage(kind="authentication", shown=shown, targets=tuple(filter(None, targets)), fault=fault)


def submit_authentication(sandbox: Sandbox, identifier: str, form: Form) -> None:
    """Go on with what a card's holder was asked about."""
    intent = _intent(sandbox, identifier)
    if intent["status"] != "requires_action":
        raise refused("This was answered already.")
    sandbox = in_time_of_owner(sandbox, intent)
    url = intent["next_action"]["redirect_to_url"]["return_url"]
    answer = authenticate if intent["object"] == "payment_intent" else authenticate_setup
    intent = answer(sandbox, intent, confirmed=form.get("answer") == "complete")
    # Where to go stays known once the action itself is gone.
    sandbox.store.put(page_state(sandbox, identifier) | {"return_url": url})
    authenticated(sandbox, intent)
    go_on(sandbox, intent)


def _after_authentication(sandbox: Sandbox, intent: Json) -> Hosted:
    name = intent["object"]
    for body in sandbox.store.find(SESSION, name, intent["id"]):
        if body["status"] == "complete":
            return HostedRedirect(url=_success_url(body))
        error = error_of(intent)
        if body["status"] == "open":
            return show_checkout(sandbox, body["id"], fault=None if error is None else error["message"])
    url = page_state(sandbox, intent["id"])["return_url"]
    if url is None:
        return HostedPage(kind="closed", shown={"heading": "You can close this page", "back": None})
    mark = "&" if "?" in url else "?"
    secret = f"{name}={intent['id']}&{name}_client_secret={intent['client_secret']}"
    return HostedRedirect(url=f"{url}{mark}{secret}&redirect_status={_redirect_status(intent)}")


def _redirect_status(intent: Json) -> str:
    return "succeeded" if intent["status"] in {"succeeded", "processing"} else "failed"


def _asking(sandbox: Sandbox, body: Json) -> str | None:
    """Return the intent of a session whose holder is asked; None where nobody is."""
    intent = None if body["payment_intent"] is None else sandbox.store.get("payment_intent", body["payment_intent"])
    setup = wishes_of(body)["setup"]
    for each in (intent, setup and sandbox.store.get("setup_intent", setup)):
        if each is not None and each["status"] == "requires_action":
            identifier: str = each["id"]
            return identifier
    return None


def _intent(sandbox: Sandbox, identifier: str) -> Json:
    kind = "setup_intent" if identifier.startswith("seti_") else "payment_intent"
    return sandbox.store.get(kind, identifier)


def _success_url(body: Json) -> str:
    url: str = body["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", body["id"])


def _targets(body: Json) -> tuple[str, ...]:
    return tuple(url for url in (body["success_url"], body["cancel_url"]) if url)
