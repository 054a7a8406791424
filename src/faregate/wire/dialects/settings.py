"""What a route may say beside its dialect's name; part of the gateway's state."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

_Name = Annotated[str, Meta(min_length=1, max_length=100)]
_Path = Annotated[str, Meta(min_length=1, max_length=200)]
PartTokens = Annotated[int, Meta(ge=1, le=10_000_000)]


class GenericSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a route says of its API.

    `usage`: fields of an answer's usage by names of your choice, as paths of the call. `output_limit`: the request's
    top-level field that limits the output; without it no call is bounded. `text`: where the text of an answer, or of an
    event, stands, to estimate by.
    """

    usage: dict[_Name, _Path]
    output_limit: _Name | None = None
    text: _Path | None = None


class PartBounds(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Input tokens that one part of its kind comes to at most; a kind without a bound is refused on strict routes.

    `stored`: an earlier response, a conversation, a prompt kept at the upstream. `tool`: one of the upstream's own
    tools, with all that it brings into a call.
    """

    image: PartTokens | None = None
    audio: PartTokens | None = None
    file: PartTokens | None = None
    stored: PartTokens | None = None
    tool: PartTokens | None = None


NO_PARTS: Final = PartBounds()
