import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from sqlalchemy import func, select

from faregate.apps.control import intake as intake_module
from faregate.apps.control.intake import Intake
from faregate.base.clock import SystemClock
from faregate.base.errors import Unavailable
from faregate.storage.database import Database
from faregate.storage.schema import migrate
from faregate.storage.tables import event_log, metadata


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    with closing(Database(empty_database_url)) as opened:
        with opened.begin() as transaction:
            migrate(transaction)
        yield opened


def test_what_arrives_while_a_commit_runs_shares_the_next_one(database: Database) -> None:
    commits: list[int] = []

    async def run() -> None:
        intake = Intake(
            database=database, clock=SystemClock(), after_commit=lambda _: commits.append(_logged(database))
        )
        running = asyncio.create_task(intake.run())
        await asyncio.gather(*(intake.append("app_1", [b"{}"] * 10) for _ in range(50)))
        await _end(running)

    asyncio.run(run())
    assert commits[-1] == _logged(database) == 500
    assert len(commits) <= 2


def test_a_batch_is_acknowledged_only_after_its_commit(database: Database) -> None:
    async def run() -> int:
        intake = Intake(database=database, clock=SystemClock(), after_commit=lambda _: None)
        running = asyncio.create_task(intake.run())
        await intake.append("app_1", [b"{}"])
        durable = _logged(database)
        await _end(running)
        return durable

    assert asyncio.run(run()) == 1


def test_a_full_queue_refuses_and_an_empty_one_takes_even_a_large_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "QUEUED_BYTES", 100)

    async def run() -> None:
        intake = Intake(database=database, clock=SystemClock(), after_commit=lambda _: None)
        first = asyncio.create_task(intake.append("app_1", [b"x" * 200]))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="full"):
            await intake.append("app_1", [b"x"])
        running = asyncio.create_task(intake.run())
        await first
        await intake.append("app_1", [b"x"])
        assert intake.queued_bytes == 0
        await _end(running)

    asyncio.run(run())


def test_a_failed_commit_keeps_nothing_and_the_intake_goes_on(database: Database) -> None:
    async def run() -> None:
        intake = Intake(database=database, clock=SystemClock(), after_commit=lambda _: None)
        running = asyncio.create_task(intake.run())
        with database.begin() as transaction:
            metadata.tables["event_log"].drop(transaction)
        with pytest.raises(Unavailable, match="again"):
            await intake.append("app_1", [b"{}"])
        with database.begin() as transaction:
            metadata.tables["event_log"].create(transaction)
        await intake.append("app_1", [b"{}"])
        await _end(running)

    asyncio.run(run())
    assert _logged(database) == 1


def test_a_caller_that_leaves_does_not_disturb_the_others_of_its_commit(database: Database) -> None:
    async def run() -> None:
        intake = Intake(database=database, clock=SystemClock(), after_commit=lambda _: None)
        leaving = asyncio.create_task(intake.append("app_1", [b"{}"]))
        staying = asyncio.create_task(intake.append("app_1", [b"{}"]))
        await asyncio.sleep(0)
        leaving.cancel()
        running = asyncio.create_task(intake.run())
        await staying
        await _end(running)

    asyncio.run(run())
    assert _logged(database) == 2


def _logged(database: Database) -> int:
    with database.snapshot() as transaction:
        return transaction.execute(select(func.count()).select_from(event_log)).scalar_one()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
