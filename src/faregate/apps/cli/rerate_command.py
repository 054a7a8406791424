"""The command that re-rates. It imports what it runs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from faregate.apps.cli import options


def rerate(
    *,
    file: Annotated[Path, Parameter(alias="-f", help="The correction, in YAML.")],
    apply: Annotated[bool, Parameter(help="Apply it, and show what it changed.", negative=())] = False,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Correct a price or a meter for usage that is rated already: show the difference of every customer, or apply it.

    The file says `price` or `meter`, `from` and, if need be, `to`; whole billing periods are rated again. Without
    `--apply` a draft is left behind, which changes nothing.

    For example:

    ```
    faregate rerate -f correction.yaml --apply
    ```
    """
    from faregate.apps.cli.rerate import run_rerate

    return run_rerate(
        file, apply=apply, api_url=api_url.rstrip("/"), token=options.find_token(api_token, data), json=json
    )
