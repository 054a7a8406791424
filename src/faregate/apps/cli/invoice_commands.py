"""The commands about invoices. Each imports what it runs when it runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from cyclopts import App, Parameter

from faregate.apps.cli import options

INVOICE = App(name="invoice", help="See what the next invoice will say.")


@INVOICE.command(name="preview")
def preview_invoice(
    *,
    company: Annotated[str, Parameter(help="The company, by its id.")],
    at: Annotated[
        datetime | None, Parameter(help="Of the period that holds this instant, UTC without a zone; the open one's.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Show the invoice of each of a company's subscriptions as closing its period now would make it.

    Lines, credit and amount due, and what is still open: windows, units in leases, events that wait. Nothing is billed.

    For example:

    ```
    faregate invoice preview --company acme
    ```
    """
    from faregate.apps.cli.invoice_preview import run_invoice_preview

    return run_invoice_preview(
        company,
        at=None if at is None else options.in_utc(at),
        api_url=api_url.rstrip("/"),
        token=options.find_token(api_token, data),
        json=json,
    )
