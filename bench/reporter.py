"""How fast usage is reported: the outbox of many customers to a sandbox that is a process of its own, by the SDK.

    python -m bench.reporter [--reports N] [--customers N] [--postgres URL] [--json FILE]

Everything that a report costs is in it: reading the outbox, one durable call each over HTTP, the marks. What the
sandbox counted is compared with what was sent, customer by customer, and one customer's calls fail all the time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec
from msgspec import Struct

from bench.machine import Machine, read_machine
from bench.reports import write_json
from bench.sandbox_process import SandboxProcess, running_sandbox
from faregate.base.clock import SystemClock
from faregate.base.errors import Unavailable
from faregate.base.ids import new_id
from faregate.domain.billing.provider import BillingProvider, MeterEvent, ProviderSubscription
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.providers.stripe.client import connect
from faregate.providers.stripe.usage import StripeUsage, send_usage, usage_summaries
from faregate.services.apply_catalog import apply_catalog
from faregate.services.change import Change
from faregate.services.deliver_outbox import deliver_outbox
from faregate.services.provider_messages import USAGE, UsageMessage, encode_message
from faregate.services.setup import ensure_application
from faregate.storage.database import Database, Transaction
from faregate.storage.outbox import add_to_outbox
from faregate.storage.schema import migrate
from faregate.storage.usage_reports import count_reports
from faregate.wire.api.catalog_document import CatalogDocument

if TYPE_CHECKING:
    from stripe import StripeClient

REPORTS: Final = 5_000
CUSTOMERS: Final = 200
LEAST_PER_S: Final = 500.0

_METERS: Final = ("input_tokens", "output_tokens")
_FAILING: Final = "company-0"


class Report(Struct, frozen=True, kw_only=True):
    """`exact`: whether the sandbox counted what was sent; `cpu_ms`: of the reporting process, a report."""

    machine: Machine
    reports: int
    customers: int
    took_s: float
    reports_per_s: float
    cpu_ms: float
    exact: bool
    failing_held: bool
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """The calls that a report needs; one customer's never come through."""

    client: StripeClient
    customers: Mapping[str, str]

    def account(self) -> str:
        return "bench"

    def linked(self, links: ProviderLinks) -> _Line:
        del links
        return self

    def ensure_subscription(self, wanted: ProviderSubscription) -> None:
        del wanted

    def report_usage(self, usage: MeterEvent) -> None:
        company_id = usage.customer.partition("/")[2]
        if company_id == _FAILING:
            raise Unavailable("this customer's calls never come through")
        send_usage(
            self.client,
            StripeUsage(
                event_name=usage.price,
                customer=self.customers[company_id],
                value=usage.value,
                identifier=usage.identifier,
                timestamp=usage.timestamp,
            ),
        )


def measure(*, reports: int, customers: int, postgres: str | None = None) -> Report:
    """Report usage of customers, `reports` in all, half of each of two meters."""
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as name:
        folder = Path(name)
        with (
            running_sandbox(folder) as sandbox,
            closing(Database(postgres or f"sqlite:///{folder / 'faregate.sqlite3'}")) as database,
        ):
            return _measure(database, sandbox, reports=reports, customers=customers)


def _measure(database: Database, sandbox: SandboxProcess, *, reports: int, customers: int) -> Report:
    client = connect(sandbox.key, base_url=sandbox.url)
    meters = {event: _make_meter(client, event) for event in _METERS}
    companies = [f"company-{number}" for number in range(customers)]
    ids = {company_id: client.v1.customers.create({"name": company_id}).id for company_id in companies[1:]}
    sent = _fill(database, companies, reports=reports)
    provider = cast("BillingProvider", _Line(client=client, customers=ids))
    started_s, cpu_before_s = time.perf_counter(), time.process_time()
    delivered = asyncio.run(deliver_outbox(database, provider, SystemClock()))
    took_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_before_s
    with database.snapshot() as transaction:
        left = count_reports(transaction).get("waiting", 0)
    day = SystemClock().now().replace(hour=0, minute=0, second=0, microsecond=0)
    counted = {
        (company_id, event): sum(
            (
                summary.quantity
                for summary in usage_summaries(
                    client, meter=meter, customer=customer, start=day - timedelta(days=1), end=day
                )
            ),
            Decimal(0),
        )
        for company_id, customer in ids.items()
        for event, meter in meters.items()
    }
    exact = counted == {of: Decimal(units) for of, units in sent.items() if of[0] != _FAILING}
    failing_held = delivered + left == reports and left > 0
    per_s = delivered / took_s
    return Report(
        machine=read_machine(),
        reports=delivered,
        customers=customers,
        took_s=round(took_s, 2),
        reports_per_s=round(per_s),
        cpu_ms=round(cpu_s / delivered * 1_000, 2),
        exact=exact,
        failing_held=failing_held,
        holds=exact and failing_held and per_s >= LEAST_PER_S,
    )


