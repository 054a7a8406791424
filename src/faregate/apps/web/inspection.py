"""A look inside the sandbox, at `/sandbox/inspect`: objects, requests, webhooks, the clock, and faults on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar, get_args
from urllib.parse import quote

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER, HTTP_422_UNPROCESSABLE_ENTITY

from faregate.apps.web.visit import Visit
from faregate.base.errors import InvalidInput, NotFound
from faregate.providers.sandbox import deliveries, faulty, inspection, resetting
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import StripeFault
from faregate.services.business_clock import advance_clock, read_clock

T = TypeVar("T")

_ROOT: Final = "/sandbox/inspect"
_ROWS: Final = 50
_STEPS: Final = {"an hour": 3_600, "a day": 86_400, "a week": 7 * 86_400, "31 days": 31 * 86_400}
_WHOLE_NUMBERS: Final = ("times", "seed", "late_ms", "per_second")


@get(_ROOT)
async def show_account(visit: NamedDependency[Visit]) -> Response[str]:
    """Show what kinds of objects there are, the clock, and the way to start afresh."""
    return await _account(visit)


@get(f"{_ROOT}/objects/{{kind:str}}")
async def show_objects(visit: NamedDependency[Visit], kind: FromPath[str]) -> Response[str]:
    """List the objects of a kind, newest first, a part at a time."""
    before = visit.request.query_params.get("before", "")
    place = int(before) if before.isdecimal() and len(before) < len(str(1 << 62)) else None
    rows = await _read(visit, lambda sandbox: inspection.list_objects(sandbox.store, kind, before=place, limit=_ROWS))
    more = rows[-1].place if len(rows) == _ROWS and rows[-1].place else None
    return visit.page("sandbox_objects.html", kind=kind, rows=rows, more=more)


@get(f"{_ROOT}/object/{{identifier:path}}")
async def show_object(visit: NamedDependency[Visit], identifier: FromPath[str]) -> Response[str]:
    """Show one object as Stripe shows it."""
    wanted = identifier.removeprefix("/")
    body = await _read(visit, lambda sandbox: inspection.find_object(sandbox.store, wanted))
    if body is None:
        raise NotFound("object", wanted)
    text = json.dumps(body, indent=2, ensure_ascii=False)
    return visit.page("sandbox_object.html", identifier=wanted, kind=body["object"], text=text)


@get(f"{_ROOT}/requests")
async def show_requests(visit: NamedDependency[Visit]) -> Response[str]:
    """List the latest requests and what they were answered."""
    rows = [(_moment(line.at_ms), line) for line in visit.backend.require_sandbox().live.latest()]
    return visit.page("sandbox_requests.html", rows=rows)


@get(f"{_ROOT}/webhooks")
async def show_webhooks(visit: NamedDependency[Visit]) -> Response[str]:
    """List the latest webhooks and how they stand."""
    found = await _read(visit, lambda sandbox: deliveries.newest_first(sandbox.store))
    rows = [(_moment(row["due_ms"]), row) for row in found]
    return visit.page("sandbox_webhooks.html", rows=rows)


@post(f"{_ROOT}/webhooks/{{place:int}}/send-again")
async def submit_send_again(visit: NamedDependency[Visit], place: FromPath[int]) -> Redirect:
    """Send a webhook once more."""
    await visit.form()
    try:
        await _read(visit, lambda sandbox: sandbox.send_again(place))
    except StripeFault as fault:
        raise NotFound("delivery", str(place)) from fault
    return _to("/webhooks")


@get(f"{_ROOT}/faults")
async def show_faults(visit: NamedDependency[Visit]) -> Response[str]:
    """List the faults that were asked for, with a form for another."""
    return await _faults(visit, {}, fault="")


@post(f"{_ROOT}/faults")
async def submit_fault(visit: NamedDependency[Visit]) -> Response[str]:
    """Ask for a fault."""
    form = await visit.form()
    try:
        await _read(visit, lambda sandbox: faulty.add_rule(sandbox.store, sandbox.new_id("fault"), _rule_of(form)))
    except StripeFault as fault:
        return await _faults(visit, form, fault=fault.message)
    return _to("/faults")


@post(f"{_ROOT}/faults/{{identifier:str}}/remove")
async def submit_remove_fault(visit: NamedDependency[Visit], identifier: FromPath[str]) -> Redirect:
    """Take a fault back."""
    await visit.form()
    await _read(visit, lambda sandbox: faulty.remove_rules(sandbox.store, identifier))
    return _to("/faults")


@post(f"{_ROOT}/clock")
async def submit_clock(visit: NamedDependency[Visit]) -> Response[str]:
    """Move the application's business time forward, as `POST /api/v1/clock/advance` does; the sandbox follows it."""
    form = await visit.form()
    step = timedelta(seconds=_STEPS.get(form.get("step", ""), 0))
    backend = visit.backend
    try:
        await backend.database.write(lambda tx: advance_clock(tx, visit.application_id, backend.clock, step=step))
    except InvalidInput as error:
        return await _account(visit, fault=error.faults[0].message)
    return _to("")


