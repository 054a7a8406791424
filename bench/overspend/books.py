"""Reads a control plane's database, SQLite or PostgreSQL, beside the process that owns it. Nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bench.cases import Meter
from bench.crash.evidence import Connection, read_events, read_set_aside, reading
from bench.crash.records import PROMPT, EventRecord
from bench.overspend.records import AccountRow, TotalRow

_CHARGED: Final = "SELECT position, subscription_id FROM charge"
_ACCOUNTS: Final = "SELECT subscription_id, balance, reserved FROM account"
_LEASED: Final = (
    "SELECT subscription_id, sum(granted_units - drawn_units - returned_units) FROM lease GROUP BY subscription_id"
)
_LOWEST: Final = (
    "SELECT subscription_id, min(after) FROM (SELECT subscription_id, sum(amount) OVER (PARTITION BY subscription_id "
    "ORDER BY entry_id) AS after FROM ledger_entry) AS running GROUP BY subscription_id"
)
_TOTALS: Final = "SELECT subscription_id, price_id, settled, outstanding, debited, reserved FROM price_total"
_OPEN: Final = (
    "SELECT subscription_id, price_id, sum(granted_units - drawn_units - returned_units) FROM lease "
    "WHERE is_open AND gateway_id = '{gateway_id}' AND epoch = {epoch} GROUP BY subscription_id, price_id"
)
_OPEN_BEFORE: Final = "SELECT count(*) FROM lease WHERE is_open AND gateway_id = '{gateway_id}' AND epoch <= {epoch}"
_EPOCH: Final = "SELECT epoch FROM gateway WHERE gateway_id = '{gateway_id}'"


@dataclass(frozen=True, slots=True)
class Books:
    """A connection of our own to the database; every statement sees what is committed when it begins."""

    connection: Connection

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return a statement's rows."""
        return list(self.connection.execute(statement).fetchall())

    def epoch(self, gateway_id: str) -> int:
        """Return a gateway's epoch, 0 before its first."""
        return next((epoch for (epoch,) in self.rows(_EPOCH.format(gateway_id=gateway_id))), 0)

    def suspended(self, gateway_id: str, epoch: int, meters: Sequence[Meter]) -> dict[str, tuple[int, int]]:
        """Return the units that a gateway's process has in leases: by subscription, input and output."""
        input_prices = {meter.price_id for meter in meters if meter.field == PROMPT}
        found: dict[str, tuple[int, int]] = {}
        for subscription_id, price_id, units in self.rows(_OPEN.format(gateway_id=gateway_id, epoch=epoch)):
            before = found.get(subscription_id, (0, 0))
            is_input = price_id in input_prices
            found[subscription_id] = (before[0] + is_input * int(units), before[1] + (not is_input) * int(units))
        return found

    def is_freed(self, gateway_id: str, epoch: int) -> bool:
        """Return whether nothing is out in a gateway's leases of that epoch or earlier."""
        ((count,),) = self.rows(_OPEN_BEFORE.format(gateway_id=gateway_id, epoch=epoch))
        return not count

    def events(self, meters: Sequence[Meter]) -> tuple[list[EventRecord], dict[str, str]]:
        """Return the events of gateways that were applied, and whom each was charged to, by request id."""
        events, charged = read_events(self.connection, meters), dict(self.rows(_CHARGED))
        return events, {event.request_id: charged[event.position] for event in events if event.position in charged}

    def set_aside(self) -> list[str]:
        """Return why events were kept and not applied."""
        return read_set_aside(self.connection)

    def accounts(self) -> dict[str, AccountRow]:
        """Return every account by subscription."""
        leased = {key: int(units) for key, units in self.rows(_LEASED)}
        lowest = {key: int(amount) for key, amount in self.rows(_LOWEST)}
        return {
            key: AccountRow(
                balance=balance, reserved=reserved, leased_units=leased.get(key, 0), lowest=lowest.get(key, 0)
            )
            for key, balance, reserved in self.rows(_ACCOUNTS)
        }

    def totals(self, meters: Sequence[Meter]) -> dict[str, Mapping[str, TotalRow]]:
        """Return the totals of each subscription by usage field."""
        fields = {meter.price_id: meter.field for meter in meters}
        found: dict[str, dict[str, TotalRow]] = defaultdict(dict)
        for key, price_id, settled, outstanding, debited, reserved in self.rows(_TOTALS):
            found[key][fields[price_id]] = TotalRow(
                settled=int(Decimal(settled)), outstanding=outstanding, debited=debited, reserved=reserved
            )
        return dict(found)


@contextmanager
def open_books(url: str) -> Iterator[Books]:
    """Connect to the database at a SQLAlchemy URL, for reading."""
    scheme, _, place = url.partition("://")
    if scheme == "sqlite":
        with reading(Path(place[1:])) as connection:
            yield Books(connection)
        return
    import psycopg  # noqa: PLC0415 - only where PostgreSQL is

    with closing(psycopg.connect(f"postgresql://{place}", autocommit=True)) as server:
        yield Books(server)
