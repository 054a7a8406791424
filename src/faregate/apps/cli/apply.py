"""`faregate apply`: send a catalog file, show the difference it makes, or the lines that are wrong."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from pyreqwest.client import SyncClientBuilder
from pyreqwest.exceptions import PyreqwestError, TransportError
from pyreqwest.request import SyncConsumedRequest
from rich.console import Console
from rich.markup import escape

from faregate.apps.cli.answering import fail
from faregate.apps.cli.catalog_file import CatalogFile, CatalogFileError, faults_in_file, read_catalog_file
from faregate.apps.cli.management import Refused, is_url
from faregate.wire.api.catalog_document import Action, CatalogApplied, ResourceDifference
from faregate.wire.problem import Problem

_TIMEOUT: Final = timedelta(seconds=30)
_PAUSES_S: Final = (0.1, 0.4)
_ROOT: Final = "catalog."
_SIGNS: Final = {
    Action.CREATE: "[green]+ create[/]",
    Action.UPDATE: "[yellow]~ update[/]",
    Action.UNCHANGED: "  keep  ",
}


def run_apply(file: Path, *, api_url: str, token: str, dry_run: bool) -> int:
    """Apply the file and print the difference; with `dry_run`, only print it. Return 0, or 1 after printing why not.

    `api_url` is the control plane's, such as `http://127.0.0.1:8080`. An error is one line: the file, the line
    in it, the field and what would be right.
    """
    if not is_url(api_url):
        return fail(f"api_url: {api_url!r} is not a URL such as 'http://127.0.0.1:8080'")
    try:
        catalog = read_catalog_file(file)
    except CatalogFileError as error:
        return fail(error.in_file(file))
    try:
        applied = _send(catalog, api_url=api_url, token=token, dry_run=dry_run)
    except Refused as refused:
        return fail(*faults_in_file(file, catalog, refused.problem, prefix=_ROOT))
    except ValueError:
        return fail("api_token: has characters that no token has")
    except (PyreqwestError, msgspec.DecodeError) as error:
        return fail(f"the control plane at {api_url} did not answer as expected: {error}")
    _show(applied)
    return 0


def _send(catalog: CatalogFile, *, api_url: str, token: str, dry_run: bool) -> CatalogApplied:
    """Applying twice changes nothing more, so a lost connection is tried again."""
    body = msgspec.json.encode({"catalog": catalog.document, "dry_run": dry_run})
    with SyncClientBuilder().no_proxy().follow_redirects(enable=False).timeout(_TIMEOUT).build() as client:
        request = (
            client.post(f"{api_url.rstrip('/')}/api/v1/catalog/apply")
            .headers({"authorization": f"Bearer {token}", "content-type": "application/json"})
            .body_bytes(body)
            .build()
        )
        status, answer = _exchange(request)
    if status != HTTPStatus.OK:
        raise Refused(msgspec.json.decode(answer, type=Problem))
    return msgspec.json.decode(answer, type=CatalogApplied)


def _exchange(request: SyncConsumedRequest) -> tuple[int, bytes]:
    """Send the request, again after a broken connection. Not by stamina, which would print a log line a try."""
    for pause_s in _PAUSES_S:
        try:
            answer = request.copy().send()
            return answer.status, bytes(answer.bytes())
        except TransportError:
            time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - jitter
    answer = request.send()
    return answer.status, bytes(answer.bytes())


def _show(applied: CatalogApplied) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for difference in applied.differences:
        console.print(f"{_SIGNS[difference.action]} {difference.kind:<12} {escape(difference.name)}")
        for field in difference.fields:
            before, after = (escape("nothing" if text is None else text) for text in (field.before, field.after))
            console.print(f"             {escape(field.field)}: {before} [dim]->[/] {after}")
    for warning in applied.warnings:
        console.print(f"[yellow]warning[/] {escape(warning.message)}")
    console.print(_summary(applied.differences, dry_run=applied.dry_run))


def _summary(differences: list[ResourceDifference], *, dry_run: bool) -> str:
    counts = {action: sum(entry.action is action for entry in differences) for action in Action}
    if dry_run:
        return (
            f"Would create {counts[Action.CREATE]}, update {counts[Action.UPDATE]}, "
            f"keep {counts[Action.UNCHANGED]} as they are. Nothing was changed."
        )
    done = f"Created {counts[Action.CREATE]}, updated {counts[Action.UPDATE]}"
    return f"{done}, kept {counts[Action.UNCHANGED]} as they are."
