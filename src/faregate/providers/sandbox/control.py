"""The sandbox's own controls, beside Stripe's paths: faults, deliveries, the latest requests, and starting afresh."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from faregate.providers.sandbox import deliveries, faulty, resetting
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json, StripeFault, missing, refused

CONTROL_PREFIX: Final = "/control/"
_DAY_S: Final = 86_400

Controller = Callable[[Sandbox, tuple[str, ...], Json], Json]


def controlled(sandbox: Sandbox, *, method: str, path: str, body: bytes) -> Json:
    """Return the answer to a request under `/control/`; raises `StripeFault`."""
    sent = _read(body)
    for wanted, pattern, controller in _ROUTES:
        found = re.fullmatch(pattern, path.removeprefix(CONTROL_PREFIX))
        if found is not None and method == wanted:
            with sandbox.store.transaction():
                return controller(sandbox, found.groups(), sent)
    message = f"Unrecognized request URL ({method}: {path})."
    raise StripeFault(message, status=HTTPStatus.NOT_FOUND)


def _add_fault(sandbox: Sandbox, _: tuple[str, ...], sent: Json) -> Json:
    return faulty.add_rule(sandbox.store, sandbox.new_id("fault"), sent).shown()


def _list_faults(sandbox: Sandbox, _: tuple[str, ...], _sent: Json) -> Json:
    return {"data": [kept.shown() for kept in faulty.list_rules(sandbox.store)]}


def _remove_faults(sandbox: Sandbox, ids: tuple[str, ...], _sent: Json) -> Json:
    removed = faulty.remove_rules(sandbox.store, *ids)
    if ids and not removed:
        raise missing("fault", ids[0])
    return {"removed": removed}


def _list_requests(sandbox: Sandbox, _: tuple[str, ...], _sent: Json) -> Json:
    return {"data": [line._asdict() for line in sandbox.live.latest()]}


def _list_deliveries(sandbox: Sandbox, _: tuple[str, ...], _sent: Json) -> Json:
    return {"data": deliveries.newest_first(sandbox.store)}


def _send_again(sandbox: Sandbox, ids: tuple[str, ...], _sent: Json) -> Json:
    sandbox.send_again(int(ids[0]))
    return {"sent_again": int(ids[0])}


def _roll_secret(sandbox: Sandbox, ids: tuple[str, ...], sent: Json) -> Json:
    keep_s = sent.get("keep_old_s", _DAY_S)
    if not isinstance(keep_s, int) or not 0 <= keep_s <= _DAY_S:
        raise refused(f"Invalid integer: must be 0 to {_DAY_S}", param="keep_old_s")
    if not deliveries.is_receiver(sandbox.store, ids[0]):
        raise missing("webhook_endpoint", ids[0])
    return {"id": ids[0], "secret": sandbox.roll_secret(ids[0], keep_old_ms=keep_s * 1_000)}


def _reset(sandbox: Sandbox, _: tuple[str, ...], sent: Json) -> Json:
    kinds = sent.get("kinds")
    if kinds is not None and not (isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds)):
        raise refused("Invalid array: must be names of kinds", param="kinds")
    return {"removed": resetting.reset(sandbox.store, kinds)}


def _read(body: bytes) -> Json:
    try:
        sent: Any = json.loads(body or b"{}")
    except ValueError as error:
        raise refused(f"Invalid JSON: {error}") from error
    if not isinstance(sent, dict):
        raise refused("Invalid JSON: must be an object")
    return sent


_ROUTES: Final[tuple[tuple[str, str, Controller], ...]] = (
    ("GET", "faults", _list_faults),
    ("POST", "faults", _add_fault),
    ("DELETE", "faults", _remove_faults),
    ("DELETE", "faults/([^/]+)", _remove_faults),
    ("GET", "requests", _list_requests),
    ("GET", "deliveries", _list_deliveries),
    ("POST", r"deliveries/(\d{1,18})/send_again", _send_again),
    ("POST", "receivers/([^/]+)/roll_secret", _roll_secret),
    ("POST", "reset", _reset),
)
