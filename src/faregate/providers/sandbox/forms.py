"""Stripe's form encoding: `items[0][price]=...`, `expand[]=...`, `metadata[order]=...` as nested values."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import parse_qsl

from faregate.providers.sandbox.faults import refused

Sent = str | dict[str, "Sent"]
"""A text, or parts by name; a list has its places as names."""


class Bare(str):
    """A number or a truth value of a JSON body, as a form would write it: no text."""

    __slots__ = ()


_KEY: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_MOST_FIELDS: Final = 10_000
_DEEPEST: Final = 10


def decode_form(encoded: bytes) -> dict[str, Sent]:
    """Return a form's fields; raises `StripeFault` for one that is not Stripe's."""
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise refused(f"Invalid form: {error}") from error
    form: dict[str, Sent] = {}
    for key, value in pairs:
        _put(form, key, value)
    return form


def decode_json(body: bytes) -> dict[str, Sent]:
    """Return the fields of a body of `/v2`; raises `StripeFault` for what is no JSON object."""
    try:
        value: object = json.loads(body or b"{}", parse_float=Bare, parse_int=Bare, parse_constant=Bare)
    except ValueError as error:
        raise refused(f"Invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise refused("Invalid JSON: must be an object")
    return {name: _sent(part) for name, part in value.items()}


def _sent(value: object) -> Sent:
    if isinstance(value, dict):
        return {name: _sent(part) for name, part in value.items()}
    if isinstance(value, list):
        return {str(place): _sent(part) for place, part in enumerate(value)}
    if isinstance(value, bool):
        return Bare(str(value).lower())
    # Nothing takes a value away, as the empty text of a form does.
    return value if isinstance(value, str) else ""


def _put(form: dict[str, Sent], key: str, value: str) -> None:
    found = _KEY.fullmatch(key)
    if found is None:
        raise refused(f"Invalid parameter name: {key}", param=key)
    path = [found[1], *found[2][1:-1].split("][")] if found[2] else [found[1]]
    if len(path) > _DEEPEST:
        raise refused(f"Invalid parameter name: {key}", param=key)
    place = form
    for name in path[:-1]:
        inner = place.setdefault(name or str(len(place)), {})
        if not isinstance(inner, dict):
            raise refused(f"Invalid parameter: {key} is both a value and an object", param=key)
        place = inner
    last = path[-1] or str(len(place))
    if isinstance(place.get(last), dict):
        raise refused(f"Invalid parameter: {key} is both a value and an object", param=key)
    place[last] = value
