import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.ids import new_id, ulid, ulid_milliseconds

MOST_MILLISECONDS = 2**48 - 1
milliseconds = st.integers(min_value=0, max_value=MOST_MILLISECONDS)
randomness = st.binary(min_size=10, max_size=10)


def test_the_time_part_is_that_of_the_ulid_specification() -> None:
    # https://github.com/ulid/javascript, "Seed Time"
    assert ulid(1_469_918_176_385, bytes(10))[:10] == "01aryz6s41"


def test_a_ulid_spans_all_its_bits() -> None:
    assert ulid(0, bytes(10)) == "0" * 26
    assert ulid(MOST_MILLISECONDS, b"\xff" * 10) == "7" + "z" * 25


@given(milliseconds, milliseconds, randomness, randomness)
def test_ulids_sort_by_time_then_chance(one_ms: int, other_ms: int, one: bytes, other: bytes) -> None:
    assert (ulid(one_ms, one) < ulid(other_ms, other)) == ((one_ms, one) < (other_ms, other))


@given(milliseconds, randomness)
def test_a_ulids_time_can_be_read_from_its_head(at_ms: int, chance: bytes) -> None:
    assert ulid_milliseconds(ulid(at_ms, chance)[:10]) == at_ms


@pytest.mark.parametrize("head", ["", "01aryz6s4", "01aryz6s41x", "01aryz6s4u", "01ARYZ6S41", "8000000000"])
def test_what_is_no_ulids_head_has_no_time(head: str) -> None:
    assert ulid_milliseconds(head) is None


def test_a_new_id_names_its_kind_and_is_like_no_other() -> None:
    ids = {new_id("pln") for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(found.startswith("pln_") and len(found) == len("pln_") + 26 for found in ids)
