"""Secrets that processes of one machine share through the data folder: a file each, for its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

CLI_TOKEN_FILE: Final = "cli-token"  # noqa: S105 - a file's name
"""An API token, for `faregate` commands on the same machine."""

GATEWAY_TOKEN_FILE: Final = "gateway-token"  # noqa: S105 - a file's name
"""What gateways show the control plane."""

SANDBOX_KEY_FILE: Final = "sandbox-key"
"""What Stripe's SDK shows the sandbox."""

_MODE: Final = 0o600
_RANDOM_BYTES: Final = 32


def read_secret(path: Path) -> str | None:
    """Return the secret in a file, None where there is none."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def write_secret(path: Path, secret: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, _MODE), "w") as file:  # noqa: PTH123 - by descriptor
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def ensure_gateway_token(data: Path) -> str:
    """Return the gateway token of a data folder, made at the first start."""
    return _ensure(data / GATEWAY_TOKEN_FILE, "fg_gateway_")


def ensure_sandbox_key(data: Path) -> str:
    """Return the key of the sandbox in a data folder, in the form of a Stripe test key, made at the first start."""
    return _ensure(data / SANDBOX_KEY_FILE, "sk_test_")


def _ensure(path: Path, beginning: str) -> str:
    found = read_secret(path)
    if found is not None:
        return found
    made = beginning + secrets.token_hex(_RANDOM_BYTES)
    write_secret(path, made)
    return made
