"""A small world in a real database: the seed's plan, one company, and what tests do to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import msgspec
from sqlalchemy import func, insert, select

from faregate.base.periods import PeriodCalendar
from faregate.domain.ledger.burning import GrantKind
from faregate.services.accounts import open_account, refresh_accounts
from faregate.services.apply_events import EventApplier
from faregate.services.audit import AuditDifference, audit_accounts
from faregate.services.credit import NewGrant, give_grant
from faregate.services.ingest import append_events
from faregate.services.leases import answer_lease_request, open_epoch
from faregate.storage import tables
from faregate.storage.credit import list_grants
from faregate.storage.database import Database, Transaction
from faregate.storage.ledger import Account, PriceTotal, TotalKey, read_account, read_totals
from faregate.storage.state_feed import record_change
from faregate.wire.gateway_epochs import OpenEpoch
from faregate.wire.gateway_protocol import (
    AttemptFacts,
    Drawn,
    GatewayFacts,
    Lease,
    LeaseAnswer,
    LeaseRequest,
    LeaseReturn,
    UnitRequest,
    WhenCreditEnds,
)
from tests.builders import a_price, price_columns
from tests.support.tables import ensure_tables

APP = "app_1"
COMPANY = "acme"
SUBSCRIPTION = "sub_1"
NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
PERIOD_START = datetime(2026, 3, 1, tzinfo=UTC)
DOLLAR = 1_000_000_000


@dataclass
class SteppedClock:
    """A clock that stands still until a test moves it."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def steady_ms(self) -> int:
        return int(self.at.timestamp() * 1000)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One metered call, with the fields that a test cares about."""

    request_id: str = "req_1"
    prompt_tokens: object = 10
    completion_tokens: object = 5
    status: int = 200
    route: str = "/ai/chat"
    occurred_at: datetime = NOW
    company_id: str | None = COMPANY
    user_id: str | None = None
    key_id: str | None = None
    blocked_by: str | None = None
    gateway_id: str = "gtw_1"
    epoch: int = 1
    sequence: int = 1
    drawn: tuple[Drawn, ...] = ()
    uncovered: int = 0
    clamped: bool = False
    attempts: tuple[AttemptFacts, ...] = ()
    credit_ended: WhenCreditEnds | None = None
    estimated: bool = False
    route_id: str = "rte_1"
    replay: bool = False

    def body(self) -> bytes:
        facts = GatewayFacts(
            gateway_id=self.gateway_id,
            epoch=self.epoch,
            sequence=self.sequence,
            request_id=self.request_id,
            attempt=1,
            route_id=self.route_id,
            key_id=self.key_id,
            drawn=list(self.drawn),
            uncovered=self.uncovered,
            clamped=self.clamped,
            attempts=list(self.attempts),
            credit_ended=self.credit_ended,
            estimated=self.estimated,
            replay=self.replay,
        )
        return msgspec.json.encode(
            {
                "request": {"time": self.occurred_at, "uri": f"http://gateway{self.route}", "verb": "POST"},
                "response": {
                    "status": self.status,
                    "body": {
                        "usage": {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
                    },
                },
                "company_id": self.company_id,
                "user_id": self.user_id,
                "blocked_by": self.blocked_by,
                "faregate": facts,
            }
        )


@dataclass
class World:
    """Services over one database, with the lines of tests in mind."""

    database: Database
    clock: SteppedClock = field(default_factory=SteppedClock)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    is_whole: bool = True
    """Whether its figures are the ledger's: False where a test has changed one by hand."""

    def __post_init__(self) -> None:
        self.applier = EventApplier(self.clock)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self.numbers):06d}"

    def log(self, *bodies: bytes) -> None:
        with self.database.begin() as transaction:
            append_events(transaction, application_id=APP, bodies=bodies, now=self.clock.now())

    def apply(self, *, most: int = 1000) -> int:
        applied = 0
        while True:
            with self.database.begin() as transaction:
                done = self.applier.apply_next(transaction, most=most)
            if not done:
                return applied
            applied += done

    def take(self, *calls: Call) -> None:
        self.log(*(call.body() for call in calls))
        self.apply()

    def grant(
        self,
        amount: str,
        *,
        caller_id: str = "grant-1",
        subscription_id: str = SUBSCRIPTION,
        kind: GrantKind = GrantKind.PAID,
        priority: int = 0,
        effective_at: datetime | None = None,
        expires_at: datetime | None = None,
        recurs: PeriodCalendar | None = None,
        rolls_over: str = "0",
    ) -> str:
        wanted = NewGrant(
            application_id=APP,
            subscription_id=subscription_id,
            amount=Decimal(amount),
            kind=kind,
            description="top-up",
            caller_id=caller_id,
            priority=priority,
            effective_at=effective_at,
            expires_at=expires_at,
            recurs=recurs,
            rolls_over=Decimal(rolls_over),
        )
        with self.database.begin() as transaction:
            return give_grant(transaction, wanted, new_id=self.new_id, now=self.clock.now()).grant_id

    def open_epoch(self, gateway_id: str = "gtw_1") -> int:
        with self.database.begin() as transaction:
            return open_epoch(transaction, OpenEpoch(gateway_id=gateway_id), generation=1, now=NOW).epoch

    def ask(
        self,
        *units: UnitRequest,
        request_id: str = "ask-1",
        epoch: int = 1,
        gateway_id: str = "gtw_1",
        returns: tuple[LeaseReturn, ...] = (),
        given_up: tuple[str, ...] = (),
    ) -> LeaseAnswer:
        request = LeaseRequest(
            lease_request_id=request_id,
            gateway_id=gateway_id,
            epoch=epoch,
            returns=list(returns),
            subscription_id=SUBSCRIPTION,
            occurred_at=self.clock.now(),
            units=list(units),
            given_up=list(given_up),
        )
        with self.database.begin() as transaction:
            return answer_lease_request(transaction, request, new_id=self.new_id, now=self.clock.now())

    def lease(self, price_id: str, units: int, *, request_id: str = "ask-1", gateway_id: str = "gtw_1") -> Lease:
        answer = self.ask(need(price_id, units), request_id=request_id, gateway_id=gateway_id)
        assert answer.refused is None
        return answer.leases[0]

    def account(self, subscription_id: str = SUBSCRIPTION) -> Account:
        with self.database.snapshot() as transaction:
            return read_account(transaction, subscription_id)

    def total(self, price_id: str, subscription_id: str = SUBSCRIPTION) -> PriceTotal:
        key = TotalKey(subscription_id, price_id, PERIOD_START)
        with self.database.snapshot() as transaction:
            return read_totals(transaction, [key])[key]

    def rows(self, table: str) -> list[dict[str, object]]:
        with self.database.snapshot() as transaction:
            found = transaction.execute(select(tables.metadata.tables[table])).mappings()
            return [dict(row) for row in found]

    def left(self, subscription_id: str = SUBSCRIPTION) -> dict[str, int]:
        """What remains of each grant, by the caller's id."""
        with self.database.snapshot() as transaction:
            return {row.caller_id: row.kept.remaining for row in list_grants(transaction, subscription_id)}

    def entries(self, *kinds: str) -> list[tuple[str, int]]:
        """Ledger entries of some kinds, or all: kind and amount, oldest first."""
        rows = sorted(self.rows("ledger_entry"), key=lambda row: str(row["entry_id"]).zfill(20))
        return [(str(row["kind"]), int(str(row["amount"]))) for row in rows if not kinds or row["kind"] in kinds]

    def audit(self) -> list[AuditDifference]:
        """What differs from what the ledger makes it."""
        with self.database.snapshot() as transaction:
            return audit_accounts(transaction, APP, after="", limit=1_000, now=self.clock.now()).differences

    def refresh(self) -> None:
        """What the tick does where a grant's border is due."""
        with self.database.begin() as transaction:
            refresh_accounts(transaction, subscription_ids=[SUBSCRIPTION], now=self.clock.now())

    def debits(self) -> int:
        entry = tables.ledger_entry
        statement = select(func.coalesce(func.sum(entry.c.amount), 0)).where(entry.c.kind == "debit")
        with self.database.snapshot() as transaction:
            return -int(transaction.execute(statement).scalar_one())


