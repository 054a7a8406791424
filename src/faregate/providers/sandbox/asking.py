"""What every answer of the sandbox stands on: the store, the clock, new ids; and lists as Stripe pages them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Self
from urllib.parse import urlencode

from faregate.base.clock import Clock, SystemClock, to_microseconds
from faregate.base.errors import InvalidInput
from faregate.base.ids import IdSource
from faregate.base.money import currency
from faregate.providers.sandbox import deliveries
from faregate.providers.sandbox.faults import Json, StripeFault, missing, refused
from faregate.providers.sandbox.live import Live
from faregate.providers.sandbox.showing import as_shown
from faregate.providers.sandbox.store import Store
from faregate.providers.stripe_version import API_VERSION

THIN_EVENT: Final = "v2.core.event"

_PAGE: Final = 10
_V2_PAGE: Final = 20
_MOST: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """One test account, for whoever shows its `key`.

    `clock` is the account's time, which may be advanced; `machine` the time in which webhooks are sent and sent again.
    `instant` holds the time where work is done that was due then, and where a customer lives on a test clock.
    """

    key: str = field(repr=False)
    store: Store
    clock: Clock
    new_id: IdSource
    machine: Clock = field(default_factory=SystemClock)
    listeners: list[Callable[[], None]] = field(default_factory=list)
    """Called, on any thread, when a webhook waits to be sent."""
    live: Live = field(default_factory=Live)
    instant: int | None = None
    pages_url: str = "http://127.0.0.1/sandbox/pay"
    """Where the hosted pages are, without a slash at its end."""

    def now(self) -> int:
        """Return the time in whole seconds since 1970, as Stripe has it."""
        return int(self.clock.now().timestamp()) if self.instant is None else self.instant

    def has_work(self) -> bool:
        """Return whether anything is due: a look-up in an index."""
        found = self.store.next_due("")
        return found is not None and found.at <= self.now()

    def at(self, instant: int) -> Self:
        """Return the same account at an instant."""
        return replace(self, instant=instant)

    def machine_ms(self) -> int:
        """Return the machine's time in milliseconds since 1970."""
        return to_microseconds(self.machine.now()) // 1_000

    def tell(self, kind: str, changed: Json, previous: Json | None = None) -> None:
        """Write an event down: what `/v1/events` lists and webhooks bring. `previous`: what the changed fields were."""
        data: Json = {"object": as_shown(changed)}
        if previous is not None:
            data["previous_attributes"] = as_shown(previous)
        event = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now(),
            "data": data,
            "livemode": False,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        event["pending_webhooks"] = self.deliver(event)
        self.store.add(event, type=kind)

    def tell_thin(self, kind: str, *, about: Json | None, data: Json | None = None, to: str | None = None) -> Json:
        """Write a thin event down and return it: it names what it is about, and has `data` only where it is fetched.

        `to`: the one receiver it is for, whatever that wants.
        """
        event: Json = {
            "id": self.new_id("evt"),
            "object": THIN_EVENT,
            "context": None,
            "created": iso(self.now()),
            "livemode": False,
            "reason": None,
            "related_object": about,
            "type": kind,
        }
        if data is not None:
            event["data"] = data
        self.store.add(event, related=None if about is None else about["id"])
        if to is None:
            self.deliver(event)
        else:
            deliveries.queue_for(self.store, to, event, now_ms=self.machine_ms())
            self.wake()
        return event

    def deliver(self, event: Json) -> int:
        """Let an event be sent to whoever wants its type; return how many that are."""
        waiting = deliveries.queue(self.store, event, now_ms=self.machine_ms())
        if waiting:
            self.wake()
        return waiting

    def send_again(self, place: int) -> None:
        """Let a delivery be made once more; raises `StripeFault` where there is none."""
        if not deliveries.send_again(self.store, place, now_ms=self.machine_ms()):
            raise missing("delivery", str(place))
        self.wake()

    def wake(self) -> None:
        """Tell who sends webhooks that there is something to do."""
        for listener in self.listeners:
            listener()

    def roll_secret(self, receiver: str, *, keep_old_ms: int) -> str:
        """Sign for a receiver with a new secret, and with the old ones for so long still; return the new one."""
        secret = f"whsec_{secrets.token_urlsafe(24)}"
        deliveries.add_secret(self.store, receiver, secret, old_until_ms=self.machine_ms() + keep_old_ms)
        return secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request: the ids in its path, in order, and its parameters, checked, without `expand`.

    `page`: where a list of `/v2` goes on. `checks_later`: meter events are taken first and judged afterwards, and lost
    with the code `lost_as`, if there is one.
    """

    url: str
    ids: tuple[str, ...]
    parameters: Json
    idempotency_key: str | None = None
    page: str | None = None
    checks_later: bool = False
    lost_as: str | None = None


Answerer = Callable[[Sandbox, Asked], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A method and a path, `{}` for an id, with the SDK's type of its parameters."""

    method: str
    path: str
    parameters: type
    answer: Answerer


def retrieved(kind: str) -> Answerer:
    """Return what answers with the object of a kind whose id is in the path."""

    def answer(sandbox: Sandbox, asked: Asked) -> Json:
        return sandbox.store.get(kind, asked.ids[0])

    return answer


