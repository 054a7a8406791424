"""The sandbox's hosted pages: what each of them shows, and what its forms do. Whoever renders them is elsewhere.

A page's address is its secret: it names an object by its id, which nobody guesses. Each form bears a token that is good
for one submission, so that a form that is sent twice pays once.
"""

from __future__ import annotations

from typing import Final

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.due import work_due
from faregate.providers.sandbox.faults import Declined, StripeFault, missing
from faregate.providers.sandbox.hosted_base import Form, Hosted, HostedRedirect, take_token
from faregate.providers.sandbox.hosted_checkout import (
    show_authentication,
    show_checkout,
    submit_authentication,
    submit_checkout,
)
from faregate.providers.sandbox.hosted_invoice import show_invoice, submit_invoice
from faregate.providers.sandbox.hosted_portal import show_portal, submit_portal

TOKEN: Final = "form_token"  # noqa: S105 - a field's name


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
    fault, url = None, None
    try:
        with sandbox.store.transaction():
            take_token(sandbox, identifier, form.get(TOKEN, ""))
            try:
                url = _submitted(sandbox, kind, identifier, form=form)
            except Declined as declined:
                fault = declined.message
    except StripeFault as refusal:
        fault = refusal.message
    if url is not None:
        return HostedRedirect(url=url)
    with sandbox.store.transaction():
        return _shown(sandbox, kind, identifier, fault=fault)


def _shown(sandbox: Sandbox, kind: str, identifier: str, *, fault: str | None) -> Hosted:
    match kind:
        case "checkout":
            return show_checkout(sandbox, identifier, fault=fault)
        case "authentication":
            return show_authentication(sandbox, identifier, fault=fault)
        case "invoices":
            return show_invoice(sandbox, identifier, fault=fault)
        case "portal":
            return show_portal(sandbox, identifier, fault=fault)
        case _:
            raise missing("page", kind)


def _submitted(sandbox: Sandbox, kind: str, identifier: str, *, form: Form) -> str | None:
    """Return where the browser is to go, or None: to the page itself."""
    match kind:
        case "checkout":
            submit_checkout(sandbox, identifier, form)
        case "authentication":
            submit_authentication(sandbox, identifier, form)
        case "invoices":
            return submit_invoice(sandbox, identifier, form)
        case "portal":
            return submit_portal(sandbox, identifier, form)
        case _:
            raise missing("page", kind)
    return None