def _make_meter(client: StripeClient, event: str) -> str:
    made = client.v1.billing.meters.create(
        {
            "display_name": event,
            "event_name": event,
            "default_aggregation": {"formula": "sum"},
            "value_settings": {"event_payload_key": "value"},
            "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        }
    )
    return made.id


def _fill(database: Database, companies: list[str], *, reports: int) -> Counter[tuple[str, str]]:
    """Write windows of yesterday into the outbox; return what was used, by company and meter."""
    now = SystemClock().now()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    sent: Counter[tuple[str, str]] = Counter()
    with database.begin() as transaction:
        migrate(transaction)
        subscriptions = _subscribe(transaction, companies, now=now)
        for number in range(reports):
            company_id = companies[number % len(companies)]
            place = number // len(companies)
            event, at = _METERS[place % len(_METERS)], day + timedelta(minutes=5 * (place // len(_METERS)))
            application_id, subscription_id = subscriptions[company_id]
            units = 1_000 + number
            sent[company_id, event] += units
            add_to_outbox(
                transaction,
                application_id=application_id,
                kind=USAGE,
                key=f"{event}:{company_id}:{at:%Y-%m-%dT%H:%M:%SZ}",
                subscription_id=subscription_id,
                payload=encode_message(
                    UsageMessage(
                        subscription_id=subscription_id,
                        company_id=company_id,
                        price_id=event,
                        value=Decimal(units),
                        timestamp=at,
                        period_start=day,
                    )
                ),
                usage_at=at,
                now=now,
            )
    return sent


def _subscribe(transaction: Transaction, companies: list[str], *, now: datetime) -> dict[str, tuple[str, str]]:
    secrets = ensure_application(transaction, new_id=new_id, now=now)
    assert secrets is not None  # noqa: S101 - the database is new
    price = {"name": "Tokens", "currency": "USD", "model": {"type": "per_unit", "amount": "0.01"}}
    subscription = {"plan": "Plan", "pays": "postpaid", "started_at": "2020-01-01T00:00:00Z"}
    document = {
        "plans": [{"name": "Plan", "prices": [price]}],
        "companies": [{"company_id": company_id, "subscriptions": [subscription]} for company_id in companies],
    }
    change = Change(application_id=secrets.application_id, now=now, new_id=new_id)
    apply_catalog(transaction, change, msgspec.convert(document, CatalogDocument, strict=False), dry_run=False)
    rows = transaction.exec_driver_sql("SELECT company_id, application_id, subscription_id FROM subscription")
    return {company_id: (application_id, subscription_id) for company_id, application_id, subscription_id in rows}


def main() -> int:
    """Run; the exit status is 0 only if the bar holds and the sandbox counted exactly what was sent."""
    parser = argparse.ArgumentParser(prog="bench.reporter", description=__doc__)
    parser.add_argument("--reports", type=int, default=REPORTS, help="how many reports")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="of how many customers")
    parser.add_argument("--postgres", help="an empty PostgreSQL database (an SQLAlchemy URL), not a SQLite file")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    report = measure(reports=arguments.reports, customers=arguments.customers, postgres=arguments.postgres)
    print(
        f"{report.reports:,} reports of {report.customers} customers in {report.took_s} s: {report.reports_per_s:,}/s, "
        f"{report.cpu_ms} ms of CPU each; {'exact' if report.exact else 'WRONG'}; one customer that fails "
        f"{'delays no other' if report.failing_held else 'DELAYED OTHERS'}; "
        f"bar {'holds' if report.holds else 'is missed'}"
    )
    write_json(arguments.json, report)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
