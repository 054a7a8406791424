"""Decodes, of an event's JSON, only the fields that meters read: all else is skipped at the parser's speed.

The fields become a tree of structs, made once for a set of paths. Below a header, an array, or a field that is itself
read as a whole, values stay as decoded JSON. What a path finds is what it finds in `to_event`'s dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import msgspec

from faregate.base.errors import InvalidInput
from faregate.domain.metering.event import Event, FieldPath, Step, compile_steps
from faregate.wire.event import as_utc, exact_number, path_of

_Branch = dict[str, Any]
"""Names below a name: None for a value that is read as a whole."""

_ALWAYS: Final = (
    ("request", "time"),
    ("request", "uri"),
    ("request", "route"),
    ("company_id",),
    ("user_id",),
    ("blocked_by",),
    ("weight",),
)
_ROUTE: Final = ("request", "route")
_PATH: Final = ("request", "path")
_KEPT: Final = {
    "request": ("route", "path", "uri", "verb", "headers", "ip_address", "body"),
    "response": ("status", "headers", "body"),
}
_TYPES: Final = {("request", "time"): datetime, ("request", "uri"): str}


class MeteredFields:
    """What is read of an event. `decode` makes the tree, and `reading` reads a path from it."""

    def __init__(self, paths: Iterable[FieldPath]) -> None:
        root: _Branch = {}
        for names in (*_ALWAYS, *(_names(path.steps) for path in paths if _is_kept(path.steps))):
            _plant(root, names)
        self._root = root
        self._attributes: dict[tuple[str, ...], str] = {}
        self._decoder = msgspec.json.Decoder(self._struct(root, ()), float_hook=exact_number)

    def event(self, raw: bytes, company_id: str | None) -> Event:
        """Return the core's event; `company_id` as resolved from our own records. `InvalidInput` for other JSON."""
        tree = self.decode(raw)
        tree.company_id = company_id
        return self.event_of(tree, as_utc(tree.request.time))

    @staticmethod
    def event_of(tree: Any, occurred_at: datetime) -> Event:  # noqa: ANN401 - a struct type that is made at run time
        """Return the core's event of a tree whose company is the one it belongs to."""
        return Event(
            occurred_at=occurred_at,
            company_id=tree.company_id,
            user_id=tree.user_id,
            blocked_by=tree.blocked_by,
            fields=tree,
            weight=tree.weight or 1,
        )

    def decode(self, raw: bytes) -> Any:  # noqa: ANN401 - a struct type that is made at run time
        """Return the tree, whose `company_id` is what was sent and can be set; `InvalidInput` for other JSON."""
        try:
            return self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput.of("event", str(error)) from error

    def reading(self, path: FieldPath) -> Callable[[Any], object]:
        """Return a function that reads the path from a tree; the path is one of those that were given."""
        steps = path.steps
        if steps[: len(_ROUTE)] == _ROUTE:
            return _then(_read_route, steps[len(_ROUTE) :])
        if steps[: len(_PATH)] == _PATH:
            return _then(lambda tree: path_of(tree.request.uri), steps[len(_PATH) :])
        if not _is_kept(steps):
            return lambda _: None
        names = self._planted(_names(steps))
        read = _reader(".".join(self._attributes[names[: place + 1]] for place in range(len(names))))
        rest = steps[len(names) :]
        if not rest:
            return read
        if names[1:] == ("headers",):
            of_headers = compile_steps(("", "headers", *rest), with_headers=True)
            return lambda tree: of_headers({"": {"headers": read(tree)}})
        below = compile_steps(rest, with_headers=False)
        return lambda tree: below(read(tree))

    def _planted(self, names: tuple[str, ...]) -> tuple[str, ...]:
        branch: _Branch | None = self._root
        for place, name in enumerate(names):
            branch = None if branch is None else branch[name]
            if branch is None:
                return names[: place + 1]
        return names

    def _struct(self, branch: _Branch, above: tuple[str, ...]) -> type[Any]:
        fields: list[tuple[str, Any, Any]] = []
        renamed: dict[str, str] = {}
        for number, (name, below) in enumerate(branch.items()):
            names = (*above, name)
            # Names of ours: what an event calls its fields may be no identifier, or one that other types have too.
            attribute = name if names in _ALWAYS or names == ("request",) else f"f{number}"
            self._attributes[names] = attribute
            renamed[attribute] = name
            if below is None:
                fields.append((attribute, _TYPES.get(names, Any), *(() if names in _TYPES else (None,))))  # type: ignore[arg-type]
            elif names == ("request",):
                fields.append((attribute, self._struct(below, names)))  # type: ignore[arg-type]
            else:
                kind = self._struct(below, names)
                fields.append((attribute, kind | list[Any] | str | int | float | bool | None, None))
        return msgspec.defstruct("Tree", fields, rename=renamed, kw_only=True, gc=False)


def _names(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return the leading steps that are names, up to a header's."""
    names: list[str] = []
    for step in steps:
        if not isinstance(step, str) or names[1:] == ["headers"]:
            break
        names.append(step)
    return tuple(names)


def _is_kept(steps: tuple[Step, ...]) -> bool:
    """Return whether the core's event has the field: it takes over what is known of a request and a response."""
    return len(steps) < len(_ROUTE) or steps[1] in _KEPT.get(str(steps[0]), (steps[1],))


def _plant(root: _Branch, names: tuple[str, ...]) -> None:
    branch = root
    for name in names[:-1]:
        if name in branch and branch[name] is None:
            return
        branch = branch.setdefault(name, {})
    if len(names) == 1 and names[0] in _KEPT:
        branch.setdefault(names[0], {})
    else:
        branch[names[-1]] = None


def _reader(attributes: str) -> Callable[[Any], object]:
    read = attrgetter(attributes)
    if "." not in attributes:
        return read

    def value(tree: Any) -> object:  # noqa: ANN401 - a struct type that is made at run time
        try:
            found: object = read(tree)
        except AttributeError:
            return None
        return found

    return value


def _read_route(tree: Any) -> object:  # noqa: ANN401 - a struct type that is made at run time
    route: object = tree.request.route
    return route if route is not None else path_of(tree.request.uri)


def _then(read: Callable[[Any], object], rest: tuple[Step, ...]) -> Callable[[Any], object]:
    if not rest:
        return read
    below = compile_steps(rest, with_headers=False)
    return lambda tree: below(read(tree))
