"""A small control plane that speaks the gateway protocol over real HTTP: one ledger in memory, events applied as they
come."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope
from granian.server.embed import Server

from faregate.apps.ports import claim_port
from faregate.base.clock import SystemClock
from faregate.base.money import currency
from faregate.domain.catalog.models import Package
from faregate.domain.catalog.price import BillingPeriod, Price, TaxBehavior
from faregate.domain.governance.rule import Cohort, Template
from faregate.domain.governance.template import rule_from_template
from faregate.domain.ledger.grant_slice import UnitNeed, share_out
from faregate.domain.ledger.reserve import PriceUse, is_exhausted, reserved_amount
from faregate.domain.limits.shares import SharedLimit
from faregate.domain.pricing.rating import debit_total, whole
from faregate.wire.event import WireEvent, content_hash, decode_event, identity
from faregate.wire.gateway_epochs import EpochOpened, OpenEpoch, ReleaseEarlierEpochs
from faregate.wire.gateway_protocol import (
    AccountState,
    ConditionState,
    EntityState,
    EventsAccepted,
    KeyState,
    Lease,
    LeaseAnswer,
    LeaseRequest,
    MembershipState,
    MeterState,
    Refused,
    Remove,
    Reset,
    RouteState,
    RuleState,
    StateMessage,
    StateSeen,
    Upsert,
    UpToDate,
)
from faregate.wire.limit_protocol import LimitState, RateReport, RateShare, RateShares, RateUse

TOKEN = "gateway-token-of-the-tests"  # noqa: S105 - of this fake alone
FOREVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
PATHS = {"prompt_tokens": "input", "completion_tokens": "output", "total_tokens": "total"}


def package(name: str, *, size: int, amount: str) -> Price:
    return Price(
        price_id=f"prc_{name}",
        plan_id="pln_1",
        name=name,
        model=Package(amount=Decimal(amount), size=Decimal(size)),
        period=BillingPeriod.MONTH,
        currency=currency("USD"),
        tax_behavior=TaxBehavior.AUTO,
    )


@dataclass
class Account:
    """One subscription's money (ledger units) and units."""

    prices: dict[str, Price]
    granted: int = 0
    settled: dict[str, int] = field(default_factory=dict)
    leases: dict[str, list[int]] = field(default_factory=dict)  # lease id: [outstanding, returned]
    lease_price: dict[str, str] = field(default_factory=dict)
    lease_epoch: dict[str, int] = field(default_factory=dict)

    def use(self, price_id: str) -> PriceUse:
        outstanding = sum(units[0] for lease, units in self.leases.items() if self.lease_price[lease] == price_id)
        settled = whole(Decimal(self.settled.get(price_id, 0)))
        return PriceUse(price=self.prices[price_id], totals=settled, outstanding=outstanding)

    def debited(self) -> int:
        return sum(debit_total(price, whole(Decimal(self.settled.get(key, 0)))) for key, price in self.prices.items())

    def available(self) -> int:
        return self.granted - self.debited() - sum(reserved_amount(self.use(key)) for key in self.prices)

    def outstanding(self) -> int:
        return sum(units[0] for units in self.leases.values())


class ControlPlane:
    """The application. Tests set it up with `put`, and read `events` (unique, in order of arrival) and `accounts`."""

    def __init__(self) -> None:
        self.entities: dict[tuple[str, str], EntityState] = {}
        self.accounts: dict[str, Account] = {}
        self.meters: list[MeterState] = []
        self.events: list[WireEvent] = []
        self.raw_events: list[bytes] = []
        self.seen: dict[bytes, bytes] = {}
        self.conflicts = 0
        self.sequences: list[int] = []
        self.epochs: dict[str, int] = {}
        self.releases: list[ReleaseEarlierEpochs] = []
        self.versions_seen: list[StateSeen] = []
        self.lease_requests: list[LeaseRequest] = []
        self.answers: dict[str, LeaseAnswer] = {}
        self.rate_reports: list[RateReport] = []
        self.shared: dict[tuple[str, str], SharedLimit] = {}
        self.urgent_posts = 0
        self.lease_ms = 60_000
        self.version = 1
        self.failing = False
        self._next_lease = 0
        self._streams: set[asyncio.Queue[list[StateMessage]]] = set()
        self.arrived = asyncio.Event()

    def put(self, kind: str, entity_id: str, entity: EntityState) -> None:
        self.entities[kind, entity_id] = entity
        self._push(Upsert(kind=kind, entity_id=entity_id, entity=entity))

    def remove(self, kind: str, entity_id: str) -> None:
        self.entities.pop((kind, entity_id), None)
        self._push(Remove(kind=kind, entity_id=entity_id))

    def grant(self, subscription_id: str, amount: int) -> None:
        self.accounts[subscription_id].granted += amount

    async def events_arrived(self, count: int, within_s: float = 5.0) -> list[WireEvent]:
        async with asyncio.timeout(within_s):
            while len(self.events) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.events

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:  # noqa: C901 - a line a path
        body = await protocol()
        if scope.headers.get("authorization") != f"Bearer {TOKEN}":
            protocol.response_empty(401, [])
        elif self.failing:
            protocol.response_empty(503, [])
        elif scope.path == "/gateway/v1/state":
            await self._stream_state(protocol)
        elif scope.path == "/gateway/v1/epochs":
            gateway_id = msgspec.json.decode(body, type=OpenEpoch).gateway_id
            self.epochs[gateway_id] = self.epochs.get(gateway_id, 0) + 1
            _answer(protocol, EpochOpened(epoch=self.epochs[gateway_id], generation=1))
        elif scope.path == "/gateway/v1/leases":
            _answer(protocol, self._lease(msgspec.json.decode(body, type=LeaseRequest)))
        elif scope.path == "/gateway/v1/events":
            events = msgspec.json.decode(body, type=list[msgspec.Raw])
            self.urgent_posts += scope.query_string == "urgent"
            for event in events:
                self._apply(bytes(event))
            self.arrived.set()
            _answer(protocol, EventsAccepted(accepted=len(events)), 201)
        elif scope.path == "/gateway/v1/rates":
            _answer(protocol, self._rates(msgspec.json.decode(body, type=RateReport)))
        elif scope.path == "/gateway/v1/release":
            self._release(msgspec.json.decode(body, type=ReleaseEarlierEpochs))
            protocol.response_empty(204, [])
        elif scope.path == "/gateway/v1/seen":
            self.versions_seen.append(msgspec.json.decode(body, type=StateSeen))
            protocol.response_empty(204, [])
        else:
            protocol.response_empty(404, [])

    async def _stream_state(self, protocol: HTTPProtocol) -> None:
        queue: asyncio.Queue[list[StateMessage]] = asyncio.Queue()
        full: list[StateMessage] = [Reset(generation=1)]
        full += [Upsert(kind=kind, entity_id=key, entity=entity) for (kind, key), entity in self.entities.items()]
        queue.put_nowait([*full, UpToDate(version=self.version)])
        self._streams.add(queue)
        transport = protocol.response_stream(200, [("content-type", "application/x-ndjson")])
        try:
            while True:
                messages = await queue.get()
                if not messages:
                    return
                await transport.send_bytes(b"".join(msgspec.json.encode(message) + b"\n" for message in messages))
        except ProtocolClosed:
            pass
        finally:
            self._streams.discard(queue)

    def _rates(self, report: RateReport) -> RateShares:
        self.rate_reports.append(report)
        shares = [self._share(report, use) for use in report.uses]
        return RateShares(desk="desk_1", gateways=max(1, len(self._streams)), shares=shares)

    def _share(self, report: RateReport, use: RateUse) -> RateShare:
        limit = self.entities["limit", use.limit_id]
        assert isinstance(limit, LimitState)
        share = self.shared.setdefault((use.limit_id, use.subject_id), SharedLimit()).ask(
            (report.gateway_id, report.epoch),
            amount=limit.amount,
            holds=use.holds,
            used=use.used,
            wanted=use.wanted,
            now_ms=SystemClock().steady_ms(),
        )
        return RateShare(
            limit_id=use.limit_id, subject_id=use.subject_id, share=share.units, used_elsewhere=share.used_elsewhere
        )

    def end_streams(self) -> None:
        for queue in self._streams:
            queue.put_nowait([])

    def _push(self, message: StateMessage) -> None:
        self.version += 1
        for queue in self._streams:
            queue.put_nowait([message, UpToDate(version=self.version)])

    def _lease(self, request: LeaseRequest) -> LeaseAnswer:
        known = self.answers.get(request.lease_request_id)
        if known is None:
            known = self.answers[request.lease_request_id] = self._decide(request)
            self.lease_requests.append(request)
        return known

    def _decide(self, request: LeaseRequest) -> LeaseAnswer:
        if request.epoch != self.epochs.get(request.gateway_id):
            return LeaseAnswer(refused=Refused.FENCED)
        for entry in request.returns:
            for account in self.accounts.values():
                if entry.lease_id in account.leases:
                    units = account.leases[entry.lease_id]
                    units[0] -= entry.returned_units - units[1]
                    units[1] = entry.returned_units
                    assert units[0] >= 0, "more was returned than is outstanding"
        if not request.units:
            return LeaseAnswer()
        if request.subscription_id not in self.accounts:
            return LeaseAnswer(refused=Refused.NO_SUBSCRIPTION)
        account = self.accounts[request.subscription_id]
        uses = [account.use(unit.price_id) for unit in request.units]
        available = account.available()
        refused = LeaseAnswer(outstanding=account.outstanding() > 0)
        if is_exhausted([account.use(key) for key in account.prices], available=available):
            return msgspec.structs.replace(refused, refused=Refused.EXHAUSTED)
        needs = [
            UnitNeed(use=use, floor=unit.floor, call=unit.call, slice=unit.slice)
            for use, unit in zip(uses, request.units, strict=True)
        ]
        granted = share_out(needs, available=available)
        if granted is None:
            return msgspec.structs.replace(refused, refused=Refused.INSUFFICIENT)
        leases = []
        for unit, count in zip(request.units, granted, strict=True):
            self._next_lease += 1
            lease_id = f"lea_{self._next_lease}"
            account.leases[lease_id] = [count, 0]
            account.lease_price[lease_id] = unit.price_id
            account.lease_epoch[lease_id] = request.epoch
            leases.append(
                Lease(
                    lease_id=lease_id,
                    price_id=unit.price_id,
                    period_start=FOREVER[0],
                    period_end=FOREVER[1],
                    units=count,
                    duration_ms=self.lease_ms,
                )
            )
        return LeaseAnswer(leases=leases)

    def _apply(self, raw: bytes) -> None:
        event = decode_event(raw)
        body_hash = content_hash(raw)
        key = identity(event, body_hash)
        if key in self.seen:
            self.conflicts += self.seen[key] != body_hash
            return
        self.seen[key] = body_hash
        self.events.append(event)
        self.raw_events.append(raw)
        facts = event.faregate
        assert facts is not None
        self.sequences.append(facts.sequence)
        body = event.response.body if event.response is not None else None
        usage = (body or {}).get("usage") or {}
        if event.response is None or event.response.status != 200 or event.blocked_by is not None:
            usage = {}
        for subscription in self._subscriptions(event.company_id):
            account = self.accounts[subscription.subscription_id]
            for meter in self.meters:
                if meter.price_id in account.prices:
                    count = usage.get(meter.sum_path.rpartition(".")[2]) or 0
                    account.settled[meter.price_id] = account.settled.get(meter.price_id, 0) + count
        for drawn in facts.drawn:
            for account in self.accounts.values():
                if drawn.lease_id in account.leases:
                    account.leases[drawn.lease_id][0] -= drawn.units
                    assert account.leases[drawn.lease_id][0] >= 0, "more was drawn than is outstanding"

    def _subscriptions(self, company_id: str | None) -> list[AccountState]:
        states = [state for state in self.entities.values() if isinstance(state, AccountState)]
        return [state for state in states if state.company_id == company_id]

    def _release(self, release: ReleaseEarlierEpochs) -> None:
        assert set(range(1, release.through_sequence + 1)) <= set(self.sequences)
        self.releases.append(release)
        for account in self.accounts.values():
            for lease_id, epoch in account.lease_epoch.items():
                if epoch < release.epoch:
                    account.leases[lease_id][0] = 0

    def seed(
        self,
        upstream_url: str,
        *,
        prices: dict[str, Price] | None = None,
        granted: int = 1_000_000_000_000,
        route: dict[str, object] | None = None,
    ) -> None:
        """Set up route /ai/chat, one prepaid company with key `key-1`, its prices by usage field, and the credit
        rule."""
        chosen = prices or {
            "prompt_tokens": package("input", size=1_000_000, amount="0.50"),
            "completion_tokens": package("output", size=1_000_000, amount="1.50"),
        }
        self.put("route", "rte_1", route_state(upstream_url, **(route or {})))
        self.add_key("key-1", "acme")
        self.put(
            "account",
            "sub_1",
            AccountState(
                subscription_id="sub_1",
                application_id="app_1",
                company_id="acme",
                prepaid=True,
                started_at=FOREVER[0],
                price_ids=[price.price_id for price in chosen.values()],
            ),
        )
        self.accounts["sub_1"] = Account({price.price_id: price for price in chosen.values()}, granted)
        for name, price in chosen.items():
            meter = MeterState(
                meter_id=f"mtr_{name}",
                application_id="app_1",
                price_id=price.price_id,
                conditions=[
                    ConditionState(path="request.route", value="/ai/chat"),
                    ConditionState(path="response.status", value=200),
                ],
                sum_path=f"response.body.usage.{name}",
            )
            self.meters.append(meter)
            self.put("meter", meter.meter_id, meter)
        self.put("rule", "rul_1", rule_state(Template.BLOCK_WHEN_NO_AVAILABLE_CREDITS, "rul_1"))

    def add_key(self, key: str, company_id: str, *, replay: bool = False) -> None:
        digest = hashlib.sha256(key.encode()).hexdigest()
        self.put(
            "key",
            f"key_{key}",
            KeyState(
                key_id=f"key_{key}",
                application_id="app_1",
                key_hash=digest,
                company_id=company_id,
                user_id=f"user-of-{key}",
                replay=replay,
            ),
        )

    def put_in_cohort(self, company_id: str, *cohorts: Cohort) -> None:
        if cohorts:
            state = MembershipState(company_id=company_id, application_id="app_1", cohorts=list(cohorts))
            self.put("membership", company_id, state)
        else:
            self.remove("membership", company_id)


