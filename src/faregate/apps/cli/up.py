"""`faregate up`: what its two processes are told, and what is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from faregate.apps.cli.supervisor import Child, Supervisor
from faregate.apps.control.settings import LOST_GATEWAY_GRACE_S, STRIPE_POLL_S, Billing, SmtpSettings
from faregate.apps.log_settings import LogFormat, LogLevel
from faregate.apps.ports import claim_port, origin, reachable
from faregate.apps.secret_files import ensure_gateway_token
from faregate.domain.ledger.lost_units import LostUnits


@dataclass(frozen=True, slots=True, kw_only=True)
class UpSettings:
    """Settings of both processes."""

    host: str
    port: int
    gateway_port: int
    data: Path
    database_url: str | None = field(repr=False)
    gateway_token: str | None = field(repr=False)
    variable: Mapping[str, str] = field(default_factory=dict, repr=False)
    lost_gateways: LostUnits = LostUnits.KEEP
    lost_gateway_grace_s: int = LOST_GATEWAY_GRACE_S
    smtp: SmtpSettings | None = None
    billing: Billing = Billing.EMBEDDED
    stripe_api_key: str | None = field(default=None, repr=False)
    stripe_webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    stripe_poll_s: int = STRIPE_POLL_S
    log_format: LogFormat
    log_level: LogLevel


def run_up(settings: UpSettings) -> int:
    """Run both processes until Ctrl-C or SIGTERM.

    Raises:
        ConfigurationError: A port is in use.
    """
    settings = settle(settings)
    return Supervisor(children(settings), when_ready=lambda: _print_addresses(settings)).run()


def settle(settings: UpSettings) -> UpSettings:
    """Return the settings with ports that are free and a gateway token.

    Raises:
        ConfigurationError: A port is in use.
    """
    return replace(
        settings,
        port=claim_port(settings.host, settings.port),
        gateway_port=claim_port(settings.host, settings.gateway_port),
        gateway_token=settings.gateway_token or ensure_gateway_token(settings.data),
    )


def children(settings: UpSettings) -> list[Child]:
    """Return both processes of settled settings.

    The gateway starts last, so that it finds a control plane, and stops first, so that its last events do.
    """
    environment = _environment(settings)
    return [
        Child(
            name=name,
            command=(sys.executable, "-m", "faregate", name),
            environment=environment,
            host=reachable(settings.host),
            port=port,
        )
        for name, port in (("serve", settings.port), ("gateway", settings.gateway_port))
    ]


def _environment(settings: UpSettings) -> dict[str, str]:
    """Return the children's environment: ours, and every setting, so that no file is asked twice."""
    told = {
        "HOST": settings.host,
        "PORT": str(settings.port),
        "GATEWAY_PORT": str(settings.gateway_port),
        "CONTROL_PLANE_URL": _control_plane(settings),
        "DATA": str(settings.data),
        "GATEWAY_TOKEN": settings.gateway_token or "",
        "LOST_GATEWAYS": settings.lost_gateways.value,
        "LOST_GATEWAY_GRACE_S": str(settings.lost_gateway_grace_s),
        "BILLING": settings.billing.value,
        "STRIPE_POLL_S": str(settings.stripe_poll_s),
        "LOG_FORMAT": settings.log_format.value,
        "LOG_LEVEL": settings.log_level.value,
        "CONFIG": os.devnull,
        "SUPERVISED": "1",
    }
    if settings.smtp is not None:
        told |= _smtp(settings.smtp)
    if settings.stripe_api_key is not None:
        told["STRIPE_API_KEY"] = settings.stripe_api_key
    if settings.stripe_webhook_secrets:
        told["STRIPE_WEBHOOK_SECRET"] = ",".join(settings.stripe_webhook_secrets)
    if settings.database_url is not None:
        told["DATABASE_URL"] = settings.database_url
    return dict(os.environ) | dict(settings.variable) | {f"FAREGATE_{name}": value for name, value in told.items()}


def _smtp(smtp: SmtpSettings) -> dict[str, str]:
    told = {"HOST": smtp.host, "PORT": str(smtp.port), "FROM": smtp.sender, "SECURITY": smtp.security.value}
    told |= {} if smtp.user is None else {"USER": smtp.user}
    told |= {} if smtp.password is None else {"PASSWORD": smtp.password}
    return {f"SMTP_{name}": value for name, value in told.items()}


def _control_plane(settings: UpSettings) -> str:
    return origin(reachable(settings.host), settings.port)


def _print_addresses(settings: UpSettings) -> None:
    lines = (
        "Faregate is ready. Ctrl-C ends it.",
        f"  gateway        {origin(reachable(settings.host), settings.gateway_port)}",
        f"  control plane  {_control_plane(settings)}",
        f"  API            {_control_plane(settings)}/api",
        f"  data           {settings.data.resolve()}",
    )
    print("\n".join(lines), flush=True)
