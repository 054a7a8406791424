"""One API call as the core sees it, and how a field of it is named and read.

A path goes through objects by name, through arrays by index, or through all elements of an array:

    response.body.usage.prompt_tokens    request.headers.x-team    request.body.messages[0].role
    request.body.messages[*].content     metadata["cost center"]

Names of headers have no case. Names that are not plain are written as JSON strings in brackets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_FIELD_PATH_CHARACTERS

Fields = Mapping[str, object]
"""The event's JSON in Moesif's canonical shape, decoded: objects, arrays, strings, ints, Decimals, bools, None."""

ROOTS: Final = ("request", "response", "metadata", "user_id", "company_id")

_STEP: Final = re.compile(
    r'\.?(?P<name>[^.\[\]"]+)|\[(?P<index>\d{1,9})\]|\[(?P<all>\*)\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]'
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_$@:-]+")
_HEADERS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A call: who, when and what. `blocked_by` names the rule that refused it, if one did.

    `weight`: how many calls it stands for, where its source sends only a sample.
    """

    occurred_at: datetime
    company_id: str | None
    user_id: str | None
    blocked_by: str | None
    fields: Fields
    weight: int = 1


class Every(Enum):
    """The step `[*]`: through all elements of an array."""

    ELEMENT = "*"


Step = str | int | Every
ScalarText = str | bool | None
"""What a scalar is compared by; None for what is no scalar."""


class Several(tuple[object, ...]):
    """What a path with `[*]` finds: the values at its end, without missing and null ones."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A path into an event, in its canonical spelling: `request.route`, `response.body.usage.prompt_tokens`."""

    text: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the path's steps; `ValueError` for a text that is no path."""
        return _steps(self.text)

    @property
    def is_single(self) -> bool:
        """Return whether the path finds one value at most: it has no `[*]`."""
        return Every.ELEMENT not in self.steps


def parse_field_path(field: str, text: str) -> FieldPath:
    """Return the path, or raise `InvalidInput` on `field` saying what a path looks like."""
    try:
        path = FieldPath(_spelled(_steps(text)))
    except ValueError:
        path = None
    if path is None or path.steps[0] not in ROOTS or max(len(path.text), len(text)) > MAX_FIELD_PATH_CHARACTERS:
        raise InvalidInput.of(
            field,
            f"{text!r} is not a field of an event; a path starts with one of {', '.join(ROOTS)}, "
            "for example 'response.body.usage.prompt_tokens'",
        )
    return path


def compile_field(path: FieldPath) -> Callable[[Fields], object]:
    """Return a function that reads the path from an event's fields; None where any step is missing.

    A path with `[*]` gives `Several`.
    """
    return compile_steps(path.steps, with_headers=path.steps[1:_HEADERS] == ("headers",))


def compile_steps(steps: tuple[Step, ...], *, with_headers: bool) -> Callable[[object], object]:
    """Return a function that reads steps from a decoded value. `with_headers`: the third step names a header."""
    if Every.ELEMENT in steps:
        place = steps.index(Every.ELEMENT)
        before = compile_steps(steps[:place], with_headers=with_headers)
        return _through_all(before, compile_steps(steps[place + 1 :], with_headers=False))
    if with_headers and len(steps) > _HEADERS:
        return _of_header(
            str(steps[_HEADERS]), compile_steps(steps[_HEADERS + 1 :], with_headers=False), steps[:_HEADERS]
        )
    if all(isinstance(step, str) for step in steps):
        return _by_names(tuple(str(step) for step in steps))
    return _by_steps(steps)


def scalar_text(value: object) -> ScalarText:
    """Return a scalar as what it is compared by: a number as its shortest numeral; None for all that is no scalar."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return _numeral(value)
    return None


def _numeral(number: Decimal) -> str:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_FIELD_PATH_CHARACTERS or exponent > MAX_FIELD_PATH_CHARACTERS:
        return str(number)
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _steps(text: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    place = 0
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None or (found["name"] is not None and (text[place] == ".") != bool(steps)):
            raise ValueError(text)
        place = found.end()
        steps.append(_step(found))
    if not steps or not isinstance(steps[0], str):
        raise ValueError(text)
    if steps[1:_HEADERS] == ["headers"] and len(steps) > _HEADERS:
        steps[_HEADERS] = str(steps[_HEADERS]).lower()
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    if found["name"] is not None:
        return found["name"]
    if found["index"] is not None:
        return int(found["index"])
    return Every.ELEMENT if found["all"] is not None else str(json.loads(found["quoted"]))


def _spelled(steps: tuple[Step, ...]) -> str:
    parts = []
    for step in steps:
        match step:
            case str() if _PLAIN.fullmatch(step):
                parts.append(f".{step}")
            case str():
                parts.append(f"[{json.dumps(step, ensure_ascii=False)}]")
            case int():
                parts.append(f"[{step}]")
            case _:
                parts.append("[*]")
    return "".join(parts).removeprefix(".")


def _by_names(names: tuple[str, ...]) -> Callable[[object], object]:
    def read(fields: Any) -> object:  # noqa: ANN401 - any JSON; what is no object has no names
        value = fields
        try:
            for name in names:
                value = value[name]
        except (KeyError, TypeError):
            return None
        return value

    return read


def _by_steps(steps: tuple[Step, ...]) -> Callable[[object], object]:
    def read(fields: object) -> object:
        value = fields
        for step in steps:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, dict) else None
        return value

    return read


def _of_header(name: str, below: Callable[[object], object], above: tuple[Step, ...]) -> Callable[[object], object]:
    read_headers = compile_steps(above, with_headers=False)

    def read(fields: object) -> object:
        headers = read_headers(fields)
        if not isinstance(headers, dict):
            return None
        value = headers.get(name)
        if value is None:
            value = next((found for key, found in headers.items() if key.lower() == name), None)
        return below(value)

    return read


def _through_all(before: Callable[[object], object], after: Callable[[object], object]) -> Callable[[object], Several]:
    def read(fields: object) -> Several:
        elements = before(fields)
        found: list[object] = []
        for element in elements if isinstance(elements, list) else ():
            value = after(element)
            if isinstance(value, Several):
                found.extend(value)
            elif value is not None:
                found.append(value)
        return Several(found)

    return read
