"""The trial of failpoints dies at all of them, and arming says what is wrong. `bench/bars` runs the trial itself."""

import os
import signal
import subprocess
import sys

import pytest

from bench.failpoints.chains import TRIED
from faregate.apps.failpoints import FAILPOINT, MARK, arm_from_environment
from faregate.base.errors import ConfigurationError
from faregate.base.failpoints import EVENT_WRITTEN, EVENTS_SHIPPED, FAILPOINTS

PROGRAM = """
from faregate.apps.failpoints import arm_from_environment
from faregate.base.failpoints import EVENT_WRITTEN, EVENTS_SHIPPED, reach
arm_from_environment()
for turn in range(1, 5):
    print(turn, flush=True)
    reach(EVENTS_SHIPPED)
    reach(EVENT_WRITTEN)
"""


def run_armed(wanted: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != FAILPOINT}
    if wanted is not None:
        environment[FAILPOINT] = wanted
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_trial_dies_at_every_failpoint_that_the_code_names() -> None:
    assert TRIED == FAILPOINTS


def test_an_armed_process_kills_itself_at_the_named_turn_and_leaves_a_mark() -> None:
    done = run_armed(f"{EVENT_WRITTEN}:3")
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, ["1", "2", "3"])
    assert done.stderr == f"{MARK}{EVENT_WRITTEN}\n"


def test_a_process_that_is_not_armed_passes_every_point() -> None:
    done = run_armed(None)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["1", "2", "3", "4"], "")


@pytest.mark.parametrize("wanted", ["gateway.nowhere:1", EVENTS_SHIPPED, f"{EVENTS_SHIPPED}:0", f"{EVENTS_SHIPPED}:x"])
def test_what_cannot_be_armed_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv(FAILPOINT, wanted)
    with pytest.raises(ConfigurationError, match=FAILPOINT):
        arm_from_environment()
