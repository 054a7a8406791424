"""One authenticated request: whose application it is about, and the way to the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency

from faregate.base.clock import Clock
from faregate.base.errors import InvalidInput, Unauthorized
from faregate.base.ids import IdSource
from faregate.domain.billing.provider import BillingProvider
from faregate.domain.billing.provider_connection import ConnectedProvider
from faregate.services.access import application_of_token
from faregate.services.change import Change, change_now
from faregate.services.checkouts import Checkouts
from faregate.storage.database import Database, Transaction

T = TypeVar("T")

ApiRequest = Request[None, None, State]

_BEARER: Final = "bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What the API stands on."""

    database: Database
    clock: Clock
    provider: BillingProvider
    new_id: IdSource
    after_append: Callable[[], None]
    """Called once records of a request stand in the event log: the applier reads on."""
    checkouts: Checkouts | None
    """Pages of the billing provider; None where the provider has none."""
    connection: ConnectedProvider | None
    """What says who the billing provider's key is of and what it may do; None where there is no key."""
    call_back: Callable[[str], Awaitable[None]]
    """Called before credit of a subscription is taken away: gateways give back what is idle of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request of whoever holds a token of the application."""

    application_id: str
    backend: Backend

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a consistent snapshot."""
        return await self.backend.database.read(work)

    async def change(self, work: Callable[[Transaction, Change], T]) -> T:
        """Run `work` in a transaction that is committed, and durable, when this returns."""

        def run(transaction: Transaction) -> T:
            backend = self.backend
            return work(transaction, change_now(transaction, self.application_id, backend.clock, new_id=backend.new_id))

        return await self.backend.database.write(run)

    async def append(self, work: Callable[[Transaction, Change], T]) -> T:
        """As `change`, for work that puts records behind the event log: they are applied next."""
        done = await self.change(work)
        self.backend.after_append()
        return done


async def authenticate(request: ApiRequest, backend: NamedDependency[Backend]) -> Call:
    """Return the call; `Unauthorized` without a known token in `Authorization: Bearer`."""
    refuse_nul(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != _BEARER or not token.strip():
        raise Unauthorized("send an API token in the header 'Authorization: Bearer <token>'")
    application_id = await backend.database.read(lambda tx: application_of_token(tx, token.strip()))
    return Call(application_id=application_id, backend=backend)


def refuse_nul(request: ApiRequest) -> None:
    """Raise `InvalidInput` for a NUL character in path or query, which no stored text can have."""
    if "\0" in request.url.path or "%00" in request.url.query or "%00" in request.url.path:
        raise InvalidInput.of("path", "must have no NUL character")
