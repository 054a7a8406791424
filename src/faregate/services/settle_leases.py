"""What an applied event does to leases: drawn units leave them, and a gateway's sequence moves on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from faregate.services.account_book import AccountBook
from faregate.services.admit_events import AdmittedEvent
from faregate.services.leases import free_earlier_leases
from faregate.storage.database import Transaction
from faregate.storage.leases import LeaseRow, read_gateway, read_leases, set_applied_sequence, update_leases
from faregate.storage.ledger import TotalKey
from faregate.wire.gateway_protocol import GatewayFacts


def drawn_leases(transaction: Transaction, admitted: Sequence[AdmittedEvent]) -> dict[str, LeaseRow]:
    """Return the leases that a batch's events drew from."""
    lease_ids = _units_drawn(admitted).keys()
    return read_leases(transaction, lease_ids) if lease_ids else {}


def settle_leases(
    transaction: Transaction, admitted: Sequence[AdmittedEvent], leases: dict[str, LeaseRow], *, book: AccountBook
) -> None:
    """Take the units that events used up out of their leases; each event is admitted once, so each draws once."""
    for lease_id, drawn_units in _units_drawn(admitted).items():
        row = leases.get(lease_id)
        if row is not None:
            units = min(drawn_units, row.outstanding_units)
            row.drawn_units += units
            book.take_in(TotalKey(row.subscription_id, row.price_id, row.period.start), units)
    update_leases(transaction, leases.values())


def _units_drawn(admitted: Sequence[AdmittedEvent]) -> dict[str, int]:
    units: dict[str, int] = {}
    for _, _, facts in admitted:
        if facts is not None:
            for drawn in facts.drawn:
                units[drawn.lease_id] = units.get(drawn.lease_id, 0) + drawn.units
    return units


def move_sequences(transaction: Transaction, facts: Sequence[GatewayFacts], *, now: datetime) -> None:
    """Keep how far each gateway's events are applied; free what its earlier processes held when that was waited for."""
    newest: dict[str, int] = {}
    for entry in facts:
        newest[entry.gateway_id] = max(newest.get(entry.gateway_id, 0), entry.sequence)
    for gateway_id, sequence in sorted(newest.items()):
        gateway = read_gateway(transaction, gateway_id)
        if gateway is None:
            continue
        applied = max(gateway.applied_sequence, sequence)
        set_applied_sequence(transaction, gateway_id, applied, now=now)
        if gateway.release_through is not None and applied >= gateway.release_through:
            free_earlier_leases(transaction, gateway_id, gateway.epoch, now=now)
