"""One API call as the core sees it, and how a field of it is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_FIELD_PATH_CHARACTERS

Fields = Mapping[str, object]
"""The event's JSON in Moesif's canonical shape, decoded: objects, arrays, strings, ints, Decimals, bools, None."""

_ROOTS = ("request", "response", "metadata", "user_id", "company_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A call: who, when and what. `blocked_by` names the rule that refused it, if one did."""

    occurred_at: datetime
    company_id: str | None
    user_id: str | None
    blocked_by: str | None
    fields: Fields


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A dotted path into an event: `request.route`, `response.status`, `response.body.usage.prompt_tokens`."""

    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the path's steps."""
        return tuple(self.text.split("."))


def parse_field_path(field: str, text: str) -> FieldPath:
    """Return the path, or raise `InvalidInput` on `field` saying what a path looks like."""
    parts = text.split(".")
    if len(text) > MAX_FIELD_PATH_CHARACTERS or parts[0] not in _ROOTS or not all(parts):
        raise InvalidInput.of(
            field,
            f"{text!r} is not a field of an event; a path starts with one of {', '.join(_ROOTS)}, "
            "for example 'response.body.usage.prompt_tokens'",
        )
    return FieldPath(text)


def compile_field(path: FieldPath) -> Callable[[Fields], object]:
    """Return a function that reads the path from an event's fields; None where any step is missing."""
    parts = path.parts

    def read(fields: Fields) -> object:
        value: object = fields
        for part in parts:
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        return value

    return read
