"""`faregate rerate`: draft a correction, show what it changes for every customer, and apply it where that is asked."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from pyreqwest.exceptions import PyreqwestError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faregate.apps.cli.catalog_file import CatalogFile, CatalogFileError, read_catalog_file
from faregate.apps.cli.management import Refused, ask, is_url
from faregate.wire.api.common import Page
from faregate.wire.api.reratings import DifferenceView, ReratingView
from faregate.wire.problem import Problem

_TIMEOUT: Final = timedelta(hours=1)
"""Events of a year may be counted again for one answer."""
_PAGE_ROWS: Final = 1_000
_SHOWN_ROWS: Final = 50


def run_rerate(file: Path, *, apply: bool, api_url: str, token: str, json: bool) -> int:
    """Draft the file's correction, print what it changes, apply it if asked; return 0, or 1 after printing why not."""
    if not is_url(api_url):
        return _fail(f"api_url: {api_url!r} is not a URL such as 'http://127.0.0.1:8080'")
    try:
        correction = read_catalog_file(file)
    except CatalogFileError as error:
        return _fail(f"{file if error.line is None else f'{file}:{error.line}'}: {error.message}")
    reratings = f"{api_url}/api/v1/reratings"
    try:
        with Console(stderr=True, highlight=False, quiet=json).status("counting kept events again"):
            answer = ask("POST", reratings, token, body=msgspec.json.encode(correction.document), timeout=_TIMEOUT)
            rerating = msgspec.json.decode(answer, type=ReratingView)
            differences = _differences(f"{reratings}/{rerating.rerating_id}", token)
            if apply:
                answer = ask("POST", f"{reratings}/{rerating.rerating_id}/apply", token, timeout=_TIMEOUT)
                rerating = msgspec.json.decode(answer, type=ReratingView)
    except Refused as refused:
        return _fail(*_faults(file, correction, refused.problem))
    except (PyreqwestError, msgspec.DecodeError, ValueError) as error:
        return _fail(f"the control plane at {api_url} did not answer as expected: {error}")
    if json:
        document = msgspec.json.encode({"rerating": rerating, "differences": differences})
        print(msgspec.json.format(document, indent=2).decode())
    else:
        _show(rerating, differences)
    return 0


def _differences(url: str, token: str) -> list[DifferenceView]:
    found: list[DifferenceView] = []
    cursor = ""
    while True:
        answer = ask("GET", f"{url}/differences?limit={_PAGE_ROWS}{cursor}", token)
        page = msgspec.json.decode(answer, type=Page[DifferenceView])
        found += page.data
        if page.next_cursor is None:
            return found
        cursor = f"&cursor={page.next_cursor}"


def _faults(file: Path, correction: CatalogFile, problem: Problem) -> list[str]:
    lines = []
    for error in problem.errors:
        line = correction.line_of(error.field)
        lines.append(f"{file}{'' if line is None else f':{line}'}: {error.field}: {error.message}")
    return lines or [f"{file}: {problem.detail}"]


def _show(rerating: ReratingView, differences: list[DifferenceView]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("company", "period", "quantity", "amount", "difference", "billed by", title_justify="left")
    for row in differences[:_SHOWN_ROWS]:
        table.add_row(
            escape(row.company_id),
            f"{row.period_start:%Y-%m-%d} to {row.period_end:%Y-%m-%d}",
            _change(row.quantity_before, row.quantity_after),
            f"{_change(row.amount_before, row.amount_after)} {row.currency}",
            f"{row.difference} {row.currency}",
            "adjustment" if row.is_invoiced else "its invoice",
        )
    if differences:
        console.print(table)
    if len(differences) > _SHOWN_ROWS:
        console.print(f"and {len(differences) - _SHOWN_ROWS} more; --json shows them all")
    for total in rerating.totals:
        console.print(
            f"{total.company_count} companies: {total.difference} {total.currency} in {total.difference_count} periods"
        )
    if rerating.rated_from is not None and rerating.rated_to is not None:
        console.print(f"Whole billing periods, from {rerating.rated_from:%Y-%m-%d} to {rerating.rated_to:%Y-%m-%d}.")
    else:
        console.print("Nothing changes.")
    console.print(f"{rerating.rerating_id} is {'applied' if rerating.status == 'applied' else 'a draft'}.")


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _fail(*lines: str) -> int:
    for line in lines:
        print(line, file=sys.stderr)
    return 1
