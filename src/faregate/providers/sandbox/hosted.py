"""The sandbox's hosted pages: what each of them shows, and what its forms do. Whoever renders them is elsewhere.

A page's address is its secret: it names an object by its id, which nobody guesses. Each form bears a token that is good
for one submission, so that a form that is sent twice pays once.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.checkout import SESSION, wishes_of
from faregate.providers.sandbox.checkout_paying import authenticated, pay_session
from faregate.providers.sandbox.due import work_due
from faregate.providers.sandbox.faults import Declined, Json, StripeFault, missing, refused
from faregate.providers.sandbox.hosted_forms import label_of, money, submitted_method
from faregate.providers.sandbox.paying import authenticate, in_time_of_owner
from faregate.providers.sandbox.setup_intents import authenticate_setup

TOKEN: Final = "form_token"  # noqa: S105 - a field's name
_PAGE: Final = "sandbox.page"
_VERBS: Final = {"payment": "Pay", "setup": "Save", "subscription": "Subscribe"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedPage:
    """A page: its kind, what it shows, where its forms may lead besides itself, what was wrong with the last one."""

    kind: str
    shown: Json
    targets: tuple[str, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedRedirect:
    """Where the browser is to go."""

    url: str


Hosted = HostedPage | HostedRedirect
Form = Mapping[str, str]


def show_page(sandbox: Sandbox, kind: str, identifier: str) -> Hosted:
    """Return a hosted page as it stands; raises `StripeFault` for one that is not."""
    work_due(sandbox)
    with sandbox.store.transaction():
        return _shown(sandbox, kind, identifier, fault=None)


def submit_page(sandbox: Sandbox, kind: str, identifier: str, *, form: Form) -> Hosted:
    """Do what a form of a page asks for, and return the page as it is then, or where to go.

    What was declined stays, and its reason is on the page. Raises `StripeFault` for a page that is not.
    """
    work_due(sandbox)
    fault = None
    try:
        with sandbox.store.transaction():
            _take_token(sandbox, identifier, form.get(TOKEN, ""))
            try:
                _submitted(sandbox, kind, identifier, form=form)
            except Declined as declined:
                fault = declined.message
    except StripeFault as refusal:
        fault = refusal.message
    with sandbox.store.transaction():
        return _shown(sandbox, kind, identifier, fault=fault)


def _shown(sandbox: Sandbox, kind: str, identifier: str, *, fault: str | None) -> Hosted:
    match kind:
        case "checkout":
            return _show_checkout(sandbox, identifier, fault=fault)
        case "authentication":
            return _show_authentication(sandbox, identifier, fault=fault)
        case _:
            raise missing("page", kind)


def _submitted(sandbox: Sandbox, kind: str, identifier: str, *, form: Form) -> None:
    match kind:
        case "checkout":
            _submit_checkout(sandbox, identifier, form)
        case "authentication":
            _submit_authentication(sandbox, identifier, form)
        case _:
            raise missing("page", kind)


def _show_checkout(sandbox: Sandbox, identifier: str, *, fault: str | None) -> Hosted:
    body = sandbox.store.get(SESSION, identifier)
    if body["status"] == "complete":
        return HostedRedirect(url=_success_url(body))
    if body["status"] != "open":
        return HostedPage(kind="closed", shown={"heading": "This page has expired", "back": body["cancel_url"]})
    asking = _asking(sandbox, body)
    if asking is not None:
        return HostedRedirect(url=f"{sandbox.pages_url}/authentication/{asking}")
    currency = body["currency"]
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
        "email": body["customer_email"],
        "asks_email": body["customer"] is None,
        "saved": [{"id": method["id"], "label": label_of(method)} for method in saved if method["type"] == "card"],
        "takes_accounts": "us_bank_account" in body["payment_method_types"],
        "back": body["cancel_url"],
        "action": _path(sandbox, "checkout", identifier),
        "token": _token(sandbox, identifier),
    }
    return HostedPage(kind="checkout", shown=shown, targets=_targets(body), fault=fault)


def _submit_checkout(sandbox: Sandbox, identifier: str, form: Form) -> None:
    body = sandbox.store.get(SESSION, identifier)
    sandbox = in_time_of_owner(sandbox, body)
    email = form.get("email") or body["customer_email"]
    if body["customer"] is None and not email:
        raise refused("Enter your email address.", param="email")
    method = submitted_method(sandbox, form, customer=body["customer"], email=email)
    pay_session(sandbox, body, method, email=email, name=form.get("name"))


def _show_authentication(sandbox: Sandbox, identifier: str, *, fault: str | None) -> Hosted:
    intent = _intent(sandbox, identifier)
    if intent["status"] != "requires_action":
        return _after_authentication(sandbox, intent)
    amount = money(intent["amount"], intent["currency"]) if "amount" in intent else None
    method = sandbox.store.get("payment_method", intent["payment_method"])
    shown = {
        "amount": amount,
        "method": label_of(method),
        "back": None,
        "action": _path(sandbox, "authentication", identifier),
        "token": _token(sandbox, identifier),
    }
    targets = [intent["next_action"]["redirect_to_url"]["return_url"]]
    sessions = sandbox.store.find(SESSION, intent["object"], intent["id"])
    targets += [target for body in sessions for target in _targets(body)]
    return HostedPage(kind="authentication", shown=shown, targets=tuple(filter(None, targets)), fault=fault)


def _submit_authentication(sandbox: Sandbox, identifier: str, form: Form) -> None:
    intent = _intent(sandbox, identifier)
    if intent["status"] != "requires_action":
        raise refused("This was answered already.")
    sandbox = in_time_of_owner(sandbox, intent)
    url = intent["next_action"]["redirect_to_url"]["return_url"]
    answer = authenticate if intent["object"] == "payment_intent" else authenticate_setup
    intent = answer(sandbox, intent, confirmed=form.get("answer") == "complete")
    # Where to go stays known once the action itself is gone.
    sandbox.store.put(_page(sandbox, identifier) | {"return_url": url})
    authenticated(sandbox, intent)


def _after_authentication(sandbox: Sandbox, intent: Json) -> Hosted:
    name = intent["object"]
    for body in sandbox.store.find(SESSION, name, intent["id"]):
        if body["status"] == "complete":
            return HostedRedirect(url=_success_url(body))
        error = intent.get("last_payment_error") or intent.get("last_setup_error")
        if body["status"] == "open":
            return _show_checkout(sandbox, body["id"], fault=error and error["message"])
    url = _page(sandbox, intent["id"])["return_url"]
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
    setup = wishes_of(sandbox, body)["setup"]
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


def _path(sandbox: Sandbox, kind: str, identifier: str) -> str:
    """Return a page's address on its own site, under whichever name the browser has of that."""
    return f"{urlsplit(sandbox.pages_url).path}/{kind}/{identifier}"


def _page(sandbox: Sandbox, identifier: str) -> Json:
    found = sandbox.store.find(_PAGE, "of", identifier)
    return found[0] if found else {"turn": 0, "return_url": None}


def _token(sandbox: Sandbox, identifier: str) -> str:
    text = f"{identifier}:{_page(sandbox, identifier)['turn']}".encode()
    return hmac.new(sandbox.key.encode(), text, hashlib.sha256).hexdigest()


def _take_token(sandbox: Sandbox, identifier: str, token: str) -> None:
    """Use a form's token up; raises `StripeFault` for another one."""
    if not hmac.compare_digest(token, _token(sandbox, identifier)):
        raise refused("This form was sent already. Look at the page as it is now, and send it again if need be.")
    page = _page(sandbox, identifier)
    after = page | {"id": f"{identifier}_page", "object": _PAGE, "turn": page["turn"] + 1}
    if page["turn"] == 0:
        sandbox.store.add(after, of=identifier)
    else:
        sandbox.store.put(after)
