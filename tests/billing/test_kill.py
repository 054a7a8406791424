"""kill -9 between the provider's commit and ours, in a process of its own; then everything is run again."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.storage.database import Database
from tests.billing.desk import Desk
from tests.services.world import World, make_world

APRIL = datetime(2026, 4, 1, tzinfo=UTC)

_BILLER = """
import os, signal, sys
from pathlib import Path
from tests.billing.test_kill import APRIL, open_desk
from tests.billing.desk import FaultyProvider

def die(method, key):
    if method == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

with open_desk(Path(sys.argv[1])) as desk:
    desk.close_month(APRIL, FaultyProvider(desk.provider, after=die))
"""


@contextmanager
def open_desk(folder: Path) -> Iterator[Desk]:
    """The desk whose files are in a folder, as a process finds it at its start."""
    with (
        closing(Database(f"sqlite:///{folder / 'faregate.sqlite3'}")) as database,
        closing(EmbeddedProvider(folder / "sandbox.sqlite3")) as provider,
    ):
        yield Desk(world=World(database), provider=provider)


@pytest.mark.parametrize("method", ["ensure_subscription", "create_credit_grant", "report_usage", "close_period"])
def test_a_process_killed_after_the_providers_commit_bills_once_when_it_runs_again(tmp_path: Path, method: str) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'faregate.sqlite3'}")) as database:
        make_world(database)
    with open_desk(tmp_path) as desk:
        desk.world.grant("1.00")
        desk.use(1_200_000, 300_000)
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", _BILLER, tmp_path, method], cwd=root, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with open_desk(tmp_path) as desk:
        assert desk.invoices() == []
        desk.close_month(APRIL)
        (invoice,) = desk.invoices()
        assert (invoice.total, invoice.credit_applied, invoice.amount_due) == (250, 100, 150)
        assert [issued.id for issued in desk.provider_invoices()] == [invoice.invoice_id]
        assert desk.waiting() == []
        assert desk.balance() == 0
