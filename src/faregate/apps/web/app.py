"""Puts the pages together."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import structlog
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from faregate.apps.statuses import STATUSES
from faregate.apps.web import alerts, catalog, customers, home, hosted, inspection, signing_in
from faregate.apps.web.attempts import Attempts
from faregate.apps.web.rendering import Pages, content_policy
from faregate.apps.web.visit import SignedOut, WebBackend, WebRequest, signed_in
from faregate.base.clock import Clock
from faregate.base.errors import FaregateError, InvalidInput, NotFound, Unauthorized
from faregate.base.ids import IdSource, new_id
from faregate.base.limits import MAX_API_BODY_BYTES
from faregate.providers.sandbox.asking import Sandbox
from faregate.storage.database import Database
from faregate.wire.problem import MEDIA_TYPE as PROBLEM
from faregate.wire.problem import encode_problem, problem

_log: Final = structlog.stdlib.get_logger()

# A form that was read and cannot be taken is 422, which the script in the page waits for; a visitor is signed in.
_STATUSES: Final = {
    **STATUSES,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unauthorized: HTTPStatus.FORBIDDEN,
}
_HEADERS: Final = {
    "content-security-policy": content_policy(),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


def create_web(
    database: Database, clock: Clock, *, sandbox: Sandbox | None = None, id_source: IdSource = new_id
) -> Litestar:
    """Return the ASGI application that answers every path of the pages; the hosted ones are the sandbox's."""
    backend = WebBackend(database=database, clock=clock, new_id=id_source, pages=Pages(), sandbox=sandbox)
    attempts = Attempts(clock)
    return Litestar(
        route_handlers=[
            get_asset,
            *signing_in.HANDLERS,
            *home.HANDLERS,
            *alerts.HANDLERS,
            *catalog.HANDLERS,
            *customers.HANDLERS,
            *hosted.HANDLERS,
            *inspection.HANDLERS,
        ],
        dependencies={
            "backend": Provide(lambda: backend, sync_to_thread=False),
            "attempts": Provide(lambda: attempts, sync_to_thread=False),
            "visit": Provide(signed_in),
        },
        exception_handlers={
            SignedOut: _sign_in_first,
            FaregateError: _show_error,
            HTTPException: _show_http_error,
            Exception: _show_fault,
        },
        after_request=_with_headers,
        state=State({"pages": backend.pages}),
        request_max_body_size=MAX_API_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )


@get("/static/{name:str}", sync_to_thread=False)
def get_asset(request: WebRequest, backend: NamedDependency[WebBackend], name: FromPath[str]) -> Response[bytes]:
    """Send a file that the browser keeps: its name changes with its content."""
    asset = backend.pages.asset(name)
    if asset is None:
        raise NotFound("file", name)
    headers = {"cache-control": _FOR_GOOD, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(asset.gzipped, media_type=asset.content_type, headers=headers)
    return Response(asset.content, media_type=asset.content_type, headers=headers)


def _with_headers(response: Response[object]) -> Response[object]:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _sign_in_first(request: WebRequest, error: SignedOut) -> Response[str]:
    target = f"/login?next={quote(error.path)}"
    if "hx-request" in request.headers:
        # htmx would put the sign-in page into a part of this one.
        return Response("", status_code=HTTPStatus.UNAUTHORIZED, headers={"hx-redirect": target})
    return Redirect(target, status_code=HTTP_303_SEE_OTHER)


def _show_error(request: WebRequest, error: FaregateError) -> Response[str]:
    status = _STATUSES.get(type(error))
    return _show_fault(request, error) if status is None else _error_page(request, status, error.message)


def _show_http_error(request: WebRequest, error: HTTPException) -> Response[str]:
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _show_fault(request, error)
    message = f"there is nothing at {request.url.path}" if status is HTTPStatus.NOT_FOUND else status.phrase
    return _error_page(request, status, message)


def _show_fault(request: WebRequest, error: Exception) -> Response[str]:
    _log.error("page.failed", path=request.url.path, method=request.method, exc_info=error)
    return _error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR, "see the server's log")


def _error_page(request: WebRequest, status: HTTPStatus, message: str) -> Response[str]:
    """Return a page for people; for programs, which ask for no HTML, a problem document."""
    if "text/html" not in request.headers.get("accept", "") and "hx-request" not in request.headers:
        document = problem(status=status, code=status.phrase.lower().replace(" ", "_"), detail=message)
        text = encode_problem(document).decode()
        return Response(text, status_code=status, media_type=PROBLEM, headers=_HEADERS)
    pages = request.app.state["pages"]
    text = pages.render("error.html", status=int(status), phrase=status.phrase, message=message)
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=_HEADERS)
