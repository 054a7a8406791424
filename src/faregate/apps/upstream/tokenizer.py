"""The demo upstream's tokenizer: a rule instead of a vocabulary file, pure and the same on every machine.

A text is cut from the left into tokens of one of three kinds, tried in this order:

1. up to 4 letters, digits or underscores, with the one space before them if there is one: `the`, ` the`, ` 2026`; a
   longer word goes on in further tokens: `capital` is `capi` and `tal`;
2. one other visible character, with the one space before it if there is one: `.`, ` (`;
3. up to 4 characters of any other white space: line ends, runs of spaces.

Every character belongs to exactly one token, so the tokens joined are the text; every token holds at least one
character, so a text never has more tokens than UTF-8 bytes.
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(r" ?\w{1,4}| ?[^\w\s]|\s{1,4}")


def split_tokens(text: str) -> list[str]:
    """Return the tokens of `text` in order; joined they are `text`."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """Return how many tokens `text` has: 0 for the empty text, never more than its UTF-8 bytes."""
    return len(_TOKEN.findall(text))
