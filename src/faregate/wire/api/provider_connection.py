"""The connection to the billing provider on the wire."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from faregate.wire.api.common import END

_ENDPOINT_PATTERN: Final = f"^https?://[^\\s\\x00]+/webhooks/stripe{END}"


class PermissionView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is done at the provider, and whether the key may; `fault`: the provider's words, if not."""

    name: str
    granted: bool
    fault: str = ""


class ConnectionView(Struct, frozen=True, kw_only=True):
    """Whose account the key is of, whether it is of live mode, and what it may do. `enough`: all that is needed."""

    account: str
    name: str
    live: bool
    enough: bool
    permissions: list[PermissionView]


class WebhookEndpointMake(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the provider reaches this control plane's `/webhooks/stripe` from outside."""

    url: Annotated[str, Meta(pattern=_ENDPOINT_PATTERN, max_length=2_000)]


class WebhookEndpointView(Struct, frozen=True, kw_only=True):
    """The endpoint at the provider. `secret` signs its webhooks, and is told at its making alone."""

    endpoint_id: str
    url: str
    secret: str | None
