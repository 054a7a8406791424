"""One request as the server hands it over, with what was read of it once."""

from __future__ import annotations

from granian.rsgi import HTTPProtocol, Scope
from msgspec import Struct

from faregate.apps.gateway.headers import Headers


class Exchange(Struct, eq=False):
    """`received`: the caller's headers, names in lower case; `named`: the same by name, the last of a name.

    `rest` is what follows the route's name in the path.
    """

    scope: Scope
    protocol: HTTPProtocol
    received: Headers
    named: dict[str, str]
    rest: str
