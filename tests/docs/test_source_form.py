import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.tree import SOURCE, shown, source_files

MOST_LINES: Final = 400
# path -> why it may be longer
LONGER: Final[dict[str, str]] = {
    "src/faregate/storage/tables.py": "every table, in the order of an event's way; a join is read off one file",
}

# What reads a clock, chance, a file, a socket, or writes a log has no place in rules.
IMPURE: Final = {
    "asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil", "signal",
    "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
# path -> what it may import of IMPURE, as the one place that everything else gets it from
SOURCES_OF_IMPURITY: Final = {
    "src/faregate/base/clock.py": {"time"},
    "src/faregate/base/ids.py": {"os", "secrets", "time"},
}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imported(path: Path) -> Iterator[str]:
    """Yield the top-level name of everything that `path` imports."""
    for node in ast.walk(_tree(path)):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case _:
                pass


def _core() -> list[Path]:
    return [path for layer in ("base", "domain") for path in sorted((SOURCE / layer).rglob("*.py"))]


def test_every_package_says_what_it_is_for() -> None:
    folders = {path.parent for path in source_files()}
    without_init = [shown(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()]
    # Alembic loads a migration by its path: the folder of them is not a package.
    assert [folder for folder in without_init if not folder.endswith("/migrations/versions")] == []
    packages = [path for path in source_files() if path.name == "__init__.py"]
    assert [shown(path) for path in packages if not ast.get_docstring(_tree(path))] == []


def test_a_source_file_has_at_most_400_lines() -> None:
    lines = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in source_files()}
    assert {path: count for path, count in lines.items() if count > MOST_LINES and path not in LONGER} == {}
    assert [path for path in LONGER if lines.get(path, 0) <= MOST_LINES] == [], "no longer an exception"


def test_base_and_domain_import_only_the_standard_library() -> None:
    allowed = sys.stdlib_module_names | {"faregate"}
    outside = {shown(path): sorted(set(_imported(path)) - allowed) for path in _core()}
    assert {path: names for path, names in outside.items() if names} == {}


def test_base_and_domain_reach_no_clock_chance_file_socket_or_log() -> None:
    found = {shown(path): set(_imported(path)) & IMPURE for path in _core()}
    refused = {path: sorted(names - SOURCES_OF_IMPURITY.get(path, set())) for path, names in found.items()}
    assert {path: names for path, names in refused.items() if names} == {}
