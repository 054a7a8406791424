"""Replays of traces: `faregate replay` against a sum of the file that is made here, by plain integers."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.stack import clean_environment

_WITHIN_S: Final = 3_600
_PACKAGE_TOKENS: Final = 1_000_000
_INPUT_CENTS: Final = 50
_OUTPUT_CENTS: Final = 150


class Sum(Struct, frozen=True, kw_only=True):
    """Calls, tokens and dollars of a trace; each month's packages are rounded up once."""

    calls: int
    tokens_in: int
    tokens_out: int
    money: str


class Replay(Struct, frozen=True, kw_only=True):
    """What the file says and what the books said after the replay; `failed`: calls that were not answered."""

    trace: str
    expected: Sum
    found: Sum | None
    failed: int
    ok: bool
    seconds: float
    calls_per_s: float
    words: str = ""

    @property
    def held(self) -> bool:
        """Return whether nothing differs and no call failed."""
        return self.ok and self.found == self.expected and not self.failed


def replay(trace: Path) -> Replay:
    """Replay a trace as fast as it goes."""
    command = [sys.executable, "-m", "faregate", "replay", str(trace), "--speed", "max", "--json"]
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder:
        done = subprocess.run(
            command,
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_WITHIN_S,
        )
    expected = sum_trace(trace)
    try:
        record = json.loads(done.stdout, parse_float=Decimal)
        books = record["books"]
    except (ValueError, KeyError):
        words = done.stderr.strip()[-500:]
        return Replay(
            trace=trace.name, expected=expected, found=None, failed=0, ok=False, seconds=0, calls_per_s=0, words=words
        )
    return Replay(
        trace=trace.name,
        expected=expected,
        found=Sum(
            calls=books["calls"],
            tokens_in=books["tokens_in"],
            tokens_out=books["tokens_out"],
            money=f"{Decimal(books['money']):.2f}",
        ),
        failed=record["failed"],
        ok=record["ok"] is True and done.returncode == 0,
        seconds=float(record["seconds"]),
        calls_per_s=float(record["calls_per_second"]),
    )


def sum_trace(trace: Path) -> Sum:
    """Add a trace up, month by month (UTC)."""
    months: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    with trace.open(newline="") as file:
        for row in csv.DictReader(file):
            month = months[row["TIMESTAMP"][:7]]
            for place, count in enumerate((1, int(row["ContextTokens"]), int(row["GeneratedTokens"]))):
                month[place] += count
    cents = sum(
        -(-tokens_in // _PACKAGE_TOKENS) * _INPUT_CENTS + -(-tokens_out // _PACKAGE_TOKENS) * _OUTPUT_CENTS
        for _, tokens_in, tokens_out in months.values()
    )
    calls, tokens_in, tokens_out = (sum(month[place] for month in months.values()) for place in range(3))
    return Sum(calls=calls, tokens_in=tokens_in, tokens_out=tokens_out, money=f"{Decimal(cents).scaleb(-2):.2f}")


def write_trace(path: Path, rows: int, *, seed: int) -> None:
    """Write a trace over a turn of the year, with rows alike, out of order, without tokens, and with very many."""
    chance = random.Random(seed)  # noqa: S311 - a seed repeats the trace
    start = datetime(2024, 11, 30, 23, 30, tzinfo=UTC)
    at, lines = start, []
    for number in range(rows):
        at += timedelta(microseconds=chance.randint(0, 2 * 63 * 86_400 * 1_000_000 // rows))
        tokens = (chance.randint(0, 4_000), chance.randint(0, 800))
        if number % 100 == 50:  # noqa: PLR2004 - one row in a hundred
            tokens = (0, 0)
        lines.append(f"{at:%Y-%m-%d %H:%M:%S.%f}0,{tokens[0]},{tokens[1]}")
        if number % 100 == 70:  # noqa: PLR2004 - one row in a hundred is there twice
            lines.append(lines[-1])
    for place in range(10, len(lines), 40):
        lines[place - 1], lines[place] = lines[place], lines[place - 1]
    lines[-1] = f"{at:%Y-%m-%d %H:%M:%S.%f}0,1000000000,7"
    path.write_text("\r\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]))
