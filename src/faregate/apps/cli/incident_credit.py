"""`faregate incident-credit`: what customers get back for an incident, as a table; giving it, and taking it back."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faregate.apps.cli.answering import answered, fail, print_json, read_rows
from faregate.apps.cli.catalog_file import CatalogFile, CatalogFileError, faults_in_file, read_catalog_file
from faregate.apps.cli.management import ask
from faregate.wire.api.common import Page
from faregate.wire.api.incidents import IncidentLineView, IncidentView


class Step(StrEnum):
    """What is asked for beside the preview."""

    SHOW = "show"
    APPLY = "apply"
    UNDO = "undo"


class IncidentReport(Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    incident: IncidentView
    customers: list[IncidentLineView]


def run_incident_credit(file: Path, *, step: Step, api_url: str, token: str, json: bool) -> int:
    """Draft an incident credit, apply or undo it if asked, and print it. Return 0, or 1 after saying why not."""
    try:
        incident = read_catalog_file(file)
    except CatalogFileError as error:
        return fail(error.in_file(file))
    return answered(
        lambda: _run(incident, step, f"{api_url}/api/v1/incident-credits", token=token),
        api_url=api_url,
        show=print_json if json else _show,
        faults=partial(faults_in_file, file, incident),
    )


def _run(incident: CatalogFile, step: Step, url: str, *, token: str) -> IncidentReport:
    body = msgspec.json.encode(incident.document)
    view = msgspec.json.decode(ask("POST", url, token, body=body), type=IncidentView)
    if step is not Step.SHOW:
        view = msgspec.json.decode(ask("POST", f"{url}/{view.id}/{step.value}", token), type=IncidentView)
    rows = list(read_rows(f"{url}/{view.id}/customers", token, Page[IncidentLineView]))
    return IncidentReport(incident=view, customers=rows)


def _show(report: IncidentReport) -> None:
    console = Console(highlight=False, soft_wrap=True)
    view = report.incident
    console.print(f"{escape(view.id)} ({view.status}): {view.matched} calls match. {escape(view.reason)}")
    table = Table("company", "price", "period", "calls", "quantity", "charged", "credit", "credited before")
    for column in table.columns[3:]:
        column.justify = "right"
    for row in report.customers:
        table.add_row(
            escape(row.company_id),
            row.price_id,
            f"{row.period_start:%Y-%m-%d}",
            str(row.calls),
            row.quantity,
            row.charged,
            f"{row.credit} {row.currency}",
            str(row.already_credited or ""),
        )
    if report.customers:
        console.print(table)
    for total in view.totals:
        console.print(f"{total.customers} customers, {total.credit} {total.currency} of {total.charged} charged.")
