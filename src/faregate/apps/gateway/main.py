"""The gateway process, from its start to its end."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine
from typing import Final

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from faregate.apps.gateway.admin import Admin
from faregate.apps.gateway.app import GatewayApp, OwnPaths
from faregate.apps.gateway.asking_rate import AskingRate
from faregate.apps.gateway.call_costs import CallCosts
from faregate.apps.gateway.caller_paths import CallerPaths
from faregate.apps.gateway.control_plane import ControlPlane
from faregate.apps.gateway.epochs import Epochs
from faregate.apps.gateway.holding import Holding
from faregate.apps.gateway.limiting import Limiting
from faregate.apps.gateway.metered import MeteredCalls
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.plain import PlainCalls
from faregate.apps.gateway.quoting import Quoting
from faregate.apps.gateway.rates import Rates
from faregate.apps.gateway.relay import Relay
from faregate.apps.gateway.request_ids import RequestIds
from faregate.apps.gateway.settings import GatewaySettings
from faregate.apps.gateway.settlement import Settlement
from faregate.apps.gateway.shipping import Shipper, StateFollower
from faregate.apps.gateway.spool import Spool
from faregate.apps.gateway.spool_folder import SpoolFolder
from faregate.apps.gateway.state import GatewayState
from faregate.apps.gateway.upstream_client import UpstreamClients
from faregate.base.clock import SystemClock
from faregate.base.ids import new_id
from faregate.wire.caller_questions import AsOf

_log = structlog.get_logger(__name__)

_BACKLOG: Final = 1_024
_COLLECT_AFTER_OBJECTS: Final = 50_000
_SWEEP_EVERY_S: Final = 1.0
_LOOK_AHEAD_EVERY_S: Final = 0.2
_LAST_SHIPPING_S: Final = 3.0
_CUT_WITHIN_S: Final = 2.0
_MILLISECONDS: Final = 1_000


async def run_gateway(settings: GatewaySettings) -> None:
    """Serve until SIGINT or SIGTERM, then end cleanly.

    Raises:
        ConfigurationError: The spool folder cannot be had.
        OSError: The port is taken.
    """
    # Nothing of the program itself is garbage, and a request leaves none: look for cycles rarely.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await serve_gateway(settings, stop)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def serve_gateway(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set: for processes that run a gateway beside other things. Raises as `run_gateway`."""
    gateway = Gateway(settings)
    background = [asyncio.create_task(work) for work in gateway.background()]
    serving = asyncio.create_task(gateway.server.serve())
    stopped = asyncio.create_task(stop.wait())
    _log.info("gateway.started", host=settings.host, port=settings.port, gateway_id=gateway.spool.gateway_id)
    try:
        await asyncio.wait([serving, stopped, *background], return_when=asyncio.FIRST_COMPLETED)
        for task in background:
            if task.done():
                task.result()
        await gateway.stop_calls(serving)
        await gateway.shipper.emptied(_LAST_SHIPPING_S)
        await gateway.holding.sweep(everything=True)
    finally:
        for task in (stopped, serving, *background):
            task.cancel()
        await asyncio.gather(stopped, serving, *background, return_exceptions=True)
        await gateway.close()
        _log.info("gateway.stopped")


