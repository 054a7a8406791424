"""The status that HTTP has for each error of ours that is the caller's business; any other is a fault."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from faregate.base.errors import Conflict, FaregateError, InvalidInput, NotFound, TooLarge, Unauthorized, Unavailable

STATUSES: Final[Mapping[type[FaregateError], HTTPStatus]] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
