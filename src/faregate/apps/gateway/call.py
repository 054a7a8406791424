"""One call, from its request to its event."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from granian.rsgi import HTTPProtocol, Scope

from faregate.apps.gateway.extending import Extension
from faregate.apps.gateway.headers import Headers, caller_headers, upstream_headers
from faregate.apps.gateway.limits import Taken
from faregate.apps.gateway.plan import CallPlan
from faregate.apps.gateway.pools import Hold
from faregate.apps.gateway.spool_folder import Started
from faregate.wire.dialects.seam import MeteredRequest
from faregate.wire.gateway_protocol import AttemptFacts

_BYTES_PER_TOKEN: Final = 4


class Call:
    """A call in flight: who, where, when, what the server handed over, and what is held for it.

    `uri` is without its query; `rest` is what follows the route's name in the path. `metered_url`: where a metered call
    of that path goes; None where none is. `received`: the caller's headers, names in lower case; `named`: the same by
    name, the last of a name. `request`: what was read of it; None where no usage is read, or it cannot be read.
    `body_bytes`: its length, where it cannot. `most_output`: the most that can be written;
    `clamped_output`: each choice's limit where it was lowered to what is left. `started`: where its start record
    stands. `request_json`: what its records say of the request. `attempts`: of a call that may be sent more than once.
    `extension`: of a stream that holds credit as it goes. `taken`: what limits wait for its end with.
    """

    __slots__ = (
        "attempts",
        "body_bytes",
        "clamped_output",
        "extension",
        "hold",
        "metered_url",
        "most_output",
        "named",
        "occurred_at",
        "plan",
        "protocol",
        "received",
        "request",
        "request_id",
        "request_json",
        "rest",
        "scope",
        "settled",
        "started",
        "taken",
        "uri",
        "verb",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - made for every call: by place is faster
        self,
        plan: CallPlan,
        request_id: str,
        occurred_at: datetime,
        verb: str,
        uri: str,
        rest: str,
        metered_url: str | None,
        scope: Scope,
        protocol: HTTPProtocol,
        received: Headers,
        named: dict[str, str],
    ) -> None:
        self.plan = plan
        self.request_id = request_id
        self.occurred_at = occurred_at
        self.verb = verb
        self.uri = uri
        self.rest = rest
        self.metered_url = metered_url
        self.scope = scope
        self.protocol = protocol
        self.received = received
        self.named = named
        self.request: MeteredRequest | None = None
        self.body_bytes = 0
        self.most_output: int | None = None
        self.clamped_output: int | None = None
        self.hold: Hold | None = None
        self.started: Started | None = None
        self.taken: Taken | None = None
        self.settled = False
        self.request_json = b""
        self.attempts: list[AttemptFacts] | None = None
        self.extension: Extension | None = None

    def input_estimate(self) -> int:
        """Return the input tokens to bill where the upstream reports none."""
        return max(1, self.body_bytes // _BYTES_PER_TOKEN) if self.request is None else self.request.input_estimate()

    def give_back(self) -> None:
        """Let limits per minute count no tokens for a call that was not made."""
        if self.taken is not None:
            self.taken.settle(0)

    @property
    def ip_address(self) -> str:
        """Return the caller's address."""
        return self.scope.client.rpartition(":")[0]


def request_headers(call: Call, dropped: frozenset[str], added: tuple[tuple[str, str], ...]) -> Headers:
    """Return the headers to send upstream: the caller's less those `dropped`, those `added`, and our request id."""
    headers = upstream_headers(call.received, call.named, dropped)
    headers += added
    headers.append(("x-request-id", call.request_id))
    return headers


def answer_headers(call: Call, answered: Headers) -> Headers:
    """Return the headers to send to the caller with the upstream's answer."""
    headers = caller_headers(answered, call.request_id)
    limits = call.plan.limits
    return headers if limits is None else limits.replace(headers)
