"""The OpenAPI document: Litestar's, made complete by rules that hold for every operation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from importlib.metadata import version
from inspect import cleandoc
from types import NoneType
from typing import Any, Final, TypeAlias

import msgspec
from litestar import Litestar, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, Schema, SecurityScheme
from litestar.plugins import OpenAPISchemaPlugin
from litestar.routes import HTTPRoute

from faregate.apps.api.page import render_page
from faregate.wire.api.costs import MarginBy
from faregate.wire.api.readings import Granularity
from faregate.wire.problem import MEDIA_TYPE, Problem

Document: TypeAlias = dict[str, Any]
"""A part of the OpenAPI document, as JSON objects."""

_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
_FIRST_ERROR: Final = HTTPStatus.BAD_REQUEST
_PAGE_NAME: Final = re.compile(rb"Page_[a-z_.]*[.](\w+)_")
"""Litestar's name of a part of a list, with the path of the module in it."""

_CATCH_ALL: Final = "/{path:str}"
_ABOUT: Final = (
    "Plans, prices and meters; customers, keys and subscriptions; routes and rules; credit, usage, charges, invoices. "
    "Amounts and quantities are exact decimals and travel as text; instants are RFC 3339 in UTC. "
    "Every error is a problem document (RFC 9457) that names the fields at fault."
)


class OpaqueSchema(OpenAPISchemaPlugin):
    """Keeps Litestar from refusing types it does not know; `complete` puts msgspec's own schemas in place."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:  # noqa: ANN401 - the framework's signature
        """Return whether the type is raw JSON."""
        return value is msgspec.Raw

    def to_openapi_schema(self, field_definition: Any, schema_creator: Any) -> Schema:  # noqa: ANN401 - as above
        """Return a schema that takes anything."""
        del field_definition, schema_creator
        return Schema()


class JsonDocument(JsonRenderPlugin):
    """The document itself, at `/api/openapi.json`."""

    def render(self, request: Any, openapi_schema: Document) -> bytes:  # noqa: ANN401 - the framework's signature
        """Return the document as JSON."""
        return msgspec.json.encode(complete(openapi_schema, request.app))


class HtmlPage(OpenAPIRenderPlugin):
    """The document for people, at `/api`."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Any, openapi_schema: Document) -> bytes:  # noqa: ANN401 - the framework's signature
        """Return the page."""
        return render_page(complete(openapi_schema, request.app)).encode()


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
        operation_id_creator=lambda handler, _method, _path: handler.handler_name,
        components=Components(
            security_schemes={
                "token": SecurityScheme(type="http", scheme="bearer", description="An API token."),
                "password": SecurityScheme(type="http", scheme="basic", description="An operator's login."),
            }
        ),
    )


def complete(document: Document, app: Litestar) -> Document:
    """Return the document as it is served.

    Schemas are msgspec's, which decodes and encodes what they describe: with every limit, and the types' own words.
    Errors are every one that an operation may answer, all of one shape.
    """
    whole: Document = msgspec.json.decode(_PAGE_NAME.sub(rb"Page_\1_", msgspec.json.encode(document)))
    _, schemas = msgspec.json.schema_components([Problem, *_kinds(app)], ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        schema["description"] = cleandoc(schema.get("description", ""))
    whole["components"]["schemas"] = schemas
    for path, method, operation in operations(whole):
        answers = {status: answer for status, answer in operation["responses"].items() if int(status) < _FIRST_ERROR}
        errors = {str(int(status)): _error(status) for status in _errors(path, method, operation)}
        operation["responses"] = answers | errors
    return whole


def _kinds(app: Litestar) -> list[object]:
    """Return every type that an operation takes or gives."""
    handlers = [
        handler
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.resolve_include_in_schema()
    ]
    fields = [
        field for handler in handlers for field in (handler.parsed_data_field, handler.parsed_return_field) if field
    ]
    return [field.annotation for field in fields if field.annotation is not NoneType] + [Granularity, MarginBy]


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield every operation of the document with its path and method."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in _METHODS:
                yield path, method, operation


def _errors(path: str, method: str, operation: Document) -> Iterator[HTTPStatus]:
    yield HTTPStatus.BAD_REQUEST
    yield HTTPStatus.UNAUTHORIZED
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
    if method != "get":
        yield HTTPStatus.CONFLICT
    if "requestBody" in operation:
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    yield HTTPStatus.INTERNAL_SERVER_ERROR
    yield HTTPStatus.SERVICE_UNAVAILABLE


def _error(status: HTTPStatus) -> Document:
    return {
        "description": status.phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
