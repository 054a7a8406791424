"""Gateways that do not come back: what they hold stays suspended until a policy or an operator says what became of it.

A gateway is lost when it was not heard for the grace, which is never shorter than the longest call and a lease before
it. `keep` leaves its units reserved, and raises an alarm; `release` gives them back, as if nothing of them was used;
`charge` takes what they can cost at most, as if all were. The last two fence the gateway: a process that comes back
has to start anew, and the events in its spool are taken as ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain

import msgspec

from faregate.base.clock import Clock
from faregate.base.errors import Conflict, NotFound
from faregate.base.limits import LEASE_DURATION_MS
from faregate.base.money import Currency, from_ledger_units
from faregate.domain.ledger.lost_units import LostUnits
from faregate.domain.ledger.reserve import PriceUse, reserved_amount
from faregate.services.account_book import AccountBook
from faregate.services.accounts import refresh_accounts
from faregate.services.business_clock import business_now
from faregate.services.known_terms import KnownTerms
from faregate.services.leases import lease_keys
from faregate.services.posting import post_entry
from faregate.storage.database import Transaction
from faregate.storage.gateways import list_gateways, open_leases
from faregate.storage.leases import Gateway, LeaseRow, raise_epoch, update_leases
from faregate.storage.ledger import EntryKind, NewEntry, TotalKey, read_totals
from faregate.storage.state_entities import read_routes

CONNECTED_WITHIN = timedelta(seconds=30)
"""A gateway that was heard within this time is connected: what it holds is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStanding:
    """A gateway and what it holds: units in all, and by currency the money that would be available without them."""

    row: Gateway
    is_connected: bool
    units: int
    suspended: Mapping[str, str]


def read_standings(
    transaction: Transaction, *, wall_now: datetime, gateway_ids: Collection[str] | None = None
) -> list[GatewayStanding]:
    """Return gateways, all or some, by id."""
    return _standings(transaction, list_gateways(transaction, gateway_ids), wall_now=wall_now)


def settle_lost(transaction: Transaction, *, clock: Clock, gateway_id: str, units: LostUnits) -> GatewayStanding:
    """Release or charge what a gateway holds; return how it stands after.

    Raises `NotFound` for an unknown gateway and `Conflict` for one that is connected: it knows best what it used.
    """
    found = read_standings(transaction, wall_now=clock.now(), gateway_ids=[gateway_id])
    if not found:
        raise NotFound("gateway", gateway_id)
    standing = found[0]
    if standing.is_connected:
        raise Conflict("gateway_id", "is connected, and returns itself what it does not use; stop it first")
    if units is not LostUnits.KEEP:
        _settle(transaction, clock, standing.row, units=units)
    return read_standings(transaction, wall_now=clock.now(), gateway_ids=[gateway_id])[0]


def find_lost(transaction: Transaction, *, wall_now: datetime, grace: timedelta) -> list[GatewayStanding]:
    """Return the gateways that were not heard for the grace and still hold units."""
    since = wall_now - max(grace, _longest_call(transaction))
    gone = [row for row in list_gateways(transaction) if row.seen_at < since]
    return [standing for standing in _standings(transaction, gone, wall_now=wall_now) if standing.units]


def _standings(transaction: Transaction, rows: Sequence[Gateway], *, wall_now: datetime) -> list[GatewayStanding]:
    leases: dict[str, list[LeaseRow]] = {row.gateway_id: [] for row in rows}
    for lease in open_leases(transaction, leases):
        leases[lease.gateway_id].append(lease)
    uses = _uses(transaction, lease_keys(chain.from_iterable(leases.values())))
    return [
        GatewayStanding(
            row=row,
            is_connected=row.seen_at > wall_now - CONNECTED_WITHIN,
            units=sum(lease.outstanding_units for lease in leases[row.gateway_id]),
            suspended=_suspended(uses, leases[row.gateway_id]),
        )
        for row in rows
    ]


def _suspended(uses: Mapping[TotalKey, PriceUse], leases: Sequence[LeaseRow]) -> dict[str, str]:
    sums: dict[Currency, int] = {}
    for key, amount in _costs(uses, leases).items():
        unit = uses[key].price.currency
        sums[unit] = sums.get(unit, 0) + amount
    by_code = sorted(sums.items(), key=lambda found: found[0].code)
    return {unit.code: str(from_ledger_units(amount, unit)) for unit, amount in by_code}


def _settle(transaction: Transaction, clock: Clock, row: Gateway, *, units: LostUnits) -> None:
    raise_epoch(transaction, row.gateway_id, row.seen_at)
    leases = open_leases(transaction, [row.gateway_id])
    if not leases:
        return
    # The book locks the accounts, so that nothing moves between what units cost and that they are free.
    terms = KnownTerms(transaction)
    keys = lease_keys(leases)
    book = AccountBook(transaction, terms.prices, keys, terms=terms)
    costs: dict[str, int] = {}
    for key, cost in _costs({key: book.use(key) for key in keys}, leases).items():
        costs[key.subscription_id] = costs.get(key.subscription_id, 0) + cost
    for lease in leases:
        book.take_in(TotalKey(lease.subscription_id, lease.price_id, lease.period.start), lease.outstanding_units)
        lease.returned_units += lease.outstanding_units
    update_leases(transaction, leases)
    book.save()
    for subscription_id, cost in sorted(costs.items()):
        application_id = book.accounts[subscription_id].application_id
        now = business_now(transaction, application_id, clock)
        if units is LostUnits.CHARGE and cost:
            post_entry(
                transaction,
                NewEntry(
                    application_id=application_id,
                    subscription_id=subscription_id,
                    kind=EntryKind.ADJUST,
                    amount=-cost,
                    caller_id=f"lost:{row.gateway_id}:{row.epoch}",
                    description=f"units held by the lost gateway {row.gateway_id}",
                    occurred_at=now,
                ),
            )
        refresh_accounts(transaction, subscription_ids=[subscription_id], now=now, terms=terms)


def _uses(transaction: Transaction, keys: Collection[TotalKey]) -> dict[TotalKey, PriceUse]:
    terms = KnownTerms(transaction)
    subscriptions = terms.subscriptions({key.subscription_id for key in keys})
    return {
        key: PriceUse(
            price=subscriptions[key.subscription_id].version_paid(
                terms.prices, key.price_id, period_start=key.period_start
            ),
            totals=total.totals,
            outstanding=total.outstanding,
        )
        for key, total in read_totals(transaction, keys).items()
    }


def _costs(uses: Mapping[TotalKey, PriceUse], leases: Sequence[LeaseRow]) -> dict[TotalKey, int]:
    """Return by total how much less would be reserved without the leases' units, in ledger units."""
    out: dict[TotalKey, int] = {}
    for lease in leases:
        key = TotalKey(lease.subscription_id, lease.price_id, lease.period.start)
        out[key] = out.get(key, 0) + lease.outstanding_units
    return {
        key: reserved_amount(use) - reserved_amount(replace(use, outstanding=use.outstanding - out[key]))
        for key, use in uses.items()
        if key in out
    }


def _longest_call(transaction: Transaction) -> timedelta:
    """Return the longest that a call can hold units: a route's total timeout, and a lease's duration before it."""
    timeouts = [msgspec.json.decode(row.settings)["total_timeout_ms"] for row in read_routes(transaction, None)]
    return timedelta(milliseconds=max(timeouts, default=0) + LEASE_DURATION_MS)
