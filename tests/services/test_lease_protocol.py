"""The protocol of leases, as a state machine over the real ledger and the real pools of several gateways.

docs/decisions/0015 says what may be where, be lost or come again. Every rule here is one step of it; after every step
the ledger has reserved what all units that are out can cost, each gateway has no unit that the ledger does not count,
and nothing is spent that was not granted.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, insert, select, update

from faregate.apps.gateway.asking import units_for_call
from faregate.apps.gateway.pools import Account, Hold, PriceNeed, Want
from faregate.base.periods import Period
from faregate.domain.catalog.models import Graduated, Package, PerUnit, PricingModel, Tier, Volume
from faregate.domain.ledger.reserve import reserved_amount
from faregate.domain.pricing.rating import debit_total
from faregate.services.account_book import AccountBook
from faregate.services.leases import answer_lease_request, release_earlier_epochs
from faregate.storage import tables
from faregate.storage.database import Database
from faregate.storage.leases import read_leases
from faregate.storage.ledger import TotalKey, total_from_row
from faregate.storage.metered import read_all_prices
from faregate.wire.gateway_epochs import ReleaseEarlierEpochs
from faregate.wire.gateway_protocol import Drawn, LeaseAnswer, LeaseRequest, Refused
from tests.builders import price_columns, priced, terms_text
from tests.services.world import APP, DOLLAR, NOW, SUBSCRIPTION, Call, World, make_world

MODELS: dict[str, PricingModel] = {
    "per_unit": PerUnit(amount=Decimal("0.03")),
    "package": Package(amount=Decimal("0.50"), size=Decimal(40)),
    "declining": Graduated(
        tiers=(
            Tier(up_to=Decimal(50), unit=Decimal("0.05"), flat=Decimal("0.20")),
            Tier(up_to=Decimal(120), unit=Decimal("0.02")),
            Tier(up_to=None, unit=Decimal("0.01")),
        )
    ),
    "volume": Volume(
        tiers=(
            Tier(up_to=Decimal(30), unit=Decimal("0.05")),
            Tier(up_to=Decimal(90), unit=Decimal("0.02")),
            Tier(up_to=None, unit=Decimal("0.01")),
        )
    ),
}
OUTPUT_MODEL = PerUnit(amount=Decimal("0.02"))
NEEDS = (
    PriceNeed(price_id="prc_in", per_input=1, per_output=0),
    PriceNeed(price_id="prc_out", per_input=0, per_output=1),
)
GATEWAYS = 3
WITHIN_S = 3_600
"""In full it takes minutes: a thousand runs of some hundred steps, each a transaction or more."""
EXAMPLES = {"full": 1_000}
NAMES = st.integers(min_value=0, max_value=GATEWAYS - 1)
AHEAD = timedelta(seconds=30)
"""A price changes no sooner than a lease that is out has ended."""
FAR_AHEAD = timedelta(days=100)


@cache
def seeded(model: str) -> Path:
    """A database with one subscription whose input has that model, made once a session and copied for each run."""
    path = Path(tempfile.mkdtemp(dir=_fast_folder())) / "seed.sqlite3"
    database = Database(f"sqlite:///{path}")
    make_world(database)
    with database.begin() as transaction:
        columns = tables.price.c
        for price_id, chosen in (("prc_in", MODELS[model]), ("prc_out", OUTPUT_MODEL)):
            transaction.execute(
                update(tables.price).where(columns.price_id == price_id).values(terms=terms_text(priced(chosen)))
            )
    database.close()
    return path


def _fast_folder() -> str | None:
    """Memory, where the machine has such a folder: these runs commit often, and nothing of them need last."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own is made in it


@dataclass
class Flight:
    """A call under way: streams leave a start behind them, others nothing."""

    request_id: str
    want: Want
    hold: Hold
    streams: bool


@dataclass
class Asked:
    """A request whose answer a gateway waits for."""

    request: LeaseRequest
    asked_at_ms: int


