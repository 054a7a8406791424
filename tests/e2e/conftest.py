import json
from typing import Any

import pytest

from tests.support.command import faregate


@pytest.fixture(scope="session")
def walkthrough(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `faregate demo --walkthrough --json` found."""
    ended = faregate("demo", "--walkthrough", "--json", folder=tmp_path_factory.mktemp("walkthrough"))
    assert ended.returncode == 0, ended.stdout[-3_000:] + ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found
