"""What a request may say, read from the official SDK's own types, and checked as Stripe checks it.

The SDK is generated from Stripe's description of its API: each method's parameters are a `TypedDict`. Reading those at
run time holds the sandbox to the very version that we speak: a parameter that Stripe does not know is refused, and so
is one that is missing, of another type, or none of the choices.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final, ForwardRef, Literal, Union, assert_never, get_args, get_origin

import typing_extensions
from stripe import RequestOptions

from faregate.providers.sandbox.faults import Json, StripeFault, lacking, refused
from faregate.providers.sandbox.forms import Bare, Sent

_SCALARS: Final = {bool: "boolean", int: "integer", float: "number", Decimal: "decimal", str: "string"}
_OPTIONS: Final = frozenset(RequestOptions.__annotations__)
_EMPTIED: Final = ""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value of one of `_SCALARS`."""

    kind: type


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these texts. The empty one stands for "take this away", and becomes None."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """Any number of these."""

    element: Shape


@dataclass(frozen=True, slots=True)
class MapOf:
    """Any names, each with one of these."""

    value: Shape


@dataclass(frozen=True, slots=True)
class Fields:
    """A `TypedDict`; its fields are read when they are asked for, since types may name themselves."""

    kind: type


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several shapes, the first that fits."""

    shapes: tuple[Shape, ...]


Shape = Scalar | Choice | ListOf | MapOf | Fields | AnyOf


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a `TypedDict`."""

    shape: Shape
    required: bool


def check_parameters(kind: type, sent: Mapping[str, Sent]) -> Json:
    """Return what was sent as values of the types of the SDK's parameters `kind`; raises `StripeFault`."""
    return _check_fields(Fields(kind), dict(sent), at="")


@cache
def fields_of(kind: type) -> dict[str, Field]:
    """Return the fields of a `TypedDict` of the SDK, without the options that every request has."""
    names = vars(sys.modules[kind.__module__])
    fields = {}
    for name, annotation in kind.__annotations__.items():
        if name not in _OPTIONS:
            hint, required = _unwrapped(_evaluated(annotation, names))
            fields[name] = Field(shape=_shape(hint, names), required=required)
    return fields


def _evaluated(annotation: object, names: dict[str, Any]) -> object:
    while isinstance(annotation, (str, ForwardRef)):
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        annotation = eval(text, names)  # noqa: S307 - an annotation of the SDK that is installed
    return annotation


def _unwrapped(hint: object) -> tuple[object, bool]:
    if get_origin(hint) is typing_extensions.NotRequired:
        return get_args(hint)[0], False
    return hint, True


def _shape(hint: object, names: dict[str, Any]) -> Shape:
    hint = _evaluated(hint, names)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        kept = [part for part in arguments if not _is_untyped(part) and part is not type(None)]
        shapes = _narrowed(tuple(_shape(part, names) for part in kept))
        # A choice is narrower than a text: it is tried first.
        ordered = sorted(shapes, key=lambda shape: not isinstance(shape, Choice))
        return shapes[0] if len(shapes) == 1 else AnyOf(tuple(ordered))
    if origin in {Literal, typing_extensions.Literal}:
        return Choice(tuple(str(value) for value in arguments))
    if origin is list:
        return ListOf(_shape(arguments[0], names))
    if origin is dict:
        return MapOf(_shape(arguments[1], names))
    if isinstance(hint, type) and hint in _SCALARS:
        return Scalar(hint)
    if isinstance(hint, type) and typing_extensions.is_typeddict(hint):
        return Fields(hint)
    if hint in {Any, object}:
        return Scalar(str)
    raise TypeError(f"the SDK has a parameter of an unknown type: {hint!r}")


def _narrowed(shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Leave out "or any text" beside choices: the SDK is open to what a later version of the API has, Stripe is not."""
    has_choices = any(isinstance(shape, Choice) and any(shape.values) for shape in shapes)
    return tuple(shape for shape in shapes if not (has_choices and shape == Scalar(str)))


def _is_untyped(part: object) -> bool:
    """Return whether a part of a union is the SDK's own class for maps, which stands beside `Dict`."""
    return getattr(get_origin(part) or part, "__name__", "") == "UntypedStripeObject"


def _check(shape: Shape, sent: Sent, *, at: str) -> Any:  # noqa: ANN401 - a value of the shape
    match shape:
        case Scalar(kind=kind):
            return _check_scalar(kind, sent, at=at)
        case Choice(values=values):
            return _check_choice(values, sent, at=at)
        case ListOf(element=element):
            parts = _parts(sent, at=at).values()
            return [_check(element, part, at=f"{at}[{place}]") for place, part in enumerate(parts)]
        case MapOf(value=value):
            return {name: _check(value, part, at=f"{at}[{name}]") for name, part in _parts(sent, at=at).items()}
        case Fields():
            return _check_fields(shape, sent, at=at)
        case AnyOf(shapes=shapes):
            return _check_any(shapes, sent, at=at)
        case other:
            assert_never(other)


def _check_choice(values: tuple[str, ...], sent: Sent, *, at: str) -> str | None:
    if not isinstance(sent, str) or sent not in values:
        raise refused(f"Invalid {at}: must be one of {', '.join(filter(None, values))}", param=at)
    return sent or None


def _check_fields(shape: Fields, sent: Sent, *, at: str) -> Json:
    if not isinstance(sent, dict):
        raise refused(f"Invalid object at {at}", param=at)
    fields = fields_of(shape.kind)
    for name in sent:
        if name not in fields:
            full = _joined(at, name)
            raise refused(f"Received unknown parameter: {full}", param=full, code="parameter_unknown")
    for name, field in fields.items():
        if field.required and name not in sent:
            full = _joined(at, name)
            raise lacking(full)
    return {name: _check(fields[name].shape, value, at=_joined(at, name)) for name, value in sent.items()}


def _check_any(shapes: tuple[Shape, ...], sent: Sent, *, at: str) -> Any:  # noqa: ANN401 - a value of one of the shapes
    # Of what does not fit, an object's fault says most.
    faults: list[StripeFault] = []
    for shape in shapes:
        try:
            return _check(shape, sent, at=at)
        except StripeFault as fault:
            faults.append(fault)
    raise faults[-1]


def _check_scalar(kind: type, sent: Sent, *, at: str) -> Any:  # noqa: ANN401 - a value of the kind
    if not isinstance(sent, str):
        raise refused(f"Invalid {_SCALARS[kind]}: {at} is an object", param=at)
    if kind is str:
        if isinstance(sent, Bare):
            raise refused(f"Invalid string: {sent}", param=at)
        return sent
    if kind is bool and sent in {"true", "false"}:
        return sent == "true"
    try:
        if kind is int:
            return int(sent)
        if kind in {float, Decimal}:
            number = Decimal(sent)
            if number.is_finite():
                return number
    except (ValueError, InvalidOperation):
        pass
    name = _SCALARS[kind]
    raise refused(f"Invalid {name}: {sent}", param=at, code=f"parameter_invalid_{name}" if kind is int else None)


def _parts(sent: Sent, *, at: str) -> dict[str, Sent]:
    """Return the parts of a list or a map; the empty text stands for none."""
    if isinstance(sent, dict):
        return sent
    if sent == _EMPTIED:
        return {}
    raise refused(f"Invalid array or object at {at}", param=at)


def _joined(at: str, name: str) -> str:
    return f"{at}[{name}]" if at else name
