"""Faults on demand: answers that fail, get lost or come late, and webhooks that come late, twice, shuffled or never.

A rule strikes the requests (or events) that it is for: all of them, a share drawn by a seed, or the next few. What was
drawn is counted in the file, so that the same requests in the same order meet the same faults.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from faregate.providers.sandbox.faults import Json, StripeFault, refused
from faregate.providers.sandbox.store import Store

_MOST_LATE_MS: Final = 3_600_000
_MOST_RULES: Final = 100


RequestAnswer = Literal[
    "rate_limited", "lock_timeout", "failed", "unavailable", "over_rate", "lost", "late", "reported"
]
WebhookAnswer = Literal["late", "twice", "shuffled", "dropped"]
ReportCode = Literal[
    "archived_meter",
    "meter_event_customer_not_found",
    "meter_event_invalid_value",
    "meter_event_no_customer_defined",
    "meter_event_value_too_many_digits",
    "no_meter",
    "timestamp_in_future",
    "timestamp_too_far_in_past",
]
"""What can be wrong with a meter event that was taken."""


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="on"):
    """Strikes a `share` of what it is for, at most so many `times`, drawn by `seed`."""

    times: int | None = None
    share: Decimal = Decimal(1)
    seed: int = 0
    late_ms: int = 0


class RequestFault(_Rule, frozen=True, tag="request"):
    """What happens to requests of a method and a path; `*` stands for anything in both.

    `rate_limited`, `lock_timeout` (429), `failed` (500) and `unavailable` (503) refuse and change nothing; `kept` lets
    a repeat under the same idempotency key be refused again. `over_rate` refuses (429) what exceeds `per_second`.
    `lost` does the work and closes the connection instead of an answer, `late` does it and answers after `late_ms`.
    `reported` takes meter events whatever is wrong with them, and reports afterwards; with a `code`, all of them.
    """

    answer: RequestAnswer
    method: str = "*"
    path: str = "*"
    kept: bool | None = None
    should_retry: bool | None = None
    per_second: int | None = None
    code: ReportCode | None = None


class WebhookFault(_Rule, frozen=True, tag="webhook"):
    """What happens to webhooks of events of a type.

    `late` sends after `late_ms`, `twice` sends once more after as long, `shuffled` sends at any time before it is over,
    `dropped` never sends.
    """

    answer: WebhookAnswer
    type: str = "*"


Rule = RequestFault | WebhookFault
Rates = dict[str, tuple[int, int]]
"""The second, and how many requests came in it, by rule."""
R = TypeVar("R", RequestFault, WebhookFault)


class KeptRule(NamedTuple):
    """A rule with its id, how many it was for, and how many it struck."""

    id: str
    rule: Rule
    seen: int
    struck: int

    def shown(self) -> Json:
        """Return the rule as the control API shows it."""
        fields: Json = msgspec.to_builtins(self.rule)
        return {"id": self.id, "object": "sandbox.fault", **fields, "seen": self.seen, "struck": self.struck}


def add_rule(store: Store, identifier: str, sent: Json) -> KeptRule:
    """Keep a rule; raises `StripeFault` for what is none."""
    try:
        rule = msgspec.convert({"on": "request"} | sent, Rule)
    except msgspec.ValidationError as error:
        raise refused(f"Invalid fault: {error}") from error
    if not 0 <= rule.late_ms <= _MOST_LATE_MS:
        raise refused(f"Invalid integer: must be 0 to {_MOST_LATE_MS}", param="late_ms")
    if not 0 <= rule.share <= 1:
        raise refused("Invalid share: must be 0 to 1", param="share")
    if isinstance(rule, RequestFault) and (rule.answer == "over_rate") != bool(rule.per_second):
        raise refused("`per_second` goes with the answer `over_rate`, and with no other", param="per_second")
    if len(list_rules(store)) >= _MOST_RULES:
        raise refused(f"There are {_MOST_RULES} faults already.")
    store.connection.execute(
        "INSERT INTO fault (id, rule) VALUES (?, ?)", (identifier, msgspec.json.encode(rule).decode())
    )
    return KeptRule(id=identifier, rule=rule, seen=0, struck=0)


def list_rules(store: Store) -> list[KeptRule]:
    """Return every rule, the oldest first."""
    return [
        KeptRule(id=row["id"], rule=msgspec.json.decode(row["rule"], type=Rule), seen=row["seen"], struck=row["struck"])
        for row in store.connection.execute("SELECT id, rule, seen, struck FROM fault ORDER BY place")
    ]


def remove_rules(store: Store, identifier: str | None = None) -> int:
    """Forget one rule, or all; return how many that were."""
    if identifier is None:
        return store.connection.execute("DELETE FROM fault").rowcount
    return store.connection.execute("DELETE FROM fault WHERE id = ?", (identifier,)).rowcount


def strike(
    store: Store, *, method: str, path: str, second: int, rates: dict[str, tuple[int, int]]
) -> RequestFault | None:
    """Return the first rule that strikes a request; `rates` counts requests by rule in the machine's `second`."""

    def is_over(kept: KeptRule, rule: RequestFault) -> bool:
        if rule.per_second is None:
            return True
        since, count = rates.get(kept.id, (second, 0))
        count = count + 1 if since == second else 1
        rates[kept.id] = (second, count)
        return count > rule.per_second

    for kept, rule in _of_kind(store, RequestFault):
        if _is_for(rule.method, method) and _is_for(rule.path, path) and is_over(kept, rule) and _strikes(store, kept):
            return rule
    return None


