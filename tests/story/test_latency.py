from hypothesis import given
from hypothesis import strategies as st

from faregate.apps.story.latency import Percentiles, percentiles


def test_percentiles_are_values_that_were_measured_by_the_nearest_rank() -> None:
    assert percentiles([float(n) for n in range(100, 0, -1)]) == Percentiles(p50_ms=50.0, p95_ms=95.0, p99_ms=99.0)
    assert percentiles([7.0]) == Percentiles(p50_ms=7.0, p95_ms=7.0, p99_ms=7.0)


def test_nothing_measured_has_no_percentiles() -> None:
    assert percentiles([]) is None


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_the_share_named_lies_at_or_below_a_percentile(measured: list[float]) -> None:
    found = percentiles(measured)
    assert found is not None
    for share, bound in ((50, found.p50_ms), (95, found.p95_ms), (99, found.p99_ms)):
        assert bound in measured
        assert sum(value <= bound for value in measured) * 100 >= share * len(measured)
