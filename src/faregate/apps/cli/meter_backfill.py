"""`faregate meter backfill`: fill a meter from kept events, and show how far it is."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import Final

import msgspec
from pyreqwest.exceptions import PyreqwestError
from rich.console import Console

from faregate.apps.cli.management import Refused, ask, is_url
from faregate.wire.api.common import Page
from faregate.wire.api.meter_trials import BackfillView
from faregate.wire.api.meters import MeterView

_POLL_S: Final = 0.5
_PAGE_ROWS: Final = 1_000


def run_meter_backfill(name: str, *, from_at: datetime, to_at: datetime, api_url: str, token: str) -> int:
    """Fill the meter of a name (or id) and wait until it is done; return 0, or 1 after printing why not."""
    if not is_url(api_url):
        return _fail(f"api_url: {api_url!r} is not a URL such as 'http://127.0.0.1:8080'")
    try:
        meter = _find(name, api_url, token)
        if meter is None:
            return _fail(f"there is no meter {name!r}")
        body = msgspec.json.encode({"from": from_at, "to": to_at})
        answer = ask("POST", f"{api_url}/api/v1/meters/{meter.meter_id}/backfills", token, body=body)
        ended = _follow(msgspec.json.decode(answer, type=BackfillView), api_url, token)
    except Refused as refused:
        return _fail(refused.problem.detail)
    except (PyreqwestError, msgspec.DecodeError, ValueError) as error:
        return _fail(f"the control plane at {api_url} did not answer as expected: {error}")
    print(f"Read {ended.read} events; {meter.name} counted {ended.counted} of them.")
    return 0


def _find(name: str, api_url: str, token: str) -> MeterView | None:
    cursor = ""
    while True:
        answer = ask("GET", f"{api_url}/api/v1/meters?limit={_PAGE_ROWS}{cursor}", token)
        page = msgspec.json.decode(answer, type=Page[MeterView])
        found = next((meter for meter in page.data if name in {meter.name, meter.meter_id}), None)
        if found is not None or page.next_cursor is None:
            return found
        cursor = f"&cursor={page.next_cursor}"


def _follow(backfill: BackfillView, api_url: str, token: str) -> BackfillView:
    with Console(stderr=True, highlight=False).status("waiting") as status:
        while backfill.ended_at is None:
            status.update(f"{backfill.read} of {backfill.total} events, {backfill.counted} counted")
            time.sleep(_POLL_S)
            answer = ask("GET", f"{api_url}/api/v1/backfills/{backfill.backfill_id}", token)
            backfill = msgspec.json.decode(answer, type=BackfillView)
    return backfill


def _fail(*lines: str) -> int:
    for line in lines:
        print(line, file=sys.stderr)
    return 1
