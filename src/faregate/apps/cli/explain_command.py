"""The command that explains. It imports what it runs when it runs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from faregate.apps.cli import options


def explain(
    target: Annotated[
        str,
        Parameter(help="An event's id or request id; or an invoice's id, or INVOICE/LINE, or INVOICE/LINE/WINDOW."),
    ],
    *,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Say why an amount is what it is, or what became of a call.

    An event: whether it counts, what every meter made of it and why, its charge, and the invoice line that has it. An
    invoice: the arithmetic of each line. A line: that, and its usage windows. A window: its events and their charges.

    For example:

    ```
    faregate explain evt_1204
    faregate explain in_01jx5k
    faregate explain in_01jx5k/1
    ```
    """
    from faregate.apps.cli.explain import run_explain

    return run_explain(target, api_url=api_url.rstrip("/"), token=options.find_token(api_token, data), json=json)
