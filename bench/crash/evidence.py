"""Gathers what the upstream's log and the control plane's database say. Both are only read.

A database is SQLite's, and for what a fleet's books read too, PostgreSQL's: their connections execute alike.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from bench.cases import Meter, Offer
from bench.crash.records import AccountBook, EventRecord, PriceBook, UpstreamRecord
from faregate.apps.upstream.call_log import CallLine, read_call_log

_LEDGER_UNITS = 10**9
"""Of a dollar."""


class Connection(Protocol):
    """A connection of either database."""

    def execute(self, statement: str, /) -> Any:  # noqa: ANN401 - a cursor over the statement's rows
        """Run a statement."""


class _Facts(Struct, frozen=True):
    request_id: str
    estimated: bool = False


class _RequestBody(Struct, frozen=True):
    stream: bool | None = None


class _Request(Struct, frozen=True):
    body: _RequestBody | None = None


class _Response(Struct, frozen=True):
    status: int


class _Event(Struct, frozen=True):
    request: _Request
    response: _Response
    faregate: _Facts


_EVENT = msgspec.json.Decoder(_Event)


def read_upstream(path: Path) -> dict[str, UpstreamRecord]:
    """Return the upstream's calls; of each, its last line says how far it came."""
    latest: dict[str, CallLine] = {}
    for line in read_call_log(path):
        latest[line.request_id] = line
    return {
        request_id: UpstreamRecord(
            request_id=request_id,
            completed=line.phase == "completed",
            status=line.status,
            prompt_tokens=line.prompt_tokens,
            completion_tokens=line.completion_tokens,
            chunks=line.chunks,
        )
        for request_id, line in latest.items()
    }


@contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a control plane's file for reading only, beside the process that owns it; by one thread at a time."""
    url = f"file:{database}?mode=ro"
    with closing(sqlite3.connect(url, uri=True, timeout=10.0, check_same_thread=False)) as connection:
        yield connection


def read_events(connection: Connection, meters: Iterable[Meter]) -> list[EventRecord]:
    """Return the events that were applied."""
    return [_event_record(position, body, charged) for position, body, charged in read_charged(connection, meters)]


def read_charged(connection: Connection, meters: Iterable[Meter]) -> Iterator[tuple[int, bytes, Mapping[str, Decimal]]]:
    """Yield the events that were applied, of a repeat in the log the one that counts.

    Of each its position, its body as it was sent, and what was charged, by the usage field that the meter sums.
    """
    fields = {meter.meter_id: meter.field for meter in meters}
    charged: dict[int, dict[str, Decimal]] = defaultdict(dict)
    for position, meter_id, quantity in connection.execute("SELECT position, meter_id, quantity FROM charge"):
        charged[position][fields[meter_id]] = Decimal(quantity)
    rows = connection.execute(
        "SELECT l.position, l.body FROM event_identity i JOIN event_log l ON l.position = i.position ORDER BY 1"
    )
    for position, body in rows:
        yield position, body, charged[position]


def read_set_aside(connection: Connection) -> list[str]:
    """Return why events were kept and not applied."""
    return [f"{reason}: {detail}" for reason, detail in connection.execute("SELECT reason, detail FROM set_aside")]


def read_prices(connection: sqlite3.Connection, offer: Offer) -> list[PriceBook]:
    """Return the books of each of the offer's prices; all of them, in one period of one account."""
    return [_price_book(connection, meter) for meter in offer.meters]


def read_account(connection: sqlite3.Connection, subscription_id: str) -> AccountBook:
    """Return the account's books."""
    balance, reserved = _row(
        connection, "SELECT balance, reserved FROM account WHERE subscription_id = ?", subscription_id
    )
    (granted,) = _row(
        connection, "SELECT coalesce(sum(amount), 0) FROM credit_grant WHERE subscription_id = ?", subscription_id
    )
    (leased,) = _row(
        connection,
        "SELECT coalesce(sum(granted_units - drawn_units - returned_units), 0) FROM lease WHERE subscription_id = ?",
        subscription_id,
    )
    return AccountBook(granted=granted, balance=balance, reserved=reserved, leased_units=leased)


def _event_record(position: int, body: bytes, quantities: Mapping[str, Decimal]) -> EventRecord:
    """Return a logged event with what was charged for it."""
    event = _EVENT.decode(body)
    return EventRecord(
        request_id=event.faregate.request_id,
        position=position,
        estimated=event.faregate.estimated,
        status=event.response.status,
        is_stream=event.request.body is not None and event.request.body.stream is True,
        quantities=quantities,
    )


def _price_book(connection: sqlite3.Connection, meter: Meter) -> PriceBook:
    price = (meter.price_id,)
    (terms,) = _row(connection, "SELECT terms FROM price WHERE price_id = ?", *price)
    model = json.loads(terms)["USD"]["model"]
    amount, size = model["amount"], model["size"]
    settled, outstanding, debited, reserved = _row(
        connection, "SELECT settled, outstanding, debited, reserved FROM price_total WHERE price_id = ?", *price
    )
    charges = connection.execute("SELECT quantity, amount FROM charge WHERE price_id = ?", price).fetchall()
    windows = connection.execute("SELECT quantity FROM usage_window WHERE meter_id = ?", (meter.meter_id,)).fetchall()
    (entered,) = _row(
        connection, "SELECT coalesce(-sum(amount), 0) FROM ledger_entry WHERE kind = 'debit' AND price_id = ?", *price
    )
    return PriceBook(
        field=meter.field,
        package_amount=int(Decimal(amount) * _LEDGER_UNITS),
        package_size=int(size),
        settled=Decimal(settled),
        outstanding=outstanding,
        debited=debited,
        reserved=reserved,
        charged_quantity=_sum(quantity for quantity, _ in charges),
        charged_amount=sum(amount for _, amount in charges),
        windowed=_sum(quantity for (quantity,) in windows),
        entered=entered,
    )


def _sum(numerals: Iterable[str]) -> Decimal:
    return sum((Decimal(numeral) for numeral in numerals), Decimal(0))


def _row(connection: sqlite3.Connection, statement: str, *parameters: str) -> Any:  # noqa: ANN401
    """Return the statement's one row; more or fewer are an error of the bench's own assumptions."""
    (row,) = connection.execute(statement, parameters).fetchall()
    return row
