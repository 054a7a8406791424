"""Run one of the processes in this one: its log, its event loop, and its end when whoever started it ends."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import uvloop

from faregate.apps.compiled import use_compiled
from faregate.apps.failpoints import arm_from_environment
from faregate.apps.lifeline import follow_supervisor
from faregate.apps.log_settings import LogFormat, LogLevel
from faregate.apps.logs import configure_logs
from faregate.apps.ports import claim_port

if TYPE_CHECKING:
    from faregate.apps.control.main import RunningControlPlane
    from faregate.apps.control.settings import ControlSettings
    from faregate.apps.gateway.settings import GatewaySettings


def run_serve(settings: ControlSettings, log_format: LogFormat, log_level: LogLevel) -> int:
    """Run the control plane until it is told to stop."""
    from faregate.apps.control.main import run_control_plane

    return _run(run_control_plane(settings, when_ready=_print_first_secrets), log_format, log_level)


def run_gateway_process(settings: GatewaySettings, log_format: LogFormat, log_level: LogLevel) -> int:
    """Run the gateway until it is told to stop."""
    use_compiled()
    from faregate.apps.gateway.main import run_gateway

    claimed = replace(settings, port=claim_port(settings.host, settings.port))
    return _run(run_gateway(claimed), log_format, log_level)


def _run(process: Coroutine[Any, Any, None], log_format: LogFormat, log_level: LogLevel) -> int:
    configure_logs(log_format, log_level)
    arm_from_environment()
    follow_supervisor()
    uvloop.run(process)
    return 0


def _print_first_secrets(running: RunningControlPlane) -> None:
    made = running.first_secrets
    if made is None:
        return
    lines = (
        "First start. These are shown once; keep them:",
        f"  login         {made.login}",
        f"  password      {made.password}",
        f"  API token     {made.api_token}",
        f"  collector id  {made.collector_id}",
    )
    print("\n".join(lines), flush=True)
