"""Regular expressions of RE2, whose time is linear in the text they look at."""

from __future__ import annotations

from collections.abc import Callable

import re2

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_PATTERN_CHARACTERS


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether the pattern is found in a text; `InvalidInput` on `pattern`."""
    quiet = re2.Options()
    quiet.log_errors = False
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise InvalidInput.of("pattern", f"must have at most {MAX_PATTERN_CHARACTERS} characters")
    try:
        compiled = re2.compile(pattern, quiet)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise InvalidInput.of("pattern", f"{pattern!r} is not a regular expression of RE2: {reason}") from error
    return lambda text: compiled.search(text) is not None
