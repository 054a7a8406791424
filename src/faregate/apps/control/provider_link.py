"""What keeps up with the billing provider where it is Stripe or the sandbox: its catalog, its events, its pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from faregate.apps.control.catalog_loop import CatalogLoop
from faregate.apps.control.counters import Counters
from faregate.apps.control.provider_events import ProviderEventLoop
from faregate.apps.control.settings import ControlSettings
from faregate.base.clock import Clock
from faregate.base.ids import new_id
from faregate.domain.billing.provider import BillingProvider
from faregate.domain.billing.provider_events import EventSubject
from faregate.providers.stripe.catalog import StripeCatalog
from faregate.providers.stripe.checkout import StripeCheckout
from faregate.providers.stripe.client import Connecting
from faregate.providers.stripe.events import StripeReadings
from faregate.services.catalog_drift import ChangedObject, look_for_drift
from faregate.services.checkouts import Checkouts
from faregate.services.poll_provider_events import poll_events
from faregate.services.work_provider_events import EventWorker
from faregate.storage.database import Database
from faregate.storage.provider_events import EventRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLink:
    """The loops and the pages of a provider that has a catalog, events and pages."""

    catalog: CatalogLoop
    events: ProviderEventLoop
    checkouts: Checkouts


def link_provider(
    settings: ControlSettings,
    *,
    database: Database,
    clock: Clock,
    connecting: Connecting,
    provider: BillingProvider,
    counters: Counters,
    call_back: Callable[[str], Awaitable[None]],
) -> ProviderLink | None:
    """Return what keeps up with the provider; None where the embedded one bills: it asks for prices itself."""
    if settings.bills_by_itself:
        return None
    catalog = StripeCatalog(connecting)
    readings = StripeReadings(connecting, account=provider.account)

    async def look(rows: list[EventRow]) -> str:
        changed = [_changed(row) for row in rows]
        found = await look_for_drift(database, catalog, clock, changed=changed)
        return f"{found} fields differ from the catalog here"

    worker = EventWorker(
        database,
        readings,
        clock,
        new_id=new_id,
        call_back=call_back,
        others={EventSubject.CATALOG: look},
    )
    events = ProviderEventLoop(
        work=worker.run,
        poll=partial(poll_events, database, readings, clock),
        poll_every_s=settings.stripe_poll_s,
        clock=clock,
        counters=counters,
    )
    pages = Checkouts(database, StripeCheckout(connecting), clock, account=provider.account, new_id=new_id)
    syncing = CatalogLoop(database=database, provider=catalog, clock=clock, counters=counters)
    return ProviderLink(catalog=syncing, events=events, checkouts=pages)


def _changed(row: EventRow) -> ChangedObject:
    """Return the object of an event such as `price.updated` or `billing.meter.deactivated`."""
    kind = row.event.kind.removeprefix("billing.").partition(".")[0]
    return ChangedObject(kind=kind, provider_id=row.event.object_id)
