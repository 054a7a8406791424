"""Answer gateways: open an epoch, grant and take back units, free what a lost process held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from faregate.base.errors import InvalidInput
from faregate.base.failpoints import EARLIER_FREED, EPOCH_RAISED, LEASE_GRANTED, UNITS_FREED, reach
from faregate.base.ids import IdSource
from faregate.base.limits import LEASE_DURATION_MS, MAX_LEASE_UNITS
from faregate.base.periods import Period
from faregate.domain.catalog.versions import PriceList
from faregate.domain.customers.subscription import Subscription
from faregate.domain.ledger.grant_slice import UnitNeed, is_final, share_out
from faregate.domain.ledger.reserve import is_exhausted
from faregate.services.account_book import AccountBook
from faregate.services.accounts import refresh_accounts
from faregate.services.known_terms import KnownTerms
from faregate.services.spending import spendable
from faregate.storage.database import Transaction
from faregate.storage.leases import (
    LeaseRow,
    add_leases,
    raise_epoch,
    read_earlier_leases,
    read_gateway,
    read_leases,
    read_leases_of_request,
    set_release_through,
    update_leases,
)
from faregate.storage.ledger import TotalKey
from faregate.wire.gateway_epochs import EpochOpened, OpenEpoch, ReleaseEarlierEpochs
from faregate.wire.gateway_protocol import Lease, LeaseAnswer, LeaseRequest, LeaseReturn, Refused, UnitRequest


def open_epoch(transaction: Transaction, request: OpenEpoch, *, generation: int, now: datetime) -> EpochOpened:
    """Give a starting gateway process its epoch; every earlier process of that gateway is fenced."""
    epoch = raise_epoch(transaction, request.gateway_id, now, above=request.epoch)
    reach(EPOCH_RAISED)
    gateway = read_gateway(transaction, request.gateway_id)
    applied = 0 if gateway is None else gateway.applied_sequence
    return EpochOpened(epoch=epoch, generation=generation, applied_sequence=applied)


def answer_lease_request(
    transaction: Transaction,
    request: LeaseRequest,
    *,
    new_id: IdSource,
    now: datetime,
    gateways: int = 1,
    suspended: bool = False,
    terms: KnownTerms | None = None,
) -> LeaseAnswer:
    """Take returns, then grant all of the request's units or none. A repeated request id gets the same leases.

    `now` is the application's business time; `gateways` share what is available.
    Order of refusals: fenced, suspended, no_subscription, exhausted, insufficient.
    Raises `InvalidInput` on `units` where a price is named twice or the three numbers are not in order.
    """
    gateway = read_gateway(transaction, request.gateway_id)
    if gateway is None or gateway.epoch != request.epoch:
        return LeaseAnswer(refused=Refused.FENCED)
    terms = terms or KnownTerms(transaction)
    take_returns(transaction, request.gateway_id, request.returns, now=now, terms=terms)
    _take_given_up(transaction, request, new_id=new_id, now=now, terms=terms)
    if not request.units:
        return LeaseAnswer()
    _require_sensible(request.units)
    repeated = read_leases_of_request(transaction, request.lease_request_id)
    if repeated:
        return LeaseAnswer(leases=[_wire_lease(row, terms.prices) for row in repeated if row.price_id])
    if suspended:
        return LeaseAnswer(refused=Refused.SUSPENDED, outstanding=True)
    subscription = terms.subscriptions([request.subscription_id]).get(request.subscription_id)
    period = subscription.period_at(request.occurred_at or now) if subscription else None
    if subscription is None or period is None or not subscription.can_use(request.occurred_at or now):
        return LeaseAnswer(refused=Refused.NO_SUBSCRIPTION)
    return _grant(
        transaction,
        request,
        subscription=subscription,
        period=period,
        new_id=new_id,
        now=now,
        gateways=gateways,
        terms=terms,
    )


def take_returns(
    transaction: Transaction, gateway_id: str, returns: Sequence[LeaseReturn], *, now: datetime, terms: KnownTerms
) -> None:
    """Take back units that no call holds or has used. Running totals: a repeat or an older message changes nothing."""
    rows = read_leases(transaction, [entry.lease_id for entry in returns]) if returns else {}
    freed: list[tuple[LeaseRow, int]] = []
    for entry in returns:
        row = rows.get(entry.lease_id)
        if row is None or row.gateway_id != gateway_id:
            continue
        units = min(entry.returned_units - row.returned_units, row.outstanding_units)
        if units > 0:
            freed.append((row, units))
    if freed:
        _free_units(transaction, freed, now=now, terms=terms)
        reach(UNITS_FREED)


def release_earlier_epochs(transaction: Transaction, request: ReleaseEarlierEpochs, *, now: datetime) -> None:
    """Free all leases of earlier epochs once every event up to `through_sequence` is applied; at once if they are."""
    gateway = read_gateway(transaction, request.gateway_id)
    if gateway is None or gateway.epoch != request.epoch:
        return
    if gateway.applied_sequence >= request.through_sequence:
        free_earlier_leases(transaction, request.gateway_id, request.epoch, now=now)
    else:
        set_release_through(transaction, request.gateway_id, request.through_sequence)


def free_earlier_leases(transaction: Transaction, gateway_id: str, epoch: int, *, now: datetime) -> None:
    """Free what earlier processes of a gateway still had out. Their events are all applied."""
    set_release_through(transaction, gateway_id, None)
    rows = read_earlier_leases(transaction, gateway_id, epoch)
    freed = [(row, row.outstanding_units) for row in rows]
    _free_units(transaction, freed, now=now, terms=KnownTerms(transaction))
    reach(EARLIER_FREED)


def lease_keys(rows: Iterable[LeaseRow]) -> dict[TotalKey, Period]:
    """Return the totals that the leases' units belong to."""
    return {TotalKey(row.subscription_id, row.price_id, row.period.start): row.period for row in rows}


