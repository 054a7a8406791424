"""The gateway's hot modules as machine code, where `scripts/compile` has made it from these very sources.

The sources are the program: the same files run as they are where there is no compiler. A folder of compiled modules is
named for what it was made from, so that it is never used for a source that has changed since.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

MODULES: Final = (
    "faregate.apps.gateway.app",
    "faregate.apps.gateway.bodies",
    "faregate.apps.gateway.call",
    "faregate.apps.gateway.call_records",
    "faregate.apps.gateway.caller",
    "faregate.apps.gateway.headers",
    "faregate.apps.gateway.holding",
    "faregate.apps.gateway.metered",
    "faregate.apps.gateway.meters",
    "faregate.apps.gateway.metrics",
    "faregate.apps.gateway.plan",
    "faregate.apps.gateway.pools",
    "faregate.apps.gateway.relay",
    "faregate.apps.gateway.request_ids",
    "faregate.apps.gateway.settlement",
    "faregate.apps.gateway.spool",
    "faregate.apps.gateway.upstream_client",
    "faregate.wire.dialects.openai_chat",
    "faregate.wire.dialects.openai_chat_usage",
    "faregate.wire.dialects.request_fields",
)
"""What every call runs through, and nothing that is imported before a gateway is to run.

None of them defines a msgspec Struct (its metaclass cannot be compiled) or an asynchronous generator.
"""

COMPILED_AGAINST: Final = ("apps/gateway", "base", "domain", "wire")
"""Where those modules, and all they import, stand: their compiled code has constants and types of each in it."""

REVISION: Final = 2
"""Of the way they are compiled: a change of `scripts/compile.py` raises it."""

SWITCH: Final = "FAREGATE_COMPILED"
"""Environment variable: `no` runs the sources as they are."""

_SOURCES: Final = Path(__file__).parents[2]
_SUFFIX: Final = EXTENSION_SUFFIXES[0]


def use_compiled() -> bool:
    """Import compiled modules from now on, where there are any; return whether there are.

    Compiled modules call each other without asking the import system, so that none may be there as a source.
    """
    if os.environ.get(SWITCH) == "no":
        return False
    early = [name for name in MODULES if name in sys.modules]
    if early:
        raise RuntimeError(f"imported before compiled modules were asked for: {', '.join(early)}")
    folder = compiled_folder()
    if not folder.is_dir():
        return False
    sys.meta_path.insert(0, _Finder(folder))
    return True


def compiled_folder() -> Path:
    """Return where the modules compiled from the sources as they now are belong; it need not exist."""
    return folder_of_all() / _fingerprint()


def folder_of_all() -> Path:
    """Return the folder with one folder of compiled modules for each state of the sources."""
    return Path(sys.prefix) / "faregate-compiled"


def source_of(module: str) -> Path:
    """Return a module's source file."""
    return _SOURCES / (module.replace(".", "/") + ".py")


class _Finder(MetaPathFinder):
    """Finds the compiled modules, and the library that their code is in."""

    def __init__(self, folder: Path) -> None:
        self._files = {path.name.removesuffix(_SUFFIX): path for path in folder.glob(f"*{_SUFFIX}")}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return where a compiled module is; None for every other module."""
        file = self._files.get(fullname)
        return None if file is None else spec_from_file_location(fullname, file)


def _fingerprint() -> str:
    """Return what names the sources, this file included, and the Python that they are compiled for."""
    state = hashlib.sha256(f"{sys.implementation.cache_tag} {_SUFFIX} {REVISION}".encode())
    folders = [Path(__file__).parents[1] / folder for folder in COMPILED_AGAINST]
    for path in (Path(__file__), *(path for folder in folders for path in sorted(folder.rglob("*.py")))):
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:16]
