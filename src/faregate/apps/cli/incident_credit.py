"""`faregate incident-credit`: what customers get back for an incident, as a table; giving it, and taking it back."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct
from pyreqwest.exceptions import PyreqwestError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faregate.apps.cli.catalog_file import CatalogFile, CatalogFileError, read_catalog_file
from faregate.apps.cli.management import Refused, ask, is_url
from faregate.wire.api.common import Page
from faregate.wire.api.incidents import IncidentLineView, IncidentView
from faregate.wire.problem import Problem

_PAGE_ROWS = 1_000


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
    if not is_url(api_url):
        return _fail(f"api_url: {api_url!r} is not a URL such as 'http://127.0.0.1:8080'")
    try:
        incident = read_catalog_file(file)
    except CatalogFileError as error:
        place = str(file) if error.line is None else f"{file}:{error.line}"
        return _fail(f"{place}: {error.message}")
    try:
        report = _run(incident, step, f"{api_url}/api/v1/incident-credits", token=token)
    except Refused as refused:
        return _fail(*_faults(file, incident, refused.problem))
    except (PyreqwestError, msgspec.DecodeError, ValueError) as error:
        return _fail(f"the control plane at {api_url} did not answer as expected: {error}")
    if json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _show(report)
    return 0


def _run(incident: CatalogFile, step: Step, url: str, *, token: str) -> IncidentReport:
    body = msgspec.json.encode(incident.document)
    view = msgspec.json.decode(ask("POST", url, token, body=body), type=IncidentView)
    if step is not Step.SHOW:
        view = msgspec.json.decode(ask("POST", f"{url}/{view.id}/{step.value}", token), type=IncidentView)
    rows: list[IncidentLineView] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"?limit={_PAGE_ROWS}" + (f"&cursor={cursor}" if cursor else "")
        part = msgspec.json.decode(ask("GET", f"{url}/{view.id}/customers{query}", token), type=Page[IncidentLineView])
        rows += part.data
        cursor = part.next_cursor
    return IncidentReport(incident=view, customers=rows)


def _faults(file: Path, incident: CatalogFile, problem: Problem) -> list[str]:
    if not problem.errors:
        return [f"{file}: {problem.detail}"]
    lines = []
    for error in problem.errors:
        line = incident.line_of(error.field)
        lines.append(f"{file}{'' if line is None else f':{line}'}: {error.field}: {error.message}")
    return lines


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


def _fail(*lines: str) -> int:
    for line in lines:
        print(line, file=sys.stderr)
    return 1