def _take_given_up(
    transaction: Transaction, request: LeaseRequest, *, new_id: IdSource, now: datetime, terms: KnownTerms
) -> None:
    """Free what requests were granted whose answers were lost.

    One that has not come yet is kept as a lease of nothing, which is what it gets when it does.
    """
    for lease_request_id in request.given_up:
        rows = read_leases_of_request(transaction, lease_request_id)
        own = [row for row in rows if row.gateway_id == request.gateway_id]
        freed = [(row, row.outstanding_units) for row in own if row.outstanding_units]
        _free_units(transaction, freed, now=now, terms=terms)
        if not rows:
            nothing = LeaseRow(
                lease_id=new_id("lse"),
                lease_request_id=lease_request_id,
                gateway_id=request.gateway_id,
                epoch=request.epoch,
                subscription_id="",
                price_id="",
                period=Period(now, now + timedelta(milliseconds=LEASE_DURATION_MS)),
                granted_units=0,
                drawn_units=0,
                returned_units=0,
                duration_ms=LEASE_DURATION_MS,
                created_at=now,
            )
            add_leases(transaction, [nothing])


def _require_sensible(units: Sequence[UnitRequest]) -> None:
    if len({unit.price_id for unit in units}) != len(units):
        raise InvalidInput.of("units", "must name each price once: two needs of one price are one sum")
    for index, unit in enumerate(units):
        if not 0 <= unit.floor <= unit.call <= unit.slice <= MAX_LEASE_UNITS:
            raise InvalidInput.of(f"units[{index}]", f"must have 0 <= floor <= call <= slice <= {MAX_LEASE_UNITS}")


def _free_units(
    transaction: Transaction, freed: Sequence[tuple[LeaseRow, int]], *, now: datetime, terms: KnownTerms
) -> None:
    if not freed:
        return
    book = AccountBook(transaction, terms.prices, lease_keys(row for row, _ in freed), terms=terms)
    for row, units in freed:
        row.returned_units += units
        book.take_in(TotalKey(row.subscription_id, row.price_id, row.period.start), units)
    update_leases(transaction, [row for row, _ in freed])
    book.save()
    refresh_accounts(transaction, subscription_ids=book.accounts.keys(), now=now, terms=terms)


def _grant(
    transaction: Transaction,
    request: LeaseRequest,
    *,
    subscription: Subscription,
    period: Period,
    new_id: IdSource,
    now: datetime,
    gateways: int,
    terms: KnownTerms,
) -> LeaseAnswer:
    metered = terms.metered([subscription.plan_id])[subscription.plan_id]
    series = {one.series_id: one for one in metered}
    if any(unit.price_id not in series for unit in request.units):
        return LeaseAnswer(refused=Refused.NO_SUBSCRIPTION)
    at = request.occurred_at or now
    prices = {series_id: subscription.price_of(one, at=at, period=period) for series_id, one in series.items()}
    keys = {
        series_id: TotalKey(subscription.subscription_id, price.price_id, period.start)
        for series_id, price in prices.items()
    }
    book = AccountBook(transaction, PriceList(metered), dict.fromkeys(keys.values(), period), terms=terms)
    spending = spendable(transaction, book.accounts[subscription.subscription_id], now=now)
    available, leans_until = spending.available, spending.leans_until
    needs = [
        UnitNeed(use=book.use(keys[unit.price_id]), floor=unit.floor, call=unit.call, slice=unit.slice)
        for unit in request.units
    ]
    granted = share_out(needs, available=available, gateways=gateways)
    if granted is None:
        uses = [book.use(key) for key in keys.values()]
        return LeaseAnswer(
            refused=Refused.EXHAUSTED if is_exhausted(uses, available=available) else Refused.INSUFFICIENT,
            outstanding=any(use.outstanding for use in uses),
        )
    rows = []
    for unit, units in zip(request.units, granted, strict=True):
        # No lease reaches beyond a change of its price, or the end of credit that it may lean on.
        ends_at = series[unit.price_id].unchanged_around(at, within=period).end
        book.put_out(keys[unit.price_id], units)
        rows.append(
            LeaseRow(
                lease_id=new_id("lse"),
                lease_request_id=request.lease_request_id,
                gateway_id=request.gateway_id,
                epoch=request.epoch,
                subscription_id=subscription.subscription_id,
                price_id=prices[unit.price_id].price_id,
                period=Period(period.start, ends_at if leans_until is None else min(ends_at, leans_until)),
                granted_units=units,
                drawn_units=0,
                returned_units=0,
                duration_ms=LEASE_DURATION_MS,
                created_at=now,
            )
        )
    add_leases(transaction, rows)
    book.save()
    reach(LEASE_GRANTED)
    return LeaseAnswer(
        leases=[_wire_lease(row, PriceList(metered)) for row in rows],
        final=is_final(needs, granted, available=available),
    )


def _wire_lease(row: LeaseRow, prices: PriceList) -> Lease:
    """Return a lease as gateways know it: they name a price, not its version."""
    series = prices.series_of(row.price_id)
    return Lease(
        lease_id=row.lease_id,
        price_id=row.price_id if series is None else series.series_id,
        period_start=row.period.start,
        period_end=row.period.end,
        units=row.granted_units,
        duration_ms=row.duration_ms,
    )
