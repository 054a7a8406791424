import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.ledger.bound_quality import STEPS, BoundQuality

calls = st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12), st.booleans(), st.booleans()), max_size=30)


def counted(some: list[tuple[int, int, bool, bool]]) -> BoundQuality:
    quality = BoundQuality()
    for held, used, clamped, estimated in some:
        quality.add(held, used, clamped=clamped, estimated=estimated)
    return quality


@given(calls, calls)
def test_parts_merge_to_the_whole(
    some: list[tuple[int, int, bool, bool]], more: list[tuple[int, int, bool, bool]]
) -> None:
    merged = counted(some)
    merged.merge(counted(more))
    assert merged == counted(some + more)


@given(calls, st.integers(1, 100))
def test_at_least_so_many_calls_used_at_most_what_the_percentile_says(
    some: list[tuple[int, int, bool, bool]], percent: int
) -> None:
    quality = counted(some)
    assert sum(quality.by_step) == quality.calls
    found = quality.percent_used(percent)
    within = [100 * used <= (found or 100) * held for held, used, _, _ in some]
    if found is None:
        assert not some or 100 * sum(within) < percent * len(some)
        return
    assert 100 * sum(within) >= percent * len(some)
    lower = [100 * used <= (found - 5) * held and (used > 0 or found > 5) for held, used, _, _ in some]
    assert 100 * sum(lower) < percent * len(some)


@pytest.mark.parametrize(
    ("held", "used", "step"),
    [(100, 0, 0), (100, 1, 0), (100, 5, 0), (100, 6, 1), (100, 100, 19), (100, 101, STEPS), (0, 0, 0), (0, 1, STEPS)],
)
def test_a_call_is_in_the_step_that_ends_at_or_above_its_share(held: int, used: int, step: int) -> None:
    quality = counted([(held, used, True, False)])
    assert quality.by_step[step] == 1
    assert (quality.calls, quality.overshoots, quality.clamped, quality.estimated) == (1, int(used > held), 1, 0)
