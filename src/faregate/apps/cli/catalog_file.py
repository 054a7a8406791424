"""Reads a catalog file: YAML whose numbers stay as they are written, and the line on which every field stands.

The YAML is that of version 1.2's core: `true`, `false`, `null` and whole numbers are what they look like; everything
else is text, so that 0.50 never becomes a binary float, 2026-01-01T00:00:00Z no date, and `no` no truth value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from faregate.base.limits import MAX_API_BODY_BYTES
from faregate.wire.problem import Problem

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_MOST_DIGITS: Final = 18
_MOST_NODES: Final = 100_000
"""Values in a file, those that aliases repeat included."""


class CatalogFileError(Exception):
    """The file cannot be read; `line` counts from 1, and is None where no line is at fault."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line

    def in_file(self, path: Path) -> str:
        """Return the error as a line: the file, the line in it, what is wrong."""
        return f"{path if self.line is None else f'{path}:{self.line}'}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFile:
    """The file's document, ready to be sent, and the line of every field by its dotted path."""

    document: dict[str, Any]
    lines: dict[str, int]

    def line_of(self, path: str) -> int | None:
        """Return the line of a field, or of the nearest thing around it where it is missing."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None


def faults_in_file(path: Path, file: CatalogFile, problem: Problem, *, prefix: str = "") -> list[str]:
    """Return a line for every fault: the file, the line in it, the field, and what would be right.

    `prefix`: what stands before the document's own fields where it was sent inside a larger one.
    """
    if not problem.errors:
        return [f"{path}: {problem.detail}"]
    lines = []
    for error in problem.errors:
        field = error.field.removeprefix(prefix)
        line = file.line_of(field)
        lines.append(f"{path if line is None else f'{path}:{line}'}: {field}: {error.message}")
    return lines


def read_catalog_file(path: Path) -> CatalogFile:
    """Return what the file says; `CatalogFileError` says what cannot be read in it, and where."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CatalogFileError(f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_API_BODY_BYTES:
        raise CatalogFileError(f"has more than {MAX_API_BODY_BYTES} bytes")
    try:
        root = yaml.compose(raw.decode(), Loader=_CoreLoader)
    except UnicodeDecodeError as error:
        raise CatalogFileError("is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise CatalogFileError(f"is not YAML: {error.problem or error.context}", line) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise CatalogFileError("is not YAML: it holds characters or depths that YAML has not") from error
    if not isinstance(root, yaml.MappingNode):
        raise CatalogFileError("must be a mapping: plans, meters, costs, routes, rules, coupons, companies", 1)
    reading = _Reading()
    document = reading.mapping(root, "")
    return CatalogFile(document=document, lines=reading.lines)


class _CoreLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - filled below, once


for _tag, _pattern, _firsts in (
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:int", _INTEGER.pattern, "-0123456789"),
    ("tag:yaml.org,2002:null", r"null|~|", "n~"),
):
    _CoreLoader.add_implicit_resolver(
        _tag, re.compile(rf"^(?:{_pattern})$"), [*_firsts, *([""] if "~" in _firsts else [])]
    )


class _Reading:
    """Walks the file once, noting lines."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self._nodes = 0
        self._open: set[int] = set()

    def mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        """Return a mapping; a key that is there twice is an error."""
        values: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            line = key.start_mark.line + 1
            if not isinstance(name, str):
                raise CatalogFileError("a key must be text", line)
            if name in values:
                raise CatalogFileError(f"{name!r} is there twice", line)
            inner = f"{path}.{name}" if path else name
            self.lines[inner] = line
            values[name] = self._value(value, inner)
        return values

    def _value(self, node: yaml.Node, path: str) -> Any:  # noqa: ANN401 - any JSON value
        self._nodes += 1
        if self._nodes > _MOST_NODES or id(node) in self._open:
            raise CatalogFileError("repeats itself too often", node.start_mark.line + 1)
        self._open.add(id(node))
        try:
            match node:
                case yaml.MappingNode():
                    return self.mapping(node, path)
                case yaml.SequenceNode():
                    return [self._element(element, f"{path}[{index}]") for index, element in enumerate(node.value)]
                case _:
                    return _scalar(node)
        finally:
            self._open.discard(id(node))

    def _element(self, node: yaml.Node, path: str) -> Any:  # noqa: ANN401 - any JSON value
        self.lines[path] = node.start_mark.line + 1
        return self._value(node, path)


def _scalar(node: yaml.Node) -> str | int | bool | None:
    text: str = node.value
    match node.tag.rpartition(":")[2]:
        case "str":
            return text
        case "int" if len(text) <= _MOST_DIGITS and _INTEGER.fullmatch(text):
            return int(text)
        case "bool" if text in {"true", "false"}:
            return text == "true"
        case "null":
            return None
        case other:
            raise CatalogFileError(f"{text[:40]!r} cannot be read as {other}", node.start_mark.line + 1)
