"""A call's tokens in one form for all dialects, and the rules by which a usage is assembled.

OpenAI counts cached and reasoning tokens inside its totals, Anthropic leaves what was read from and written to its
cache out of `input_tokens`. Here nothing is counted twice: `input`, `cached_read` and `cache_write` are apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

Usage = dict[str, object]
"""An upstream's usage object: fields by name, decoded; numbers that are not whole are Decimals."""

InputEstimate = int | Callable[[], int]
"""Input tokens to bill where none are reported, or what counts them: most upstreams do report."""

CHARACTERS_PER_TOKEN: Final = 4

MOST_TOKENS: Final = 10**18
"""What is beyond is no count of tokens."""

_MOST_DIGITS: Final = 18


class Tokens(Struct, frozen=True, kw_only=True, gc=False):
    """`total` = `input` (uncached) + `cached_read` + `cache_write` + `output`.

    `reasoning` and `audio_output` are parts of `output`, `audio_input` of what was read. 0 where the upstream does not
    tell it apart.
    """

    input: int = 0
    cached_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    total: int = 0


def whole(value: object) -> int | None:
    """Return a count of tokens, from a number or a numeral; None for what is none."""
    if type(value) is int:
        return value if 0 <= value <= MOST_TOKENS else None
    if isinstance(value, Decimal):
        return int(value) if 0 <= value <= MOST_TOKENS and value == value.to_integral_value() else None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS:
        return int(value)
    return None


def count_of(usage: Mapping[str, object], name: str) -> int:
    """Return the count of that name, 0 where there is none."""
    value = usage.get(name)
    return (whole(value) or 0) if value else 0


def merge_usage(known: Usage, later: Mapping[str, object]) -> Usage:
    """Return both: the later value of a field wins, none are added up, and null overwrites nothing."""
    merged = dict(known)
    for name, value in later.items():
        if isinstance(value, dict):
            before = merged.get(name)
            merged[name] = merge_usage(before if isinstance(before, dict) else {}, value)
        elif value is not None:
            merged[name] = value
    return merged


def tokens_inclusive(usage: Mapping[str, object], names: tuple[str, str, str, str]) -> Tokens:
    """Normalise a usage whose input includes what was cached: OpenAI's.

    `names`: the fields of input, its details, output, its details.
    """
    read, read_details, written, written_details = names
    every, output = count_of(usage, read), count_of(usage, written)
    details = usage.get(read_details)
    cached_read = cache_write = audio_input = 0
    if isinstance(details, dict):
        # Some upstreams leave cached tokens out of their input after all: nothing becomes negative, nothing is lost.
        cached_read = count_of(details, "cached_tokens")
        cache_write = count_of(details, "cache_write_tokens")
        audio_input = count_of(details, "audio_tokens")
    reasoning = audio_output = 0
    details = usage.get(written_details)
    if isinstance(details, dict):
        reasoning = count_of(details, "reasoning_tokens")
        audio_output = count_of(details, "audio_tokens")
    uncached = max(0, every - cached_read - cache_write)
    return Tokens(
        input=uncached,
        cached_read=cached_read,
        cache_write=cache_write,
        output=output,
        reasoning=reasoning,
        audio_input=audio_input,
        audio_output=audio_output,
        total=uncached + cached_read + cache_write + output,
    )


def counted(estimate: InputEstimate) -> int:
    """Return the estimate, counted now where it was not."""
    return estimate if isinstance(estimate, int) else estimate()


class Counted:
    """What was seen of an answer's text, to estimate its tokens by where nobody counts them.

    `deltas`: pieces of content; `characters`: their length; `reported`: the most output that was reported, though not
    as the last word. `most`: more cannot have been written, where that is known.
    """

    __slots__ = ("characters", "deltas", "most", "reported")

    def __init__(self, most: int | None) -> None:
        self.deltas = 0
        self.characters = 0
        self.reported = 0
        self.most = most

    def add(self, characters: int) -> None:
        """Count a piece of content; an empty one is none."""
        if characters:
            self.deltas += 1
            self.characters += characters

    def report(self, output: object) -> None:
        """Take note of an output that may still grow."""
        self.reported = max(self.reported, whole(output) or 0)

    @property
    def estimate(self) -> int:
        """Return the larger of deltas and characters / 4, within the limit; never less than reported."""
        guess = max(self.deltas, -(-self.characters // CHARACTERS_PER_TOKEN))
        return max(self.reported, guess if self.most is None else min(guess, self.most))


def fill_usage(
    usage: Usage, names: tuple[str, str], *, input_estimate: InputEstimate | None, output_estimate: int, final: bool
) -> tuple[Usage, bool]:
    """Return the usage with what was not reported estimated, and whether something was.

    `names`: the fields of input and output. `final`: the upstream has said its last word on the output. Without an
    `input_estimate` nothing is estimated.
    """
    if input_estimate is None:
        return usage, False
    read, written = names
    estimated = {}
    if whole(usage.get(read)) is None:
        estimated[read] = counted(input_estimate)
    if not final or whole(usage.get(written)) is None:
        estimated[written] = max(output_estimate, count_of(usage, written))
    return usage | estimated, bool(estimated)
