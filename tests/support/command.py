"""The command line as a process: what a user types."""

import os
import subprocess
import sys
from pathlib import Path

from faregate.apps.compiled import SWITCH


def faregate(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `faregate` in `folder` to its end, without any setting of whoever runs the tests."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def command(*arguments: str) -> list[str]:
    """The arguments of a `faregate` process."""
    return [sys.executable, "-m", "faregate", *arguments]


def clean_environment() -> dict[str, str]:
    """The environment, but for settings of Faregate; what it runs compiled is the tests' to say."""
    return {name: value for name, value in os.environ.items() if name == SWITCH or not name.startswith("FAREGATE_")}
