"""Gateways that do not come back: what they hold stays suspended until a policy or an operator says what became of it.

A gateway is lost when it was not heard for the grace, which is never shorter than the longest call and a lease before
it. `keep` leaves its units reserved, and raises an alarm; `release` gives them back, as if nothing of them was used;
`charge` takes what they can cost at most, as if all were. The last two fence the gateway: a process that comes back
has to start anew, and the events in its spool are taken as ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from faregate.base.clock import Clock
from faregate.base.errors import Conflict, NotFound
from faregate.base.limits import LEASE_DURATION_MS
from faregate.base.money import from_ledger_units
from faregate.domain.ledger.lost_units import LostUnits
from faregate.domain.ledger.reserve import PriceUse, reserved_amount
from faregate.services.account_book import AccountBook
from faregate.services.accounts import refresh_accounts
from faregate.services.business_clock import business_now
from faregate.services.leases import lease_keys
from faregate.services.posting import post_entry
from faregate.storage.database import Transaction
from faregate.storage.gateways import GatewayRow, list_gateways, open_leases
from faregate.storage.leases import LeaseRow, raise_epoch, update_leases
from faregate.storage.ledger import EntryKind, NewEntry, TotalKey, read_totals
from faregate.storage.metered import read_all_prices, read_subscriptions
from faregate.storage.state_entities import read_routes

CONNECTED_WITHIN = timedelta(seconds=30)
"""A gateway that was heard within this time is connected: what it holds is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStanding:
    """A gateway and what it holds: units in all, and by currency the money that would be available without them."""

    row: GatewayRow
    is_connected: bool
    units: int
    suspended: Mapping[str, str]


def read_standings(
    transaction: Transaction, *, wall_now: datetime, gateway_ids: Collection[str] | None = None
) -> list[GatewayStanding]:
    """Return gateways, all or some, by id."""
    rows = list_gateways(transaction, gateway_ids)
    leases: dict[str, list[LeaseRow]] = {row.gateway_id: [] for row in rows}
    for lease in open_leases(transaction, leases):
        leases[lease.gateway_id].append(lease)
    return [_standing(transaction, row, leases[row.gateway_id], wall_now=wall_now) for row in rows]


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
    standings = read_standings(transaction, wall_now=wall_now)
    return [standing for standing in standings if standing.units and standing.row.seen_at < since]


def _standing(
    transaction: Transaction, row: GatewayRow, leases: list[LeaseRow], *, wall_now: datetime
) -> GatewayStanding:
    is_connected = row.seen_at > wall_now - CONNECTED_WITHIN
    units = sum(lease.outstanding_units for lease in leases)
    suspended: dict[str, str] = {}
    if leases:
        subscriptions = read_subscriptions(transaction, {lease.subscription_id for lease in leases})
        sums: dict[str, int] = {}
        unit_of = {found.currency.code: found.currency for found in subscriptions.values()}
        for subscription_id, amount in _costs(transaction, leases).items():
            code = subscriptions[subscription_id].currency.code
            sums[code] = sums.get(code, 0) + amount
        suspended = {code: str(from_ledger_units(amount, unit_of[code])) for code, amount in sorted(sums.items())}
    return GatewayStanding(row=row, is_connected=is_connected, units=units, suspended=suspended)


def _settle(transaction: Transaction, clock: Clock, row: GatewayRow, *, units: LostUnits) -> None:
    raise_epoch(transaction, row.gateway_id, row.seen_at)
    leases = open_leases(transaction, [row.gateway_id])
    if not leases:
        return
    # The book locks the accounts, so that nothing moves between what units cost and that they are free.
    book = AccountBook(transaction, read_all_prices(transaction), lease_keys(leases))
    costs = _costs(transaction, leases)
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
        refresh_accounts(transaction, subscription_ids=[subscription_id], now=now)


def _costs(transaction: Transaction, leases: list[LeaseRow]) -> dict[str, int]:
    """Return by subscription how much less would be reserved without the leases' units, in ledger units."""
    out: dict[TotalKey, int] = {}
    for lease in leases:
        key = TotalKey(lease.subscription_id, lease.price_id, lease.period.start)
        out[key] = out.get(key, 0) + lease.outstanding_units
    prices = read_all_prices(transaction)
    subscriptions = read_subscriptions(transaction, {key.subscription_id for key in out})
    costs: dict[str, int] = {}
    for key, total in read_totals(transaction, out).items():
        price = subscriptions[key.subscription_id].version_paid(prices, key.price_id, period_start=key.period_start)
        use = PriceUse(price=price, totals=total.totals, outstanding=total.outstanding)
        left = replace(use, outstanding=total.outstanding - out[key])
        freed = reserved_amount(use) - reserved_amount(left)
        costs[key.subscription_id] = costs.get(key.subscription_id, 0) + freed
    return costs


def _longest_call(transaction: Transaction) -> timedelta:
    """Return the longest that a call can hold units: a route's total timeout, and a lease's duration before it."""
    timeouts = [msgspec.json.decode(row.settings)["total_timeout_ms"] for row in read_routes(transaction, None)]
    return timedelta(milliseconds=max(timeouts, default=0) + LEASE_DURATION_MS)
