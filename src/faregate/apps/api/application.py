"""The application, and tokens for those who work on it."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from faregate.apps.api.call import ApiRequest, Backend, Call, refuse_nul
from faregate.base.errors import NotFound, Unauthorized
from faregate.services.access import IssuedToken, check_operator, issue_token
from faregate.services.business_clock import business_now
from faregate.storage.applications import ApplicationRow, find_application, list_applications
from faregate.storage.database import Transaction
from faregate.wire.api.billing import ApplicationView, NewTokenView, TokenCreate

_BASIC: Final = "basic"


@get("/application", summary="Get the application", tags=["Application"])
async def get_application(call: NamedDependency[Call]) -> ApplicationView:
    """Return the application that the token gives access to."""
    row: ApplicationRow | None = await call.read(lambda tx: find_application(tx, call.application_id))
    if row is None:
        raise NotFound("application", call.application_id)
    return ApplicationView(application_id=row.application_id, name=row.name, created_at=row.created_at)


@post("/tokens", summary="Make an API token", tags=["Application"])
async def make_token(
    request: ApiRequest, backend: NamedDependency[Backend], data: JSONBody[TokenCreate]
) -> NewTokenView:
    """Make a token with an operator's login and password. The answer is the only place where it is shown."""
    refuse_nul(request)
    login, password = _credentials(request)
    await backend.database.read(lambda tx: check_operator(tx, login, password))

    def issue(transaction: Transaction) -> IssuedToken:
        application_id = list_applications(transaction)[0].application_id
        now = business_now(transaction, application_id, backend.clock)
        return issue_token(transaction, application_id=application_id, name=data.name, new_id=backend.new_id, now=now)

    token = await backend.database.write(issue)
    return NewTokenView(token_id=token.token_id, token=token.text, name=token.name, created_at=token.created_at)


def _credentials(request: ApiRequest) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == _BASIC:
        try:
            login, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            login, colon, password = "", "", ""
        if colon and "\0" not in login:
            return login, password
    raise Unauthorized("send an operator's login and password in the header 'Authorization: Basic ...'")
