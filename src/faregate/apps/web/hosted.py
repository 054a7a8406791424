"""The sandbox's hosted pages, at `/sandbox/pay`: for whoever has their address, without signing in, as Stripe's are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_200_OK, HTTP_303_SEE_OTHER, HTTP_422_UNPROCESSABLE_ENTITY

from faregate.apps.web.rendering import content_policy
from faregate.apps.web.visit import WebBackend, WebRequest
from faregate.base.errors import NotFound
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import StripeFault

if TYPE_CHECKING:
    from faregate.providers.sandbox.hosted_base import Hosted

_PATH: Final = "/sandbox/pay/{kind:str}/{page_id:str}"
_ORIGIN: Final = re.compile(r"[A-Za-z0-9.:\[\]-]+")
_MAX_FIELDS: Final = 30


@get(_PATH)
async def show_hosted(
    backend: NamedDependency[WebBackend], kind: FromPath[str], page_id: FromPath[str]
) -> Response[str]:
    """Show a hosted page."""
    sandbox = backend.require_sandbox()
    return _answer(backend, await asyncio.to_thread(_shown, sandbox, kind, page_id))


@post(_PATH)
async def submit_hosted(
    request: WebRequest, backend: NamedDependency[WebBackend], page_id: FromPath[str]
) -> Response[str]:
    """Do what a form of a hosted page asks for."""
    sandbox, kind = backend.require_sandbox(), request.path_params["kind"]
    sent = await request.form()
    form = {name: value.strip() for name, value in list(sent.items())[:_MAX_FIELDS] if isinstance(value, str)}
    return _answer(backend, await asyncio.to_thread(_submitted, sandbox, kind, page_id, form=form))


def _shown(sandbox: Sandbox, kind: str, page_id: str) -> Hosted:
    # As everything of the sandbox, it loads Stripe's SDK when it is asked for first.
    from faregate.providers.sandbox.hosted import show_page  # noqa: PLC0415

    try:
        return show_page(sandbox, kind, page_id)
    except StripeFault as fault:
        raise NotFound("page", page_id) from fault


def _submitted(sandbox: Sandbox, kind: str, page_id: str, *, form: Mapping[str, str]) -> Hosted:
    from faregate.providers.sandbox.hosted import submit_page  # noqa: PLC0415 - as in `_shown`

    try:
        return submit_page(sandbox, kind, page_id, form=form)
    except StripeFault as fault:
        raise NotFound("page", page_id) from fault


def _answer(backend: WebBackend, hosted: Hosted) -> Response[str]:
    from faregate.providers.sandbox.hosted_base import HostedRedirect  # noqa: PLC0415 - as in `_shown`

    if isinstance(hosted, HostedRedirect):
        return Redirect(hosted.url, status_code=HTTP_303_SEE_OTHER)
    status = HTTP_200_OK if hosted.fault is None else HTTP_422_UNPROCESSABLE_ENTITY
    text = backend.pages.render(f"hosted_{hosted.kind}.html", page=hosted.shown, fault=hosted.fault, form_token="")
    headers = {"content-security-policy": _policy(hosted.targets), "referrer-policy": "no-referrer"}
    return Response(text, status_code=HTTPStatus(status), media_type=MediaType.HTML, headers=headers)


def _policy(targets: tuple[str, ...]) -> str:
    """Return the pages' policy, by which a form may lead on to where the session's maker wants its buyer next."""
    origins = {
        f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, targets) if _ORIGIN.fullmatch(parts.netloc)
    }
    return content_policy(*sorted(origins))


HANDLERS = [show_hosted, submit_hosted]
