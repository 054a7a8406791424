"""What the control plane process can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from faregate.base.errors import ConfigurationError
from faregate.domain.ledger.lost_units import LostUnits

LOST_GATEWAY_GRACE_S: Final = 3_600
STRIPE_POLL_S: Final = 60
DATABASE_FILE: Final = "faregate.sqlite3"


class Billing(StrEnum):
    """Who issues invoices where there is no key of Stripe's: the embedded provider, or Stripe's API in the sandbox."""

    EMBEDDED = "embedded"
    SANDBOX = "sandbox"


class SmtpSecurity(StrEnum):
    """`starttls`: an open connection that turns to TLS before anything is said; `tls` from its first byte; `none`."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """The server that e-mail leaves by; without a `user` nobody signs in. Certificates are always checked."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    security: SmtpSecurity = SmtpSecurity.STARTTLS


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """Port 0 takes a free one. Without a `database_url`, state is kept in SQLite in the `data` folder.

    `lost_gateways`: what becomes of the units of a gateway that was not there for `lost_gateway_grace_s`.
    Without `smtp`, no e-mail is sent. With a `stripe_api_key`, Stripe bills, without one what `billing` says.
    `stripe_webhook_secrets`: any of them may have signed a webhook. `stripe_poll_s`: how often Stripe's list of events
    is read, for what no webhook brought.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    data: Path = Path("faregate-data")
    database_url: str | None = field(default=None, repr=False)
    gateway_token: str = field(repr=False)
    lost_gateways: LostUnits = LostUnits.KEEP
    lost_gateway_grace_s: int = LOST_GATEWAY_GRACE_S
    smtp: SmtpSettings | None = None
    billing: Billing = Billing.EMBEDDED
    stripe_api_key: str | None = field(default=None, repr=False)
    stripe_webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    stripe_poll_s: int = STRIPE_POLL_S

    @property
    def bills_by_itself(self) -> bool:
        """Return whether the embedded provider bills, and neither Stripe nor the sandbox."""
        return self.stripe_api_key is None and self.billing is Billing.EMBEDDED

    def resolved_database_url(self) -> str:
        """Return the SQLAlchemy URL of the database."""
        return database_url_of(self.data, self.database_url)


def database_url_of(data: Path, given: str | None) -> str:
    """Return the SQLAlchemy URL of the database: the given one, or SQLite in the data folder."""
    return given or f"sqlite:///{data / DATABASE_FILE}"


def webhook_secrets(given: str | None) -> tuple[str, ...]:
    """Return the secrets of a setting: one, or, while it is rolled, several with commas between.

    Raises `ConfigurationError`, without what was given, for what is none.
    """
    secrets = tuple(secret for part in (given or "").split(",") if (secret := part.strip()))
    if not all(secret.startswith("whsec_") and len(secret) > len("whsec_") for secret in secrets):
        raise ConfigurationError("stripe_webhook_secret is no signing secret: those begin with whsec_")
    return secrets


def smtp_settings(
    *,
    host: str | None,
    port: int,
    security: SmtpSecurity,
    user: str | None,
    password: str | None,
    sender: str | None,
) -> SmtpSettings | None:
    """Return how e-mail leaves; None without a host. `ConfigurationError` without an address that it is from."""
    if host is None:
        return None
    if sender is None:
        raise ConfigurationError("smtp_from is not set; give the address that e-mail is from")
    return SmtpSettings(host=host, port=port, security=security, user=user, password=password, sender=sender)
