"""Who bills: Stripe with a key, without one the embedded provider or the sandbox on our own port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from typing import Final

import structlog

from faregate.apps.control.settings import ControlSettings
from faregate.base.errors import Unavailable
from faregate.domain.billing.provider import BillingProvider
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.providers.stripe.billing import StripeProvider
from faregate.providers.stripe.client import Connecting, connect, is_live
from faregate.services.claim_account import claim_account, require_mode
from faregate.services.provider_calls import ask_provider
from faregate.storage.database import Database

_log: Final = structlog.stdlib.get_logger()

PROVIDER_FILE: Final = "sandbox.sqlite3"


def stripe_connection(settings: ControlSettings, *, sandbox_url: str, sandbox_key: str) -> Connecting:
    """Return what connects to Stripe with its key, without one to the sandbox, once for all who use it.

    Nothing else tells the two apart.
    """
    if settings.stripe_api_key is not None:
        return cache(partial(connect, settings.stripe_api_key))
    return cache(partial(connect, sandbox_key, base_url=sandbox_url))


@contextmanager
def billing_provider(settings: ControlSettings, connecting: Connecting) -> Iterator[BillingProvider]:
    """Give the provider while the context lasts; nothing is asked of it yet."""
    if settings.bills_by_itself:
        with closing(EmbeddedProvider(settings.data / PROVIDER_FILE)) as embedded:
            yield embedded
    else:
        yield StripeProvider(connecting)


async def check_account(database: Database, provider: BillingProvider, settings: ControlSettings) -> None:
    """Refuse a key of another account or mode than what was billed through before. Raises `ConfigurationError`.

    Where Stripe does not answer, only the mode is checked: the next start checks the rest.
    """
    key = settings.stripe_api_key
    live = None if key is None else is_live(key)
    await database.read(lambda tx: require_mode(tx, is_live=live))
    if live is None:
        return
    try:
        account = await ask_provider(provider.account)
    except Unavailable as error:
        _log.warning("provider.account_unchecked", error=error.message)
        return
    await database.write(lambda tx: claim_account(tx, account=account, is_live=live))
    _log.info("provider.connected", account=account, mode="live" if live else "test")
