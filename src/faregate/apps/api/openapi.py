"""The OpenAPI document: Litestar's, made complete by rules that hold for every operation."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeAlias

import msgspec
from litestar import Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, OpenAPIType, Schema, SecurityScheme
from litestar.plugins import OpenAPISchemaPlugin

from faregate.apps.api.page import render_page
from faregate.wire.problem import MEDIA_TYPE, Problem

Document: TypeAlias = dict[str, Any]
"""A part of the OpenAPI document, as JSON objects."""

_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
_FIRST_ERROR: Final = HTTPStatus.BAD_REQUEST
_CATCH_ALL: Final = "/{path:str}"
_ABOUT: Final = (
    "Plans, prices and meters; customers, keys and subscriptions; routes and rules; credit, usage, charges, invoices. "
    "Amounts and quantities are exact decimals and travel as text; instants are RFC 3339 in UTC. "
    "Every error is a problem document (RFC 9457) that names the fields at fault."
)


class DecimalSchema(OpenAPISchemaPlugin):
    """How a Decimal may be sent: as text, or as a number, which is read from its digits."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:  # noqa: ANN401 - the framework's signature
        """Return whether the type is Decimal or raw JSON."""
        return value is Decimal or value is msgspec.Raw

    def to_openapi_schema(self, field_definition: Any, schema_creator: Any) -> Schema:  # noqa: ANN401 - as above
        """Return the schema."""
        del schema_creator
        if field_definition.annotation is msgspec.Raw:
            return Schema(type=OpenAPIType.OBJECT, description="JSON as it was received.")
        return Schema(
            type=[OpenAPIType.STRING, OpenAPIType.NUMBER],
            description="An exact decimal: best sent as text, such as '0.50'.",
        )


class JsonDocument(JsonRenderPlugin):
    """The document itself, at `/api/openapi.json`."""

    def render(self, request: Any, openapi_schema: Document) -> bytes:  # noqa: ANN401 - the framework's signature
        """Return the document as JSON."""
        del request
        return msgspec.json.encode(complete(openapi_schema))


class HtmlPage(OpenAPIRenderPlugin):
    """The document for people, at `/api`."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Any, openapi_schema: Document) -> bytes:  # noqa: ANN401 - the framework's signature
        """Return the page."""
        del request
        return render_page(complete(openapi_schema)).encode()


class _DocumentRouter(Router):
    """Litestar's router without its catch-all, which would answer unknown paths with a page instead of a problem."""

    def register(self, value: Any) -> Any:  # noqa: ANN401 - the framework's signature
        if _CATCH_ALL in getattr(value, "paths", ()):
            return []
        return super().register(value)


def openapi_config() -> OpenAPIConfig:
    """Return how the document is made and where it is served."""
    return OpenAPIConfig(
        title="Faregate management API",
        version=version("faregate"),
        description=_ABOUT,
        openapi_router=_DocumentRouter("/api", route_handlers=[], include_in_schema=False, dto=None, return_dto=None),
        render_plugins=[HtmlPage(), JsonDocument()],
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "token": SecurityScheme(type="http", scheme="bearer", description="An API token."),
                "password": SecurityScheme(type="http", scheme="basic", description="An operator's login."),
            }
        ),
    )


def complete(document: Document) -> Document:
    """Return the document with every error that an operation may answer, in place of the framework's own shapes."""
    whole = deepcopy(document)
    _, schemas = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    whole["components"]["schemas"].update(schemas)
    for path, operation in operations(whole):
        answers = {status: answer for status, answer in operation["responses"].items() if int(status) < _FIRST_ERROR}
        operation["responses"] = answers | {str(int(status)): _error(status) for status in _errors(path, operation)}
    return whole


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    """Yield every operation of the document with its path."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in _METHODS:
                yield path, operation


def _errors(path: str, operation: Document) -> Iterator[HTTPStatus]:
    yield HTTPStatus.BAD_REQUEST
    yield HTTPStatus.UNAUTHORIZED
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
    if "requestBody" in operation:
        yield HTTPStatus.CONFLICT
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    yield HTTPStatus.INTERNAL_SERVER_ERROR
    yield HTTPStatus.SERVICE_UNAVAILABLE


def _error(status: HTTPStatus) -> Document:
    return {
        "description": status.phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
