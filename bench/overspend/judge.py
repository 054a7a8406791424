"""The verdict: what was spent against what was paid, and every refusal against what was left.

Spent: the upstream's counts of every answer that a caller holds whole, and of an answer that was cut what was billed
for it, rated here. It is never more than was granted; nor does the balance fall below zero with any entry.

All that can be spent is spent: of customers who wanted more than they paid for, what is left does not pay for the least
bound of the cheapest call that is made; what is left and would is counted as unspent.

A refusal (402) is wrong where credit for the call was there all the time from its sending to its answer. What other
calls that overlap it may have held or used is taken off at its most, as are the units of a killed gateway until the
ledger has them back; so a refusal that is called wrong certainly is. Refusals while the control plane comes back from
a kill are not judged, as leases whose answers it took along may be anybody's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from bench.crash.judge import OK, PAYMENT_REQUIRED, Fault, judge_calls
from bench.crash.records import COMPLETION, PROMPT, CallerRecord, EventRecord, Outcome
from bench.overspend.market import Buyer
from bench.overspend.records import CallRecord, Kill, Tokens, TotalRow, Trial

NOTHING: Final = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A customer's credit as the judge sees it, in billionths of a dollar.

    `unspendable`: what is left, where it pays for no further call.
    """

    buyer: Buyer
    cost: int
    unspendable: int

    @property
    def over(self) -> int:
        """Return what was spent beyond what was granted."""
        return max(0, self.cost - self.buyer.granted)

    @property
    def unspent(self) -> int:
        """Return what is left though a call could be paid from it."""
        return max(0, self.buyer.granted - self.cost - self.unspendable)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongRefusal:
    """A refused call that could have been paid for, `left` after it in billionths of a dollar at the least."""

    call: CallRecord
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Calls that the upstream began and no caller holds whole; tokens as handed over by it, and as billed."""

    calls: int
    handed_over: Tokens
    billed: Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the judge found."""

    spent: Sequence[Spent]
    refused: int
    wrongly_refused: Sequence[WrongRefusal]
    cut: Cut
    faults: Sequence[Fault]


def judge(trial: Trial) -> Finding:
    """Return what was spent, who was refused wrongly, and every rule that does not hold."""
    used = _Used(trial)
    spent = [_spent(buyer, used.total(buyer), trial.cheapest) for buyer in trial.buyers]
    refused = [call for call in trial.calls if call.status == PAYMENT_REQUIRED]
    return Finding(
        spent=spent,
        refused=len(refused),
        wrongly_refused=list(_wrongly_refused(trial, refused, used)),
        cut=_cut(trial, used),
        faults=[*_judge_calls(trial), *_judge_accounts(trial, spent)],
    )


class _Used:
    """What calls used: by the upstream's log where a caller holds the whole answer, else what was billed for it."""

    def __init__(self, trial: Trial) -> None:
        self._upstream = trial.upstream
        self.complete = {call.request_id for call in trial.calls if call.outcome is Outcome.COMPLETE}
        self.billed = {event.request_id: event for event in trial.events if event.is_billed}
        # What was billed to somebody without a caller who knows the call: it ended before its head came.
        self._headless: dict[str, Tokens] = defaultdict(lambda: NOTHING)
        for request_id in self.billed.keys() - {call.request_id for call in trial.calls if call.request_id}:
            owner = trial.owners[request_id]
            self._headless[owner] = plus(self._headless[owner], billed_tokens(self.billed[request_id]))
        self._whole: dict[int, Tokens] = defaultdict(lambda: NOTHING)
        for call in trial.calls:
            self._whole[call.buyer] = plus(self._whole[call.buyer], self.of(call))

    def of(self, call: CallRecord) -> Tokens:
        """Return what a call used."""
        if call.outcome is Outcome.COMPLETE:
            logged = self._upstream.get(call.request_id)
            return NOTHING if logged is None else (logged.prompt_tokens, logged.completion_tokens)
        return billed_tokens(self.billed.get(call.request_id) if call.request_id else None)

    def headless(self, buyer: Buyer) -> Tokens:
        """Return what was billed to a customer for calls whose caller got not even their head."""
        return self._headless.get(buyer.customer.subscription_id, NOTHING)

    def total(self, buyer: Buyer) -> Tokens:
        """Return all that a customer used."""
        return plus(self._whole[buyer.number], self.headless(buyer))


def billed_tokens(event: EventRecord | None) -> Tokens:
    """Return what was charged for an event."""
    if event is None:
        return NOTHING
    return int(event.quantities.get(PROMPT, 0)), int(event.quantities.get(COMPLETION, 0))


def plus(one: Tokens, other: Tokens) -> Tokens:
    """Return the sum."""
    return one[0] + other[0], one[1] + other[1]


def _spent(buyer: Buyer, used: Tokens, cheapest: Tokens) -> Spent:
    cost = buyer.tariff.cost(*used)
    is_over = buyer.tariff.most_cost(used, cheapest) > buyer.granted
    return Spent(buyer=buyer, cost=cost, unspendable=max(0, buyer.granted - cost) if is_over else 0)


