"""What a request's `x-demo-*` headers ask of the demo upstream; the table is in the package's docstring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from faregate.base.errors import InvalidInput

MAX_REPLAY_PROMPT_TOKENS: Final = 10_000_000
"""Prompt tokens are only reported."""

MAX_REPLAY_COMPLETION_TOKENS: Final = 100_000
"""Completion tokens are written, up to 128 times."""

MAX_DELAY_MS: Final = 600_000
MAX_BREAK_CHUNKS: Final = 10_000_000

_SWITCH: Final = {"true": True, "false": False}


class Directions(msgspec.Struct, frozen=True, kw_only=True):
    """A request's directions (a Struct, as it is made for every call); the defaults are those of a request without any.

    `usage` is a JSON object as the caller wrote it.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_ms: int = 0
    token_ms: int = 0
    fail_status: int | None = None
    break_after_chunks: int | None = None
    fail_after_chunks: int | None = None
    omit_usage: bool = False
    usage: msgspec.Raw | None = None


def read_directions(header: Callable[[str], str | None]) -> Directions:
    """Return the directions in the headers that `header` looks up by lower-case name.

    Raises:
        InvalidInput: A value is not one that its header takes; names the header.
    """
    return Directions(
        prompt_tokens=_whole_number(header, "x-demo-prompt-tokens", most=MAX_REPLAY_PROMPT_TOKENS),
        completion_tokens=_whole_number(header, "x-demo-completion-tokens", most=MAX_REPLAY_COMPLETION_TOKENS),
        first_token_ms=_whole_number(header, "x-demo-first-token-ms", most=MAX_DELAY_MS) or 0,
        token_ms=_whole_number(header, "x-demo-token-ms", most=MAX_DELAY_MS) or 0,
        fail_status=_whole_number(header, "x-demo-fail-status", least=400, most=599),
        break_after_chunks=_whole_number(header, "x-demo-break-after", most=MAX_BREAK_CHUNKS),
        fail_after_chunks=_whole_number(header, "x-demo-fail-after", most=MAX_BREAK_CHUNKS),
        omit_usage=_switch(header, "x-demo-omit-usage"),
        usage=_json_object(header, "x-demo-usage"),
    )


def _whole_number(header: Callable[[str], str | None], name: str, *, most: int, least: int = 0) -> int | None:
    text = header(name)
    if text is None:
        return None
    # isdecimal alone would let other scripts' digits in; the length bound keeps int() cheap.
    if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most:
        return int(text)
    raise InvalidInput.of(name, f"must be a whole number from {least} to {most}, not {text!r}")


def _switch(header: Callable[[str], str | None], name: str) -> bool:
    text = header(name)
    if text is None:
        return False
    if text not in _SWITCH:
        raise InvalidInput.of(name, f"must be true or false, not {text!r}")
    return _SWITCH[text]


def _json_object(header: Callable[[str], str | None], name: str) -> msgspec.Raw | None:
    text = header(name)
    if text is None:
        return None
    try:
        msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput.of(name, f"must be a JSON object: {error}") from error
    return msgspec.Raw(text.encode())
