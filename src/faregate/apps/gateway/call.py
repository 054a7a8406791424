"""One call, from its request to its event."""

from __future__ import annotations

from datetime import datetime

from granian.rsgi import HTTPProtocol, Scope
from msgspec import Struct

from faregate.apps.gateway.headers import Headers
from faregate.apps.gateway.plan import CallPlan
from faregate.apps.gateway.pools import Hold
from faregate.apps.gateway.spool_folder import Started
from faregate.wire.dialects.openai_chat import RequestSummary


class Call(Struct, eq=False):
    """A call in flight: who, where, when, what the server handed over, and what is held for it.

    `uri` is without its query; `rest` is what follows the route's name in the path. `received`: the caller's headers,
    names in lower case; `named`: the same by name, the last of a name. `input_estimate` is None where the dialect reads
    no usage. `started`: where its start record stands. `request_json`: what its records say of the request.
    """

    plan: CallPlan
    request_id: str
    occurred_at: datetime
    verb: str
    uri: str
    rest: str
    scope: Scope
    protocol: HTTPProtocol
    received: Headers
    named: dict[str, str]
    summary: RequestSummary | None = None
    input_estimate: int | None = None
    hold: Hold | None = None
    started: Started | None = None
    settled: bool = False
    request_json: bytes = b""

    @property
    def ip_address(self) -> str:
        """Return the caller's address."""
        return self.scope.client.rpartition(":")[0]
