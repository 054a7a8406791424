"""Flags that several commands share. The environment calls them `FAREGATE_GATEWAY_PORT`, the file `gateway_port`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import CoercionError, Parameter, Token
from cyclopts.validators import Number

from faregate.apps.control.settings import Billing, SmtpSecurity
from faregate.apps.log_settings import LogFormat, LogLevel
from faregate.domain.ledger.lost_units import LostUnits

_PORT: Final = Number(gte=0, lte=65_535)


def _read_database_url(kind: Any, tokens: list[Token]) -> str:  # noqa: ANN401 - cyclopts' signature
    """Return the URL if it is of a database we run on; the message leaves its password out."""
    del kind
    token = tokens[0]
    scheme = token.value.partition(":")[0]
    if scheme not in {"sqlite", "postgresql+psycopg"}:
        where = "" if token.source == "cli" else f" (from {token.source})"
        raise CoercionError(
            token=token,
            msg=f"{scheme!r} is not a database that Faregate runs on{where}; "
            "use sqlite:///path or postgresql+psycopg://user:password@host/name",
        )
    return token.value


Host = Annotated[str, Parameter(help="Address to listen on.")]
Port = Annotated[int, Parameter(help="Port of the control plane; 0 takes a free one.", validator=_PORT)]
GatewayPort = Annotated[int, Parameter(help="Port of the gateway; 0 takes a free one.", validator=_PORT)]
Data = Annotated[Path, Parameter(help="Folder for everything that is kept.")]
DatabaseUrl = Annotated[
    str | None,
    Parameter(
        help="State in PostgreSQL instead of SQLite in the data folder: postgresql+psycopg://user:password@host/name.",
        converter=_read_database_url,
    ),
]
GatewayToken = Annotated[
    str | None,
    Parameter(help="What gateways show the control plane. Made once, in the data folder, where none is given."),
]
Variable = Annotated[
    dict[str, str] | None,
    Parameter(
        help="What routes may name as ${NAME} in their upstream and headers (--variable.NAME VALUE), beside the "
        "environment itself; in the settings file a table, [variable]."
    ),
]
SmtpHost = Annotated[str | None, Parameter(help="Mail server that alerts leave by; without it none goes by e-mail.")]
SmtpPort = Annotated[int, Parameter(help="Port of the mail server.", validator=Number(gte=1, lte=65_535))]
SmtpSecurityOption = Annotated[
    SmtpSecurity, Parameter(help="Turn to TLS before anything is said, speak it from the first byte, or not at all.")
]
SmtpUser = Annotated[str | None, Parameter(help="Whom to sign in as at the mail server.")]
SmtpPassword = Annotated[str | None, Parameter(help="Password at the mail server; better in the environment.")]
SmtpFrom = Annotated[str | None, Parameter(help="Address that e-mail is from.")]
BillingOption = Annotated[
    Billing, Parameter(help="Who issues invoices without a key of Stripe's: the embedded provider, or the sandbox.")
]
StripeApiKey = Annotated[
    str | None,
    Parameter(help="Secret or restricted key of the Stripe account that bills; better in the environment."),
]
StripeWebhookSecret = Annotated[
    str | None,
    Parameter(help="What Stripe signs its webhooks with (whsec_...); while it is rolled, both, with a comma between."),
]
StripePoll = Annotated[
    int,
    Parameter(
        help="Seconds between readings of Stripe's list of events, for what no webhook brought.",
        validator=Number(gte=1),
    ),
]
ControlPlaneUrl = Annotated[str, Parameter(help="Where the control plane answers.")]
ApiToken = Annotated[str | None, Parameter(help="Token of the management API; the data folder's own by default.")]
LostGateways = Annotated[
    LostUnits, Parameter(help="What becomes of the units that a gateway holds which does not come back.")
]
LostGatewayGrace = Annotated[
    int,
    Parameter(
        help="Seconds after which a gateway that was not heard is lost; at least as long as the longest call.",
        validator=Number(gte=0),
    ),
]
LogFormatOption = Annotated[LogFormat, Parameter(help="For people or for machines.")]
LogLevelOption = Annotated[LogLevel, Parameter(help="The least severe event to write.")]

HOST: Final = "127.0.0.1"
PORT: Final = 8080
SMTP_PORT: Final = 587
GATEWAY_PORT: Final = 8000
DATA: Final = Path("faregate-data")
DEMO_DATA: Final = Path("faregate-demo")
CONTROL_PLANE_URL: Final = f"http://{HOST}:{PORT}"


def find_token(given: str | None, data: Path) -> str:
    """Return the given token, or the data folder's own; `ConfigurationError` where there is neither."""
    from faregate.apps.secret_files import CLI_TOKEN_FILE, read_secret
    from faregate.base.errors import ConfigurationError

    token = given or read_secret(data / CLI_TOKEN_FILE)
    if token is None:
        raise ConfigurationError(
            f"api_token is not set, and there is no {data / CLI_TOKEN_FILE}; "
            "start the control plane first, or give a token"
        )
    return token


def in_utc(instant: datetime) -> datetime:
    """Return an instant in UTC, which one without a zone is in already."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
