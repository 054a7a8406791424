"""`faregate replay`: read the trace, play it in a temporary folder, show what was found, and the exit status."""

from __future__ import annotations

import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from faregate.apps.story.ending import INTERRUPTED, Interrupted, play
from faregate.apps.story.management import as_json
from faregate.apps.story.replaying.months import require_replayable
from faregate.apps.story.replaying.pace import parse_speed
from faregate.apps.story.replaying.playing import Replay, Watcher, play_trace
from faregate.apps.story.replaying.report import record_of, render
from faregate.apps.story.trace import in_order, read_trace
from faregate.apps.story.trace_sum import sum_trace
from faregate.base.clock import SystemClock

DIFFERED = 1


def run_replay(trace: Path, *, speed: str, concurrency: int, json: bool) -> int:
    """Replay a trace; return 0 only if nothing differs from the file's own sum and no call failed.

    Raises:
        InvalidInput: The speed is none.
        TraceFault: The file is no trace; nothing was started.
        FaregateError: A process did not start, or did not answer.
    """
    pace = parse_speed(speed)
    calls = read_trace(trace)
    require_replayable(calls, name=str(trace), now=SystemClock().now())
    summed = sum_trace(calls)
    replay = Replay(calls=in_order(calls), speed=pace, concurrency=concurrency)
    with tempfile.TemporaryDirectory(prefix="faregate-replay-") as folder, _watching(len(calls)) as watcher:
        try:
            played = play(play_trace(replay, Path(folder), watcher))
        except Interrupted:
            return INTERRUPTED
    record = record_of(summed, played)
    if json:
        sys.stdout.write(as_json(record) + "\n")
    else:
        Console(highlight=False).print(render(record, summed))
    return 0 if record.ok else DIFFERED


def _watching(calls: int) -> AbstractContextManager[Watcher]:
    """Return a progress bar where there is a terminal to draw it on; it goes to standard error, beside any result."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return nullcontext(Watcher(begun=lambda _: None, progressed=lambda: None))
    return _Bar(console, calls)


class _Bar(AbstractContextManager[Watcher]):
    """A progress bar that is drawn a few times a second, whatever the number of calls."""

    def __init__(self, console: Console, calls: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=8,
            transient=True,
        )
        self._task = self._progress.add_task("", total=calls)

    def __enter__(self) -> Watcher:
        self._progress.start()
        return Watcher(
            begun=lambda what: self._progress.update(self._task, description=what),
            progressed=lambda: self._progress.advance(self._task),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
