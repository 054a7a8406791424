"""Problem documents (RFC 9457): how every error of the HTTP API looks."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct, field

from faregate.base.errors import Conflict, FaregateError, InvalidInput, TooLarge

MEDIA_TYPE: Final = "application/problem+json"


class ProblemField(Struct, frozen=True, kw_only=True):
    """One thing wrong with one field: a dotted path, and what would be right."""

    field: str
    message: str


class Problem(Struct, frozen=True, kw_only=True):
    """`code` is stable and for programs, `detail` is for people, `errors` names every field that is wrong."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemField] = field(default_factory=list)


_TITLES: Final = {
    "invalid_input": "The input is not acceptable",
    "not_found": "There is no such thing",
    "method_not_allowed": "The method is not allowed here",
    "conflict": "The change contradicts what is stored",
    "unauthorized": "Credentials are missing or wrong",
    "too_large": "Over a limit",
    "unavailable": "Temporarily unavailable",
    "internal": "Something went wrong here",
}


def problem(*, status: int, code: str, detail: str, errors: list[ProblemField] | None = None) -> Problem:
    """Return the document of an error code; a code of no title of its own is called by its name."""
    return Problem(
        type=f"/problems/{code}",
        title=_TITLES.get(code, code.replace("_", " ")),
        status=status,
        detail=detail,
        code=code,
        errors=errors or [],
    )


def problem_of(error: FaregateError, status: int) -> Problem:
    """Return an error as its document; the status is the caller's choice."""
    return problem(status=status, code=error.code, detail=error.message, errors=_fields(error))


def encode_problem(document: Problem) -> bytes:
    """Return the document's bytes, to be sent as `MEDIA_TYPE`."""
    return msgspec.json.encode(document)


def _fields(error: FaregateError) -> list[ProblemField]:
    match error:
        case InvalidInput():
            return [ProblemField(field=fault.field, message=fault.message) for fault in error.faults]
        case Conflict():
            return [ProblemField(field=error.field, message=error.reason)]
        case TooLarge():
            return [ProblemField(field="body", message=error.message)]
        case _:
            return []
