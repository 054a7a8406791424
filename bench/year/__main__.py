"""A year of the seed's plan on the clock, day by day, with a provider that fails and processes that die.

    python -m bench.year [--customers 50] [--months 12] [--seed N] [--quick] [--sandbox]

Each customer uses 20 windows a day; two of five pay ahead, and top up by themselves. One call of the provider in fifty
fails or loses its answer; about twice a month the process is killed with SIGKILL around a call. Exit status 1 on any
fault.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, cast

import structlog
from msgspec import Struct

from bench.machine import Machine, read_machine
from bench.reports import write_json
from bench.year.judge import judge_charges, judge_invoices, judge_reports
from bench.year.line import BadLine
from bench.year.places import EmbeddedPlace, Place, sandbox_place
from bench.year.scene import Customer, Tally, body_of, calls_of, month_of, open_scene
from faregate.base.errors import Unavailable
from faregate.base.ids import new_id
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider import BillingProvider
from faregate.services.apply_events import EventApplier
from faregate.services.billing_tick import billing_tick
from faregate.services.ingest import append_events
from faregate.services.invoices import list_invoices, pay_invoice
from faregate.services.provider_customers import set_payment_method
from faregate.services.run_top_ups import TopUpRunner
from faregate.services.sync_catalog import sync_catalog
from faregate.storage.database import Database

QUICK_CUSTOMERS: Final = 5
QUICK_MONTHS: Final = 2
CUSTOMERS: Final = 50
MONTHS: Final = 12

_DEATHS_A_MONTH: Final = 2
_SHARE: Final = "0.01"
_TICKS: Final = 100
_TICK_APART: Final = timedelta(seconds=20)
_NIGHT: Final = timedelta(minutes=2)
_DAY: Final = timedelta(days=1)
_LATEST_DEATH: Final = 40
_PAGE: Final = 1_000
_LEFT: Final = (
    "SELECT count(*) FROM outbox WHERE delivered_at IS NULL",
    "SELECT count(*) FROM top_up WHERE status = 'pending'",
    "SELECT count(*) FROM invoice WHERE status = 'open'",
)


class Report(Struct, frozen=True, kw_only=True):
    """What a year came to. `deaths`: how often the process died; `failed`: calls of the provider that did."""

    machine: Machine
    customers: int
    months: int
    seed: int
    calls: int
    reports: int
    invoices: int
    top_ups: int
    failed: int
    deaths: int
    took_s: float
    faults: list[str]


@dataclass
class _Clock:
    at: datetime

    def now(self) -> datetime:
        return self.at

    def steady_ms(self) -> int:
        return int(self.at.timestamp() * 1_000)


@dataclass(slots=True, kw_only=True)
class _Year:
    """The run: files that processes open one after the other, and what is counted beside them."""

    folder: Path
    place: Place
    chance: random.Random
    clock: _Clock
    application_id: str = ""
    customers: list[Customer] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    calls: int = 0
    failed: int = 0
    deaths: int = 0

    def database(self) -> Database:
        return Database(f"sqlite:///{self.folder / 'faregate.sqlite3'}")

    def open(self, customers: int) -> None:
        """Make the scene, and leave payment methods."""
        with closing(self.database()) as database, self.place.provider() as provider:
            with database.begin() as transaction:
                self.application_id, self.customers = open_scene(transaction, customers)
            for customer in self.customers:
                method = set_payment_method(
                    database,
                    provider,
                    self.clock,
                    application_id=self.application_id,
                    company_id=customer.company_id,
                    payment_method="pm_card_visa",
                )
                asyncio.run(method)

    def use(self, database: Database, day: datetime) -> None:
        """Take a day's calls in, and apply them."""
        used = list(calls_of(day, self.customers, tally=self.tally, chance=self.chance))
        for each in used:
            self.tally.add(each)
        self.calls += len(used)
        with database.begin() as transaction:
            bodies = [body_of(each) for each in used]
            append_events(transaction, application_id=self.application_id, bodies=bodies, now=self.clock.now())
        applier = EventApplier(self.clock)
        applied = True
        while applied:
            with database.begin() as transaction:
                applied = bool(applier.apply_next(transaction))

    def die_in_a_night(self) -> None:
        """Have another process do the night's work, and die around a call of the provider."""
        dies_at = self.chance.randrange(1, _LATEST_DEATH)
        pid = os.fork()
        if pid == 0:
            try:
                with closing(self.database()) as database, self.place.provider() as provider:
                    line = BadLine(provider, random.Random(dies_at), dies_at=dies_at)  # noqa: S311 - repeatable
                    asyncio.run(self._work(database, cast("BillingProvider", line)))
            finally:
                # Whatever became of it, nothing of the run that it is a copy of is its own to end.
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        self.deaths += os.WIFSIGNALED(status)

    def night(self, database: Database) -> None:
        """Do the night's work until the provider has everything."""
        with self.place.provider() as provider:
            line = BadLine(provider, self.chance)
            for _ in range(_TICKS):
                asyncio.run(self._work(database, cast("BillingProvider", line)))
                with database.snapshot() as transaction:
                    left = [transaction.exec_driver_sql(of).scalar_one() for of in _LEFT]
                if not any(left):
                    break
                self.clock.at += _TICK_APART
            self.failed += line.count["failed"]

    async def _work(self, database: Database, line: BillingProvider) -> None:
        catalog = self.place.catalog()
        if catalog is not None:
            await sync_catalog(database, catalog, self.clock)
        await billing_tick(database, line, self.clock)
        await TopUpRunner(database, line, self.clock, new_id=new_id).run()
        await billing_tick(database, line, self.clock)
        with database.snapshot() as transaction:
            found = list_invoices(transaction, self.application_id, company_id=None, limit=_PAGE)
        for invoice in found:
            if invoice.status is InvoiceStatus.OPEN:
                try:
                    await pay_invoice(
                        database, line, self.clock, application_id=self.application_id, invoice_id=invoice.invoice_id
                    )
                except Unavailable:
                    continue


