"""`faregate`: how a command is found, told its settings, and what its failures look like."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, CycloptsError, Parameter

from faregate.apps.cli import (
    audit_command,
    commands,
    cost_commands,
    explain_command,
    gateway_commands,
    invoice_commands,
    meter_commands,
    provider_commands,
    rerate_command,
    restored_command,
    usage_report_commands,
)
from faregate.apps.cli.sources import sources
from faregate.base.errors import ConfigurationError, FaregateError

FAILED: Final = 1
REFUSED: Final = 2
"""The exit status where the command line or a setting cannot work: starting again would not help."""

_COMMANDS: Final[tuple[Callable[..., int], ...]] = (
    commands.up,
    commands.demo,
    commands.serve,
    commands.gateway,
    commands.apply,
    commands.replay,
    explain_command.explain,
    gateway_commands.gateways,
    restored_command.restored,
    cost_commands.margin,
    cost_commands.incident_credit,
    rerate_command.rerate,
    audit_command.audit,
    usage_report_commands.usage_reports,
    usage_report_commands.reconcile,
)

_GROUPED_COMMANDS: Final[tuple[Callable[..., int], ...]] = (
    meter_commands.try_meter,
    meter_commands.fill_meter,
    invoice_commands.preview_invoice,
    provider_commands.check_provider,
)

_ASKED_EACH_TIME: Final = frozenset(
    {
        "file",
        "dry_run",
        "walkthrough",
        "json",
        "trace",
        "speed",
        "concurrency",
        "from_",
        "to",
        "meter",
        "company",
        "at",
        "target",
        "by",
        "apply",
        "undo",
        "settle",
        "units",
        "status",
        "resend",
    }
)
"""Parameters that belong to one call of a command, not into a settings file."""

_HELP: Final = """Meter API traffic, price it, bill it, and stop at the gateway the callers who can no longer pay.

Start with `faregate demo`, then `faregate up`; `faregate COMMAND --help` explains each command.

Every setting is a flag (`--gateway-port 9000`), an environment variable (`FAREGATE_GATEWAY_PORT=9000`) or a line of the
settings file (`gateway_port = 9000`). The first of these counts; without any, the default shown does.
"""

ConfigOption = Annotated[
    Path | None,
    Parameter(
        help="Settings file; faregate.toml in the working directory, if there is one, when none is named.",
        env_var="FAREGATE_CONFIG",
        show_env_var=False,
    ),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 where the command failed, 2 where it was given what cannot work."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command line; return the exit status."""
    try:
        status = build().meta(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        error.verbose = False
        return _complain(str(error), REFUSED)
    except ConfigurationError as error:
        return _complain(error.message, REFUSED)
    except FaregateError as error:
        return _complain(error.message, FAILED)
    return status if isinstance(status, int) else 0


def build() -> App:
    """Return the command line."""
    app = App(name="faregate", help=_HELP, help_format="markdown", version=_version, result_action="return_value")
    for place, command in enumerate(_COMMANDS):
        app.command(command, sort_key=place)
    app.command(meter_commands.METER)
    app.command(invoice_commands.INVOICE)
    app.command(provider_commands.PROVIDER)
    known = {
        name for command in (*_COMMANDS, *_GROUPED_COMMANDS) for name in inspect.signature(command).parameters
    } - _ASKED_EACH_TIME

    @app.meta.default
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)], config: ConfigOption = None
    ) -> object:
        app.config = sources(config, known)
        return app(tokens, exit_on_error=False, print_error=False, result_action="return_value")

    return app


def _version() -> str:
    from importlib.metadata import version

    return version("faregate")


def _complain(message: str, status: int) -> int:
    print(f"faregate: {' '.join(message.split())}", file=sys.stderr)
    return status
