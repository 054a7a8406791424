"""The account that the key is of (docs.stripe.com/api/accounts/retrieve)."""

from __future__ import annotations

import hashlib

from stripe.params._account_retrieve_current_params import AccountRetrieveCurrentParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox
from faregate.providers.sandbox.faults import Json


def get_account(sandbox: Sandbox, asked: Asked) -> Json:
    """Return the account; its id is the key's, so that two sandboxes are never taken for one."""
    del asked
    return {
        "id": f"acct_{hashlib.sha256(sandbox.key.encode()).hexdigest()[:16]}",
        "object": "account",
        "business_profile": {"name": "Sandbox"},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": False,
        "settings": {"dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"}},
        "type": "standard",
    }


ROUTES = [Route(method="GET", path="/v1/account", parameters=AccountRetrieveCurrentParams, answer=get_account)]
