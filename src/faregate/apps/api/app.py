"""Puts the management API together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException

from faregate.apps.api import (
    alerts,
    application,
    billing,
    catalog,
    catalog_files,
    costs,
    coupons,
    credit,
    credit_reports,
    customers,
    explanations,
    gateways,
    governance,
    incidents,
    limits,
    meters,
    overspend,
    provider_catalog,
    provider_connection,
    provider_events,
    reconciliations,
    reratings,
    subscriptions,
    top_ups,
    usage,
    usage_reports,
)
from faregate.apps.api import checkouts as checkout_pages
from faregate.apps.api.bodies import JsonBody
from faregate.apps.api.call import Backend, authenticate
from faregate.apps.api.errors import answer_faregate_error, answer_fault, answer_http_error
from faregate.apps.api.openapi import OpaqueSchema, openapi_config
from faregate.apps.api.paging import read_paging
from faregate.base.clock import Clock
from faregate.base.errors import FaregateError
from faregate.base.ids import IdSource, new_id
from faregate.base.limits import MAX_API_BODY_BYTES
from faregate.domain.billing.provider import BillingProvider
from faregate.domain.billing.provider_connection import ConnectedProvider
from faregate.services.checkouts import Checkouts
from faregate.storage.database import Database

_WITH_TOKEN: Final = [
    application.get_application,
    *catalog.HANDLERS,
    *catalog_files.HANDLERS,
    *meters.HANDLERS,
    *costs.HANDLERS,
    *incidents.HANDLERS,
    *reratings.HANDLERS,
    *governance.HANDLERS,
    *limits.HANDLERS,
    *overspend.HANDLERS,
    *gateways.HANDLERS,
    *alerts.HANDLERS,
    *customers.HANDLERS,
    *subscriptions.HANDLERS,
    *top_ups.HANDLERS,
    *credit.HANDLERS,
    *credit_reports.HANDLERS,
    *coupons.HANDLERS,
    *usage.HANDLERS,
    *billing.HANDLERS,
    *usage_reports.HANDLERS,
    *reconciliations.HANDLERS,
    *explanations.HANDLERS,
    *provider_catalog.HANDLERS,
    *provider_connection.HANDLERS,
    *provider_events.HANDLERS,
    *checkout_pages.HANDLERS,
]


def create_api(
    database: Database,
    clock: Clock,
    provider: BillingProvider,
    *,
    after_append: Callable[[], None],
    call_back: Callable[[str], Awaitable[None]],
    checkouts: Checkouts | None = None,
    connection: ConnectedProvider | None = None,
    id_source: IdSource = new_id,
) -> Litestar:
    """Return the ASGI application that answers `/api` and everything under it; it keeps no state of its own.

    `checkouts` opens the billing provider's pages, and `connection` checks what its key may do, where it has some.
    `after_append` is called when a request has put records into the event log, and `call_back` with a subscription
    whose credit is about to be taken away.
    """
    backend = Backend(
        database=database,
        clock=clock,
        provider=provider,
        checkouts=checkouts,
        connection=connection,
        new_id=id_source,
        after_append=after_append,
        call_back=call_back,
    )
    dependencies: dict[str, Provide] = {
        "backend": Provide(lambda: backend, sync_to_thread=False),
        "call": Provide(authenticate),
        "paging": Provide(read_paging),
        "selection": Provide(usage.read_selection),
    }
    return Litestar(
        route_handlers=[
            Router("/api/v1", route_handlers=[application.make_token], security=[{"password": []}]),
            Router("/api/v1", route_handlers=_WITH_TOKEN, security=[{"token": []}]),
        ],
        dto=JsonBody,
        return_dto=None,
        dependencies=dependencies,
        exception_handlers={
            FaregateError: answer_faregate_error,
            HTTPException: answer_http_error,
            Exception: answer_fault,
        },
        request_max_body_size=MAX_API_BODY_BYTES,
        openapi_config=openapi_config(),
        plugins=[OpaqueSchema()],
        logging_config=None,
    )
