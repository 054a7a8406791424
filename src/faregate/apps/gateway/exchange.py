"""One request as the server hands it over, with what was read of it once."""

from __future__ import annotations

from dataclasses import dataclass

from granian.rsgi import HTTPProtocol, Scope

from faregate.apps.gateway.headers import Headers


@dataclass(slots=True, eq=False)
class Exchange:
    """`received`: the caller's headers, names in lower case. `rest`: what follows the route's name in the path."""

    scope: Scope
    protocol: HTTPProtocol
    received: Headers
    rest: str
