"""The sign-in page, and the end of a session."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER, HTTP_401_UNAUTHORIZED, HTTP_429_TOO_MANY_REQUESTS

from faregate.apps.web.attempts import Attempts
from faregate.apps.web.visit import COOKIE, Visit, WebBackend, WebRequest
from faregate.base.errors import Unauthorized
from faregate.services.access import check_operator
from faregate.services.sessions import LASTS_FOR, open_session, sign_out

_HOME: Final = "/"
_MAX_CHARACTERS: Final = 200


@get("/login", sync_to_thread=False)
def show_login(request: WebRequest, backend: NamedDependency[WebBackend]) -> Response[str]:
    """Show the form."""
    return _form(backend, request.query_params.get("next", _HOME))


@post("/login")
async def submit_login(
    request: WebRequest, backend: NamedDependency[WebBackend], attempts: NamedDependency[Attempts]
) -> Response[str]:
    """Sign an operator in and go to where they were going."""
    form = await request.form()
    # No stored text has a NUL: with it, one login could be tried under many names.
    login = str(form.get("login", ""))[:_MAX_CHARACTERS].replace("\0", "")
    password = str(form.get("password", ""))[:_MAX_CHARACTERS]
    target = str(form.get("next", _HOME))
    wait_s = attempts.wait_s(login)
    if wait_s:
        fault = f"Too many attempts. Try again in {wait_s} s."
        return _form(backend, target, login=login, fault=fault, status=HTTP_429_TOO_MANY_REQUESTS)
    try:
        await backend.database.read(lambda tx: check_operator(tx, login, password))
    except Unauthorized:
        attempts.failed(login)
        fault = "The login or the password is wrong."
        return _form(backend, target, login=login, fault=fault, status=HTTP_401_UNAUTHORIZED)
    attempts.succeeded(login)
    opened = await backend.database.write(lambda tx: open_session(tx, login=login, now=backend.clock.now()))
    cookie = Cookie(
        key=COOKIE,
        value=opened.cookie,
        max_age=int(LASTS_FOR.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return Redirect(_local(target), status_code=HTTP_303_SEE_OTHER, cookies=[cookie])


@post("/logout")
async def submit_logout(visit: NamedDependency[Visit]) -> Redirect:
    """End the session."""
    await visit.form()
    await visit.backend.database.write(lambda tx: sign_out(tx, visit.session))
    return Redirect("/login", status_code=HTTP_303_SEE_OTHER, cookies=[Cookie(key=COOKIE, max_age=0, httponly=True)])


def _form(backend: WebBackend, target: str, *, login: str = "", fault: str = "", status: int = 200) -> Response[str]:
    text = backend.pages.render("login.html", next=_local(target), login=login, fault=fault)
    return Response(text, status_code=status, media_type=MediaType.HTML)


def _local(target: str) -> str:
    """Return a path of this site: anything else would send who signs in to somebody else's page."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else _HOME


HANDLERS = [show_login, submit_login, submit_logout]
