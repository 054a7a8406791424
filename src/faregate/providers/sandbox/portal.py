"""The customer portal: what it lets customers do, and sessions of it (docs.stripe.com/api/customer_portal)."""

from __future__ import annotations

from typing import Final

from stripe.params.billing_portal._configuration_create_params import ConfigurationCreateParams
from stripe.params.billing_portal._configuration_list_params import ConfigurationListParams
from stripe.params.billing_portal._configuration_retrieve_params import ConfigurationRetrieveParams
from stripe.params.billing_portal._configuration_update_params import ConfigurationUpdateParams
from stripe.params.billing_portal._session_create_params import SessionCreateParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    changed,
    is_as_sent,
    page_of,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.customers import required_customer
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.times import in_time_of

CONFIGURATION: Final = "billing_portal.configuration"
PORTAL_SESSION: Final = "billing_portal.session"

_KNOWN: Final = frozenset({"business_profile", "default_return_url", "features", "metadata", "name"})
_FEATURES: Final[Json] = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {"enabled": False},
    "subscription_update": {
        "billing_cycle_anchor": "unchanged",
        "default_allowed_updates": [],
        "enabled": False,
        "products": [],
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}
_BY_DEFAULT: Final = ("invoice_history", "payment_method_update", "subscription_cancel")
"""What customers can do where no configuration says otherwise."""

_LASTS_S: Final = 3_600
"""How long a session's page can be used after it was made."""


def make_configuration(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a configuration: features that are not named are off."""
    sent = asked.parameters
    refuse_others(sent, _KNOWN, "a portal configuration")
    body = _configuration(sandbox, sent, features=_features(sandbox, _FEATURES, sent["features"]), is_default=False)
    sandbox.tell("billing_portal.configuration.created", body)
    return body


def change_configuration(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a configuration, or switch it off."""
    body, fields = sandbox.store.get(CONFIGURATION, asked.ids[0]), dict(asked.parameters)
    refuse_others(fields, _KNOWN | {"active"}, "a portal configuration")
    if "features" in fields:
        fields["features"] = _features(sandbox, body["features"], fields["features"])
    if "business_profile" in fields:
        fields["business_profile"] = body["business_profile"] | fields["business_profile"]
    fields["updated"] = sandbox.now()
    return changed(sandbox, body, fields, event="billing_portal.configuration.updated")


def list_configurations(sandbox: Sandbox, asked: Asked) -> Json:
    """List configurations."""
    sent = asked.parameters

    def wanted(body: Json) -> bool:
        return is_as_sent(body, sent, "active", "is_default")

    return page_of(asked, sandbox.store.newest_first(CONFIGURATION), wanted)


def make_session(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a session of a customer, with a page at `url`."""
    sent = asked.parameters
    refuse_others(sent, frozenset({"configuration", "customer", "locale", "return_url"}), "a portal session")
    sandbox = in_time_of(sandbox, required_customer(sandbox, sent))
    if "configuration" in sent:
        configuration = sandbox.store.get(CONFIGURATION, sent["configuration"], param="configuration")
        if not configuration["active"]:
            raise refused("This configuration is not active.", param="configuration")
    else:
        configuration = _default(sandbox)
    identifier = sandbox.new_id("bps")
    body: Json = {
        "id": identifier,
        "object": PORTAL_SESSION,
        "configuration": configuration["id"],
        "created": sandbox.now(),
        "customer": sent["customer"],
        "customer_account": None,
        "flow": None,
        "livemode": False,
        "locale": sent.get("locale"),
        "on_behalf_of": None,
        "return_url": sent.get("return_url", configuration["default_return_url"]),
        "url": f"{sandbox.pages_url}/portal/{identifier}",
    }
    sandbox.store.add(body)
    sandbox.tell("billing_portal.session.created", body)
    return body


def is_over(sandbox: Sandbox, body: Json) -> bool:
    """Return whether a session's time is over."""
    made: int = body["created"]
    return sandbox.now() >= made + _LASTS_S


def _default(sandbox: Sandbox) -> Json:
    """Return the configuration of sessions that name none; the sandbox has one without a Dashboard to save it in."""
    for body in sandbox.store.newest_first(CONFIGURATION):
        if body["is_default"]:
            return body
    features = _FEATURES | {name: _FEATURES[name] | {"enabled": True} for name in _BY_DEFAULT}
    return _configuration(sandbox, {}, features=features, is_default=True)


def _configuration(sandbox: Sandbox, sent: Json, *, features: Json, is_default: bool) -> Json:
    now = sandbox.now()
    body: Json = {
        "id": sandbox.new_id("bpc"),
        "object": CONFIGURATION,
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}
        | sent.get("business_profile", {}),
        "created": now,
        "default_return_url": sent.get("default_return_url"),
        "features": features,
        "is_default": is_default,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": sent.get("metadata", {}),
        "name": sent.get("name"),
        "updated": now,
    }
    sandbox.store.add(body)
    return body


def _features(sandbox: Sandbox, before: Json, sent: Json) -> Json:
    """Return features with what was sent; raises `StripeFault` for prices that can't be switched to."""
    for name in ("customer_update", "subscription_pause"):
        if sent.get(name, {}).get("enabled"):
            raise refused(f"The sandbox's portal has no `{name}`", param=f"features[{name}]")
    after = before | {name: before[name] | value for name, value in sent.items()}
    update = after["subscription_update"]
    at = "features[subscription_update]"
    if "quantity" in update["default_allowed_updates"] or "promotion_code" in update["default_allowed_updates"]:
        raise refused("The sandbox's portal switches prices alone", param=f"{at}[default_allowed_updates]")
    for product in update["products"]:
        for identifier in product["prices"]:
            price = sandbox.store.get("price", identifier, param=f"{at}[products]")
            if price["product"] != product["product"] or price["recurring"] is None or not price["active"]:
                message = f"The price {identifier} must be an active recurring price of {product['product']}."
                raise refused(message, param=f"{at}[products]")
    return after


_ALL: Final = "/v1/billing_portal/configurations"
_ONE: Final = f"{_ALL}/{{}}"
ROUTES = [
    Route(method="POST", path=_ALL, parameters=ConfigurationCreateParams, answer=make_configuration),
    Route(method="GET", path=_ALL, parameters=ConfigurationListParams, answer=list_configurations),
    Route(method="GET", path=_ONE, parameters=ConfigurationRetrieveParams, answer=retrieved(CONFIGURATION)),
    Route(method="POST", path=_ONE, parameters=ConfigurationUpdateParams, answer=change_configuration),
    Route(method="POST", path="/v1/billing_portal/sessions", parameters=SessionCreateParams, answer=make_session),
]
