import os
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.tree import ROOT, repository_files, shown

LOCKS: Final = ["requirements.lock", "requirements-dev.lock"]
COMMANDS: Final = ["demo", "check", "scripts/lock", ".ci/run"]

# In pieces, so that this file does not hold what it forbids.
PRIVATE_PATHS: Final = ["".join(pieces) for pieces in [("/wo", "rk/"), ("/tm", "p/w/"), ("/ro", "ot/"), ("/ho", "me/")]]

# A pin is `name==version`, perhaps a marker, then its hashes.
PIN: Final = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^ ]+)( ; [^\\]+)? \\$")
LINK: Final = re.compile(r"\]\((?!https?:|mailto:|#)(?P<target>[^)#\s]+)")
COMMAND_LINE: Final = re.compile(r"^\s*(?:\$ )?\./(?P<path>[\w./-]+)", re.MULTILINE)


def _pins(lock: str) -> dict[str, str]:
    found = (PIN.match(line) for line in (ROOT / lock).read_text().splitlines())
    return {match["name"]: match["version"] for match in found if match}


def _requirements(*, group: str | None) -> list[Requirement]:
    """Return what pyproject.toml asks for at run time, or in a dependency group and the groups it includes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if group is None:
        return [Requirement(line) for line in project["project"]["dependencies"]]
    found: list[Requirement] = []
    for entry in project["dependency-groups"][group]:
        found += [Requirement(entry)] if isinstance(entry, str) else _requirements(group=entry["include-group"])
    return found


def _markdown() -> list[Path]:
    return [path for path in repository_files() if path.suffix == ".md"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_repository_can_be_run(command: str) -> None:
    path = ROOT / command
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    assert os.access(path, os.X_OK)


def test_the_readme_shows_both_commands_and_every_command_it_shows_is_there() -> None:
    shown_commands = set(COMMAND_LINE.findall((ROOT / "README.md").read_text()))
    assert {"demo", "check"} <= shown_commands
    assert [path for path in sorted(shown_commands) if not os.access(ROOT / path, os.X_OK)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_versions_and_hashes_and_no_place(lock: str) -> None:
    for line in (ROOT / lock).read_text().splitlines():
        assert line.startswith("#") or PIN.match(line) or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)


@pytest.mark.parametrize(
    ("lock", "group"), [(LOCKS[0], None), (LOCKS[0], "build"), (LOCKS[1], None), (LOCKS[1], "dev")]
)
def test_a_lock_holds_what_the_project_asks_for(lock: str, group: str | None) -> None:
    pins = _pins(lock)
    for requirement in _requirements(group=group):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in {lock}: run scripts/lock"
        assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]} is too old: run scripts/lock"


def test_both_locks_agree() -> None:
    development = _pins(LOCKS[1])
    assert {name: development.get(name) for name in _pins(LOCKS[0])} == _pins(LOCKS[0])


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = [
        f"{shown(path)}:{number}: {private}"
        for path in repository_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        for private in PRIVATE_PATHS
        if private in line
    ]
    assert found == []


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{shown(path)}: {target}"
        for path in _markdown()
        for target in LINK.findall(path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    decisions = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name for name in decisions if f"]({name})" not in index] == []
    numbers = [name.partition("-")[0] for name in decisions]
    assert len(numbers) == len(set(numbers))


def test_every_decision_says_context_decision_and_consequences() -> None:
    for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"):
        headings = re.findall(r"^## (Context|Decision|Consequences)$", path.read_text(), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], shown(path)
