from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control.control_plane import Handle, started


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Handle]:
    """A control plane for the commands that ask one."""
    with started(tmp_path / "kept") as handle:
        yield handle