def route_state(upstream_url: str, **changes: object) -> RouteState:
    fields: dict[str, object] = {
        "route_id": "rte_1",
        "application_id": "app_1",
        "name": "/ai/chat",
        "upstream_url": upstream_url,
        "upstream_headers": {"Authorization": "Bearer ${UPSTREAM_KEY}"},
        "dialect": "openai_chat",
        "enforce": "strict",
        "on_abort": "drain",
        "max_request_bytes": 1 << 20,
        "default_output_tokens": 1_000,
        "least_output_tokens": 256,
        "hold_wait_ms": 2_000,
        "connect_timeout_ms": 500,
        "read_timeout_ms": 2_000,
        "total_timeout_ms": 10_000,
    }
    return msgspec.convert(fields | changes, RouteState)


def rule_state(template: Template, rule_id: str, *, block_what: list[dict[str, str]] | None = None) -> RuleState:
    rule = rule_from_template(template, rule_id=rule_id)
    return msgspec.convert(
        {
            "rule_id": rule_id,
            "application_id": "app_1",
            "name": rule.name,
            "template": str(template),
            "cohort": str(rule.cohort),
            "block_what": block_what or [],
            "status": rule.refusal.status,
            "headers": dict(rule.refusal.headers),
            "error_type": rule.refusal.error_type,
            "error_code": rule.refusal.error_code,
            "message": rule.refusal.message,
            "priority": rule.priority,
        },
        RuleState,
    )


def _answer(protocol: HTTPProtocol, shape: object, status: int = 200) -> None:
    protocol.response_bytes(status, [("content-type", "application/json")], msgspec.json.encode(shape))


def free_port() -> int:
    return claim_port("127.0.0.1", 0)


@asynccontextmanager
async def serving(app: object, port: int | None = None) -> AsyncIterator[str]:
    """Serve an RSGI application on a loopback port; yields its origin."""
    port = port or free_port()
    server = Server(
        app,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.error,
    )
    task = asyncio.create_task(server.serve())
    await listening(port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        if isinstance(app, ControlPlane):
            app.end_streams()
        server.stop()  # type: ignore[no-untyped-call]  # only partly annotated
        await asyncio.wait([task], timeout=3)
        task.cancel()


async def listening(port: int) -> None:
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise AssertionError(f"nothing listens on port {port}")
