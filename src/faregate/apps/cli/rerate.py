"""`faregate rerate`: draft a correction, show what it changes for every customer, and apply it where that is asked."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faregate.apps.cli.answering import answered, fail, print_json, read_rows
from faregate.apps.cli.catalog_file import CatalogFileError, faults_in_file, read_catalog_file
from faregate.apps.cli.management import ask
from faregate.wire.api.common import Page
from faregate.wire.api.reratings import DifferenceView, ReratingView

_TIMEOUT: Final = timedelta(hours=1)
"""Events of a year may be counted again for one answer."""
_SHOWN_ROWS: Final = 50


class _Rerated(Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    rerating: ReratingView
    differences: list[DifferenceView]


def run_rerate(file: Path, *, apply: bool, api_url: str, token: str, json: bool) -> int:
    """Draft the file's correction, print what it changes, apply it if asked; return 0, or 1 after printing why not."""
    try:
        correction = read_catalog_file(file)
    except CatalogFileError as error:
        return fail(error.in_file(file))
    reratings = f"{api_url}/api/v1/reratings"

    def draft() -> _Rerated:
        with Console(stderr=True, highlight=False, quiet=json).status("counting kept events again"):
            answer = ask("POST", reratings, token, body=msgspec.json.encode(correction.document), timeout=_TIMEOUT)
            rerating = msgspec.json.decode(answer, type=ReratingView)
            url = f"{reratings}/{rerating.rerating_id}"
            differences = list(read_rows(f"{url}/differences", token, Page[DifferenceView]))
            if apply:
                rerating = msgspec.json.decode(ask("POST", f"{url}/apply", token, timeout=_TIMEOUT), type=ReratingView)
        return _Rerated(rerating=rerating, differences=differences)

    return answered(
        draft,
        api_url=api_url,
        show=print_json if json else _show,
        faults=partial(faults_in_file, file, correction),
    )


def _show(rerated: _Rerated) -> None:
    rerating, differences = rerated.rerating, rerated.differences
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
