"""Reads the tokens of a filter's or an expression's text, and says at which column something is wrong."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from typing import Final, NoReturn

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_QUANTITY_DIGITS
from faregate.domain.metering.event import ROOTS, FieldPath, parse_field_path
from faregate.domain.metering.numbers import digit_count

_SPACE: Final = re.compile(r"\s*")
_PATH: Final = re.compile(
    rf'(?:{"|".join(ROOTS)})(?![\w$@:-])(?:\.[A-Za-z0-9_$@:-]+|\[\d{{1,9}}\]|\[\*\]|\["(?:[^"\\]|\\.)*"\])*'
)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_NUMERAL: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4})?(?![\w.])")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SHOWN_CHARACTERS: Final = 20


@cache
def _spelling(words: str) -> re.Pattern[str]:
    pattern = r"\s+".join(re.escape(word) for word in words.split())
    return re.compile(pattern + (r"(?!\w)" if words[-1].isalpha() else ""), re.IGNORECASE)


class Scanner:
    """A place in a text. `field` is the input's field that faults are about."""

    def __init__(self, field: str, text: str) -> None:
        self._field = field
        self._text = text
        self._place = 0
        self._skip_space()

    def is_at_end(self) -> bool:
        """Return whether nothing is left."""
        return self._place == len(self._text)

    def take(self, *spellings: str) -> str | None:
        """Step over the first of the words or signs that stands here, and return it. Words have no case."""
        for spelling in spellings:
            found = _spelling(spelling).match(self._text, self._place)
            if found is not None:
                self._step_to(found.end())
                return spelling
        return None

    def require(self, spelling: str, *, after: str) -> None:
        """Step over the word or sign, or raise `InvalidInput`."""
        if self.take(spelling) is None:
            self.fail(f"expected {spelling!r} after {after}")

    def take_path(self) -> FieldPath | None:
        """Step over a field path, if one stands here."""
        found = _PATH.match(self._text, self._place)
        if found is None:
            return None
        path = parse_field_path(self._field, found[0])
        self._step_to(found.end())
        return path

    def take_number(self) -> int | Decimal | None:
        """Step over a numeral, if one stands here."""
        found = _NUMERAL.match(self._text, self._place)
        if found is None:
            return None
        number = Decimal(found[0])
        if number and digit_count(number) > MAX_QUANTITY_DIGITS:
            self.fail(f"a number must have at most {MAX_QUANTITY_DIGITS} digits")
        self._step_to(found.end())
        return int(number) if found[0].lstrip("-").isdigit() else number

    def take_string(self) -> str | None:
        """Step over a text in double quotes, with JSON's escapes, if one stands here."""
        found = _STRING.match(self._text, self._place)
        if found is None:
            return None
        try:
            text = str(json.loads(found[0]))
        except ValueError:
            self.fail("a text in double quotes may only have JSON's escapes")
        self._step_to(found.end())
        return text

    def fail(self, expected: str) -> NoReturn:
        """Raise `InvalidInput` that points at the column, counted from 1."""
        rest = self._text[self._place :]
        word = _WORD.match(rest)
        shown = word[0] if word else rest[:_SHOWN_CHARACTERS]
        found = f"found {shown!r}" if rest else "the text ends here"
        raise InvalidInput.of(self._field, f"column {self._place + 1}: {expected}; {found}")

    def _step_to(self, place: int) -> None:
        self._place = place
        self._skip_space()

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._place)
        self._place = space.end() if space is not None else self._place