def need(price_id: str, units: int, *, floor: int | None = None, slice_units: int | None = None) -> UnitRequest:
    """A call's need: all of it or nothing, unless a floor is named."""
    return UnitRequest(
        price_id=price_id,
        floor=units if floor is None else floor,
        call=units,
        slice=units if slice_units is None else slice_units,
    )


def make_world(database: Database, *, pays: str = "prepaid", input_size: int = 1_000_000) -> World:
    """The seed's catalog, one subscription from March 1, no credit."""
    world = World(database)
    with database.begin() as transaction:
        ensure_tables(transaction)
        transaction.execute(
            insert(tables.application).values(
                application_id=APP,
                name="My AI API",
                collector_id_hash="-",
                clock_offset_us=0,
                generation=1,
                created_at=NOW,
            )
        )
        transaction.execute(
            insert(tables.plan).values(plan_id="pln_1", application_id=APP, name="My AI API Plan", created_at=NOW)
        )
        transaction.execute(
            insert(tables.company).values(application_id=APP, company_id=COMPANY, name="Acme", created_at=NOW)
        )
        for price_id, name, amount, size, path in (
            ("prc_in", "Input Tokens", "0.50", input_size, "response.body.usage.prompt_tokens"),
            ("prc_out", "Output Tokens", "1.50", 1_000_000, "response.body.usage.completion_tokens"),
        ):
            transaction.execute(
                insert(tables.price).values(
                    application_id=APP,
                    plan_id="pln_1",
                    name=name,
                    **price_columns(a_price(amount, size, price_id=price_id), effective_at=NOW),
                    created_at=NOW,
                )
            )
            meter_id = price_id.replace("prc", "mtr")
            transaction.execute(
                insert(tables.meter).values(
                    meter_id=meter_id,
                    application_id=APP,
                    name=f"{name} Meter",
                    price_id=price_id,
                    definition=(
                        '{"filter":"request.route == \\"/ai/chat\\" and response.status == 200",'
                        f'"metric":{{"type":"sum","field":"{path}"}}}}'
                    ),
                    reporting_period="5m",
                    created_at=NOW,
                )
            )
            record_change(transaction, "meter", meter_id)
        add_subscription(transaction, SUBSCRIPTION, COMPANY, pays)
    return world


def add_subscription(
    transaction: Transaction, subscription_id: str, company_id: str, pays: str, *, plan_id: str = "pln_1"
) -> None:
    """A subscription from March 1, and its account."""
    transaction.execute(
        insert(tables.subscription).values(
            subscription_id=subscription_id,
            application_id=APP,
            company_id=company_id,
            plan_id=plan_id,
            pays=pays,
            currency="USD",
            started_at=PERIOD_START,
            payment_terms_s=int(timedelta(days=14).total_seconds()),
            billed_until=PERIOD_START,
            created_at=NOW,
        )
    )
    open_account(transaction, application_id=APP, subscription_id=subscription_id, now=NOW)
