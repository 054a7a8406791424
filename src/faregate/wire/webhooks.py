"""Signed webhooks, as Standard Webhooks has them: receivers find libraries that check them in every language.

Source: the Standard Webhooks specification, "Signature scheme", symmetric.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the public beginning of every secret


def encode_secret(key: bytes) -> str:
    """Return a signing key as its receiver gets it."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def signed_headers(secret: str, *, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers that say what a message is, when it was sent (seconds since 1970), and that it is ours."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b"%b.%d.%b" % (message_id.encode(), at_s, body)
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{signature}"}
