"""The repository as the tests that check it see it."""

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "src" / "faregate"


def repository_files() -> list[Path]:
    """Return every file that is tracked, or would be with the next `git add`; sorted, absolute."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - any git will do
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = {ROOT / name for name in listed.split("\0") if name}
    return sorted(path for path in paths if path.is_file())


def source_files() -> list[Path]:
    """Return every Python file of the package, sorted, absolute."""
    return sorted(SOURCE.rglob("*.py"))


def shown(path: Path) -> str:
    """Return `path` as a reader of the repository knows it."""
    return path.relative_to(ROOT).as_posix()
