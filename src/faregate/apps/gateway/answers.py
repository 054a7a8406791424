"""The gateway's own answers: what a caller is told when the upstream does not answer.

Statuses and codes that the official OpenAI clients understand: they repeat 408, 409, 429 and 5xx, and obey
`x-should-retry`. The document has the shape of the route's dialect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from faregate.base.errors import InvalidInput
from faregate.wire.dialects.openai_chat_dialect import chat_error
from faregate.wire.dialects.seam import Fault, MeteredDialect

_JSON: Final = ("content-type", "application/json")


@dataclass(eq=False)
class Refusal(Exception):
    """An answer in place of the upstream's; `reason` names it in metrics, `body` is it where it is encoded already."""

    reason: str
    fault: Fault
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return self.fault.status

    def body_for(self, dialect: MeteredDialect | None) -> bytes:
        """Return the document in the dialect's shape, in OpenAI's where there is none."""
        if self.body is not None:
            return self.body
        return chat_error(self.fault) if dialect is None else dialect.error_body(self.fault)

    def forget(self) -> None:
        """Let go of the call that this was raised for: one answer serves many calls, and would keep what they held."""
        self.__traceback__ = self.__context__ = self.__cause__ = None

    def headers_for(self, request_id: str) -> list[tuple[str, str]]:
        """Return all headers of the answer."""
        return [_JSON, ("x-request-id", request_id), *self.headers]


def _refusal(
    status: int, error_type: str, *, code: str, message: str, param: str | None = None, retry: bool | None = None
) -> Refusal:
    headers = () if retry is None else (("x-should-retry", "true" if retry else "false"),)
    return Refusal(code, Fault(status=status, type=error_type, code=code, message=message, param=param), headers)


INTERNAL: Final = _refusal(500, "server_error", code="internal_error", message="The gateway failed to handle the call.")
UNKNOWN_ROUTE: Final = _refusal(
    404, "invalid_request_error", code="unknown_url", message="There is no such route on this gateway."
)
INVALID_KEY: Final = _refusal(
    401, "invalid_request_error", code="invalid_api_key", message="Incorrect API key provided."
)
NO_STATE: Final = _refusal(
    503, "server_error", code="gateway_not_ready", message="The gateway is starting. Try again shortly."
)
STOPPING: Final = _refusal(
    503, "server_error", code="gateway_stopping", message="The gateway is stopping. Try again.", retry=True
)
MISCONFIGURED: Final = _refusal(
    503, "server_error", code="route_misconfigured", message="This route is not configured correctly."
)
CREDIT_UNKNOWN: Final = _refusal(
    503,
    "server_error",
    code="credit_unavailable",
    message="Credit cannot be checked at the moment. Try again shortly.",
    retry=True,
)
UNRECORDED: Final = _refusal(
    503,
    "server_error",
    code="spool_unavailable",
    message="The call cannot be recorded at the moment. Try again shortly.",
    retry=True,
)
NO_UPGRADES: Final = _refusal(
    501,
    "invalid_request_error",
    code="upgrade_not_supported",
    message="WebSocket and other upgrades are not metered on this route yet.",
)
METERED_ONLY: Final = _refusal(
    404,
    "invalid_request_error",
    code="unknown_url",
    message="This route serves metered calls only: POST to the route itself, or to the path that its clients append.",
)
MODEL_NOT_ALLOWED: Final = _refusal(
    403,
    "invalid_request_error",
    code="model_not_allowed",
    message="This model is not available on this route.",
    param="model",
)
UPSTREAM_UNAVAILABLE: Final = _refusal(
    502, "server_error", code="upstream_unavailable", message="The upstream could not be reached or broke off."
)
UPSTREAM_TIMEOUT: Final = _refusal(
    504, "server_error", code="upstream_timeout", message="The upstream took too long to answer."
)


UNKNOWN_CALL: Final = _refusal(
    404,
    "invalid_request_error",
    code="unknown_call",
    message="There is no such call of yours, or it has not been settled yet.",
    param="request_id",
)


def too_large(limit_bytes: int) -> Refusal:
    """Return the answer to a body over the route's limit."""
    return _refusal(
        413,
        "invalid_request_error",
        code="request_too_large",
        message=f"The request is larger than {limit_bytes} bytes.",
    )


def method_not_allowed(method: str) -> Refusal:
    """Return the answer to a method that one of the gateway's own paths does not have."""
    refusal = _refusal(
        405, "invalid_request_error", code="method_not_allowed", message=f"Only {method} is answered here."
    )
    return Refusal(refusal.reason, refusal.fault, (("allow", method),))


def asked_too_often(wait_s: int) -> Refusal:
    """Return the answer to a company that asks about its credit too often."""
    refusal = _refusal(
        429,
        "requests",
        code="rate_limit_exceeded",
        message=f"Balance, usage and quotes are asked for too often. Ask again in {wait_s} s.",
    )
    return Refusal(refusal.reason, refusal.fault, (("retry-after", str(wait_s)),))


def invalid_request(error: InvalidInput) -> Refusal:
    """Return the answer to a request that cannot be bounded; `param` names the field."""
    fault = error.faults[0]
    return _refusal(
        400,
        "invalid_request_error",
        code="invalid_request",
        message=f"{fault.field}: {fault.message}",
        param=fault.field,
    )


def invalid_header(name: str, message: str) -> Refusal:
    """Return the answer to a header that cannot be read."""
    return _refusal(400, "invalid_request_error", code="invalid_header", message=f"{name}: {message}", param=name)
