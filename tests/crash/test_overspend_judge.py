"""The judge of the overspend trial acquits what is right, and finds what was overspent, unspent or refused wrongly."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cases import Customer
from bench.crash.records import COMPLETION, PROMPT, EventRecord, Outcome, UpstreamRecord
from bench.overspend.judge import judge
from bench.overspend.market import TARIFFS, Buyer, model_of
from bench.overspend.rating import PackagePrice, Price, TieredPrice, UnitPrice, most_cost
from bench.overspend.records import AccountRow, CallRecord, Kill, Tokens, TotalRow, Trial
from faregate.domain.ledger.reserve import reserved_amount
from faregate.domain.pricing.rating import WHOLE, debit_total
from faregate.wire.api.pricing import ModelShape, to_model
from tests.builders import a_use, priced

UNIT: Final = TARIFFS[0]
SUBSCRIPTION: Final = "sub-buyer"
CHEAPEST: Final = (100, 8)
"""Costs 1,800,000 at the unit tariff: 10,000 a token of input, 100,000 of output."""


def buyer(granted: int) -> Buyer:
    customer = Customer(company_id="buyer", subscription_id=SUBSCRIPTION, key="key")
    return Buyer(number=0, customer=customer, tariff=UNIT, granted=granted, most_calls=None)


def call(
    request_id: str,
    *,
    outcome: Outcome = Outcome.COMPLETE,
    status: int = 200,
    at_s: float = 1.0,
    until_s: float = 2.0,
    bound: Tokens = (100, 50),
) -> CallRecord:
    return CallRecord(
        buyer=0,
        gateway=0,
        sent_s=at_s,
        ended_s=until_s,
        bound=bound,
        least=CHEAPEST,
        is_stream=False,
        outcome=outcome,
        status=status,
        request_id=request_id,
    )


def refused(at_s: float, until_s: float) -> CallRecord:
    return call("refused", outcome=Outcome.REFUSED, status=402, at_s=at_s, until_s=until_s)


def logged(request_id: str, tokens: Tokens) -> UpstreamRecord:
    return UpstreamRecord(
        request_id=request_id,
        completed=True,
        status=200,
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
        chunks=0,
    )


def event(request_id: str, tokens: Tokens) -> EventRecord:
    quantities = {PROMPT: Decimal(tokens[0]), COMPLETION: Decimal(tokens[1])}
    return EventRecord(
        request_id=request_id, position=1, estimated=False, status=200, is_stream=False, quantities=quantities
    )


def trial(granted: int, *, calls: list[CallRecord], used: Tokens, kills: list[Kill] | None = None) -> Trial:
    """One complete call `paid` of so many tokens, whatever else was called, and books that follow from it."""
    cost = UNIT.cost(*used)
    return Trial(
        buyers=[buyer(granted)],
        calls=[call("paid"), *calls],
        kills=kills or [],
        upstream={"paid": logged("paid", used)},
        events=[event("paid", used)],
        owners={"paid": SUBSCRIPTION},
        set_aside=[],
        accounts={SUBSCRIPTION: AccountRow(balance=granted - cost, reserved=0, leased_units=0, lowest=granted - cost)},
        totals={
            SUBSCRIPTION: {
                PROMPT: TotalRow(settled=used[0], outstanding=0, debited=UNIT.cost(used[0], 0), reserved=0),
                COMPLETION: TotalRow(settled=used[1], outstanding=0, debited=UNIT.cost(0, used[1]), reserved=0),
            }
        },
        input_estimate=16,
        cheapest=CHEAPEST,
    )


def test_what_is_left_and_pays_for_no_further_call_counts_as_spent() -> None:
    used = (40, 50)
    (exact,) = judge(trial(UNIT.cost(*used) + 1_799_999, calls=[], used=used)).spent
    (more,) = judge(trial(UNIT.cost(*used) + 1_800_000, calls=[], used=used)).spent
    assert (exact.unspendable, exact.unspent) == (1_799_999, 0)
    assert (more.unspendable, more.unspent) == (0, 1_800_000)


def test_spending_beyond_what_was_paid_is_found_by_the_upstreams_log_alone() -> None:
    used = (40, 50)
    finding = judge(trial(UNIT.cost(*used) - 1, calls=[], used=used))
    assert [entry.over for entry in finding.spent] == [1]
    assert {fault.rule for fault in finding.faults} == {
        "nobody spends more than was paid",
        "no entry takes a balance below zero",
    }


def test_what_was_billed_for_a_cut_call_counts_and_what_was_not_is_shown() -> None:
    before = trial(10**9, calls=[call("cut", outcome=Outcome.INTERRUPTED)], used=(40, 50))
    found = judge(replace(before, upstream={**before.upstream, "cut": logged("cut", (7, 9))})).cut
    assert (found.calls, found.handed_over, found.billed) == (1, (7, 9), (0, 0))


REFUSAL: Final = refused(5.0, 6.0)
USED: Final = (40, 50)
ENOUGH: Final = UNIT.cost(*USED) + UNIT.cost(*CHEAPEST)


def test_a_refusal_is_wrong_where_credit_for_the_least_bound_was_there() -> None:
    assert len(judge(trial(ENOUGH, calls=[REFUSAL], used=USED)).wrongly_refused) == 1
    assert not judge(trial(ENOUGH - 1, calls=[REFUSAL], used=USED)).wrongly_refused


@pytest.mark.parametrize(("at_s", "until_s"), [(4.0, 5.0), (6.0, 9.0), (1.0, 9.0)])
def test_a_call_that_overlaps_a_refusal_holds_its_whole_bound(at_s: float, until_s: float) -> None:
    other = call("paid", at_s=at_s, until_s=until_s)
    before = trial(ENOUGH, calls=[REFUSAL], used=USED)
    assert not judge(replace(before, calls=[other, REFUSAL])).wrongly_refused


def test_a_cut_call_holds_until_its_gateways_units_are_free() -> None:
    cut = call("", outcome=Outcome.INTERRUPTED, at_s=3.0, until_s=3.1)
    for freed_s, wrong in ((4.9, 1), (5.1, 0)):
        kill = Kill(process="gateway-0", killed_s=3.1, ready_s=freed_s, freed_s=freed_s, suspended={})
        assert len(judge(trial(ENOUGH, calls=[cut, REFUSAL], used=USED, kills=[kill])).wrongly_refused) == wrong


def test_units_of_a_killed_gateway_are_not_there() -> None:
    kill = Kill(process="gateway-1", killed_s=3.0, ready_s=4.0, freed_s=5.5, suspended={SUBSCRIPTION: (0, 1)})
    assert not judge(trial(ENOUGH, calls=[REFUSAL], used=USED, kills=[kill])).wrongly_refused


def test_a_refusal_while_the_control_plane_comes_back_is_not_judged() -> None:
    kill = Kill(process="serve", killed_s=3.0, ready_s=4.0, freed_s=5.5, suspended=None)
    assert not judge(trial(ENOUGH, calls=[REFUSAL], used=USED, kills=[kill])).wrongly_refused


DOCTORED: Final = {
    "nothing stays held": {"reserved": 1},
    "the debits are the rate of what was billed": {"balance": 0},
}


@pytest.mark.parametrize("rule", DOCTORED)
def test_the_judge_finds_an_account_that_was_doctored(rule: str) -> None:
    before = trial(10**9, calls=[], used=USED)
    assert not judge(before).faults
    account = replace(before.accounts[SUBSCRIPTION], **DOCTORED[rule])
    assert {fault.rule for fault in judge(replace(before, accounts={SUBSCRIPTION: account})).faults} == {rule}


def test_the_judge_finds_totals_that_nobody_was_billed() -> None:
    before = trial(10**9, calls=[], used=USED)
    totals = {PROMPT: before.totals[SUBSCRIPTION][PROMPT]}
    assert "totals are what was billed" in {
        fault.rule for fault in judge(replace(before, totals={SUBSCRIPTION: totals})).faults
    }


EACH: Final = st.integers(0, 10**6)
PRICES: Final = st.one_of(
    st.builds(UnitPrice, EACH),
    st.builds(PackagePrice, EACH, st.integers(1, 50)),
    st.builds(
        lambda ends, each, last, whole: TieredPrice((*zip(sorted(ends), each, strict=False), (None, last)), whole),
        st.lists(st.integers(1, 60), min_size=3, max_size=3, unique=True),
        st.lists(EACH, min_size=3, max_size=3),
        EACH,
        st.booleans(),
    ),
)


@given(price=PRICES, settled=st.integers(0, 80), further=st.integers(0, 80))
def test_the_second_rating_agrees_with_the_ledgers(price: Price, settled: int, further: int) -> None:
    model = to_model("model", msgspec.convert(model_of(price), ModelShape, strict=False))
    sold = priced(model)
    before = debit_total(sold, {WHOLE: Decimal(settled)})
    assert before == price.cost(settled)
    assert before + reserved_amount(a_use(sold, settled=settled, outstanding=further)) == most_cost(
        price, settled, further
    )
    assert most_cost(price, settled, further) == max(price.cost(settled + more) for more in range(further + 1))
