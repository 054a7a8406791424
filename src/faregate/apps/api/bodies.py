"""Request bodies: bytes to the handler's type in one step, so that a number never passes through a binary float."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from litestar.dto import AbstractDTO
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from faregate.wire.api.common import decode_body


class JsonBody(AbstractDTO[Any]):
    """Litestar's seam for decoding: without it, a body becomes Python objects first and floats on the way."""

    def decode_bytes(self, value: bytes) -> Any:  # noqa: ANN401 - whatever type the handler takes
        """Return the body as the handler's type; `InvalidInput` names the field that is wrong."""
        field = self.asgi_connection.route_handler.parsed_data_field
        return decode_body(value, field.annotation)

    @classmethod
    def create_for_field_definition(cls, *_args: object, **_kwargs: object) -> None:
        """Generate nothing: the type itself is decoded."""

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,
        schema_creator: Any,  # noqa: ANN401 - a private type of the framework
    ) -> Reference | Schema:
        """Return the schema of the type itself."""
        del handler_id
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Iterator[DTOFieldDefinition]:  # type: ignore[override]
        """Generate nothing, as above."""
        del model_type
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Look at nothing, as above."""
        del field_definition
        return False
