"""Compile the gateway's hot modules (src/faregate/apps/compiled.py) for the Python that runs this.

    python scripts/compile.py

Takes about a quarter of a minute, once for each state of these sources. Without a C compiler and Python's headers it
says so and does nothing: the gateway then runs the sources, at the price of more CPU a call.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

from faregate.apps.compiled import MODULES, SWITCH, compiled_folder, folder_of_all, source_of

ROOT: Final = Path(__file__).parents[1]
WITHIN_S: Final = 300
_BUILD: Final = """
import sys
from pathlib import Path

import mypyc
from setuptools import setup
from mypyc.build import mypycify

modules = mypycify(sys.argv[1:], opt_level="3", debug_level="0", group_name="faregate_gateway")

# Where a compiled coroutine waits for another, mypyc throws into that with three arguments: deprecated since
# Python 3.12, and more than the HTTP client's coroutines take. The file in place of its own is found first.
runtime = (Path(mypyc.__file__).parent / "lib-rt" / "misc_ops.c").read_text()
throws = "PyObject_CallFunctionObjArgs(_m, type, value, traceback, NULL)"
assert runtime.count(throws) == 1, "mypyc throws in another way"
Path("build/misc_ops.c").write_text(runtime.replace(throws, "PyObject_CallFunctionObjArgs(_m, value, NULL)"))
for module in modules:
    module.include_dirs.insert(0, "build")

arguments = ["-q", "build_ext", "--build-lib", "lib"]
setup(name="faregate-compiled", packages=[], script_args=arguments, ext_modules=modules)
"""
_TRY: Final = """
import importlib, sys
from faregate.apps.compiled import MODULES, use_compiled

assert use_compiled()
wrong = [name for name in MODULES if not importlib.import_module(name).__file__.endswith(sys.argv[1])]
assert not wrong, wrong
"""


def main() -> int:
    """Return the process's status: 0 also where nothing can be compiled here, 1 where compiling failed."""
    folder = compiled_folder()
    if folder.is_dir():
        return 0
    missing = _missing()
    if missing:
        print(f"The gateway runs uncompiled: {missing}.", file=sys.stderr)
        return 0
    print("Compiling the gateway (this is done once, and takes about a quarter of a minute).", file=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        built = _run(["-c", _BUILD, *_build_arguments()], Path(scratch))
        if built.returncode:
            return _failed("compiling", built)
        fresh = _collect(Path(scratch) / "lib", folder)
    tried = _run(["-c", _TRY, sysconfig.get_config_var("EXT_SUFFIX")], ROOT)
    if tried.returncode:
        shutil.rmtree(fresh)
        return _failed("importing what was compiled", tried)
    for other in folder_of_all().iterdir():
        if other != fresh:
            shutil.rmtree(other)
    return 0


def _missing() -> str:
    """Return what is missing to compile, "" where nothing is."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's C headers are not installed"
    return ""


def _build_arguments() -> list[str]:
    """Return mypy's options and the sources."""
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--follow-imports=silent", "--no-warn-unused-configs"]
    return [*options, *(str(source_of(module)) for module in MODULES)]


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != SWITCH},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def _collect(built: Path, folder: Path) -> Path:
    """Put what was built into its place in one step, each file under its module's full name."""
    folder.parent.mkdir(exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent))
    for path in built.rglob("*.*"):
        if path.is_file():
            shutil.copyfile(path, fresh / ".".join(path.relative_to(built).parts))
    fresh.chmod(0o755)
    return fresh.rename(folder)


def _failed(step: str, done: subprocess.CompletedProcess[str]) -> int:
    print(f"{step} failed ({done.returncode}); the gateway runs uncompiled:", done.stderr, sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
