import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faregate.apps.compiled import COMPILED_AGAINST, MODULES, SWITCH, source_of
from tests.support.tree import SOURCE


def _run(code: str, tree: Path) -> str:
    # A copy of the sources is not what coverage is about.
    kept = {name: value for name, value in os.environ.items() if name != SWITCH and not name.startswith("COVERAGE")}
    environment = kept | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_is_compiled_holds_nothing_that_cannot_be(module: str) -> None:
    tree = ast.parse(source_of(module).read_text())
    structs = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Struct") for base in node.bases)
    ]
    generators = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef) and any(isinstance(inner, ast.Yield) for inner in ast.walk(node))
    ]
    assert (structs, generators) == ([], [])


def test_the_compiled_modules_import_nothing_that_their_folder_is_not_named_for() -> None:
    imported = {
        node.module
        for module in MODULES
        for node in ast.walk(ast.parse(source_of(module).read_text()))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("faregate.")
    }
    folders = tuple(f"faregate.{folder.replace('/', '.')}" for folder in COMPILED_AGAINST)
    assert [module for module in sorted(imported) if not module.startswith(folders)] == []


# The second is compiled into others: mypyc writes constants where they are used.
@pytest.mark.parametrize("changed", ["apps/gateway/pools.py", "base/limits.py"])
def test_what_was_compiled_is_of_no_use_once_a_source_has_changed(tmp_path: Path, changed: str) -> None:
    tree = Path(shutil.copytree(SOURCE.parent, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")))
    folder = "from faregate.apps.compiled import compiled_folder as folder; print(folder())"
    before = _run(folder, tree)
    with (tree / "faregate" / changed).open("a") as source:
        source.write("# changed\n")
    after = _run(folder, tree)
    assert Path(before).parent == Path(after).parent
    assert before != after
    assert _run("from faregate.apps.compiled import use_compiled; print(use_compiled())", tree) == "False"


def test_modules_are_compiled_all_or_not_at_all() -> None:
    module = "faregate.apps.gateway.metrics"
    told = _run(f"import {module}; from faregate.apps.compiled import use_compiled; use_compiled()", SOURCE.parent)
    assert told.endswith(f"RuntimeError: imported before compiled modules were asked for: {module}")
