"""The judge of the crash rounds: it acquits what is right, and finds every kind of wrong."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

import pytest

from bench.crash.judge import judge
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

ESTIMATE: Final = 16
CENT: Final = 10_000_000

COMPLETE: Final = "a complete JSON answer"
STREAM: Final = "a stream that was cut by a crash"
WAITING: Final = "a JSON answer that had not come"
BEFORE: Final = "an answer that was settled and never arrived"
REFUSED: Final = "a call that the upstream failed"


def caller(outcome: Outcome, request_id: str, status: int = 200) -> CallerRecord:
    return CallerRecord(outcome=outcome, request_id=request_id, status=status)


def call(
    request_id: str, *, completed: bool = True, tokens: tuple[int, int] = (0, 0), status: int = 200
) -> UpstreamRecord:
    return UpstreamRecord(
        request_id=request_id,
        completed=completed,
        status=status,
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
        chunks=tokens[1],
    )


def event(
    request_id: str, position: int, *, tokens: tuple[int, int] | None = None, estimated: bool = False, status: int = 200
) -> EventRecord:
    quantities = {} if tokens is None else {PROMPT: Decimal(tokens[0]), COMPLETION: Decimal(tokens[1])}
    return EventRecord(
        request_id=request_id,
        position=position,
        estimated=estimated,
        status=status,
        is_stream=request_id == STREAM,
        quantities=quantities,
    )


def price(field: str, quantity: int, *, package_size: int) -> PriceBook:
    debited = -(-quantity // package_size) * CENT
    return PriceBook(
        field=field,
        package_amount=CENT,
        package_size=package_size,
        settled=Decimal(quantity),
        outstanding=0,
        debited=debited,
        reserved=0,
        charged_quantity=Decimal(quantity),
        charged_amount=debited,
        windowed=Decimal(quantity),
        entered=debited,
    )


def right() -> Evidence:
    """One call of each kind, and books that follow from them."""
    return Evidence(
        callers=[
            replace(caller(Outcome.COMPLETE, COMPLETE), prompt_tokens=40, completion_tokens=100),
            caller(Outcome.INTERRUPTED, STREAM),
            caller(Outcome.INTERRUPTED, ""),
            caller(Outcome.REFUSED, REFUSED, status=502),
            caller(Outcome.NOT_SENT, ""),
        ],
        upstream={
            record.request_id: record
            for record in (
                call(COMPLETE, tokens=(40, 100)),
                call(STREAM, completed=False, tokens=(30, 48)),
                call(WAITING, completed=False, tokens=(20, 0)),
                call(BEFORE, tokens=(10, 20)),
                call(REFUSED, status=500),
            )
        },
        events=[
            event(COMPLETE, 1, tokens=(40, 100)),
            event(STREAM, 2, tokens=(ESTIMATE, 32), estimated=True),
            event(WAITING, 3, status=502),
            event(BEFORE, 4, tokens=(10, 20)),
            event(REFUSED, 5, status=502),
        ],
        set_aside=[],
        prices=[price(PROMPT, 66, package_size=10), price(COMPLETION, 152, package_size=100)],
        account=AccountBook(granted=100 * CENT, balance=91 * CENT, reserved=0, leased_units=0),
        input_estimate=ESTIMATE,
    )


def rules(evidence: Evidence) -> set[str]:
    return {fault.rule for fault in judge(evidence)}


def with_event(changed: EventRecord) -> Evidence:
    """Return the evidence with an event in place of the one at its position, or beside the others."""
    evidence = right()
    others = [found for found in evidence.events if found.position != changed.position]
    return replace(evidence, events=[*others, changed])


def without_event(request_id: str) -> Evidence:
    evidence = right()
    return replace(evidence, events=[found for found in evidence.events if found.request_id != request_id])


def with_upstream(changed: UpstreamRecord) -> Evidence:
    evidence = right()
    return replace(evidence, upstream={**evidence.upstream, changed.request_id: changed})


def without_upstream(request_id: str) -> Evidence:
    evidence = right()
    kept = {name: record for name, record in evidence.upstream.items() if name != request_id}
    return replace(evidence, upstream=kept)


def with_prompt_book(**changes: object) -> Evidence:
    evidence = right()
    prompt, completion = evidence.prices
    return replace(evidence, prices=[replace(prompt, **changes), completion])  # type: ignore[arg-type]


def with_account(**changes: int) -> Evidence:
    evidence = right()
    return replace(evidence, account=replace(evidence.account, **changes))


def test_the_judge_acquits_what_is_right() -> None:
    assert judge(right()) == []
    assert judge(without_event(WAITING)) == []


DOCTORED: Final = {
    "a complete answer is billed": with_event(event(COMPLETE, 1)),
    "every stream that the upstream began has an event": without_event(STREAM),
    "no call is billed twice": with_event(event(COMPLETE, 6, tokens=(40, 100))),
    "a complete answer is billed by the upstream's counts": with_event(event(COMPLETE, 1, tokens=(40, 99))),
    "a complete answer is completed in the upstream's log": with_upstream(
        call(COMPLETE, completed=False, tokens=(40, 99))
    ),
    "a refused call is not billed": with_event(event(REFUSED, 5, tokens=(1, 1))),
    "nothing is billed that the upstream did not answer": without_upstream(BEFORE),
    "nothing is billed before the upstream's first byte": with_event(
        event(WAITING, 3, tokens=(ESTIMATE, 0), estimated=True)
    ),
    "what is not flagged as an estimate is the upstream's count": with_event(event(STREAM, 2, tokens=(ESTIMATE, 32))),
    "an interrupted call is billed its input's estimate and no more output than was handed over": with_event(
        event(STREAM, 2, tokens=(ESTIMATE, 61), estimated=True)
    ),
    "no event of a gateway is set aside": replace(right(), set_aside=["conflict: the same call with other content"]),
    "totals, charges, windows and events add up alike": with_prompt_book(windowed=Decimal(65)),
    "the debits are the rate of the quantities' sum": with_prompt_book(charged_amount=8 * CENT),
    "no unit stays outstanding": with_prompt_book(outstanding=1),
    "the balance is what was granted less what was debited": with_account(balance=92 * CENT),
    "nothing stays reserved": with_account(leased_units=1),
}


@pytest.mark.parametrize("rule", DOCTORED)
def test_the_judge_finds_what_was_doctored(rule: str) -> None:
    assert rule in rules(DOCTORED[rule])


def test_the_judge_finds_an_answer_whose_counts_differ_from_the_upstreams() -> None:
    evidence = right()
    first, *others = evidence.callers
    doctored = replace(evidence, callers=[replace(first, completion_tokens=101), *others])
    assert rules(doctored) == {"a caller gets the upstream's counts"}


def test_the_judge_finds_a_complete_answer_that_is_flagged_as_an_estimate() -> None:
    doctored = with_event(event(COMPLETE, 1, tokens=(40, 100), estimated=True))
    assert rules(doctored) == {"a complete answer is billed by the upstream's counts"}


def test_the_judge_finds_an_interrupted_call_that_is_billed_twice() -> None:
    doctored = with_event(event(BEFORE, 6, tokens=(10, 20)))
    assert "no call is billed twice" in rules(doctored)


def test_the_judge_finds_an_estimate_with_another_input() -> None:
    doctored = with_event(event(STREAM, 2, tokens=(30, 32), estimated=True))
    assert "an interrupted call is billed its input's estimate and no more output than was handed over" in rules(
        doctored
    )


def test_the_judge_finds_a_refusal_for_lack_of_credit() -> None:
    evidence = right()
    refused = caller(Outcome.REFUSED, "a refused call", status=402)
    doctored = replace(evidence, callers=[*evidence.callers, refused])
    assert rules(doctored) == {"who has credit is not refused for lack of it"}


def test_the_judge_finds_an_event_that_the_total_forgot() -> None:
    doctored = with_event(event(BEFORE, 4))
    assert rules(doctored) == {"totals, charges, windows and events add up alike"}
