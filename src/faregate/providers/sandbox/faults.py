"""Errors as Stripe answers them (docs.stripe.com/api/errors)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

Json = dict[str, Any]
"""A JSON object, of Stripe's making."""


class StripeFault(Exception):
    """What a request is refused with: `kind` and `code` are Stripe's, `param` the parameter as it was sent.

    `should_retry` is what the header `Stripe-Should-Retry` says, if there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.should_retry = should_retry

    def document(self) -> Json:
        """Return the body of the answer."""
        fields = {"type": self.kind, "code": self.code, "message": self.message, "param": self.param}
        return {"error": {name: value for name, value in fields.items() if value is not None}}


class Declined(StripeFault):
    """A payment that was tried and failed: what was tried stays, and a repeat is answered the same."""

    def __init__(self, message: str, *, code: str, decline_code: str | None, objects: Json) -> None:
        super().__init__(message, status=HTTPStatus.PAYMENT_REQUIRED, kind="card_error", code=code)
        self._more = {"decline_code": decline_code, "doc_url": doc_url(code)} | objects

    def document(self) -> Json:
        """Return the body of the answer, with the objects that it is about."""
        error: Json = super().document()["error"]
        return {"error": error | {name: value for name, value in self._more.items() if value is not None}}


def doc_url(code: str) -> str:
    """Return where Stripe explains an error."""
    return f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"


def missing(kind: str, identifier: str, *, param: str = "id") -> StripeFault:
    """Return the refusal of an id that names nothing."""
    message = f"No such {kind}: '{identifier}'"
    return StripeFault(message, status=HTTPStatus.NOT_FOUND, code="resource_missing", param=param)


def lacking(param: str) -> StripeFault:
    """Return the refusal of a request without a parameter that it must have."""
    return StripeFault(f"Missing required param: {param}.", code="parameter_missing", param=param)


def refused(message: str, *, param: str | None = None, code: str | None = None) -> StripeFault:
    """Return a refusal of what was sent."""
    return StripeFault(message, param=param, code=code)
