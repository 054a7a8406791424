from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from faregate.domain.billing.provider_usage import UsageFailure
from faregate.storage.database import Database
from faregate.storage.outbox import add_to_outbox, mark_delivered, mark_given_up
from faregate.storage.schema import migrate
from faregate.storage.usage_reports import count_reports

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    with closing(Database(empty_database_url)) as database:
        with database.begin() as transaction:
            migrate(transaction)
        yield database


def add(transaction: Connection, key: str, *, usage: bool = True) -> None:
    add_to_outbox(
        transaction,
        application_id="app_1",
        kind="usage" if usage else "credit",
        key=key,
        subscription_id="sub_1",
        payload="{}",
        now=NOW,
        usage_at=NOW if usage else None,
    )


def test_reports_are_counted_that_the_provider_lacks_and_nothing_else(database: Database) -> None:
    with database.begin() as transaction:
        add(transaction, "credit", usage=False)
    with database.snapshot() as transaction:
        assert count_reports(transaction) == {}
    with database.begin() as transaction:
        for key in ("delivered", "refused", "waiting", "waiting too"):
            add(transaction, key)
        mark_delivered(transaction, [2], NOW)
        mark_given_up(transaction, 3, failure=UsageFailure.REFUSED, error="no", now=NOW)
    with database.snapshot() as transaction:
        assert count_reports(transaction) == {"waiting": 2, "refused": 1}


def test_counting_reports_reads_what_waits_and_not_all_there_ever_were(tmp_path: Path) -> None:
    asked: list[tuple[str, Any]] = []
    with closing(Database(f"sqlite:///{tmp_path / 'counted.sqlite3'}")) as database:
        with database.begin() as transaction:
            migrate(transaction)
        with database.snapshot() as transaction:

            @event.listens_for(transaction, "before_cursor_execute")
            def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:  # noqa: ANN401
                asked.append((statement, parameters))

            count_reports(transaction)
            (statement, parameters), *_ = asked
            plan = transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert "outbox_waiting" in plan[0].detail
