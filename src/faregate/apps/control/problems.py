"""Errors as problem documents, and the statuses of the routes that this package answers itself."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from faregate.apps.control.asgi import Answer
from faregate.apps.control.content_encoding import UnsupportedEncoding
from faregate.apps.statuses import STATUSES
from faregate.base.errors import FaregateError, Unavailable
from faregate.wire.problem import MEDIA_TYPE, Problem, encode_problem, problem, problem_of

_STATUSES: Final = {**STATUSES, UnsupportedEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
_HEADERS: Final[dict[HTTPStatus, tuple[tuple[bytes, bytes], ...]]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: ((b"retry-after", b"1"),),
    HTTPStatus.UNAUTHORIZED: ((b"www-authenticate", b"Bearer"),),
}


def error_answer(error: FaregateError) -> Answer:
    """Return what a caller is told of an error of ours; a fault where the error is none of the caller's business."""
    status = _STATUSES.get(type(error))
    return fault_answer() if status is None else _answer(problem_of(error, status), *_HEADERS.get(status, ()))


def fault_answer() -> Answer:
    """Return the answer to a request that failed for reasons only the log may say."""
    return _answer(problem(status=HTTPStatus.INTERNAL_SERVER_ERROR, code="internal", detail="see the server's log"))


def method_answer(method: str, allowed: Iterable[str]) -> Answer:
    """Return the answer to a method that a path does not have."""
    methods = ", ".join(sorted(allowed))
    return _answer(
        problem(
            status=HTTPStatus.METHOD_NOT_ALLOWED,
            code="method_not_allowed",
            detail=f"{method} is not answered here; use {methods}",
        ),
        (b"allow", methods.encode()),
    )


def nothing_here(path: str) -> Answer:
    """Return the answer to a path that does not exist."""
    return _answer(problem(status=HTTPStatus.NOT_FOUND, code="not_found", detail=f"there is nothing at {path}"))


def stopping_answer() -> Answer:
    """Return the answer to a request that comes while the process stops."""
    return error_answer(Unavailable("this process is stopping; send the request again"))


def _answer(document: Problem, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(
        status=document.status, body=encode_problem(document), content_type=MEDIA_TYPE.encode(), headers=headers
    )
