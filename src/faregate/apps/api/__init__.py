"""The management API: `/api/v1`, its OpenAPI document at `/api/openapi.json`, and a page about it at `/api`.

Owns: paths, statuses, credentials on the wire, problem documents, paging. Does not own: decisions (services), shapes
(`wire.api`), the port it is served on (`apps.control` mounts it with the path left whole).
Invariants: every answer under `/api` that is an error is a problem document; a request is one transaction; a list
answer has at most `MAX_PAGE_ROWS` rows; every request but the making of a token by password bears a token.
First file to read: `app.py`, then `call.py`.
"""

from faregate.apps.api.app import create_api

__all__ = ["create_api"]
