"""The commands about meters. Each imports what it runs when it runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from faregate.apps.cli import options

METER = App(name="meter", help="Try a meter before it bills, and fill a new one from events that were kept.")


@METER.command(name="test")
def try_meter(
    *,
    file: Annotated[Path, Parameter(alias="-f", help="The draft, in YAML: a meter as in a catalog file.")],
    from_: Annotated[datetime, Parameter(name="--from", help="Events not before this instant; UTC without a zone.")],
    to: Annotated[datetime, Parameter(help="Events before this instant; UTC without a zone.")],
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Show what a meter would count of events that were kept, and what its price would charge. Nothing is billed.

    For example:

    ```
    faregate meter test -f meter.yaml --from 2026-03-01 --to 2026-04-01
    ```
    """
    from faregate.apps.cli.meter_test import run_meter_test

    return run_meter_test(
        file,
        from_at=options.in_utc(from_),
        to_at=options.in_utc(to),
        api_url=api_url.rstrip("/"),
        token=options.find_token(api_token, data),
        json=json,
    )


@METER.command(name="backfill")
def fill_meter(
    meter: Annotated[str, Parameter(help="The meter, by its name or its id.")],
    *,
    from_: Annotated[datetime, Parameter(name="--from", help="Events not before this instant; UTC without a zone.")],
    to: Annotated[datetime, Parameter(help="Events before this instant; UTC without a zone.")],
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Let a new meter count events from before it was made. What it counts is billed, as late events are.

    Events that the meter has counted are left out, so it can be repeated. It goes on when this command ends.

    For example:

    ```
    faregate meter backfill "Input Token Meter" --from 2026-03-01 --to 2026-03-10
    ```
    """
    from faregate.apps.cli.meter_backfill import run_meter_backfill

    return run_meter_backfill(
        meter,
        from_at=options.in_utc(from_),
        to_at=options.in_utc(to),
        api_url=api_url.rstrip("/"),
        token=options.find_token(api_token, data),
    )
