"""The account of Stripe's that applications bill through: the first one that they did, and no other.

What was told to one account means nothing at another, and test and live never mix.
"""

from __future__ import annotations

from faregate.base.errors import ConfigurationError
from faregate.storage.applications import keep_account, read_accounts
from faregate.storage.database import Transaction


def require_mode(transaction: Transaction, *, is_live: bool | None) -> None:
    """Check a key's mode, None without a key, before anything is asked of Stripe. Raises `ConfigurationError`."""
    for kept in read_accounts(transaction):
        if is_live is None:
            raise ConfigurationError(
                f"{kept.application_id} bills through Stripe's account {kept.account} in {_mode(is_live=kept.is_live)};"
                " set stripe_api_key to a key of it"
            )
        if kept.is_live is not is_live:
            raise ConfigurationError(
                f"stripe_api_key is a key of {_mode(is_live=is_live)}, and {kept.application_id} bills in"
                f" {_mode(is_live=kept.is_live)}; give a key of that, or use another data folder or database"
            )


def claim_account(transaction: Transaction, *, account: str, is_live: bool) -> None:
    """Remember the account of a key. Raises `ConfigurationError` where applications bill through another one."""
    require_mode(transaction, is_live=is_live)
    for kept in read_accounts(transaction):
        if kept.account != account:
            raise ConfigurationError(
                f"stripe_api_key is of Stripe's account {account}, and {kept.application_id} bills through"
                f" {kept.account}; give a key of that, or use another data folder or database"
            )
    keep_account(transaction, account=account, is_live=is_live)


def _mode(*, is_live: bool) -> str:
    return "live mode" if is_live else "test mode"
