"""What a gateway asks for, answered at the business time of the application it concerns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache

from msgspec.structs import replace

from faregate.base.clock import Clock
from faregate.base.errors import Unavailable
from faregate.base.ids import new_id
from faregate.services.business_clock import business_now
from faregate.services.known_terms import KnownTerms
from faregate.services.leases import answer_lease_request, open_epoch, release_earlier_epochs
from faregate.services.state_stream import newest_generation
from faregate.storage.applications import list_applications, read_leases_from
from faregate.storage.database import Transaction
from faregate.storage.state_entities import read_routes
from faregate.storage.subscriptions import application_of_subscription
from faregate.wire.gateway_epochs import EpochOpened, OpenEpoch, ReleaseEarlierEpochs
from faregate.wire.gateway_protocol import LeaseAnswer, LeaseRequest


def open_gateway(transaction: Transaction, request: OpenEpoch, clock: Clock, *, is_all_applied: bool) -> EpochOpened:
    """Give a gateway process its epoch; say what the ledger has of its events, if all it has `is_all_applied`."""
    opened = open_epoch(transaction, request, generation=newest_generation(transaction), now=clock.now())
    return opened if is_all_applied else replace(opened, applied_sequence=None)


def lease_units(
    transaction: Transaction, requests: Sequence[LeaseRequest], clock: Clock, *, gateways: int
) -> list[LeaseAnswer]:
    """Take returns and grant units, request by request in order; `gateways` are connected."""
    leases_from = read_leases_from(transaction)
    suspended = leases_from is not None and clock.now() < leases_from
    terms = KnownTerms(transaction)
    now_of = cache(lambda of: business_now(transaction, _application_of(transaction, of), clock))
    return [
        answer_lease_request(
            transaction,
            request,
            new_id=new_id,
            now=now_of(request.subscription_id),
            gateways=gateways,
            suspended=suspended,
            terms=terms,
        )
        for request in requests
    ]


def release_gateway(transaction: Transaction, request: ReleaseEarlierEpochs, clock: Clock) -> None:
    """Free what earlier processes of the gateway held, as soon as their events are applied."""
    now = business_now(transaction, main_application(transaction), clock)
    release_earlier_epochs(transaction, request, now=now)


def applications_of_routes(transaction: Transaction, route_ids: Collection[str]) -> dict[str, str]:
    """Return the application of each known route."""
    return {row.route_id: row.application_id for row in read_routes(transaction, route_ids)}


def main_application(transaction: Transaction) -> str:
    """Return the oldest application; `Unavailable` before there is one."""
    found = list_applications(transaction)
    if not found:
        raise Unavailable("there is no application yet")
    return found[0].application_id


def _application_of(transaction: Transaction, subscription_id: str) -> str:
    found = application_of_subscription(transaction, subscription_id) if subscription_id else None
    return found or main_application(transaction)
