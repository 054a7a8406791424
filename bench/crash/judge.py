"""The verdict: what the books say of every call, against what its caller holds and what the upstream logged.

A complete answer is billed exactly once, by the upstream's counts. A call that was interrupted is billed at most once:
by the upstream's counts, or, flagged as an estimate, by the input's estimate and no more output than the upstream had
handed over; and not at all before the upstream's first byte. Nothing is billed that the upstream never began, or that
was answered with a refusal. The sums agree, and nothing stays held.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from bench.crash.records import (
    COMPLETION,
    PROMPT,
    AccountBook,
    CallerRecord,
    EventRecord,
    Evidence,
    Outcome,
    PriceBook,
    UpstreamRecord,
)

OK: Final = 200
PAYMENT_REQUIRED: Final = 402

_CHARACTERS_PER_TOKEN: Final = 4
"""What an estimate counts as one token of output."""

_LONGEST_TOKEN: Final = 5
"""Characters of the demo upstream's longest token: a space and four letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A rule that does not hold, and of which call or account."""

    rule: str
    subject: str
    detail: str = ""

    def __str__(self) -> str:
        """Return it in one line, as reports show it."""
        return f"{self.rule}: {self.subject}" + (f" ({self.detail})" if self.detail else "")


def judge(evidence: Evidence) -> list[Fault]:
    """Return every rule that the evidence breaks; none where all hold."""
    calls = judge_calls(
        evidence.callers,
        upstream=evidence.upstream,
        events=evidence.events,
        set_aside=evidence.set_aside,
        input_estimate=evidence.input_estimate,
    )
    return [*calls, *_judge_refusals(evidence.callers), *_judge_books(evidence)]


def judge_calls(
    callers: Iterable[CallerRecord],
    *,
    upstream: Mapping[str, UpstreamRecord],
    events: Iterable[EventRecord],
    set_aside: Iterable[str],
    input_estimate: int,
) -> Iterator[Fault]:
    """Yield every rule that does not hold of a call; the parameters are `Evidence`'s fields."""
    of_call: dict[str, list[EventRecord]] = defaultdict(list)
    for event in events:
        of_call[event.request_id].append(event)
    complete = set()
    for record in callers:
        if record.outcome is Outcome.COMPLETE:
            complete.add(record.request_id)
            yield from _complete(record, upstream.get(record.request_id), of_call[record.request_id])
        elif record.outcome is Outcome.REFUSED and any(event.is_billed for event in of_call[record.request_id]):
            yield Fault(
                rule="a refused call is not billed", subject=record.request_id, detail=f"status {record.status}"
            )
    for request_id in of_call.keys() - complete:
        yield from _interrupted(
            request_id, upstream.get(request_id), of_call[request_id], input_estimate=input_estimate
        )
    for request_id, logged in upstream.items():
        # A JSON answer that was cut before it was settled is nobody's, and needs no event.
        if logged.chunks and not of_call[request_id]:
            yield Fault(rule="every stream that the upstream began has an event", subject=request_id)
    for reason in set_aside:
        yield Fault(rule="no event of a gateway is set aside", subject="event", detail=reason)


def _judge_refusals(callers: Iterable[CallerRecord]) -> Iterator[Fault]:
    """Its credit was great at all times: a caller may be told to come back, not that it has none."""
    for record in callers:
        if record.outcome is Outcome.REFUSED and record.status == PAYMENT_REQUIRED:
            yield Fault(rule="who has credit is not refused for lack of it", subject=record.request_id)


