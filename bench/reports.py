"""How benches write what they came to: JSON, indented."""

from __future__ import annotations

from pathlib import Path

import msgspec


def to_json(report: object) -> str:
    """Return a report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def write_json(file: Path | None, report: object) -> None:
    """Write a report to the file that `--json` names, if it names one; its folder is made."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(to_json(report) + "\n")
