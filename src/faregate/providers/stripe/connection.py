"""What a key may do, tried with calls that change nothing, and the endpoint that webhooks come to.

Stripe looks at a restricted key's permissions before it looks for the object: changing one that is not there answers
403, which names the permission, or 404, and then it is granted.
Sources: https://docs.stripe.com/keys#limit-access, https://docs.stripe.com/api/webhook_endpoints
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from faregate.base.ids import new_id
from faregate.domain.billing.provider_connection import WEBHOOK_EVENTS, Connection, Permission, WebhookEndpoint
from faregate.providers.stripe.client import asked, created, is_live, is_passing, translated
from faregate.providers.stripe.shapes import every, from_page
from faregate.providers.stripe_version import API_VERSION

if TYPE_CHECKING:
    from stripe import ListObject, StripeClient
    from stripe import WebhookEndpoint as Endpoint
    from stripe.params import WebhookEndpointCreateParams, WebhookEndpointListParams

_NOBODY: Final = "faregate_permission_check"
"""An id that no object has."""

_Try = Callable[["StripeClient"], object]

_TRIES: Final[tuple[tuple[str, _Try], ...]] = (
    ("read products", lambda stripe: stripe.v1.products.list({"limit": 1})),
    ("write products", lambda stripe: stripe.v1.products.update(_NOBODY, {"name": _NOBODY})),
    ("read prices", lambda stripe: stripe.v1.prices.list({"limit": 1})),
    ("write prices", lambda stripe: stripe.v1.prices.update(_NOBODY, {"nickname": _NOBODY})),
    ("read billing meters", lambda stripe: stripe.v1.billing.meters.list({"limit": 1})),
    ("write billing meters", lambda stripe: stripe.v1.billing.meters.update(_NOBODY, {"display_name": _NOBODY})),
    (
        "write billing meter events",
        lambda stripe: stripe.v1.billing.meter_events.create(
            {"event_name": _NOBODY, "payload": {"stripe_customer_id": _NOBODY, "value": "0"}}
        ),
    ),
    ("read customers", lambda stripe: stripe.v1.customers.list({"limit": 1})),
    ("write customers", lambda stripe: stripe.v1.customers.update(_NOBODY, {"name": _NOBODY})),
    ("read subscriptions", lambda stripe: stripe.v1.subscriptions.list({"limit": 1})),
    ("write subscriptions", lambda stripe: stripe.v1.subscriptions.update(_NOBODY, {"description": _NOBODY})),
    ("read invoices", lambda stripe: stripe.v1.invoices.list({"limit": 1})),
    ("write invoices", lambda stripe: stripe.v1.invoices.update(_NOBODY, {"description": _NOBODY})),
    ("write invoice items", lambda stripe: stripe.v1.invoice_items.update(_NOBODY, {"description": _NOBODY})),
    (
        "write credit grants",
        lambda stripe: stripe.v1.billing.credit_grants.update(_NOBODY, {"metadata": {_NOBODY: "yes"}}),
    ),
    ("write coupons", lambda stripe: stripe.v1.coupons.update(_NOBODY, {"name": _NOBODY})),
    ("write payment intents", lambda stripe: stripe.v1.payment_intents.update(_NOBODY, {"description": _NOBODY})),
    ("read charges", lambda stripe: stripe.v1.charges.list({"limit": 1})),
    ("write checkout sessions", lambda stripe: stripe.v1.checkout.sessions.expire(_NOBODY)),
    ("write customer portal", lambda stripe: stripe.v1.billing_portal.sessions.create({"customer": _NOBODY})),
    ("read events", lambda stripe: stripe.v1.events.list({"limit": 1})),
    ("write webhook endpoints", lambda stripe: stripe.v1.webhook_endpoints.update(_NOBODY, {"description": _NOBODY})),
)


class StripeConnection:
    """`ConnectedProvider` at Stripe. `connecting` gives the client of `key`, at the first call: it loads the SDK."""

    def __init__(self, connecting: Callable[[], StripeClient], *, key: str) -> None:
        self._connecting = connecting
        self._key = key

    @cached_property
    def _client(self) -> StripeClient:
        return self._connecting()

    def check(self) -> Connection:
        """Try each permission; `ConfigurationError` for a key that Stripe does not know."""
        from stripe import PermissionError  # noqa: A004, PLC0415 - see `connect`

        account, name, fault = "", "", ""
        try:
            found = self._asked(self._client.v1.accounts.retrieve_current)
        except PermissionError as error:
            fault = translated(error).message
        else:
            account, name = found.id, _name(found)
        read = Permission(name="read the account", is_granted=not fault, fault=fault)
        tried = (self._tried(what, attempt) for what, attempt in _TRIES)
        return Connection(account=account, name=name, is_live=is_live(self._key), permissions=(read, *tried))

    def ensure_webhook(self, url: str) -> WebhookEndpoint:
        """Return the endpoint of this address in our version, made now if need be; only then its secret is known."""
        client = self._client

        def listed(after: str | None) -> ListObject[Endpoint]:
            return client.v1.webhook_endpoints.list(cast("WebhookEndpointListParams", from_page(after)))

        for standing in every(listed):
            if standing.url == url and standing.api_version == API_VERSION:
                asked(
                    lambda: client.v1.webhook_endpoints.update(
                        standing.id,  # noqa: B023 - called at once
                        {"enabled_events": cast("Any", list(WEBHOOK_EVENTS)), "disabled": False},
                    )
                )
                return WebhookEndpoint(endpoint_id=standing.id, url=url, secret=None)
        sent = cast(
            "WebhookEndpointCreateParams",
            {
                "url": url,
                "enabled_events": list(WEBHOOK_EVENTS),
                "api_version": API_VERSION,
                "description": "Faregate",
                "metadata": {"faregate": "yes"},
            },
        )
        # A key of this call alone: one that was deleted may be made again. An answer that was lost had the secret.
        made = created(
            lambda key: client.v1.webhook_endpoints.create(sent, {"idempotency_key": key}),
            key=new_id("endpoint"),
            find=lambda: None,
        )
        return WebhookEndpoint(endpoint_id=made.id, url=url, secret=made.secret)

    def _tried(self, what: str, attempt: _Try) -> Permission:
        from stripe import InvalidRequestError, PermissionError  # noqa: A004, PLC0415 - see `connect`

        try:
            self._asked(lambda: attempt(self._client))
        except PermissionError as error:
            return Permission(name=what, is_granted=False, fault=translated(error).message)
        except InvalidRequestError:
            # The key may: it is the object that is not there.
            pass
        return Permission(name=what, is_granted=True)

    def _asked(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the SDK answers
        """Call, with the SDK's own errors where they tell of permissions; else raises as `asked` does."""
        from stripe import InvalidRequestError, PermissionError, StripeError  # noqa: A004, PLC0415 - see `connect`

        try:
            return call()
        except (PermissionError, InvalidRequestError):
            raise
        except StripeError as error:
            if is_passing(error):
                return asked(call)
            raise translated(error) from None


def _name(account: Any) -> str:  # noqa: ANN401 - the SDK's account
    profile = account.business_profile
    return str((profile.name if profile is not None else None) or account.id)
