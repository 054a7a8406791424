"""The control plane from its start to its end.

    open the database -> migrate -> first application -> loops -> listen ... stop listening -> end the loops -> close

Loops: `Intake` commits what arrives, `Applying` meters it, `StateFeed` tells gateways, `Ticking` bills.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog

from faregate.apps.api import create_api
from faregate.apps.control.alert_senders import EmailSender, WebhookSender
from faregate.apps.control.applying import Applying
from faregate.apps.control.billing_link import billing_provider, check_account, stripe_connection
from faregate.apps.control.caller_link import CallerLink
from faregate.apps.control.collector import Collector
from faregate.apps.control.counters import Counters
from faregate.apps.control.dispatcher import Dispatcher, Routes
from faregate.apps.control.gateway_link import GatewayLink
from faregate.apps.control.gateway_watch import GatewayWatch
from faregate.apps.control.health import Health
from faregate.apps.control.intake import Intake
from faregate.apps.control.loops import Ticking, fill_meters, keep_margins, prune_state_changes
from faregate.apps.control.metrics import Metrics
from faregate.apps.control.opening import prepare
from faregate.apps.control.provider_link import link_provider
from faregate.apps.control.rate_desk import RateDesk
from faregate.apps.control.sandbox_link import SandboxLink
from faregate.apps.control.sandbox_webhooks import SandboxWebhooks
from faregate.apps.control.serving import listening
from faregate.apps.control.settings import Billing, ControlSettings
from faregate.apps.control.state_feed import StateFeed
from faregate.apps.control.webhook_link import WebhookLink
from faregate.apps.garbage import collect_rarely
from faregate.apps.ports import claim_port, origin, reachable
from faregate.apps.secret_files import ensure_sandbox_key
from faregate.apps.web.app import create_web
from faregate.base.clock import Clock, SystemClock
from faregate.base.ids import new_id
from faregate.domain.billing.provider import BillingProvider
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.store import Store
from faregate.providers.stripe.client import Connecting
from faregate.providers.stripe.connection import StripeConnection
from faregate.services.apply_events import EventApplier
from faregate.services.billing_tick import billing_tick
from faregate.services.business_clock import ApplicationClock
from faregate.services.deliver_alerts import AlertSender, deliver_alerts
from faregate.services.gateway_calls import main_application
from faregate.services.keep_margins import MarginKeeper
from faregate.services.run_top_ups import TopUpRunner
from faregate.services.setup import FirstSecrets
from faregate.storage.alerts import DestinationKind
from faregate.storage.database import Database

_log: Final = structlog.stdlib.get_logger()

SANDBOX_FILE: Final = "stripe-sandbox.sqlite3"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningControlPlane:
    """A control plane that answers; `origin` is such as `http://127.0.0.1:8080`, without a path."""

    origin: str
    port: int
    clock: Clock
    database: Database
    first_secrets: FirstSecrets | None


async def run_control_plane(
    settings: ControlSettings, *, when_ready: Callable[[RunningControlPlane], None] = lambda _: None
) -> None:
    """Run until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: The port or the SQLite file is in use.
    """
    collect_rarely()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running_control_plane(settings) as running:
        _log.info("control_plane.started", origin=running.origin)
        when_ready(running)
        await stop.wait()
    _log.info("control_plane.stopped")


@asynccontextmanager
async def running_control_plane(
    settings: ControlSettings, *, clock: Clock | None = None
) -> AsyncIterator[RunningControlPlane]:
    """Run a control plane while the context lasts."""
    clock = clock or SystemClock()
    port = claim_port(settings.host, settings.port)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    sandbox_url = f"{origin(reachable(settings.host), port)}/sandbox"
    sandbox_key = ensure_sandbox_key(settings.data)
    connecting = stripe_connection(settings, sandbox_url=sandbox_url, sandbox_key=sandbox_key)
    with (
        closing(Database(settings.resolved_database_url())) as database,
        billing_provider(settings, connecting) as provider,
        closing(Store(settings.data / SANDBOX_FILE)) as store,
    ):
        first_secrets = await prepare(database, data=settings.data, clock=clock)
        await check_account(database, provider, settings)
        sandbox = Sandbox(
            key=sandbox_key,
            store=store,
            clock=await _sandbox_clock(database, settings, clock),
            new_id=new_id,
            pages_url=f"{sandbox_url}/pay",
        )
        parts = _Parts(
            database=database,
            provider=provider,
            connecting=connecting,
            sandbox=sandbox,
            clock=clock,
            settings=settings,
        )
        # What is sent to the sandbox is sent to this very process: it ends before that stops listening.
        async with parts.running(), listening(parts.dispatcher, host=settings.host, port=port), parts.syncing():
            yield RunningControlPlane(
                origin=origin(reachable(settings.host), port),
                port=port,
                clock=clock,
                database=database,
                first_secrets=first_secrets,
            )


class _Parts:
    """The control plane's parts, wired."""

    def __init__(
        self,
        *,
        database: Database,
        provider: BillingProvider,
        connecting: Connecting,
        sandbox: Sandbox,
        clock: Clock,
        settings: ControlSettings,
    ) -> None:
        counters = Counters()
        self._database = database
        self._clock = clock
        self._applying = Applying(
            database=database,
            applier=EventApplier(clock),
            is_contended=lambda: self._intake.queued_bytes > 0 or link.leases_waiting > 0,
        )
        self._intake = Intake(database=database, clock=clock, after_commit=self._applying.wake)
        self._feed = StateFeed(database)
        self._ticking = Ticking(tick=partial(billing_tick, database, provider, clock), counters=counters)
        self._provider_link = link_provider(
            settings,
            database=database,
            clock=clock,
            connecting=connecting,
            provider=provider,
            counters=counters,
            call_back=self._feed.call_back,
        )
        checkouts = None if self._provider_link is None else self._provider_link.checkouts
        top_ups = TopUpRunner(
            database,
            provider,
            clock,
            new_id=new_id,
            expire_pages=None if checkouts is None else checkouts.expire_open,
        )
        self._topping_up = Ticking(tick=top_ups.run, counters=counters)
        self._webhooks = WebhookSender(clock)
        self._sandbox_webhooks = SandboxWebhooks(sandbox)
        self._alerting = Ticking(
            tick=partial(deliver_alerts, database, _senders(self._webhooks, settings, clock), clock), counters=counters
        )
        self._rate_desk = RateDesk(database=database, clock=clock, feed=self._feed)
        link = GatewayLink(
            database=database,
            clock=clock,
            intake=self._intake,
            applying=self._applying,
            feed=self._feed,
            counters=counters,
            rate_desk=self._rate_desk,
            gateway_token=settings.gateway_token,
        )
        sandbox_link = SandboxLink(sandbox)
        self._sandboxing = Ticking(tick=sandbox_link.work, counters=counters)
        callers = CallerLink(database=database, clock=clock, applying=self._applying, link=link)
        self._watch = GatewayWatch(
            database=database,
            feed=self._feed,
            clock=clock,
            grace=timedelta(seconds=settings.lost_gateway_grace_s),
            policy=settings.lost_gateways,
        )
        health = Health(database=database, applying=self._applying)
        metrics = Metrics(
            counters=counters,
            intake=self._intake,
            applying=self._applying,
            feed=self._feed,
            health=health,
            watch=self._watch,
        )
        collector = Collector(database=database, intake=self._intake, applying=self._applying, counters=counters)
        webhooks = WebhookLink(
            database=database,
            clock=clock,
            secrets=lambda: settings.stripe_webhook_secrets,
            after_commit=_nothing if self._provider_link is None else self._provider_link.events.wake,
        )
        self.dispatcher = Dispatcher(
            routes={
                **_routes(collector=collector, link=link, callers=callers, health=health, metrics=metrics),
                "/webhooks/stripe": {"POST": webhooks.take},
            },
            api=create_api(
                database,
                clock,
                provider,
                checkouts=checkouts,
                connection=StripeConnection(connecting, key=settings.stripe_api_key or sandbox.key),
                after_append=self._applying.wake,
                call_back=self._feed.call_back,
            ),
            web=create_web(database, clock, sandbox=sandbox),
            sandbox=sandbox_link.answer,
            link=link,
            feed=self._feed,
            counters=counters,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the loops while the context lasts."""
        loop = asyncio.get_running_loop()
        self._database.after_commit = lambda: _in_loop(loop, self._feed.wake)
        loops: tuple[Coroutine[Any, Any, None], ...] = (
            self._intake.run(),
            self._applying.run(),
            self._feed.run(),
            self._ticking.run(),
            self._watch.run(),
            self._topping_up.run(),
            self._rate_desk.run(),
            self._alerting.run(),
            self._sandbox_webhooks.run(),
            self._sandboxing.run(),
            prune_state_changes(self._database),
            fill_meters(self._database, self._clock),
            keep_margins(self._database, MarginKeeper(), lambda: self._applying.behind > 0),
        )
        tasks = [asyncio.create_task(each) for each in loops]
        try:
            yield
        finally:
            self._database.after_commit = _nothing
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await self._webhooks.close()

    @asynccontextmanager
    async def syncing(self) -> AsyncIterator[None]:
        """Keep up with the billing provider, and its catalog in step, while the context lasts."""
        link = self._provider_link
        if link is None:
            yield
            return
        syncing, following = asyncio.create_task(link.catalog.run()), asyncio.create_task(link.events.run())
        try:
            yield
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await link.catalog.stop(syncing)


async def _sandbox_clock(database: Database, settings: ControlSettings, clock: Clock) -> Clock:
    """Return the sandbox's time: that of the application, where the sandbox bills it."""
    if settings.billing is not Billing.SANDBOX:
        return clock
    return ApplicationClock(database, await database.read(main_application), clock)


def _senders(webhooks: WebhookSender, settings: ControlSettings, clock: Clock) -> Mapping[DestinationKind, AlertSender]:
    senders: dict[DestinationKind, AlertSender] = {DestinationKind.WEBHOOK: webhooks}
    if settings.smtp is not None:
        senders[DestinationKind.EMAIL] = EmailSender(settings.smtp, clock)
    return senders


def _routes(
    *, collector: Collector, link: GatewayLink, callers: CallerLink, health: Health, metrics: Metrics
) -> Routes:
    return {
        "/v1/events": {"POST": collector.take_one},
        "/v1/events/batch": {"POST": collector.take_batch},
        "/gateway/v1/epochs": {"POST": link.open_epoch},
        "/gateway/v1/leases": {"POST": link.lease},
        "/gateway/v1/rates": {"POST": link.rates},
        "/gateway/v1/events": {"POST": link.take_events},
        "/gateway/v1/release": {"POST": link.release},
        "/gateway/v1/seen": {"POST": link.note_seen},
        "/gateway/v1/quotes": {"POST": callers.quote},
        "/gateway/v1/balances": {"POST": callers.balances},
        "/gateway/v1/usage": {"POST": callers.usage},
        "/gateway/v1/costs": {"POST": callers.cost},
        "/healthz": {"GET": health.alive, "HEAD": health.alive},
        "/readyz": {"GET": health.ready, "HEAD": health.ready},
        "/metrics": {"GET": metrics.show},
    }


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(call)


def _nothing() -> None:
    """Stand in for the state feed once it has ended."""
