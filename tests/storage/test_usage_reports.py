from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from faregate.domain.billing.provider_usage import UsageFailure
from faregate.storage.database import Database
from faregate.storage.outbox import add_to_outbox, mark_delivered, mark_given_up, ready_subscriptions
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


def plan_of(tmp_path: Path, ask: Callable[[Connection], object]) -> list[str]:
    """Return how SQLite answers the one statement of `ask`."""
    asked: list[tuple[str, Any]] = []
    with closing(Database(f"sqlite:///{tmp_path / 'planned.sqlite3'}")) as database:
        with database.begin() as transaction:
            migrate(transaction)
        with database.snapshot() as transaction:

            @event.listens_for(transaction, "before_cursor_execute")
            def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:  # noqa: ANN401
                asked.append((statement, parameters))

            ask(transaction)
            (statement, parameters), *_ = asked
            plan = transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    return [step.detail for step in plan]


def test_counting_reports_reads_what_waits_and_not_all_there_ever_were(tmp_path: Path) -> None:
    assert "outbox_waiting" in plan_of(tmp_path, count_reports)[0]


def test_what_is_due_is_found_without_reading_what_failed_for_good(tmp_path: Path) -> None:
    steps = plan_of(tmp_path, lambda transaction: ready_subscriptions(transaction, now=NOW, limit=10))
    assert any("outbox_due" in step for step in steps), steps
