import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from faregate.apps.control import loops
from faregate.apps.control.applying import Applying
from faregate.base.clock import SystemClock
from faregate.services import state_stream
from faregate.services.apply_events import EventApplier
from faregate.services.ingest import append_events
from faregate.services.setup import ensure_application
from faregate.storage.database import Database
from faregate.storage.schema import migrate
from faregate.storage.state_feed import record_change
from faregate.storage.tables import state_change
from tests.control.control_plane import Handle, started

EVENT = {"request": {"time": "2026-03-10T12:00:00.000", "uri": "http://api/ai/chat", "verb": "POST"}}


@contextmanager
def without(control: Handle, table: str) -> Iterator[None]:
    """Take a table away, and put it back."""
    control.write(lambda tx: tx.execute(text(f'ALTER TABLE "{table}" RENAME TO "{table}_away"')).close())
    try:
        yield
    finally:
        control.write(lambda tx: tx.execute(text(f'ALTER TABLE "{table}_away" RENAME TO "{table}"')).close())


def test_metering_that_fails_is_shown_and_goes_on_where_it_stopped(control: Handle) -> None:
    with without(control, "event_identity"):
        assert control.collect(json.dumps([EVENT]).encode()).status == 201
        assert _soon(lambda: "failing" in _checks(control)["metering"])
        assert control.ask("GET", "/readyz").status == 503
        assert _metric(control, "faregate_events_unapplied") == 1
    assert _soon(lambda: _metric(control, "faregate_events_unapplied") == 0)
    assert control.ask("GET", "/readyz").status == 200


def test_metrics_that_cannot_be_read_are_left_out_and_the_others_shown(control: Handle) -> None:
    with without(control, "outbox"):
        reply = control.ask("GET", "/metrics")
    assert reply.status == 200
    assert "faregate_usage_reports{" not in reply.body.decode()
    assert "faregate_events_unapplied 0" in reply.body.decode()
    assert _metric(control, 'faregate_usage_reports{status="waiting"}') == 0


def test_a_request_that_fails_within_tells_its_caller_nothing_of_the_database(control: Handle) -> None:
    with without(control, "gateway"):
        reply = control.as_gateway("POST", "/gateway/v1/epochs", {"gateway_id": "gtw_1"})
    assert (reply.status, reply.json()["code"]) == (500, "internal")
    assert "gateway" not in reply.body.decode()


def test_a_batch_that_could_not_be_stored_is_answered_503_and_may_be_repeated(control: Handle) -> None:
    with without(control, "event_log"):
        reply = control.collect(json.dumps([EVENT]).encode())
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert _checks(control)["database"] == "does not answer"
    assert control.collect(json.dumps([EVENT]).encode()).status == 201


def test_a_tick_that_fails_is_counted_and_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "TICK_S", 0.02)
    with started(tmp_path / "kept") as control, without(control, "usage_window"):
        assert _soon(lambda: _metric(control, "faregate_ticks_failed_total") >= 2)


def test_a_state_stream_that_cannot_be_read_ends_so_that_the_gateway_asks_again(control: Handle) -> None:
    with control.follow() as stream:
        stream.burst()
        with without(control, "application"):
            control.write(lambda tx: record_change(tx, "clock", "app_1"))
            assert stream.ends()
    with control.follow() as stream:
        assert stream.burst()[0]["type"] == "reset"


def test_the_change_feed_is_pruned_while_the_process_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "PRUNE_EVERY_S", 0.02)
    monkeypatch.setattr(state_stream, "CHANGES_KEPT", 3)
    with started(tmp_path / "kept") as control:
        for number in range(10):
            control.write(lambda tx, key=number: record_change(tx, "key", f"key_{key}"))  # type: ignore[misc]
        assert _soon(lambda: _kept_changes(control) == 3)


def test_catching_up_waits_until_what_was_logged_is_applied_or_the_time_is_over(sqlite_url: str) -> None:
    with closing(Database(sqlite_url)) as database:
        with database.begin() as transaction:
            migrate(transaction)
            made = ensure_application(transaction, new_id=lambda prefix: f"{prefix}_1", now=SystemClock().now())
            assert made is not None
            append_events(transaction, application_id=made.application_id, bodies=[b"{}"] * 3, now=SystemClock().now())
        assert asyncio.run(_catch_up(database, runs=False)) is False
        assert asyncio.run(_catch_up(database, runs=True)) is True


async def _catch_up(database: Database, *, runs: bool) -> bool:
    applying = Applying(database=database, applier=EventApplier(SystemClock()), is_contended=lambda: True)
    waiting = asyncio.create_task(applying.catch_up(10 if runs else 0.05))
    await asyncio.sleep(0.02)
    running = asyncio.create_task(applying.run() if runs else asyncio.sleep(0))
    caught_up = await waiting
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return caught_up


def _kept_changes(control: Handle) -> int:
    return control.read(lambda tx: tx.execute(select(func.count()).select_from(state_change)).scalar_one())


def _checks(control: Handle) -> dict[str, str]:
    checks = control.ask("GET", "/readyz").json()["checks"]
    assert isinstance(checks, dict)
    return checks


def _metric(control: Handle, name: str) -> int:
    lines = control.ask("GET", "/metrics").body.decode().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), -1)


def _soon(holds: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        if holds():
            return True
        time.sleep(0.02)
    return False


async def _keeps_up(applying: Applying, *, most_behind: int, within_s: float) -> float:
    began_at_s = asyncio.get_running_loop().time()
    await applying.keep_up(most_behind, within_s)
    return asyncio.get_running_loop().time() - began_at_s


def test_who_sends_faster_than_is_metered_is_slowed_for_a_bounded_time(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'behind.sqlite3'}")
    applying = Applying(database=database, applier=EventApplier(SystemClock()), is_contended=lambda: False)
    applying.wake(11)
    assert asyncio.run(_keeps_up(applying, most_behind=11, within_s=0.2)) < 0.1
    assert asyncio.run(_keeps_up(applying, most_behind=10, within_s=0.2)) >= 0.2
    database.close()
