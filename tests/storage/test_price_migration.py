"""Prices, totals and subscriptions of the first tables, brought to those of today."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import text

from faregate.base.clock import to_microseconds
from faregate.base.money import currency
from faregate.domain.catalog.models import Package
from faregate.domain.customers.subscription import MONTHLY_CYCLE
from faregate.storage.database import Database, Transaction
from faregate.storage.ledger import TotalKey, read_totals
from faregate.storage.metered import find_series, read_subscriptions
from faregate.storage.schema import migrate

START = datetime(2026, 3, 1, tzinfo=UTC)
OLD_ROWS = (
    """
    INSERT INTO price (price_id, application_id, plan_id, name, package_amount, package_size, period, currency,
        tax_behavior, created_at)
    VALUES ('prc_1', 'app_1', 'pln_1', 'Tokens', '0.50', '1000', 'month', 'EUR', 'auto', :at)
    """,
    """
    INSERT INTO price_total (subscription_id, price_id, period_start, period_end, settled, outstanding, debited,
        reserved)
    VALUES ('sub_1', 'prc_1', :at, :at, '12.5', 3, 500000000, 7)
    """,
    """
    INSERT INTO subscription (subscription_id, application_id, company_id, plan_id, pays, currency, started_at,
        payment_terms_s, billed_until, created_at)
    VALUES ('sub_1', 'app_1', 'acme', 'pln_1', 'prepaid', 'EUR', :at, 86400, :at, :at)
    """,
)


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Database]:
    with closing(Database(empty_database_url)) as database:
        with database.begin() as transaction:
            migrate_to(transaction, "0003")
        yield database


def migrate_to(transaction: Transaction, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", "faregate.storage:migrations")
    scripts = ScriptDirectory.from_config(config)

    def upgrade(revision: str, context: MigrationContext) -> list[RevisionStep]:
        del context
        return scripts._upgrade_revs(target, revision)

    with EnvironmentContext(config, scripts, fn=upgrade) as environment:
        environment.configure(connection=transaction, transactional_ddl=False)
        environment.run_migrations()


def test_what_was_priced_and_used_before_is_as_it_was(old: Database) -> None:
    at = to_microseconds(START)
    with old.begin() as transaction:
        for statement in OLD_ROWS:
            transaction.execute(text(statement), {"at": at})
        migrate(transaction)
    with old.snapshot() as transaction:
        series = find_series(transaction, "app_1", "prc_1")
        assert series is not None
        (version,) = series.versions
        price = series.price(version, currency("EUR"))
        assert (price.price_id, price.model) == ("prc_1", Package(amount=Decimal("0.50"), size=Decimal(1000)))
        assert version.effective_at == START
        key = TotalKey("sub_1", "prc_1", START)
        total = read_totals(transaction, [key])[key]
        assert (total.settled, total.totals, total.events) == (Decimal("12.5"), {(): Decimal("12.5")}, {})
        assert (total.outstanding, total.debited, total.reserved) == (3, 500_000_000, 7)
        subscription = read_subscriptions(transaction, ["sub_1"])["sub_1"]
        assert (subscription.cycle, subscription.started_at) == (MONTHLY_CYCLE, START)