def _wrongly_refused(trial: Trial, refused: Sequence[CallRecord], used: _Used) -> Iterator[WrongRefusal]:
    others: dict[int, list[CallRecord]] = defaultdict(list)
    for call in trial.calls:
        if call.outcome in {Outcome.COMPLETE, Outcome.INTERRUPTED}:
            others[call.buyer].append(call)
    histories = {
        buyer.number: _History(buyer, others[buyer.number], kills=trial.kills, used=used) for buyer in trial.buyers
    }
    for call in refused:
        buyer = trial.buyers[call.buyer]
        suspended = _suspended(trial.kills, buyer, call)
        if suspended is None:
            continue
        left = buyer.granted - histories[call.buyer].most_cost(call, suspended)
        if left >= 0:
            yield WrongRefusal(call=call, left=left)


def _suspended(kills: Sequence[Kill], buyer: Buyer, call: CallRecord) -> Tokens | None:
    """Return the most that kills can have kept from a customer while a call waited; None where that is anything."""
    units = NOTHING
    for kill in kills:
        if kill.killed_s <= call.ended_s and kill.freed_s >= call.sent_s:
            if kill.suspended is None:
                return None
            units = plus(units, kill.suspended.get(buyer.customer.subscription_id, NOTHING))
    return units


class _History:
    """A customer's calls in the order of time, for what they had settled and could still hold at a moment."""

    def __init__(self, buyer: Buyer, calls: Sequence[CallRecord], *, kills: Sequence[Kill], used: _Used) -> None:
        self._tariff = buyer.tariff
        self._headless = used.headless(buyer)
        by_sent = sorted(calls, key=lambda call: call.sent_s)
        self._sent_s = [call.sent_s for call in by_sent]
        self._sent_bounds = list(accumulate((call.bound for call in by_sent), plus, initial=NOTHING))
        ends = sorted((_held_until_s(call, kills), call.sent_s, call) for call in calls)
        self._ended_s = [until_s for until_s, _, _ in ends]
        self._ended_bounds = list(accumulate((call.bound for _, _, call in ends), plus, initial=NOTHING))
        self._ended_used = list(accumulate((used.of(call) for _, _, call in ends), plus, initial=NOTHING))

    def most_cost(self, refused: CallRecord, suspended: Tokens) -> int:
        """Return the highest cost that the customer's calls can have come to, this one's least bound included."""
        begun = self._sent_bounds[bisect_right(self._sent_s, refused.ended_s)]
        ended = bisect_left(self._ended_s, refused.sent_s)
        over = self._ended_bounds[ended]
        held = (begun[0] - over[0], begun[1] - over[1])
        settled = plus(self._ended_used[ended], self._headless)
        return self._tariff.most_cost(settled, plus(plus(held, suspended), refused.least))


def _held_until_s(call: CallRecord, kills: Sequence[Kill]) -> float:
    """Return until when a call may hold units: its end, or, if it was cut, until its gateway's units were free."""
    if call.outcome is Outcome.COMPLETE:
        return call.ended_s
    name = f"gateway-{call.gateway}"
    return min((kill.freed_s for kill in kills if kill.process == name and kill.freed_s >= call.sent_s), default=1e18)


def _cut(trial: Trial, used: _Used) -> Cut:
    calls, handed_over, billed = 0, NOTHING, NOTHING
    for request_id, logged in trial.upstream.items():
        if logged.status == OK and request_id not in used.complete:
            calls += 1
            handed_over = plus(handed_over, (logged.prompt_tokens, logged.completion_tokens))
            billed = plus(billed, billed_tokens(used.billed.get(request_id)))
    return Cut(calls=calls, handed_over=handed_over, billed=billed)


def _judge_calls(trial: Trial) -> Iterator[Fault]:
    callers = [
        CallerRecord(
            outcome=call.outcome,
            request_id=call.request_id,
            status=call.status,
            is_stream=call.is_stream,
            prompt_tokens=None if call.reported is None else call.reported[0],
            completion_tokens=None if call.reported is None else call.reported[1],
        )
        for call in trial.calls
    ]
    return judge_calls(
        callers,
        upstream=trial.upstream,
        events=trial.events,
        set_aside=trial.set_aside,
        input_estimate=trial.input_estimate,
    )


def _judge_accounts(trial: Trial, spent: Sequence[Spent]) -> Iterator[Fault]:
    billed: dict[str, Tokens] = defaultdict(lambda: NOTHING)
    for event in trial.events:
        owner = trial.owners.get(event.request_id, "")
        billed[owner] = plus(billed[owner], billed_tokens(event))
    for entry in spent:
        buyer = entry.buyer
        key, who = buyer.customer.subscription_id, buyer.customer.company_id
        account, totals = trial.accounts[key], trial.totals.get(key, {})
        rows = (totals.get(PROMPT, _UNUSED), totals.get(COMPLETION, _UNUSED))
        if entry.over:
            yield Fault(rule="nobody spends more than was paid", subject=who, detail=f"{entry.cost} of {buyer.granted}")
        if account.lowest < 0:
            yield Fault(rule="no entry takes a balance below zero", subject=who, detail=str(account))
        if (rows[0].settled, rows[1].settled) != billed[key]:
            yield Fault(rule="totals are what was billed", subject=who, detail=f"{rows}, billed {billed[key]}")
        debited = buyer.tariff.cost(*billed[key])
        if rows[0].debited + rows[1].debited != debited or account.balance != buyer.granted - debited:
            yield Fault(rule="the debits are the rate of what was billed", subject=who, detail=f"{account}, {rows}")
        if account.reserved or account.leased_units or any(row.outstanding or row.reserved for row in rows):
            yield Fault(rule="nothing stays held", subject=who, detail=f"{account}, {rows}")


_UNUSED: Final = TotalRow(settled=0, outstanding=0, debited=0, reserved=0)
