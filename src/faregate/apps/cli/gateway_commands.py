"""The commands about gateways. Each imports what it runs when it runs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from faregate.apps.cli import options
from faregate.domain.ledger.lost_units import LostUnits


def gateways(
    *,
    settle: Annotated[str | None, Parameter(help="A gateway that does not come back, by its id.")] = None,
    units: Annotated[LostUnits, Parameter(help="What becomes of the units it holds.")] = LostUnits.KEEP,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Show every gateway: when it was last there, and the units and money that its leases hold.

    What a gateway holds that does not come back stays suspended. With --settle it is released, as if nothing of it was
    used, or charged, as if all was; the gateway is fenced.

    For example:

    ```
    faregate gateways
    faregate gateways --settle gw_01m8 --units release
    ```
    """
    from faregate.apps.cli.gateway_list import run_gateways

    return run_gateways(
        settle, units, api_url=api_url.rstrip("/"), token=options.find_token(api_token, data), json=json
    )
