"""`faregate demo --walkthrough`: a temporary folder, the play, its display or its JSON, and the exit status."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console

from faregate.apps.story.ending import stop_as_interrupted
from faregate.apps.story.management import as_json
from faregate.apps.story.walkthrough.display import Display, summary
from faregate.apps.story.walkthrough.playing import Audience, play_walkthrough

DIFFERED = 1


def run_walkthrough(*, json: bool) -> int:
    """Play the walkthrough; return 0 only if every amount was as calculated by hand.

    Raises:
        FaregateError: A process did not start, or did not answer.
    """
    stop_as_interrupted()
    with tempfile.TemporaryDirectory(prefix="faregate-walkthrough-") as folder:
        if json:
            silent = Audience(begun=lambda _: None, shown=lambda _: None)
            record = uvloop.run(play_walkthrough(Path(folder), silent))
            sys.stdout.write(as_json(record) + "\n")
        else:
            console = Console(highlight=False)
            with console.status("") as status:
                display = Display(console, status)
                audience = Audience(begun=display.begun, shown=display.shown)
                record = uvloop.run(play_walkthrough(Path(folder), audience))
            console.print(summary(record))
    return 0 if record.ok else DIFFERED
