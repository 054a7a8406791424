from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.limits import MAX_LEASE_UNITS
from faregate.domain.catalog.models import PerUnit, Tier, Volume
from faregate.domain.ledger.grant_slice import UnitNeed, share_out
from faregate.domain.ledger.quote import CallNeed, affordable_output, free_credit, quote_lines
from faregate.domain.ledger.reserve import reserved_amount
from faregate.domain.pricing.rating import debit_total, whole
from tests.builders import a_price, a_use, priced

DOLLAR = 1_000_000_000

prices = st.one_of(
    st.builds(a_price, st.decimals(min_value=0, max_value=2, places=4), st.integers(min_value=1, max_value=30)),
    st.builds(lambda amount: priced(PerUnit(amount=amount)), st.decimals(min_value=0, max_value=1, places=4)),
    st.builds(
        lambda first, second: priced(
            Volume(tiers=(Tier(up_to=Decimal(20), unit=first), Tier(up_to=None, unit=second)))
        ),
        st.decimals(min_value=0, max_value=1, places=2),
        st.decimals(min_value=0, max_value=1, places=2),
    ),
)


@st.composite
def call_needs(draw: st.DrawFn) -> CallNeed:
    outstanding = draw(st.integers(min_value=0, max_value=40))
    return CallNeed(
        use=a_use(draw(prices), settled=draw(st.integers(min_value=0, max_value=50)), outstanding=outstanding),
        per_input=draw(st.integers(min_value=0, max_value=2)),
        per_output=draw(st.integers(min_value=0, max_value=2)),
        idle=draw(st.integers(min_value=0, max_value=outstanding)),
    )


some_needs = st.lists(call_needs(), min_size=1, max_size=3)
tokens = st.integers(min_value=0, max_value=60)
balances = st.integers(min_value=-DOLLAR, max_value=60 * DOLLAR)


def is_granted(needs: list[CallNeed], *, input_tokens: int, output_tokens: int, available: int) -> bool:
    """Whether the ledger grants the call after the gateway has given its idle units back."""
    units = [need.units(input_tokens=input_tokens, output_tokens=output_tokens) for need in needs]
    asked = [
        UnitNeed(use=need.busy, floor=count, call=count, slice=count) for need, count in zip(needs, units, strict=True)
    ]
    return share_out(asked, available=free_credit(needs, available=available)) is not None


@given(some_needs, tokens, balances)
def test_the_affordable_output_is_the_longest_answer_that_the_ledger_grants(
    needs: list[CallNeed], input_tokens: int, available: int
) -> None:
    most = affordable_output(needs, input_tokens=input_tokens, free=free_credit(needs, available=available))
    if most is None:
        assert is_granted(needs, input_tokens=input_tokens, output_tokens=10**6, available=available)
        return
    for output_tokens in {max(0, most), most + 1}:
        granted = is_granted(needs, input_tokens=input_tokens, output_tokens=output_tokens, available=available)
        assert granted == (output_tokens <= most)


@given(some_needs, tokens, tokens)
def test_a_line_costs_what_its_units_add_to_the_rated_total(
    needs: list[CallNeed], input_tokens: int, output_tokens: int
) -> None:
    for need, line in zip(
        needs, quote_lines(needs, input_tokens=input_tokens, output_tokens=output_tokens), strict=True
    ):
        assert line.units == need.per_input * input_tokens + need.per_output * output_tokens
        settled = debit_total(need.use.price, need.use.totals)
        after = debit_total(need.use.price, whole(need.use.totals[()] + line.units))
        assert line.amount >= after - settled
        if not isinstance(need.use.price.model, Volume):
            assert line.amount == after - settled


@given(call_needs(), balances)
def test_credit_that_idle_units_reserve_is_free_for_the_call(need: CallNeed, available: int) -> None:
    freed = free_credit([need], available=available) - available
    assert freed == reserved_amount(need.use) - reserved_amount(need.busy)


def test_more_units_are_never_idle_than_are_outstanding() -> None:
    assert CallNeed(use=a_use(outstanding=3), per_input=1, per_output=0, idle=5).busy.outstanding == 0


def test_units_within_an_opened_package_hold_nothing_and_still_cost_their_package() -> None:
    use = a_use(a_price("0.50", 1_000), settled=0, outstanding=100)
    (line,) = quote_lines([CallNeed(use=use, per_input=1, per_output=0)], input_tokens=200, output_tokens=0)
    assert (line.amount, line.hold) == (DOLLAR // 2, 0)


@pytest.mark.parametrize(
    ("available", "expected"), [(DOLLAR, 90), (DOLLAR + 9_999_999, 90), (DOLLAR // 10, 0), (0, -1), (-DOLLAR, -1)]
)
def test_ten_tokens_of_input_and_a_cent_a_token(available: int, expected: int) -> None:
    need = CallNeed(use=a_use(priced(PerUnit(amount=Decimal("0.01")))), per_input=1, per_output=1)
    assert affordable_output([need], input_tokens=10, free=available) == expected


@pytest.mark.parametrize(("per_output", "amount"), [(0, "0.01"), (1, "0")])
def test_output_that_costs_nothing_has_no_affordable_limit(per_output: int, amount: str) -> None:
    need = CallNeed(use=a_use(priced(PerUnit(amount=Decimal(amount)))), per_input=1, per_output=per_output)
    assert affordable_output([need], input_tokens=10, free=DOLLAR) is None


def test_what_the_ledger_cannot_hold_is_not_affordable() -> None:
    need = CallNeed(use=a_use(priced(PerUnit(amount=Decimal(10)))), per_input=1, per_output=1)
    most = affordable_output([need], input_tokens=1, free=1 << 200)
    assert most is not None
    assert 0 < most < MAX_LEASE_UNITS
