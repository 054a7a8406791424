"""One request of a page: who is signed in, and the way to the database and to the templates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import MediaType

from faregate.apps.web.rendering import Pages
from faregate.base.clock import Clock
from faregate.base.errors import InvalidInput, NotFound
from faregate.base.ids import IdSource
from faregate.providers.sandbox.asking import Sandbox
from faregate.services.business_clock import business_now
from faregate.services.change import Change, change_now
from faregate.services.sessions import find_live_session, is_to_be_touched, require_own_form, touch
from faregate.storage.database import Database, Transaction
from faregate.storage.sessions import SessionRow
from faregate.wire.api.common import fault_of

T = TypeVar("T")

WebRequest = Request[None, None, State]

COOKIE: Final = "faregate_session"
FORM_TOKEN: Final = "form_token"  # noqa: S105 - a field's name
_FORM_TOKEN_HEADER: Final = "x-form-token"  # noqa: S105 - a header's name
_MAX_FORM_FIELDS: Final = 100


class SignedOut(Exception):
    """Nobody is signed in; `path` is what was asked for."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class WebBackend:
    """What the pages stand on."""

    database: Database
    clock: Clock
    new_id: IdSource
    pages: Pages
    sandbox: Sandbox | None = None

    def require_sandbox(self) -> Sandbox:
        """Return the sandbox; `NotFound` where there is none to look into."""
        if self.sandbox is None:
            raise NotFound("page", "sandbox")
        return self.sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request of an operator who is signed in."""

    backend: WebBackend
    session: SessionRow
    request: WebRequest

    @property
    def application_id(self) -> str:
        """Return the application that the session is of."""
        return self.session.application_id

    @property
    def is_part(self) -> bool:
        """Return whether htmx asks for a part of the page it is on."""
        return "hx-request" in self.request.headers and "hx-boosted" not in self.request.headers

    def now(self, transaction: Transaction) -> datetime:
        """Return the application's business time."""
        return business_now(transaction, self.application_id, self.backend.clock)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a consistent snapshot."""
        return await self.backend.database.read(work)

    async def change(self, work: Callable[[Transaction, Change], T]) -> T:
        """Run `work` in a transaction that is committed, and durable, when this returns."""

        def run(transaction: Transaction) -> T:
            backend = self.backend
            return work(transaction, change_now(transaction, self.application_id, backend.clock, new_id=backend.new_id))

        return await self.backend.database.write(run)

    async def form(self) -> dict[str, str]:
        """Return the form's fields, without the empty ones; `Unauthorized` for a form that is not of this session."""
        sent = await self.request.form()
        fields = {name: value for name, value in sent.items() if isinstance(value, str) and value.strip()}
        in_form = fields.pop(FORM_TOKEN, "")
        require_own_form(self.session, self.request.headers.get(_FORM_TOKEN_HEADER) or in_form)
        if len(fields) > _MAX_FORM_FIELDS:
            raise InvalidInput.of("form", f"must have at most {_MAX_FORM_FIELDS} fields")
        return {name: value.strip() for name, value in fields.items()}

    def page(self, template: str, *, status: int = 200, **values: object) -> Response[str]:
        """Return a page, or a part of one, with the session's name and form token at hand."""
        text = self.backend.pages.render(
            template,
            login=self.session.login,
            form_token=self.session.form_token,
            path=self.request.url.path,
            **values,
        )
        return Response(text, status_code=status, media_type=MediaType.HTML)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentForm:
    """A form that could not be taken: what was filled in, and what is wrong, by field."""

    values: dict[str, str]
    faults: dict[str, str]


def read_form(fields: dict[str, str], shape: type[T]) -> T:
    """Return a form's fields as a shape of the API; `InvalidInput` names the field that is wrong."""
    try:
        return msgspec.convert(fields, shape, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(fault_of(error, shape)) from error


async def signed_in(request: WebRequest, backend: NamedDependency[WebBackend]) -> Visit:
    """Return the visit; `SignedOut` without a live session."""
    cookie = request.cookies.get(COOKIE)
    now = backend.clock.now()
    session = None
    if cookie:
        session = await backend.database.read(lambda tx: find_live_session(tx, cookie, now=now))
    if session is None:
        raise SignedOut(request.url.path)
    if is_to_be_touched(session, now=now):
        kept = session
        await backend.database.write(lambda tx: touch(tx, kept, now=now))
    return Visit(backend=backend, session=session, request=request)
