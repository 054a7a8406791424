from collections.abc import Iterator
from pathlib import Path

import pytest
from stripe import StripeClient

from faregate.apps.secret_files import SANDBOX_KEY_FILE
from tests.control.control_plane import Handle, started
from tests.sandbox.billed import Billed
from tests.sandbox.receiver import Receiver, receiving


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("sandbox"))


@pytest.fixture(scope="session")
def control(data: Path) -> Iterator[Handle]:
    with started(data) as handle:
        yield handle


@pytest.fixture(scope="session")
def stripe(data: Path, control: Handle) -> StripeClient:
    return client_of(control, data)


def client_of(control: Handle, data: Path) -> StripeClient:
    """The official SDK: a key and an address are all that is told to it."""
    key = (data / SANDBOX_KEY_FILE).read_text().strip()
    base = f"{control.running.origin}/sandbox"
    return StripeClient(key, max_network_retries=0, base_addresses={"api": base, "meter_events": base})


@pytest.fixture
def billed(tmp_path: Path) -> Iterator[Billed]:
    world = Billed(tmp_path)
    yield world
    world.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver
