"""What operators ask a gateway: is it alive, may it get traffic, what has it counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from granian.rsgi import HTTPProtocol

from faregate.apps.gateway.metrics import GatewayMetrics, render

_PATHS: Final = frozenset(("/healthz", "/readyz", "/metrics"))
_JSON: Final = [("content-type", "application/json")]
_TEXT: Final = [("content-type", "text/plain; version=0.0.4; charset=utf-8")]


class Admin:
    """`faults`: why the gateway should not get traffic. `gauges`: values taken when asked (name: help, value)."""

    def __init__(
        self,
        metrics: GatewayMetrics,
        *,
        faults: Callable[[], list[str]],
        gauges: Callable[[], dict[str, tuple[str, float]]],
    ) -> None:
        self._metrics = metrics
        self._faults = faults
        self._gauges = gauges

    def answers(self, path: str) -> bool:
        """Return whether the path is one of these rather than a route's."""
        return path in _PATHS

    def answer(self, path: str, protocol: HTTPProtocol) -> None:
        """Answer `/healthz` (200 while the process runs), `/readyz` (503 with reasons) or `/metrics`."""
        if path == "/metrics":
            protocol.response_str(200, _TEXT, render(self._metrics, self._gauges()))
            return
        faults = self._faults() if path == "/readyz" else []
        body = {"status": "not ready" if faults else "ok", "reasons": faults}
        protocol.response_bytes(503 if faults else 200, _JSON, msgspec.json.encode(body))