def delays_ms(store: Store, event_type: str) -> list[int]:
    """Return when an event is sent to a receiver, in milliseconds from now: once at once, where no rule strikes."""
    delays = [0]
    for kept, rule in _of_kind(store, WebhookFault):
        if not _is_for(rule.type, event_type) or not _strikes(store, kept):
            continue
        drawn = _draw(rule.seed, f"{kept.seen}:delay")
        if rule.answer == "dropped":
            return []
        if rule.answer == "twice":
            delays.append(delays[0] + rule.late_ms)
        else:
            later_ms = rule.late_ms if rule.answer == "late" else int(rule.late_ms * drawn)
            delays = [delay + later_ms for delay in delays]
    return delays


def refusal_of(rule: RequestFault) -> StripeFault | None:
    """Return what a request that was struck is refused with; None where it is answered."""
    match rule.answer:
        case "rate_limited" | "over_rate":
            message = "Request rate limit exceeded."
            fault = StripeFault(message, status=HTTPStatus.TOO_MANY_REQUESTS, code="rate_limit")
        case "lock_timeout":
            fault = lock_timeout()
        case "failed":
            message = "Sorry! There was an error while talking to Stripe."
            fault = StripeFault(message, status=HTTPStatus.INTERNAL_SERVER_ERROR, kind="api_error")
        case "unavailable":
            message = "The service is temporarily unavailable."
            fault = StripeFault(message, status=HTTPStatus.SERVICE_UNAVAILABLE, kind="api_error")
        case _:
            return None
    fault.should_retry = rule.should_retry
    return fault


def lock_timeout() -> StripeFault:
    """Return the refusal of a request whose object another request holds."""
    message = "This object cannot be accessed right now because another API request is accessing it."
    return StripeFault(message, status=HTTPStatus.TOO_MANY_REQUESTS, code="lock_timeout")


def is_kept(rule: RequestFault) -> bool:
    """Return whether a repeat under the same idempotency key gets the same refusal: of `lock_timeout`, unless told."""
    return rule.answer == "lock_timeout" if rule.kept is None else rule.kept


def _of_kind(store: Store, kind: type[R]) -> Iterator[tuple[KeptRule, R]]:
    for kept in list_rules(store):
        if isinstance(kept.rule, kind):
            yield kept, kept.rule


def _is_for(pattern: str, text: str) -> bool:
    return fnmatchcase(text, pattern)


def _strikes(store: Store, kept: KeptRule) -> bool:
    """Count the rule's request, and return whether it is struck."""
    rule = kept.rule
    has_more = rule.times is None or kept.struck < rule.times
    strikes = has_more and _draw(rule.seed, str(kept.seen)) < rule.share
    store.connection.execute(
        "UPDATE fault SET seen = seen + 1, struck = struck + ? WHERE id = ?", (int(strikes), kept.id)
    )
    return strikes


def _draw(seed: int, turn: str) -> float:
    return random.Random(f"{seed}:{turn}").random()  # noqa: S311 - to be repeated, not to be secret