@dataclass
class Gateway:
    """A gateway process and its spool: what a crash loses stands above the line, what it keeps below."""

    gateway_id: str
    account: Account = field(default_factory=lambda: Account(SUBSCRIPTION))
    epoch: int = 0
    flights: list[Flight] = field(default_factory=list)
    asked: Asked | None = None
    given_up: list[str] = field(default_factory=list)
    fenced: bool = False
    # --- the spool
    events: list[bytes] = field(default_factory=list)
    shipped: int = 0
    settled_before: int = 0
    released: bool = True
    drawn: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """By lease: sequence number and units of the events that drew from it."""

    @property
    def next_sequence(self) -> int:
        return len(self.events) + 1


class LeaseProtocol(RuleBasedStateMachine):
    """Several gateways, one balance, and a network that loses, repeats and delays."""

    @initialize(model=st.sampled_from(sorted(MODELS)), dollars=st.integers(min_value=1, max_value=5))
    def begin(self, model: str, dollars: int) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=_fast_folder()))
        shutil.copy(seeded(model), self.folder / "ledger.sqlite3")
        self.world = World(Database(f"sqlite:///{self.folder / 'ledger.sqlite3'}"))
        self.gateways = [Gateway(f"gtw_{number}") for number in range(GATEWAYS)]
        self.network: list[LeaseRequest] = []
        self.late: list[ReleaseEarlierEpochs] = []
        self.uncovered = 0
        self.versions = 1
        self.granted = 0
        self.top_up(dollars)
        for gateway in self.gateways:
            gateway.epoch = self.world.open_epoch(gateway.gateway_id)

    @rule(seed=st.integers(0, 2**32), steps=st.integers(10, 40))
    def go_on(self, seed: int, steps: int) -> None:
        """Many steps in a row, mostly calls and their ends: the machine's own choice of rules would hardly spend."""
        dice = Random(seed)  # noqa: S311 - no secret
        for _ in range(steps):
            self._step(dice)
            self.the_ledger_reserves_what_is_out()
            self.no_gateway_has_a_unit_that_the_ledger_does_not_count()
            self.nothing_is_spent_that_was_not_granted()

    def _step(self, dice: Random) -> None:
        name = dice.randrange(GATEWAYS)
        half, rarely = dice.random() < 0.5, dice.random() < 0.1
        many, used = dice.randrange(1, 20), dice.choices(["all", "half", "none", "more"], [50, 40, 9, 1])[0]
        steps: dict[str, tuple[int, Callable[[], None]]] = {
            "call": (30, lambda: self.call(name, dice.randrange(31), many, streams=half, slowly=many < 5)),
            "settle": (25, lambda: self.settle(name, many, used, at_once=half)),
            "set aside": (1, lambda: self.send_what_nobody_may_count(name)),
            "deliver": (6, lambda: self.deliver(many, repeat=rarely, answer_lost=half) if self.network else None),
            "give up": (2, lambda: self.give_up(name)),
            "sweep": (4, lambda: self.sweep(name, everything=half, arrives=not rarely, answer_lost=rarely)),
            "ship": (10, lambda: self.ship(name, many, answer_lost=rarely)),
            "apply": (10, lambda: self.apply(many)),
            "say": (3, lambda: self.say_all_is_shipped(name)),
            "release": (3, lambda: self.deliver_release(many, repeat=rarely) if self.late else None),
            "crash": (2, lambda: self.crash(name, first_bytes=half)),
            "wait": (4, lambda: self.wait(many)),
            "grant": (2, lambda: self.top_up(1)),
        }
        chosen = dice.choices(list(steps), [weight for weight, _ in steps.values()])[0]
        steps[chosen][1]()

    # --- calls

    @rule(
        name=NAMES,
        tokens_in=st.integers(0, 30),
        tokens_out=st.integers(1, 30),
        streams=st.booleans(),
        slowly=st.sampled_from([False, False, False, True]),
    )
    def call(self, name: int, tokens_in: int, tokens_out: int, *, streams: bool, slowly: bool) -> None:
        """A call comes: it holds from memory, or its gateway asks, one request at a time; most are answered at once."""
        gateway = self.gateways[name]
        want = Want(
            needs=NEEDS,
            input=tokens_in,
            output=tokens_out,
            least_output=min(5, tokens_out),
            choices=1,
            occurred_at=self.now,
        )
        if self._hold(gateway, want, streams=streams) or gateway.asked or gateway.fenced:
            return
        request = LeaseRequest(
            lease_request_id=self.world.new_id("lrq"),
            gateway_id=gateway.gateway_id,
            epoch=gateway.epoch,
            returns=gateway.account.give_back(self.steady_ms, everything=False),
            subscription_id=SUBSCRIPTION,
            occurred_at=self.now,
            units=units_for_call(gateway.account, want, queued=[want], now_ms=self.steady_ms),
            given_up=list(gateway.given_up),
        )
        gateway.asked = Asked(request, self.steady_ms)
        if slowly:
            self.network.append(request)
        else:
            self._take(gateway, self._answer(request))
            self._hold(gateway, want, streams=streams)

    @rule(
        name=NAMES,
        place=st.integers(0, 20),
        used=st.sampled_from(["all", "all", "half", "half", "none", "more"]),
        at_once=st.booleans(),
    )
    def settle(self, name: int, place: int, used: str, *, at_once: bool) -> None:
        """A call ends: its upstream counted as much as was held, less, nothing; or more than it was allowed."""
        gateway = self.gateways[name]
        if gateway.flights:
            flight = gateway.flights.pop(place % len(gateway.flights))
            factor = {"all": 2, "half": 1, "none": 0, "more": 3}[used]
            self._end(gateway, flight, flight.want.input * factor // 2, flight.hold.output * factor // 2)
            if at_once:
                self.ship(name, 20, answer_lost=False)
                self.world.apply()

    @rule(name=NAMES)
    def send_what_nobody_may_count(self, name: int) -> None:
        """A call ends whose clock was wrong: its event is set aside, and what it drew is used up.

        So far ahead that no run gets there: an event whose day has come is charged, by the price of that day.
        """
        gateway = self.gateways[name]
        if gateway.flights:
            flight = gateway.flights.pop()
            self._end(gateway, flight, flight.want.input, flight.hold.output, at=self.now + FAR_AHEAD)

    # --- the network

    @precondition(lambda self: self.network)
    @rule(place=st.integers(0, 20), repeat=st.booleans(), answer_lost=st.booleans())
    def deliver(self, place: int, *, repeat: bool, answer_lost: bool) -> None:
        """A request arrives, in any order, perhaps again; its answer is lost, or comes when nobody waits for it."""
        place %= len(self.network)
        request = self.network[place] if repeat else self.network.pop(place)
        answer = self._answer(request)
        gateway = self._gateway(request.gateway_id)
        if not answer_lost and gateway.asked is not None and gateway.asked.request is request:
            self._take(gateway, answer)

    @rule(name=NAMES)
    def give_up(self, name: int) -> None:
        """A gateway waits no longer; the request may still arrive."""
        gateway = self.gateways[name]
        if gateway.asked is not None:
            gateway.given_up.append(gateway.asked.request.lease_request_id)
            gateway.asked = None

    @rule(name=NAMES, everything=st.booleans(), arrives=st.booleans(), answer_lost=st.booleans())
    def sweep(self, name: int, *, everything: bool, arrives: bool, answer_lost: bool) -> None:
        """A gateway gives back what is idle; the message or its answer may be lost."""
        gateway = self.gateways[name]
        if not gateway.fenced:
            self._sweep(gateway, everything=everything, arrives=arrives, answer_lost=answer_lost)

    @rule(name=NAMES, most=st.integers(1, 5), answer_lost=st.booleans())
    def ship(self, name: int, most: int, *, answer_lost: bool) -> None:
        """Events go up in order, late; without an acknowledgement they go again."""
        gateway = self.gateways[name]
        batch = gateway.events[gateway.shipped : gateway.shipped + most]
        if batch:
            self.world.log(*batch)
        if not answer_lost:
            gateway.shipped += len(batch)

    @rule(most=st.integers(1, 4))
    def apply(self, most: int) -> None:
        """The ledger applies some of what it has."""
        with self.world.database.begin() as transaction:
            self.world.applier.apply_next(transaction, most=most)

    @precondition(lambda self: self.late)
    @rule(place=st.integers(0, 5), repeat=st.booleans())
    def deliver_release(self, place: int, *, repeat: bool) -> None:
        """ "Of my earlier processes nothing is unsettled" arrives, at some time, perhaps twice."""
        place %= len(self.late)
        self._release(self.late[place] if repeat else self.late.pop(place))

    # --- processes

    @rule(name=NAMES, first_bytes=st.booleans())
    def crash(self, name: int, *, first_bytes: bool) -> None:
        """A process dies and starts again on its spool: what it knew of leases is gone, begun streams are billed."""
        gateway = self.gateways[name]
        if not gateway.fenced:
            self._restart(gateway, first_bytes=first_bytes)

    @rule(name=NAMES)
    def say_all_is_shipped(self, name: int) -> None:
        """A process has shipped what earlier ones left and says so."""
        gateway = self.gateways[name]
        if not gateway.released and gateway.shipped >= gateway.settled_before:
            gateway.released = True
            self.late.append(
                ReleaseEarlierEpochs(
                    gateway_id=gateway.gateway_id, epoch=gateway.epoch, through_sequence=gateway.settled_before
                )
            )

    @rule(name=NAMES)
    def fence(self, name: int) -> None:
        """A copy of a process opens a later epoch: this one gets nothing more; what its calls used is still taken."""
        gateway = self.gateways[name]
        if not gateway.fenced:
            self.world.open_epoch(gateway.gateway_id)
            gateway.fenced = True
            gateway.asked = None

    # --- time and money

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        """Leases grow old."""
        self.world.clock.at += timedelta(seconds=seconds)

    @rule()
    def begin_the_next_period(self) -> None:
        """The billing period ends; what is out belongs to the one before."""
        first = self.world.clock.at.replace(day=1, hour=0, minute=0, second=0)
        if first.month < NOW.month + 1:
            self.world.clock.at = first.replace(month=first.month + 1)

    @rule(dollars=st.integers(1, 3))
    def top_up(self, dollars: int) -> None:
        """A grant."""
        self.granted += dollars * DOLLAR
        self.world.grant(str(dollars), caller_id=self.world.new_id("grant"))

    @precondition(lambda self: self.versions < 3)
    @rule(cents=st.integers(1, 9))
    def change_the_price(self, cents: int) -> None:
        """Another version of the output's price, from half a minute later on."""
        self.versions += 1
        price = priced(PerUnit(amount=Decimal(cents) / 100), price_id=f"prc_out_{self.versions}")
        columns = price_columns(price, effective_at=self.now + AHEAD)
        columns |= {"series_id": "prc_out", "version": self.versions}
        with self.world.database.begin() as transaction:
            transaction.execute(
                insert(tables.price).values(
                    application_id=APP, plan_id="pln_1", name="Output Tokens", created_at=NOW, **columns
                )
            )

    # --- what always holds

    @invariant()
    def the_ledger_reserves_what_is_out(self) -> None:
        with self.world.database.snapshot() as transaction:
            out = self._out_by_total()
            totals = [total_from_row(row) for row in transaction.execute(select(tables.price_total))]
            keys = {total.key: _period(total.key, total.period_end) for total in totals}
            book = AccountBook(transaction, read_all_prices(transaction), keys)
            for total in totals:
                assert total.outstanding == out.pop(total.key, 0)
                assert total.reserved == reserved_amount(book.use(total.key))
            assert not out
            account = self.world.account()
            assert account.reserved == sum(total.reserved for total in totals)
        if not self.uncovered:
            assert account.reserved <= account.balance

    @invariant()
    def no_gateway_has_a_unit_that_the_ledger_does_not_count(self) -> None:
        with self.world.database.snapshot() as transaction:
            applied = {row.gateway_id: row.applied_sequence for row in transaction.execute(select(tables.gateway))}
            for gateway in self.gateways:
                if gateway.fenced:
                    continue
                known = read_leases(transaction, list(_here(gateway)))
                for lease_id, units in _here(gateway).items():
                    unapplied = sum(
                        count
                        for sequence, count in gateway.drawn.get(lease_id, [])
                        if sequence > applied[gateway.gateway_id]
                    )
                    assert units + unapplied <= known[lease_id].outstanding_units

    @invariant()
    def nothing_is_spent_that_was_not_granted(self) -> None:
        account = self.world.account()
        assert account.balance == self.granted - self.world.debits()
        if not self.uncovered:
            assert account.balance >= 0

    def teardown(self) -> None:
        """All calls end, everything arrives, every process that had died says so: then nothing is held."""
        if not hasattr(self, "world"):
            return
        for gateway in self.gateways:
            for flight in list(gateway.flights):
                gateway.flights.remove(flight)
                self._end(gateway, flight, flight.want.input, flight.hold.output)
        for request in self.network:
            self._answer(request)
        for gateway in self.gateways:
            if gateway.asked is not None:
                gateway.given_up.append(gateway.asked.request.lease_request_id)
                gateway.asked = None
            self.world.log(*gateway.events[gateway.shipped :])
            gateway.shipped = len(gateway.events)
            self.say_all_is_shipped(self.gateways.index(gateway))
        self.world.apply(most=3)
        for release in self.late:
            self._release(release)
        for gateway in self.gateways:
            if gateway.fenced:
                self._restart(gateway, first_bytes=False)
                self.say_all_is_shipped(self.gateways.index(gateway))
                self._release(self.late[-1])
            self._sweep(gateway, everything=True, arrives=True, answer_lost=False)
        self.the_ledger_reserves_what_is_out()
        self.nothing_is_spent_that_was_not_granted()
        assert self._out_by_total() == {}
        assert self.world.account().reserved == 0
        self._compare_debits_with_rated_totals()
        overspent = sum(int(str(row["amount"])) for row in self.world.rows("overspend"))
        assert overspent == 0 or self.uncovered
        assert overspent >= -self.world.account().balance
        self.world.database.close()
        shutil.rmtree(self.folder)

    # --- parts

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    @property
    def steady_ms(self) -> int:
        return self.world.clock.steady_ms()

    def _hold(self, gateway: Gateway, want: Want, *, streams: bool) -> bool:
        hold = None
        if not gateway.fenced:
            hold = gateway.account.hold(want, self.steady_ms, least=want.least_output)
        if hold is not None:
            gateway.flights.append(Flight(self.world.new_id("req"), want, hold, streams))
        return hold is not None

    def _end(
        self, gateway: Gateway, flight: Flight, used_in: int, used_out: int, *, at: datetime | None = None
    ) -> None:
        drawn = flight.hold.settle({"prc_in": used_in, "prc_out": used_out})
        units = {leased.lease.lease_id: count for leased, count in drawn.items()}
        # A price of which nothing had to be held is covered by nothing either.
        self.uncovered += flight.hold.uncovered
        self.uncovered += used_in > flight.want.input and not flight.want.input
        self._write(gateway, flight, used_in=used_in, used_out=used_out, drawn=units, at=at)

    def _write(
        self,
        gateway: Gateway,
        flight: Flight,
        *,
        used_in: int,
        used_out: int,
        drawn: dict[str, int],
        at: datetime | None = None,
    ) -> None:
        sequence = gateway.next_sequence
        for lease_id, count in drawn.items():
            gateway.drawn.setdefault(lease_id, []).append((sequence, count))
        event = Call(
            request_id=flight.request_id,
            prompt_tokens=used_in,
            completion_tokens=used_out,
            occurred_at=at or flight.want.occurred_at,
            gateway_id=gateway.gateway_id,
            epoch=gateway.epoch,
            sequence=sequence,
            drawn=tuple(Drawn(lease_id=lease_id, units=count) for lease_id, count in drawn.items()),
        )
        gateway.events.append(event.body())

    def _answer(self, request: LeaseRequest) -> LeaseAnswer:
        with self.world.database.begin() as transaction:
            return answer_lease_request(transaction, request, new_id=self.world.new_id, now=self.now)

    def _take(self, gateway: Gateway, answer: LeaseAnswer) -> None:
        assert gateway.asked is not None
        asked, gateway.asked = gateway.asked, None
        if answer.refused is Refused.FENCED:
            return
        gateway.account.acknowledge(asked.request.returns)
        gateway.account.add(answer.leases, asked_at_ms=asked.asked_at_ms, now_ms=self.steady_ms)
        gateway.given_up = [one for one in gateway.given_up if one not in asked.request.given_up]
        if answer.refused is not None and asked.request in self.network:
            # It may come again and find credit then.
            gateway.given_up.append(asked.request.lease_request_id)

    def _sweep(self, gateway: Gateway, *, everything: bool, arrives: bool, answer_lost: bool) -> None:
        returns = gateway.account.give_back(self.steady_ms, everything=everything)
        request = LeaseRequest(
            lease_request_id=self.world.new_id("lrq"),
            gateway_id=gateway.gateway_id,
            epoch=gateway.epoch,
            returns=returns,
            given_up=list(gateway.given_up),
        )
        if not arrives:
            self.network.append(request)
            return
        answer = self._answer(request)
        if not answer_lost and answer.refused is None:
            gateway.account.acknowledge(returns)
            gateway.given_up = []

    def _restart(self, gateway: Gateway, *, first_bytes: bool) -> None:
        begun = [flight for flight in gateway.flights if flight.streams]
        gateway.flights = []
        for flight in begun:
            self._recover(gateway, flight, first_byte=first_bytes)
        gateway.account = Account(SUBSCRIPTION)
        gateway.asked = None
        gateway.given_up = []
        gateway.fenced = False
        gateway.settled_before = len(gateway.events)
        gateway.released = False
        gateway.epoch = self.world.open_epoch(gateway.gateway_id)

    def _recover(self, gateway: Gateway, flight: Flight, *, first_byte: bool) -> None:
        """A start without an end: its input and the last checkpoint, at most what was held; nothing before a byte."""
        used = {"prc_in": flight.want.input // 2, "prc_out": flight.hold.output // 2} if first_byte else {}
        left, drawn = dict(used), {}
        for part in flight.hold.parts:
            taken = min(left.get(part.need.price_id, 0), part.count)
            if taken:
                left[part.need.price_id] -= taken
                drawn[part.units.lease.lease_id] = taken
        used_in, used_out = used.get("prc_in", 0), used.get("prc_out", 0)
        self._write(gateway, flight, used_in=used_in, used_out=used_out, drawn=drawn)

    def _release(self, release: ReleaseEarlierEpochs) -> None:
        with self.world.database.begin() as transaction:
            release_earlier_epochs(transaction, release, now=self.now)

    def _gateway(self, gateway_id: str) -> Gateway:
        return next(gateway for gateway in self.gateways if gateway.gateway_id == gateway_id)

    def _out_by_total(self) -> dict[TotalKey, int]:
        columns = tables.lease.c
        left = func.sum(columns.granted_units - columns.drawn_units - columns.returned_units)
        statement = select(columns.subscription_id, columns.price_id, columns.period_start, left).group_by(
            columns.subscription_id, columns.price_id, columns.period_start
        )
        with self.world.database.snapshot() as transaction:
            found = {TotalKey(*row[:3]): int(row[3]) for row in transaction.execute(statement)}
        return {key: units for key, units in found.items() if units}

    def _compare_debits_with_rated_totals(self) -> None:
        with self.world.database.snapshot() as transaction:
            prices = read_all_prices(transaction)
            totals = [total_from_row(row) for row in transaction.execute(select(tables.price_total))]
            keys = {total.key: _period(total.key, total.period_end) for total in totals}
            book = AccountBook(transaction, prices, keys)
            rated = sum(debit_total(book.use(key).price, book.use(key).totals) for key in keys)
        assert self.world.debits() == rated


def _here(gateway: Gateway) -> dict[str, int]:
    leases = (leased for pool in gateway.account.pools.values() for leased in pool.leases)
    return {leased.lease.lease_id: leased.idle + leased.held for leased in leases}


def _period(key: TotalKey, end: datetime) -> Period:
    return Period(key.period_start, end)


LeaseProtocol.TestCase.settings = settings(
    max_examples=EXAMPLES.get(settings.get_current_profile_name(), 50), stateful_step_count=20, deadline=None
)
TestLeaseProtocol = pytest.mark.timeout(WITHIN_S)(LeaseProtocol.TestCase)
