"""What differs between a resource as it is and as a file wants it, field by field."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from faregate.wire.api.catalog_document import Action, FieldDifference, ResourceDifference


def created(kind: str, name: str) -> ResourceDifference:
    """Return that the resource is new."""
    return ResourceDifference(action=Action.CREATE, kind=kind, name=name, fields=[])


def compared(kind: str, name: str, *, before: Struct, after: Struct) -> ResourceDifference:
    """Return whether the resource changes, and which of its fields do."""
    fields = differing_fields(before, after)
    return ResourceDifference(action=Action.UPDATE if fields else Action.UNCHANGED, kind=kind, name=name, fields=fields)


def differing_fields(before: Struct, after: Struct) -> list[FieldDifference]:
    """Return the fields, by dotted path, in which two shapes differ."""
    old, new = (_flat(msgspec.to_builtins(shape)) for shape in (before, after))
    return [
        FieldDifference(field=path, before=old.get(path), after=new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _flat(value: object, path: str = "") -> dict[str, str]:
    match value:
        case dict():
            return {
                inner: text
                for name, part in value.items()
                for inner, text in _flat(part, f"{path}.{name}" if path else str(name)).items()
            }
        case list():
            return {
                inner: text
                for index, part in enumerate(value)
                for inner, text in _flat(part, f"{path}[{index}]").items()
            }
        case str():
            return {path: value}
        case _:
            return {path: msgspec.json.encode(value).decode()}
