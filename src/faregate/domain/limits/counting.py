"""Which limits a call counts for, and for how much."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from faregate.base.periods import Period
from faregate.domain.customers.subscription import Subscription
from faregate.domain.limits.limit import Limit, MatcherFactory, Per, Subject

Subjects = Mapping[Subject, str | None]
"""Who made a call: its key, user and company; None where it has none."""


class LimitTable:
    """Limits by whom they hold, so that a call is asked of its own alone."""

    def __init__(self, limits: Iterable[Limit], compile_pattern: MatcherFactory) -> None:
        self._compile_pattern = compile_pattern
        self._of_one: dict[tuple[Subject, str], list[Limit]] = {}
        self._of_each: dict[Subject, list[Limit]] = {}
        self._covered: dict[tuple[str, str], bool] = {}
        for limit in limits:
            if limit.subject_id is not None:
                self._of_one.setdefault((limit.subject, limit.subject_id), []).append(limit)
            else:
                self._of_each.setdefault(limit.subject, []).append(limit)

    def __bool__(self) -> bool:
        return bool(self._of_one or self._of_each)

    def of(self, subjects: Subjects, route: str, plan_ids: frozenset[str]) -> Iterator[tuple[Limit, str]]:
        """Yield the limits that hold a call on a route, with the subject that each holds it as."""
        for kind, subject_id in subjects.items():
            if subject_id is None:
                continue
            for limits in (self._of_one.get((kind, subject_id), ()), self._of_each.get(kind, ())):
                for limit in limits:
                    if limit.holds(subject_id, plan_ids) and self._covers(limit, route):
                        yield limit, subject_id

    def _covers(self, limit: Limit, route: str) -> bool:
        key = limit.limit_id, route
        covered = self._covered.get(key)
        if covered is None:
            covered = self._covered[key] = limit.covers(route, self._compile_pattern)
        return covered


def subscription_for(limit: Limit, subscriptions: Sequence[Subscription], at: datetime) -> Subscription | None:
    """Return whose billing periods a limit goes by: of the subscriptions that live at an instant, the first.

    The one on the limit's plan, where it names one.
    """
    living = [found for found in subscriptions if found.lives_at(at) and limit.plan_id in {None, found.plan_id}]
    return min(living, key=lambda found: (found.started_at, found.subscription_id), default=None)


class LimitPeriods:
    """The periods that calls count in; a call's is seldom another than the one before."""

    def __init__(self) -> None:
        self._recent: dict[tuple[str, str | None], Period] = {}

    def at(self, limit: Limit, subscriptions: Sequence[Subscription], instant: datetime) -> Period:
        """Return the period that an instant counts in, of a company with these subscriptions."""
        subscription = subscription_for(limit, subscriptions, instant) if limit.per is Per.BILLING_PERIOD else None
        key = limit.limit_id, None if subscription is None else subscription.subscription_id
        recent = self._recent.get(key)
        if recent is None or instant not in recent:
            recent = self._recent[key] = limit.period_at(instant, subscription)
        return recent


def tokens_used(body: object) -> int:
    """Return the tokens that an answer's body reports: input and output, the same for every dialect; else 0.

    Our gateway writes them in one form (`tokens.total`); others report usage as the provider does.
    """
    if not isinstance(body, Mapping):
        return 0
    total = _count(body.get("tokens"), "total")
    if total is not None:
        return total
    usage = body.get("usage")
    for names in (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")):
        counts = [count for count in (_count(usage, name) for name in names) if count is not None]
        if counts:
            return sum(counts)
    return 0


def _count(counts: object, name: str) -> int | None:
    count = counts.get(name) if isinstance(counts, Mapping) else None
    return max(0, count) if type(count) is int else None