def _complete(record: CallerRecord, upstream: UpstreamRecord | None, events: list[EventRecord]) -> Iterator[Fault]:
    """A whole answer: the upstream knows it as such, and its counts are billed once."""
    subject = record.request_id or "an answer without a request id"
    if upstream is None or not upstream.completed:
        yield Fault(rule="a complete answer is completed in the upstream's log", subject=subject)
        return
    reported = (record.prompt_tokens, record.completion_tokens)
    if reported not in {(None, None), (upstream.prompt_tokens, upstream.completion_tokens)}:
        yield Fault(rule="a caller gets the upstream's counts", subject=subject, detail=f"got {reported}")
    billed = [event for event in events if event.is_billed]
    if not billed:
        yield Fault(rule="a complete answer is billed", subject=subject)
    if len(billed) > 1:
        yield Fault(rule="no call is billed twice", subject=subject, detail=f"{len(billed)} times")
    for event in billed:
        if event.estimated or not _counts_are(event, upstream.prompt_tokens, upstream.completion_tokens):
            yield Fault(rule="a complete answer is billed by the upstream's counts", subject=subject, detail=str(event))


def _interrupted(
    request_id: str, upstream: UpstreamRecord | None, events: list[EventRecord], *, input_estimate: int
) -> Iterator[Fault]:
    """No whole answer reached the caller, or none that it knows of."""
    billed = [event for event in events if event.is_billed]
    if not billed:
        return
    if len(billed) > 1:
        yield Fault(rule="no call is billed twice", subject=request_id, detail=f"{len(billed)} times")
    if upstream is None or upstream.status != OK:
        yield Fault(rule="nothing is billed that the upstream did not answer", subject=request_id)
        return
    for event in billed:
        if event.estimated:
            yield from _estimate(event, upstream, input_estimate)
        elif not upstream.completed or not _counts_are(event, upstream.prompt_tokens, upstream.completion_tokens):
            yield Fault(
                rule="what is not flagged as an estimate is the upstream's count", subject=request_id, detail=str(event)
            )


def _estimate(event: EventRecord, upstream: UpstreamRecord, input_estimate: int) -> Iterator[Fault]:
    """After a crash: the input's estimate, and the output of the last checkpoint."""
    # A stream's head is a first byte, and no line of the upstream's log; a JSON answer comes all at once.
    if not upstream.completed and not event.is_stream:
        yield Fault(rule="nothing is billed before the upstream's first byte", subject=event.request_id)
    most = -(-upstream.completion_tokens * _LONGEST_TOKEN // _CHARACTERS_PER_TOKEN)
    if (
        event.quantities.get(PROMPT, Decimal(0)) != input_estimate
        or event.quantities.get(COMPLETION, Decimal(0)) > most
    ):
        yield Fault(
            rule="an interrupted call is billed its input's estimate and no more output than was handed over",
            subject=event.request_id,
            detail=f"{event}, of at most {most} output tokens",
        )


def _counts_are(event: EventRecord, prompt_tokens: int, completion_tokens: int) -> bool:
    return (event.quantities.get(PROMPT, 0), event.quantities.get(COMPLETION, 0)) == (prompt_tokens, completion_tokens)


def _judge_books(evidence: Evidence) -> Iterator[Fault]:
    charged: dict[str, Decimal] = defaultdict(Decimal)
    for event in evidence.events:
        for field, quantity in event.quantities.items():
            charged[field] += quantity
    for book in evidence.prices:
        yield from _price(book, charged[book.field])
    yield from _account(evidence.account, evidence.prices)


def _price(book: PriceBook, billed: Decimal) -> Iterator[Fault]:
    quantities = {book.settled, book.charged_quantity, book.windowed, billed}
    if len(quantities) > 1:
        yield Fault(rule="totals, charges, windows and events add up alike", subject=book.field, detail=str(book))
    packages = math.ceil(Fraction(book.settled) / book.package_size)
    if {book.debited, book.charged_amount, book.entered} != {packages * book.package_amount}:
        yield Fault(rule="the debits are the rate of the quantities' sum", subject=book.field, detail=str(book))
    if book.outstanding or book.reserved:
        yield Fault(rule="no unit stays outstanding", subject=book.field, detail=str(book))


def _account(account: AccountBook, prices: Sequence[PriceBook]) -> Iterator[Fault]:
    if account.balance != account.granted - sum(book.debited for book in prices):
        yield Fault(
            rule="the balance is what was granted less what was debited", subject="account", detail=str(account)
        )
    if account.reserved or account.leased_units:
        yield Fault(rule="nothing stays reserved", subject="account", detail=str(account))
