"""The connection to the billing provider."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from faregate.apps.api.call import Call
from faregate.base.errors import Conflict
from faregate.domain.billing.provider_connection import ConnectedProvider, Connection
from faregate.services.provider_calls import ask_provider
from faregate.wire.api.provider_connection import (
    ConnectionView,
    PermissionView,
    WebhookEndpointMake,
    WebhookEndpointView,
)

_TAGS = ["Billing provider"]


@get("/provider", summary="Check the connection to the provider", tags=_TAGS)
async def check_provider(call: NamedDependency[Call]) -> ConnectionView:
    """Say whose account the key is of, its mode, and what it may do: each is tried with a call that changes nothing."""
    return _view(await ask_provider(_connection(call).check))


@post("/provider/webhook-endpoint", summary="Make the webhook endpoint at the provider", tags=_TAGS)
async def make_webhook_endpoint(
    call: NamedDependency[Call], data: JSONBody[WebhookEndpointMake]
) -> WebhookEndpointView:
    """Let the provider send its events to an address, in the version that is spoken here; a repeat changes nothing.

    The secret is told once: give it to the control plane as `FAREGATE_STRIPE_WEBHOOK_SECRET`.
    """
    made = await ask_provider(_connection(call).ensure_webhook, data.url)
    return WebhookEndpointView(endpoint_id=made.endpoint_id, url=made.url, secret=made.secret)


def _connection(call: Call) -> ConnectedProvider:
    connection = call.backend.connection
    if connection is None:
        raise Conflict("provider", "there is no connection to check: this process bills by itself")
    return connection


def _view(found: Connection) -> ConnectionView:
    return ConnectionView(
        account=found.account,
        name=found.name,
        live=found.is_live,
        enough=found.is_enough,
        permissions=[
            PermissionView(name=one.name, granted=one.is_granted, fault=one.fault) for one in found.permissions
        ],
    )


HANDLERS = [check_provider, make_webhook_endpoint]
