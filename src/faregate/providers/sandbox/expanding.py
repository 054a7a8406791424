"""`expand`: objects in place of their ids (docs.stripe.com/api/expanding_objects); a price's tiers are hidden else."""

from __future__ import annotations

from typing import Any, Final

from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.showing import as_shown
from faregate.providers.sandbox.store import Store

_DEEPEST: Final = 4
_HIDDEN: Final = {"checkout.session": ("line_items",), "invoice": ("payments",), "price": ("tiers",)}
_KINDS: Final = {
    "charge": "charge",
    "customer": "customer",
    "default_payment_method": "payment_method",
    "invoice": "invoice",
    "latest_charge": "charge",
    "latest_invoice": "invoice",
    "meter": "billing.meter",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "product": "product",
    "setup_intent": "setup_intent",
    "subscription": "subscription",
    "test_clock": "test_helpers.test_clock",
}
"""What a field with an id names."""


def expanded(store: Store, body: Json, paths: list[str]) -> Json:
    """Return an answer with what `paths` (such as `data.product`) name in place of ids, and hidden fields left out."""
    for path in paths:
        if path.count(".") >= _DEEPEST:
            raise refused(f"You cannot expand more than {_DEEPEST} levels: {path}", param="expand")
    shown: Json = _shown(store, body, [path.split(".") for path in paths])
    return as_shown(shown)


def _shown(store: Store, value: Any, paths: list[list[str]]) -> Any:  # noqa: ANN401 - any part of an answer
    if isinstance(value, list):
        return [_shown(store, part, paths) for part in value]
    if not isinstance(value, dict):
        return value
    wanted: dict[str, list[list[str]]] = {}
    for path in paths:
        wanted.setdefault(path[0], []).append(path[1:])
    hidden = _HIDDEN.get(str(value.get("object")), ())
    shown = {}
    for name, part in value.items():
        if name in hidden and name not in wanted:
            continue
        whole = _named(store, name, part) if name in wanted else part
        shown[name] = _shown(store, whole, [path for path in wanted.get(name, []) if path])
    for name in wanted.keys() - value.keys():
        if name not in hidden and value.get("object") not in {"list", "event"}:
            raise refused(f"This property cannot be expanded ({name}).", param="expand")
    return shown


def _named(store: Store, name: str, part: Any) -> Any:  # noqa: ANN401 - any part of an answer
    if isinstance(part, str) and name in _KINDS:
        return store.get(_KINDS[name], part)
    return part
