"""The command that audits the ledger. It imports what it runs when it runs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from faregate.apps.cli import options


def audit(
    *,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Rebuild every account from its ledger entries, charges and leases, and compare with what is kept.

    Prints a line for each figure that differs, and then ends with status 1. Nothing is written. It goes on account by
    account, whatever their number, while the control plane runs.

    For example:

    ```
    faregate audit
    faregate audit --json
    ```
    """
    from faregate.apps.cli.auditing import run_audit

    return run_audit(api_url=api_url.rstrip("/"), token=options.find_token(api_token, data), json=json)