class Gateway:
    """One gateway's parts, wired."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self.metrics = GatewayMetrics()
        folder = SpoolFolder(settings.spool_folder, lambda: new_id("gw"))
        self.spool = Spool(folder, segment_bytes=settings.segment_bytes, most_bytes=settings.spool_most_bytes)
        self._control_plane = ControlPlane(settings.control_plane_url, settings.gateway_token)
        self._clients = UpstreamClients()
        self.rates = Rates(self._control_plane, identity=self._identity, clock=self._clock)
        self.state = GatewayState(settings.environment, self.rates)
        self.holding = Holding(
            self._control_plane, identity=self._identity, clock=self._clock, new_id=new_id, metrics=self.metrics
        )
        self._settlement = Settlement(self.spool, self.holding, clock=self._clock, metrics=self.metrics)
        for begun in folder.recovered.open_starts.values():
            self._settlement.recover(begun)
        settled_before = self.spool.next_sequence - 1
        self.shipper = Shipper(
            self.spool,
            self._control_plane,
            metrics=self.metrics,
            on_shipped=self.holding.shipped,
            is_awaited=lambda: self.holding.has_waiting() or self._callers.waiting + self._costs.waiting > 0,
        )
        self.holding.on_final = self.shipper.hurry
        self._epochs = Epochs(
            self._control_plane,
            spool=self.spool,
            shipper=self.shipper,
            holding=self.holding,
            settlement=self._settlement,
            settled_before=settled_before,
        )
        self._follower = StateFollower(
            self.state,
            self._control_plane,
            holding=self.holding,
            on_generation=self._epochs.hear,
            gateway_id=self.spool.gateway_id,
            now_ms=self._clock.steady_ms,
        )
        self._callers = CallerPaths(
            state=self.state,
            control_plane=self._control_plane,
            quoting=Quoting(
                state=self.state, control_plane=self._control_plane, holding=self.holding, clock=self._clock
            ),
            rate=AskingRate(self._clock.steady_ms),
            as_of=self._as_of,
        )
        self._costs = CallCosts(self._control_plane, as_of=self._as_of, metrics=self.metrics)
        self._relay = Relay(settlement=self._settlement, spool=self.spool, metrics=self.metrics, costs=self._costs)
        self.app = self._make_app()
        self.server = _server(self.app, settings)

    def background(self) -> list[Coroutine[object, object, None]]:
        """Return what runs beside the calls; none of it ends by itself."""
        return [
            self._epochs.run(),
            self.shipper.run(),
            self._follower.run(),
            self.rates.run(),
            self._sweep(),
            self._look_ahead(),
        ]

    async def stop_calls(self, serving: asyncio.Task[None]) -> None:
        """Take no new calls, let the running ones finish for a while, then cut them."""
        self.app.stopping = True
        self.server.stop()  # type: ignore[no-untyped-call]  # granian's embedded server is only partly annotated
        await asyncio.wait([serving], timeout=self._settings.stop_within_s)
        for task in list(self.app.open_calls):
            task.cancel()
        await asyncio.wait([serving], timeout=_CUT_WITHIN_S)

    async def close(self) -> None:
        """Close connections and the spool."""
        await self._clients.close()
        await self._control_plane.close()
        await self.spool.close()

    def _make_app(self) -> GatewayApp:
        plain = PlainCalls(settlement=self._settlement, clients=self._clients)
        limiting = Limiting(self.rates, self._settlement, hurry=self.shipper.hurry)
        metered = MeteredCalls(
            now=self._clock.now,
            settlement=self._settlement,
            holding=self.holding,
            clients=self._clients,
            relay=self._relay,
            plain=plain,
            limiting=limiting,
            metrics=self.metrics,
        )
        return GatewayApp(
            state=self.state,
            metered=metered,
            plain=plain,
            limiting=limiting,
            own=OwnPaths(admin=Admin(self.metrics, faults=self._faults, gauges=self._gauges), callers=self._callers),
            clock=self._clock,
            new_id=RequestIds(self._clock),
            metrics=self.metrics,
        )

    def _as_of(self) -> AsOf:
        return AsOf(gateway_id=self.spool.gateway_id, sequence=self.spool.next_sequence - 1)

    def _identity(self) -> tuple[str, int] | None:
        epoch = self._epochs.epoch
        return None if epoch is None else (self.spool.gateway_id, epoch)

    async def _look_ahead(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AHEAD_EVERY_S)
            if not self.app.stopping:
                self.holding.look_ahead()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            self.spool.retry()
            self._relay.checkpoint()
            await self.holding.sweep()

    def _faults(self) -> list[str]:
        faults = []
        if not self.state.ready:
            faults.append("no state from the control plane yet")
        if self._epochs.epoch is None:
            faults.append("the control plane has not opened this process's epoch yet")
        if self.holding.fenced:
            faults.append("another process opened a later epoch of this gateway")
        if self.app.stopping:
            faults.append("the gateway is stopping")
        return faults

    def _gauges(self) -> dict[str, tuple[str, float]]:
        age_ms = self._follower.age_ms()
        return {
            "open_calls": ("Calls in flight", len(self.app.open_calls)),
            "spool_bytes": ("Bytes in the spool", self.spool.bytes_kept()),
            "unshipped_events": ("Events the control plane has not acknowledged", self.spool.unshipped_events),
            "state_age_seconds": (
                "Time since the control plane was heard; -1 if never",
                -1 if age_ms is None else age_ms / _MILLISECONDS,
            ),
            "lease_units_outstanding": ("Units leased and not used", self.holding.outstanding_units()),
        }


def _server(app: GatewayApp, settings: GatewaySettings) -> Server:
    return Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_BACKLOG,
        log_level=LogLevels.error,
    )
