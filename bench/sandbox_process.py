"""A sandbox in a process of its own, for the official SDK."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.children import HOST, BenchError, Child, running
from bench.stack import READY, clean_environment
from faregate.apps.ports import claim_port
from faregate.apps.secret_files import SANDBOX_KEY_FILE, read_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxProcess:
    """A sandbox that answers at `url` to whoever has its key."""

    child: Child
    url: str
    key: str


@contextmanager
def running_sandbox(folder: Path) -> Iterator[SandboxProcess]:
    """Run a sandbox while the context lasts; its files are in the folder."""
    data = folder / "sandbox"
    port = claim_port(HOST, 0)
    command = [sys.executable, "-m", "faregate", "serve", "--host", HOST, "--port", str(port), "--data", str(data)]
    child = Child("sandbox", command, environment=clean_environment(), folder=folder, port=port)
    with running((child, READY)):
        key = read_secret(data / SANDBOX_KEY_FILE)
        if key is None:
            raise BenchError(f"the sandbox has no key in {data / SANDBOX_KEY_FILE}")
        yield SandboxProcess(child=child, url=f"{child.origin}/sandbox", key=key)
