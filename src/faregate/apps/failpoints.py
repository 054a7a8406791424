"""Arms a failpoint: the process kills itself where its environment says, so that tests can prove what a crash does.

`FAREGATE_FAILPOINT=gateway.event_written:3` ends the process by SIGKILL as it reaches that point for the third time,
after a line in its log. Without the variable nothing is armed.
"""

from __future__ import annotations

import os
import signal
from itertools import count
from typing import Final

from faregate.base.errors import ConfigurationError
from faregate.base.failpoints import FAILPOINTS, arm

FAILPOINT: Final = "FAREGATE_FAILPOINT"
MARK: Final = "failpoint reached: "

_STDERR: Final = 2


def arm_from_environment() -> None:
    """Arm the point that the environment names, if it names one.

    Raises:
        ConfigurationError: There is no such point, or it does not say for which time.
    """
    wanted = os.environ.get(FAILPOINT)
    if not wanted:
        return
    name, _, turn = wanted.partition(":")
    if name not in FAILPOINTS or not turn.isdecimal() or int(turn) < 1:
        raise ConfigurationError(f"{FAILPOINT} must be a failpoint's name, a colon and a number from 1, not {wanted!r}")
    turns = count(1)

    def reached(point: str) -> None:
        if point == name and next(turns) == int(turn):
            os.write(_STDERR, f"{MARK}{name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    arm(reached)
