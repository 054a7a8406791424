"""The commands about the billing provider. Each imports what it runs when it runs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from faregate.apps.cli import options

PROVIDER = App(name="provider", help="Check the connection to the billing provider.")


@PROVIDER.command(name="check")
def check_provider(
    *,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Show whose account the key is of, its mode, and whether it may do each thing that is needed.

    Each permission is tried with a call that changes nothing. Ends with 1 where one is missing.

    For example:

    ```
    faregate provider check
    ```
    """
    from faregate.apps.cli.provider_check import run_provider_check

    return run_provider_check(api_url=api_url.rstrip("/"), token=options.find_token(api_token, data), json=json)
