"""What an applied event does to leases: drawn units leave them, and a gateway's sequence moves on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from faregate.services.account_book import AccountBook
from faregate.services.accounts import refresh_accounts
from faregate.services.admit_events import Admission
from faregate.services.leases import free_earlier_leases, lease_keys
from faregate.storage.database import Transaction
from faregate.storage.leases import LeaseRow, read_gateway, read_leases, set_applied_sequence, update_leases
from faregate.storage.ledger import TotalKey
from faregate.storage.metered import read_all_prices
from faregate.wire.gateway_protocol import GatewayFacts


def draws_of(transaction: Transaction, admission: Admission) -> dict[str, int]:
    """Return the units that a batch's calls drew from each lease: each call once.

    An event without effects (set aside, in conflict) says what its call drew, too: those units are used up, and would
    be out for ever. It may come again, so it counts where its sequence number is new.
    """
    newly = [facts for _, _, facts in admission.admitted if facts is not None]
    newly += _first_heard(transaction, admission.uncounted)
    units: dict[str, int] = {}
    for facts in newly:
        for drawn in facts.drawn:
            units[drawn.lease_id] = units.get(drawn.lease_id, 0) + drawn.units
    return units


def settle_leases(
    transaction: Transaction, drawn: Mapping[str, int], leases: Mapping[str, LeaseRow], *, book: AccountBook
) -> set[str]:
    """Take the units that calls used up out of their leases; `leases` are those that `drawn` names, as far as known.

    Return the leases that had fewer left than were drawn.
    """
    short = drawn.keys() - leases.keys()
    for lease_id, row in leases.items():
        units = min(drawn[lease_id], row.outstanding_units)
        if units < drawn[lease_id]:
            short.add(lease_id)
        row.drawn_units += units
        book.take_in(TotalKey(row.subscription_id, row.price_id, row.period.start), units)
    update_leases(transaction, leases.values())
    return short


def settle_uncounted(transaction: Transaction, facts: GatewayFacts, *, now: datetime) -> None:
    """Take what a call drew out of its leases, where nothing else of its event counts."""
    drawn = draws_of(transaction, Admission(uncounted=[facts]))
    leases = read_leases(transaction, drawn)
    book = AccountBook(transaction, read_all_prices(transaction), lease_keys(leases.values()))
    settle_leases(transaction, drawn, leases, book=book)
    book.save()
    move_sequences(transaction, [facts], now=now)
    refresh_accounts(transaction, subscription_ids=book.accounts.keys(), now=now)


def _first_heard(transaction: Transaction, uncounted: Sequence[GatewayFacts]) -> list[GatewayFacts]:
    """Return the facts whose sequence numbers were not applied before; a gateway's come in order."""
    applied: dict[str, int] = {}
    found = []
    for facts in uncounted:
        if facts.gateway_id not in applied:
            gateway = read_gateway(transaction, facts.gateway_id)
            applied[facts.gateway_id] = 0 if gateway is None else gateway.applied_sequence
        if facts.sequence > applied[facts.gateway_id]:
            applied[facts.gateway_id] = facts.sequence
            found.append(facts)
    return found


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
        set_applied_sequence(transaction, gateway_id, applied)
        if gateway.release_through is not None and applied >= gateway.release_through:
            free_earlier_leases(transaction, gateway_id, gateway.epoch, now=now)
