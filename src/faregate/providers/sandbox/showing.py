"""What of an object is shown: not the sandbox's own names, which begin with `_`; of an invoice the first ten lines."""

from __future__ import annotations

from typing import Any, Final

from faregate.providers.sandbox.faults import Json

_LINES_SHOWN: Final = 10


def as_shown(body: Json) -> Json:
    """Return an object as Stripe shows it."""
    shown: Json = _shown(body)
    return shown


def _shown(value: Any) -> Any:  # noqa: ANN401 - any part of an object
    if isinstance(value, list):
        return [_shown(part) for part in value]
    if not isinstance(value, dict):
        return value
    shown = {name: _shown(part) for name, part in value.items() if not name.startswith("_")}
    if value.get("object") == "invoice" and len(shown.get("lines", {}).get("data", ())) > _LINES_SHOWN:
        shown["lines"] |= {"data": shown["lines"]["data"][:_LINES_SHOWN], "has_more": True}
    return shown
