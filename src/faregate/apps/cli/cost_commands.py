"""The commands about cost and margin. Each imports what it runs when it runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from faregate.apps.cli import options

By = Literal["company", "model", "key", "route", "day"]


def margin(
    *,
    from_: Annotated[datetime, Parameter(name="--from", help="The first day, in UTC.")],
    to: Annotated[datetime, Parameter(help="The day after the last one, in UTC.")],
    by: Annotated[By, Parameter(help="What calls are told apart by.")] = "company",
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Show what calls brought, what they cost upstream, and what is left.

    Needs cost prices: `costs` in the catalog file, or `POST /api/v1/costs`. Calls that no cost price matches are
    shown as uncosted and count for no margin.

    For example:

    ```
    faregate margin --from 2026-03-01 --to 2026-04-01 --by model
    ```
    """
    from faregate.apps.cli.margin_report import run_margin

    return run_margin(
        from_at=options.in_utc(from_),
        to_at=options.in_utc(to),
        by=by,
        api_url=api_url.rstrip("/"),
        token=options.find_token(api_token, data),
        json=json,
    )


def incident_credit(
    *,
    file: Annotated[Path, Parameter(alias="-f", help="The incident, in YAML: id, filter_text, from, to, reason.")],
    apply: Annotated[bool, Parameter(help="Give the calls back.", negative=())] = False,
    undo: Annotated[bool, Parameter(help="Take back what was given.", negative=())] = False,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Show what each customer gets back for the calls of an incident; give it, or take it back.

    Without `--apply` or `--undo` nothing moves. Each is safe to repeat, and no call is credited twice.

    For example:

    ```
    faregate incident-credit -f incident.yaml
    faregate incident-credit -f incident.yaml --apply
    faregate incident-credit -f incident.yaml --undo
    ```
    """
    from faregate.apps.cli.incident_credit import Step, run_incident_credit
    from faregate.base.errors import ConfigurationError

    if apply and undo:
        raise ConfigurationError("apply and undo exclude each other: give one of them")
    step = Step.APPLY if apply else Step.UNDO if undo else Step.SHOW
    return run_incident_credit(
        file, step=step, api_url=api_url.rstrip("/"), token=options.find_token(api_token, data), json=json
    )
