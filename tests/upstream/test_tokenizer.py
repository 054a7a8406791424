import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.apps.upstream.composing import compose
from faregate.apps.upstream.tokenizer import count_tokens, split_tokens

seeds = st.integers(min_value=0, max_value=2**64)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("the capital", ["the", " capi", "tal"]),
        ("Yes, (2026)!", ["Yes", ",", " (", "2026", ")", "!"]),
        ("a  b", ["a", "  ", "b"]),
        ("a\n\n\n\n\n b", ["a", "\n\n\n\n", "\n ", "b"]),
        ("né 日本", ["né", " 日本"]),
        ("\U0001f600\x00", ["\U0001f600", "\x00"]),
    ],
)
def test_a_text_is_cut_by_the_documented_rule(text: str, tokens: list[str]) -> None:
    assert split_tokens(text) == tokens


@given(st.text())
def test_the_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text


@given(st.text())
def test_a_text_has_no_more_tokens_than_utf8_bytes(text: str) -> None:
    assert count_tokens(text) == len(split_tokens(text)) <= len(text.encode())


@given(seeds, st.integers(min_value=0, max_value=3_000))
def test_a_composed_text_has_exactly_the_tokens_asked_for(seed: int, count: int) -> None:
    tokens = compose(seed, count)
    assert len(tokens) == count
    assert split_tokens("".join(tokens)) == tokens


@given(seeds)
def test_an_answer_of_its_own_length_ends_with_its_last_sentence(seed: int) -> None:
    tokens = compose(seed)
    assert split_tokens("".join(tokens)) == tokens
    assert tokens[-1] == "."
    assert 2 <= tokens.count(".") <= 8


@given(seeds, st.integers(min_value=0, max_value=200), st.integers(min_value=0, max_value=200))
def test_a_shorter_text_of_a_seed_begins_the_longer_one(seed: int, one: int, other: int) -> None:
    shorter, longer = sorted((one, other))
    assert compose(seed, longer)[:shorter] == compose(seed, shorter)


def test_different_seeds_give_different_texts() -> None:
    assert len({"".join(compose(seed, 40)) for seed in range(500)}) == 500
