"""`faregate demo --walkthrough`: a temporary folder, the play, its display or its JSON, and the exit status."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console

from faregate.apps.story.ending import INTERRUPTED, Interrupted, play
from faregate.apps.story.management import as_json
from faregate.apps.story.walkthrough.display import Display, summary
from faregate.apps.story.walkthrough.playing import Audience, play_walkthrough
from faregate.apps.story.walkthrough.record import WalkthroughRecord

DIFFERED = 1


def run_walkthrough(*, json: bool) -> int:
    """Play the walkthrough; return 0 only if every amount was as calculated by hand.

    Raises:
        FaregateError: A process did not start, or did not answer.
    """
    with tempfile.TemporaryDirectory(prefix="faregate-walkthrough-") as folder:
        try:
            record = _play_in_silence(Path(folder)) if json else _play_on_screen(Path(folder))
        except Interrupted:
            return INTERRUPTED
    if json:
        sys.stdout.write(as_json(record) + "\n")
    return 0 if record.ok else DIFFERED


def _play_in_silence(folder: Path) -> WalkthroughRecord:
    return play(play_walkthrough(folder, Audience(begun=lambda _: None, shown=lambda _: None)))


def _play_on_screen(folder: Path) -> WalkthroughRecord:
    console = Console(highlight=False)
    with console.status("") as status:
        display = Display(console, status)
        record = play(play_walkthrough(folder, Audience(begun=display.begun, shown=display.shown)))
    console.print(summary(record))
    return record
