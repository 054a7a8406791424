"""`faregate gateways`: a table of gateways, and settling one that is lost."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from faregate.apps.cli.answering import answered, print_json
from faregate.apps.cli.management import ask
from faregate.domain.ledger.lost_units import LostUnits
from faregate.wire.api.gateways import GatewayList, GatewaySettle


def run_gateways(gateway_id: str | None, units: LostUnits, *, api_url: str, token: str, json: bool) -> int:
    """Settle one where it is named, then print all. Return 0, or 1 after saying why not."""
    return answered(
        lambda: _run(gateway_id, units, f"{api_url}/api/v1/gateways", token=token),
        api_url=api_url,
        show=print_json if json else _show,
    )


def _run(gateway_id: str | None, units: LostUnits, url: str, *, token: str) -> GatewayList:
    if gateway_id is not None:
        body = msgspec.json.encode(GatewaySettle(units=units))
        ask("POST", f"{url}/{quote(gateway_id, safe='')}/settle", token, body=body)
    return msgspec.json.decode(ask("GET", url, token), type=GatewayList)


def _show(found: GatewayList) -> None:
    console = Console(highlight=False, soft_wrap=True)
    # Whole, however narrow the terminal is: it is what `--settle` takes.
    table = Table(Column("gateway", no_wrap=True), "epoch", "last seen", "applied", "units held", "suspended")
    for row in found.data:
        suspended = ", ".join(f"{amount} {code}" for code, amount in row.suspended.items())
        seen = "connected" if row.connected else f"{row.seen_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            escape(row.gateway_id), str(row.epoch), seen, str(row.applied_sequence), str(row.units), suspended or "-"
        )
    console.print(table if found.data else "No gateway has connected yet.")
