"""The commands. Each imports what it runs when it runs: see the package's docstring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from faregate.apps.cli import options
from faregate.apps.control.settings import LOST_GATEWAY_GRACE_S, STRIPE_POLL_S, Billing, SmtpSecurity
from faregate.apps.log_settings import LogFormat, LogLevel
from faregate.domain.ledger.lost_units import LostUnits


def up(
    *,
    host: options.Host = options.HOST,
    port: options.Port = options.PORT,
    gateway_port: options.GatewayPort = options.GATEWAY_PORT,
    data: options.Data = options.DATA,
    database_url: options.DatabaseUrl = None,
    gateway_token: options.GatewayToken = None,
    variable: options.Variable = None,
    lost_gateways: options.LostGateways = LostUnits.KEEP,
    lost_gateway_grace_s: options.LostGatewayGrace = LOST_GATEWAY_GRACE_S,
    smtp_host: options.SmtpHost = None,
    smtp_port: options.SmtpPort = options.SMTP_PORT,
    smtp_security: options.SmtpSecurityOption = SmtpSecurity.STARTTLS,
    smtp_user: options.SmtpUser = None,
    smtp_password: options.SmtpPassword = None,
    smtp_from: options.SmtpFrom = None,
    billing: options.BillingOption = Billing.EMBEDDED,
    stripe_api_key: options.StripeApiKey = None,
    stripe_webhook_secret: options.StripeWebhookSecret = None,
    stripe_poll_s: options.StripePoll = STRIPE_POLL_S,
    log_format: options.LogFormatOption = LogFormat.CONSOLE,
    log_level: options.LogLevelOption = LogLevel.INFO,
) -> int:
    """Run everything on this machine: the control plane and a gateway.

    The first start makes an application and prints, once, the operator's login, an API token and a collector id. A
    later start finds everything in the data folder again. Ctrl-C ends both processes in order; a second Ctrl-C ends
    them at once.

    For example:

    ```
    faregate up
    faregate up --port 9080 --gateway-port 9000 --data /var/lib/faregate
    OPENAI_API_KEY=sk-... faregate up --variable.AI_API_URL https://api.openai.com/v1
    ```
    """
    from faregate.apps.cli.up import UpSettings, run_up
    from faregate.apps.control.settings import smtp_settings, webhook_secrets

    return run_up(
        UpSettings(
            host=host,
            port=port,
            gateway_port=gateway_port,
            data=data,
            database_url=database_url,
            gateway_token=gateway_token,
            variable=variable or {},
            lost_gateways=lost_gateways,
            lost_gateway_grace_s=lost_gateway_grace_s,
            smtp=smtp_settings(
                host=smtp_host,
                port=smtp_port,
                security=smtp_security,
                user=smtp_user,
                password=smtp_password,
                sender=smtp_from,
            ),
            billing=billing,
            stripe_api_key=stripe_api_key or None,
            stripe_webhook_secrets=webhook_secrets(stripe_webhook_secret),
            stripe_poll_s=stripe_poll_s,
            log_format=log_format,
            log_level=log_level,
        )
    )


def serve(
    *,
    host: options.Host = options.HOST,
    port: options.Port = options.PORT,
    data: options.Data = options.DATA,
    database_url: options.DatabaseUrl = None,
    gateway_token: options.GatewayToken = None,
    lost_gateways: options.LostGateways = LostUnits.KEEP,
    lost_gateway_grace_s: options.LostGatewayGrace = LOST_GATEWAY_GRACE_S,
    smtp_host: options.SmtpHost = None,
    smtp_port: options.SmtpPort = options.SMTP_PORT,
    smtp_security: options.SmtpSecurityOption = SmtpSecurity.STARTTLS,
    smtp_user: options.SmtpUser = None,
    smtp_password: options.SmtpPassword = None,
    smtp_from: options.SmtpFrom = None,
    billing: options.BillingOption = Billing.EMBEDDED,
    stripe_api_key: options.StripeApiKey = None,
    stripe_webhook_secret: options.StripeWebhookSecret = None,
    stripe_poll_s: options.StripePoll = STRIPE_POLL_S,
    log_format: options.LogFormatOption = LogFormat.CONSOLE,
    log_level: options.LogLevelOption = LogLevel.INFO,
) -> int:
    """Run the control plane alone: collector, management API and workers.

    For example:

    ```
    faregate serve
    faregate serve --database-url postgresql+psycopg://faregate:secret@db/faregate
    ```
    """
    from faregate.apps.cli.processes import run_serve
    from faregate.apps.control.settings import ControlSettings, smtp_settings, webhook_secrets
    from faregate.apps.secret_files import ensure_gateway_token

    settings = ControlSettings(
        host=host,
        port=port,
        data=data,
        database_url=database_url,
        gateway_token=gateway_token or ensure_gateway_token(data),
        lost_gateways=lost_gateways,
        lost_gateway_grace_s=lost_gateway_grace_s,
        smtp=smtp_settings(
            host=smtp_host,
            port=smtp_port,
            security=smtp_security,
            user=smtp_user,
            password=smtp_password,
            sender=smtp_from,
        ),
        billing=billing,
        stripe_api_key=stripe_api_key or None,
        stripe_webhook_secrets=webhook_secrets(stripe_webhook_secret),
        stripe_poll_s=stripe_poll_s,
    )
    return run_serve(settings, log_format, log_level)


def gateway(
    *,
    host: options.Host = options.HOST,
    gateway_port: options.GatewayPort = options.GATEWAY_PORT,
    control_plane_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    data: options.Data = options.DATA,
    gateway_token: options.GatewayToken = None,
    variable: options.Variable = None,
    log_format: options.LogFormatOption = LogFormat.CONSOLE,
    log_level: options.LogLevelOption = LogLevel.INFO,
) -> int:
    """Run a gateway alone, pointed at a control plane.

    Each gateway needs a data folder of its own, and the same one at its next start: events that are not shipped yet
    wait there. A route's upstream and headers may name variables of this process, such as `Bearer ${OPENAI_API_KEY}`.

    For example:

    ```
    faregate gateway
    faregate gateway --control-plane-url http://control:8080 --gateway-token fg_gateway_...
    ```
    """
    import os

    from faregate.apps.cli.processes import run_gateway_process
    from faregate.apps.gateway.settings import GatewaySettings
    from faregate.apps.secret_files import GATEWAY_TOKEN_FILE, read_secret
    from faregate.base.errors import ConfigurationError

    token = gateway_token or read_secret(data / GATEWAY_TOKEN_FILE)
    if token is None:
        raise ConfigurationError(
            f"gateway_token is not set, and there is no {data / GATEWAY_TOKEN_FILE}; "
            "give the token of the control plane's data folder"
        )
    settings = GatewaySettings(
        host=host,
        port=gateway_port,
        control_plane_url=control_plane_url.rstrip("/"),
        gateway_token=token,
        spool_folder=data / "gateway-spool",
        environment=dict(os.environ) | (variable or {}),
    )
    return run_gateway_process(settings, log_format, log_level)


def apply(
    *,
    file: Annotated[Path, Parameter(alias="-f", help="The catalog, in YAML.")],
    dry_run: Annotated[bool, Parameter(help="Show the difference and change nothing.", negative=())] = False,
    api_url: Annotated[str, Parameter(help="Where the control plane answers.")] = options.CONTROL_PLANE_URL,
    api_token: Annotated[
        str | None, Parameter(help="Token of the management API; the data folder's own where none is given.")
    ] = None,
    data: options.Data = options.DATA,
) -> int:
    """Make plans, prices, meters, routes, rules and customers what a file says.

    Shows the difference first. All of it is applied in one transaction, or nothing is.

    For example:

    ```
    faregate apply -f catalog.yaml --dry-run
    faregate apply -f catalog.yaml
    ```
    """
    from faregate.apps.cli.apply import run_apply

    return run_apply(file, api_url=api_url.rstrip("/"), token=options.find_token(api_token, data), dry_run=dry_run)


def demo(
    *,
    walkthrough: Annotated[
        bool, Parameter(help="Play the whole story in a temporary folder, step by step, and end.", negative=())
    ] = False,
    json: Annotated[bool, Parameter(help="With --walkthrough: one JSON document instead.", negative=())] = False,
    host: options.Host = options.HOST,
    port: options.Port = options.PORT,
    gateway_port: options.GatewayPort = options.GATEWAY_PORT,
    data: options.Data = options.DEMO_DATA,
    log_format: options.LogFormatOption = LogFormat.CONSOLE,
    log_level: options.LogLevelOption = LogLevel.WARNING,
) -> int:
    """Run everything with a demo AI API behind it, the tutorial's catalog and two customers in place.

    Shows the customers' keys and lines to paste. The demo keeps to its own folder; Ctrl-C ends it.

    With `--walkthrough` it plays the tutorial instead, on free ports: credit, packages, the last unit, a top-up,
    streams, the month's end, an overdue invoice, and payment. The exit status is 0 only if every amount is, to the
    last digit, what docs/walkthrough.md calculates by hand.

    For example:

    ```
    faregate demo
    faregate demo --walkthrough
    faregate demo --walkthrough --json > walkthrough.json
    ```
    """
    from faregate.base.errors import ConfigurationError

    if walkthrough:
        from faregate.apps.story.walkthrough.running import run_walkthrough

        return run_walkthrough(json=json)
    if json:
        raise ConfigurationError("json needs --walkthrough: the demo itself has no document to print")
    from faregate.apps.cli.up import UpSettings
    from faregate.apps.story.demo import run_demo

    return run_demo(
        UpSettings(
            host=host,
            port=port,
            gateway_port=gateway_port,
            data=data,
            billing=Billing.SANDBOX,
            database_url=None,
            gateway_token=None,
            log_format=log_format,
            log_level=log_level,
        )
    )


def replay(
    trace: Annotated[Path, Parameter(help="The trace, as CSV.")],
    *,
    speed: Annotated[
        str, Parameter(help="So many times as fast as the trace: 1, 10 or another whole number; max does not wait.")
    ] = "max",
    concurrency: Annotated[int, Parameter(help="Calls in flight at most.", validator=Number(gte=1, lte=1_000))] = 32,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
) -> int:
    """Send a trace of real LLM traffic through a gateway and compare the books with the file.

    The trace is a CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens; times without a zone are UTC.
    It is played on a stack of its own, in a temporary folder, by one postpaid customer on the prices of the tutorial
    ($0.50 and $1.50 for every begun million of input and output tokens), each call dated as it was. Calls go out in the
    order of their times, each once; those of even rows of the file (the header is row 1) ask for a stream. Pauses of
    more than a minute are cut to a minute. Every calendar month gets its invoice, which is paid at once.

    The exit status is 0 only if no call failed and calls, tokens and money equal an independent sum of the file.

    For example:

    ```
    faregate replay trace.csv
    faregate replay trace.csv --speed 10
    faregate replay trace.csv --json > replay.json
    ```
    """
    from faregate.apps.story.replaying.running import run_replay

    return run_replay(trace, speed=speed, concurrency=concurrency, json=json)
