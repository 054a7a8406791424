"""The one error tree. Codes are stable: they appear in logs, problem documents and tests.

    FaregateError
    +-- InvalidInput        what was sent cannot be accepted; names the fields            invalid_input
    +-- NotFound            the thing named does not exist                                not_found
    +-- Conflict            it exists already, or in another state                        conflict
    +-- Unauthorized        no or wrong credentials                                       unauthorized
    +-- TooLarge            over a documented limit                                       too_large
    +-- Unavailable         a store or a peer did not answer; safe to repeat              unavailable
    +-- ConfigurationError  settings that cannot work                                     configuration

HTTP statuses are chosen in `apps`, never here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFault:
    """One thing wrong with one field: a dotted path (`prices[0].amount`) and what would be right."""

    field: str
    message: str


class FaregateError(Exception):
    """Root of every error Faregate raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(FaregateError):
    """Input that cannot be accepted; `faults` names every field that is wrong."""

    code = "invalid_input"

    def __init__(self, *faults: FieldFault) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = faults

    @classmethod
    def of(cls, field: str, message: str) -> InvalidInput:
        """Build the error for a single field."""
        return cls(FieldFault(field=field, message=message))


class NotFound(FaregateError):
    """The named thing does not exist in this application."""

    code = "not_found"

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"there is no {kind} {identifier!r}")
        self.kind = kind
        self.identifier = identifier


class Conflict(FaregateError):
    """The change contradicts what is stored; `field` says where."""

    code = "conflict"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.reason = message


class Unauthorized(FaregateError):
    """Credentials are missing, unknown or revoked."""

    code = "unauthorized"


class TooLarge(FaregateError):
    """Something is over a limit of `limits.py`; the message names the limit."""

    code = "too_large"


class Unavailable(FaregateError):
    """A store or peer did not answer in time; repeating is safe."""

    code = "unavailable"


class ConfigurationError(FaregateError):
    """Settings that cannot work; the message names the setting and its source."""

    code = "configuration"
