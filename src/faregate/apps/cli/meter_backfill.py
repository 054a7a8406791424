"""`faregate meter backfill`: fill a meter from kept events, and show how far it is."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

import msgspec
from rich.console import Console

from faregate.apps.cli.answering import Unanswerable, answered, read_rows
from faregate.apps.cli.management import ask
from faregate.wire.api.common import Page
from faregate.wire.api.meter_trials import BackfillView
from faregate.wire.api.meters import MeterView

_POLL_S: Final = 0.5


def run_meter_backfill(name: str, *, from_at: datetime, to_at: datetime, api_url: str, token: str) -> int:
    """Fill the meter of a name (or id) and wait until it is done; return 0, or 1 after printing why not."""

    def fill() -> tuple[MeterView, BackfillView]:
        meter = _find(name, api_url, token)
        body = msgspec.json.encode({"from": from_at, "to": to_at})
        answer = ask("POST", f"{api_url}/api/v1/meters/{meter.meter_id}/backfills", token, body=body)
        return meter, _follow(msgspec.json.decode(answer, type=BackfillView), api_url, token)

    def show(filled: tuple[MeterView, BackfillView]) -> None:
        meter, ended = filled
        print(f"Read {ended.read} events; {meter.name} counted {ended.counted} of them.")

    return answered(fill, api_url=api_url, show=show)


def _find(name: str, api_url: str, token: str) -> MeterView:
    for meter in read_rows(f"{api_url}/api/v1/meters", token, Page[MeterView]):
        if name in {meter.name, meter.meter_id}:
            return meter
    raise Unanswerable(f"there is no meter {name!r}")


def _follow(backfill: BackfillView, api_url: str, token: str) -> BackfillView:
    with Console(stderr=True, highlight=False).status("waiting") as status:
        while backfill.ended_at is None:
            status.update(f"{backfill.read} of {backfill.total} events, {backfill.counted} counted")
            time.sleep(_POLL_S)
            answer = ask("GET", f"{api_url}/api/v1/backfills/{backfill.backfill_id}", token)
            backfill = msgspec.json.decode(answer, type=BackfillView)
    return backfill
