"""Make and check secrets. Tokens and keys are long and random: SHA-256 keeps them. Passwords get scrypt (RFC 7914)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

_KEY_PREFIX: Final = "fg_live_"
_TOKEN_PREFIX: Final = "fg_api_"  # noqa: S105 - the public beginning of every token
_COLLECTOR_PREFIX: Final = "fg_collector_"
_RANDOM_BYTES: Final = 32
_HINT_CHARACTERS: Final = 4

_SCRYPT_COST: Final = 1 << 14
_SCRYPT_BLOCK: Final = 8
_SCRYPT_MEMORY_BYTES: Final = 64 << 20
_SALT_BYTES: Final = 16


def new_api_key() -> str:
    """Return the text of a new API key: `fg_live_` and 43 random characters."""
    return _KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def new_api_token() -> str:
    """Return the text of a new token of the management API."""
    return _TOKEN_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def new_collector_id() -> str:
    """Return a new collector id: at least 60 characters, as agents expect, and random to its last one."""
    return _COLLECTOR_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES + 8)


def new_session_secret() -> str:
    """Return a new cookie of a session, or the token of its forms: 43 random characters."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def new_password() -> str:
    """Return a new password of 24 characters."""
    return secrets.token_urlsafe(18)


def hint_of(secret: str) -> str:
    """Return the end of a key, by which its owner knows it again."""
    return secret[-_HINT_CHARACTERS:]


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a key, token or collector id, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hash_password(password: str) -> str:
    """Return `scrypt$salt$hash`, both in hex."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def password_matches(password: str, kept: str) -> bool:
    """Return whether `kept`, as `hash_password` made it, is of this password; in the same time either way."""
    _, salt, expected = kept.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)), bytes.fromhex(expected))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=_SCRYPT_COST, r=_SCRYPT_BLOCK, p=1, maxmem=_SCRYPT_MEMORY_BYTES
    )