def page_of(asked: Asked, found: Iterable[Json], wanted: Callable[[Json], bool] = lambda _: True) -> Json:
    """Return a part of a list, newest first (docs.stripe.com/api/pagination); `found` is newest first.

    Reads no further than the part goes.
    """
    parameters = asked.parameters
    limit = _limit(asked, usual=_PAGE)
    rows = filter(wanted, found)
    after, before = parameters.get("starting_after"), parameters.get("ending_before")
    if before is not None:
        kept = list(rows)
        if after is not None:
            _up_to(kept, after, refusal=_no_cursor("starting_after", after))
        newer = _up_to(kept, before, refusal=_no_cursor("ending_before", before))
        return _list(asked.url, newer[-limit:], has_more=len(newer) > limit)
    if after is not None:
        _up_to(rows, after, refusal=_no_cursor("starting_after", after))
    shown, has_more = _first(rows, limit)
    return _list(asked.url, shown, has_more=has_more)


def v2_page_of(asked: Asked, found: Iterable[Json]) -> Json:
    """Return a part of a list of `/v2`, newest first, with the address of the next part; `found` is newest first."""
    limit = _limit(asked, usual=_V2_PAGE)
    rows = iter(found)
    if asked.page is not None:
        _up_to(rows, asked.page, refusal=refused("Invalid page token", param="page"))
    shown, has_more = _first(rows, limit)
    following = f"{asked.url}?{urlencode({'page': shown[-1]['id'], 'limit': limit})}" if has_more else None
    return {"data": shown, "next_page_url": following, "previous_page_url": None}


def listed(sandbox: Sandbox, asked: Asked, kind: str, *, names: tuple[str, ...]) -> Json:
    """Return a part of the list of a kind: what `created` and those of the filters in `names` that were sent leave.

    The first of these finds the objects.
    """
    sent = asked.parameters
    filters = {name: sent[name] for name in names if sent.get(name) is not None}
    first = next(iter(filters), None)
    found = sandbox.store.newest_first(kind) if first is None else sandbox.store.find(kind, first, filters[first])

    def wanted(body: Json) -> bool:
        is_named = all(body.get(name) == value for name, value in filters.items())
        return is_named and created_in(sent.get("created"), body["created"])

    return page_of(asked, found, wanted)


def _up_to(rows: Iterable[Json], cursor: str, *, refusal: StripeFault) -> list[Json]:
    """Take rows up to the one with an id, and return those before it; raises `refusal` where there is none."""
    passed: list[Json] = []
    for row in rows:
        if row["id"] == cursor:
            return passed
        passed.append(row)
    raise refusal


def _no_cursor(name: str, cursor: str) -> StripeFault:
    return refused(f"No such object: '{cursor}'", param=name, code="resource_missing")


def _first(rows: Iterator[Json], limit: int) -> tuple[list[Json], bool]:
    """Return the first rows, and whether more follow."""
    shown = list(islice(rows, limit))
    return shown, next(rows, None) is not None


def iso(instant: int) -> str:
    """Return an instant, in seconds since 1970, as `/v2` writes it."""
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def from_iso(text: str, *, param: str) -> int:
    """Return the instant of a text of `/v2`, in whole seconds since 1970; raises `StripeFault`."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise refused(f"Invalid timestamp: {text} must be such as 2026-01-31T12:00:00.000Z", param=param)
    return int(instant.timestamp())


def _limit(asked: Asked, *, usual: int) -> int:
    limit: int = asked.parameters.get("limit", usual)
    if not 1 <= limit <= _MOST:
        raise refused(f"Invalid integer: {limit} must be between 1 and {_MOST}", param="limit")
    return limit


def _list(url: str, rows: list[Json], *, has_more: bool) -> Json:
    return {"object": "list", "data": rows, "has_more": has_more, "url": url}


def refuse_others(sent: Json, known: AbstractSet[str], what: str) -> None:
    """Refuse what Stripe takes and the sandbox does not, by its name."""
    for name in sorted(sent.keys() - known):
        raise refused(f"The sandbox does not know `{name}` of {what}", param=name)


def known_currency(code: str, *, param: str = "currency") -> str:
    """Return a currency's code as Stripe writes it; raises `StripeFault` for none that there is."""
    try:
        return currency(code.upper()).code.lower()
    except InvalidInput:
        raise refused(f"Invalid currency: {code}", param=param) from None


def is_as_sent(body: Json, sent: Json, *names: str) -> bool:
    """Return whether an object has the values that a list is wanted of, by those of some fields that were sent."""
    return all(sent.get(name, body[name]) == body[name] for name in names)


def created_in(wanted: int | Json | None, created: int) -> bool:
    """Return whether an instant is in a filter `created` of a list: a second, or bounds."""
    if wanted is None or isinstance(wanted, int):
        return wanted in {None, created}
    gt, gte, lt, lte = (wanted.get(name) for name in ("gt", "gte", "lt", "lte"))
    is_after = (gt is None or created > gt) and (gte is None or created >= gte)
    return is_after and (lt is None or created < lt) and (lte is None or created <= lte)


def changed(sandbox: Sandbox, body: Json, fields: Json, *, event: str) -> Json:
    """Keep an object with other values of some fields, and tell of it where anything changed; return it.

    Raises `StripeFault` for a field that the object does not have here.
    """
    refuse_others(fields, body.keys(), f"a {body['object']}")
    after = body | fields
    if "metadata" in fields:
        after["metadata"] = merged_metadata(body["metadata"], fields["metadata"])
    previous = {name: body[name] for name in fields if body[name] != after[name]}
    if previous:
        sandbox.store.put(after)
        sandbox.tell(event, after, previous)
    return after


def merged_metadata(before: Json, sent: Json) -> Json:
    """Return metadata with what was sent: an empty value takes its name away, nothing at all takes everything."""
    return {name: value for name, value in (before | sent).items() if value != ""} if sent else {}