def run_year(*, customers: int, months: int, seed: int, on_sandbox: bool = False) -> Report:
    """Run and judge."""
    started_s = time.monotonic()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=Path(os.devnull).open("w")))  # noqa: SIM115
    clock = _Clock(month_of(0))
    with tempfile.TemporaryDirectory(prefix="faregate-year-") as name, ExitStack() as stack:
        folder = Path(name)
        place: Place = EmbeddedPlace(folder)
        if on_sandbox:
            place = sandbox = stack.enter_context(sandbox_place(folder / "sandbox", clock))
            sandbox.strike(_SHARE, seed)
        year = _Year(folder=folder, place=place, chance=random.Random(seed), clock=clock)  # noqa: S311 - repeatable
        year.open(customers)
        day = month_of(0)
        while day < month_of(months):
            dies = year.chance.random() < _DEATHS_A_MONTH / 30
            clock.at = day + _DAY - timedelta(seconds=1)
            with closing(year.database()) as database:
                year.use(database, day)
            day += _DAY
            clock.at = day + _NIGHT
            if dies or day == month_of(1):
                year.die_in_a_night()
            with closing(year.database()) as database:
                year.night(database)
        return _judged(year, months=months, seed=seed, took_s=time.monotonic() - started_s)


def _judged(year: _Year, *, months: int, seed: int, took_s: float) -> Report:
    books = year.place.books()
    with closing(year.database()) as database, database.snapshot() as transaction:
        faults = [
            *judge_invoices(transaction, books, year.customers, tally=year.tally, months=months),
            *judge_reports(transaction, books, year.tally),
            *judge_charges(transaction, books, year.customers),
        ]
        counted = [
            int(transaction.exec_driver_sql(f"SELECT count(*) FROM {of}").scalar() or 0)  # noqa: S608 - ours
            for of in ("outbox WHERE kind = 'usage'", "invoice", "top_up")
        ]
    return Report(
        machine=read_machine(),
        customers=len(year.customers),
        months=months,
        seed=seed,
        calls=year.calls,
        reports=counted[0],
        invoices=counted[1],
        top_ups=counted[2],
        failed=year.failed,
        deaths=year.deaths,
        took_s=round(took_s, 1),
        faults=faults,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status is 0 only without a fault."""
    parser = argparse.ArgumentParser(prog="bench.year", description=__doc__)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--months", type=int, default=MONTHS)
    parser.add_argument("--seed", type=int, default=1, help="of whom, when and what fails")
    parser.add_argument("--sandbox", action="store_true", help="bill through the sandbox, by the official SDK")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CUSTOMERS} customers, {QUICK_MONTHS} months")
    parser.add_argument("--json", type=Path, help="file for the figures")
    chosen = parser.parse_args(arguments)
    report = run_year(
        customers=QUICK_CUSTOMERS if chosen.quick else chosen.customers,
        months=QUICK_MONTHS if chosen.quick else chosen.months,
        seed=chosen.seed,
        on_sandbox=chosen.sandbox,
    )
    print(
        f"{report.months} months of {report.customers} customers in {report.took_s} s: {report.calls:,} calls, "
        f"{report.reports:,} reports, {report.invoices} invoices, {report.top_ups} top-ups; "
        f"{report.failed} calls of the provider failed, the process died {report.deaths} times: "
        f"{len(report.faults)} faults"
    )
    for fault in report.faults[:20]:
        print(f"  {fault}")
    write_json(chosen.json, report)
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
