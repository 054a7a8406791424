"""Every error as a problem document, with the status that HTTP has for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, cast

import structlog
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException

from faregate.apps.api.call import ApiRequest
from faregate.apps.statuses import STATUSES
from faregate.base.errors import FaregateError
from faregate.base.limits import MAX_API_BODY_BYTES
from faregate.wire.api.readings import Granularity
from faregate.wire.problem import MEDIA_TYPE, Problem, ProblemField, encode_problem, problem, problem_of

_log: Final = structlog.stdlib.get_logger()

_SENT_AS: Final = {"from_at": "from", "to_at": "to", "idempotency_key": "Idempotency-Key"}
"""Parameters that the caller knows by another name than the handler."""

_MISSING: Final = re.compile(r"Missing required (\w+) parameter '([^']+)'")

_CODES: Final[Mapping[int, str]] = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
}


def answer_faregate_error(request: ApiRequest, error: FaregateError) -> Response[bytes]:
    """Answer an error of ours; one that is none of the caller's business becomes a 500 and a log line."""
    status = STATUSES.get(type(error))
    if status is None:
        return answer_fault(request, error)
    headers = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Basic" if request.url.path.endswith("/tokens") else "Bearer"
    elif status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "1"
    return _answer(problem_of(error, status), headers)


def answer_http_error(request: ApiRequest, error: HTTPException) -> Response[bytes]:
    """Answer what the framework found: no such path or method, a parameter that cannot be, a body that is too large."""
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return answer_fault(request, error)
    if isinstance(error, ValidationException):
        return _answer(_of_validation(error), {})
    details = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {request.url.path}",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not answered at {request.url.path}",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"a request body must have at most {MAX_API_BODY_BYTES} bytes",
    }
    document = problem(
        status=error.status_code,
        code=_CODES.get(error.status_code, "invalid_input"),
        detail=details.get(HTTPStatus(error.status_code), error.detail),
    )
    return _answer(document, dict(error.headers or {}))


def answer_fault(request: ApiRequest, error: Exception) -> Response[bytes]:
    """Answer a fault of ours: the log knows more than the caller is told."""
    _log.error("request.failed", path=request.url.path, method=request.method, exc_info=error)
    return _answer(problem(status=HTTPStatus.INTERNAL_SERVER_ERROR, code="internal", detail="see the server's log"), {})


def _of_validation(error: ValidationException) -> Problem:
    fields = [_field(entry) for entry in cast("list[dict[str, object]]", error.extra or [])]
    missing = _MISSING.match(error.detail)
    if missing is not None:
        fields.append(ProblemField(field=missing[2], message=f"is required, as a {missing[1]}"))
    detail = "; ".join(f"{field.field}: {field.message}" for field in fields) or error.detail
    return problem(status=HTTPStatus.BAD_REQUEST, code="invalid_input", detail=detail, errors=fields)


def _field(entry: dict[str, object]) -> ProblemField:
    name = str(entry.get("key", ""))
    message = str(entry.get("message", ""))
    if name == "data":
        return ProblemField(field="body", message="is required: send JSON")
    if name == "granularity" and message.startswith("Invalid enum value"):
        message += f"; use one of {', '.join(repr(choice.value) for choice in Granularity)}"
    return ProblemField(field=_SENT_AS.get(name, name), message=message)


def _answer(document: Problem, headers: dict[str, str]) -> Response[bytes]:
    return Response(encode_problem(document), status_code=document.status, media_type=MEDIA_TYPE, headers=headers)