@post(f"{_ROOT}/reset")
async def submit_reset(visit: NamedDependency[Visit]) -> Response[str]:
    """Forget everything, or one kind."""
    kind = (await visit.form()).get("kind")
    try:
        await _read(visit, lambda sandbox: resetting.reset(sandbox.store, None if kind is None else [kind]))
    except StripeFault as fault:
        return await _account(visit, fault=fault.message)
    return _to("")


async def _account(visit: Visit, *, fault: str = "") -> Response[str]:
    kinds = await _read(visit, lambda sandbox: inspection.list_kinds(sandbox.store))
    clock = await visit.read(lambda tx: read_clock(tx, visit.application_id, visit.backend.clock))
    return visit.page(
        "sandbox_account.html",
        status=HTTP_422_UNPROCESSABLE_ENTITY if fault else 200,
        kinds=kinds,
        business_now=clock.now,
        sandbox_now=datetime.fromtimestamp(visit.backend.require_sandbox().now(), UTC),
        steps=list(_STEPS),
        fault=fault,
    )


async def _faults(visit: Visit, form: dict[str, str], *, fault: str) -> Response[str]:
    kept = await _read(visit, lambda sandbox: faulty.list_rules(sandbox.store))
    return visit.page(
        "sandbox_faults.html",
        status=HTTP_422_UNPROCESSABLE_ENTITY if fault else 200,
        rules=[each.shown() for each in kept],
        requests=get_args(faulty.RequestAnswer),
        webhooks=get_args(faulty.WebhookAnswer),
        values=form,
        fault=fault,
    )


def _rule_of(form: dict[str, str]) -> dict[str, object]:
    """Return a form's fields as the control API takes them; the answer is such as `webhook:late`."""
    on, _, answer = form.get("answer", "").partition(":")
    rule: dict[str, object] = {"on": on, "answer": answer}
    if "pattern" in form:
        rule["type" if on == "webhook" else "path"] = form["pattern"]
    for name in _WHOLE_NUMBERS:
        if name in form:
            rule[name] = int(form[name]) if form[name].isdecimal() else form[name]
    return rule | {name: form[name] for name in ("share", "code", "method") if name in form}


async def _read(visit: Visit, work: Callable[[Sandbox], T]) -> T:
    """Run `work` in a transaction of the sandbox's file, on a thread."""
    sandbox = visit.backend.require_sandbox()

    def run() -> T:
        with sandbox.store.transaction():
            return work(sandbox)

    return await asyncio.to_thread(run)


def _to(page: str) -> Redirect:
    return Redirect(f"{_ROOT}{quote(page)}", status_code=HTTP_303_SEE_OTHER)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


HANDLERS = [
    show_account,
    show_objects,
    show_object,
    show_requests,
    show_webhooks,
    submit_send_again,
    show_faults,
    submit_fault,
    submit_remove_fault,
    submit_clock,
    submit_reset,
]
