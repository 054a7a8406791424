"""The text of an answer: plain short sentences, chosen by a seed alone, of exactly as many tokens as asked.

Every word has at most four letters and follows one space, so each word and each full stop is one token, and joining
tokens never makes other ones: `tokenizer.split_tokens` gives back what was joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

_OPENINGS: Final = ("", "Soon", "By noon", "Now", "In May", "Then")
_WHO: Final = ("the cat", "a tall man", "my old dog", "the team", "one wise owl", "the new cook", "a shy girl")
_DOES: Final = ("saw", "will mend", "drew", "may sell", "held", "lost", "can hear")
_WHAT: Final = ("a red boat", "the long road", "two hats", "this good plan", "the moon", "some warm rice", "a map")
_STRIDE: Final = 1_201
"""Coprime to the number of sentences: walks through all of them while neighbours differ."""

_FEWEST_SENTENCES: Final = 2
_SENTENCE_SPREAD: Final = 7


def _sentence(parts: tuple[str, ...]) -> tuple[str, ...]:
    words = " ".join(parts).split()
    words[0] = words[0].capitalize()
    return (*(f" {word}" for word in words), ".")


def _all_sentences() -> tuple[tuple[str, ...], ...]:
    ordered = [_sentence(parts) for parts in product(_OPENINGS, _WHO, _DOES, _WHAT)]
    return tuple(ordered[step * _STRIDE % len(ordered)] for step in range(len(ordered)))


_SENTENCES: Final = _all_sentences()


def compose(seed: int, count: int | None = None) -> list[str]:
    """Return the tokens of the answer that `seed` (not negative) stands for; joined they are its text.

    `count` is how many tokens to return, in the middle of a sentence if need be. Without it the answer has the length
    that the seed gives it: 2 to 8 whole sentences.
    """
    if count is None:
        tokens = _whole_answer(seed)
    else:
        tokens = []
        following = _following(seed)
        while len(tokens) < count:
            tokens += next(following)
        del tokens[count:]
    if tokens:
        tokens[0] = tokens[0].removeprefix(" ")
    return tokens


def _whole_answer(seed: int) -> list[str]:
    following = _following(seed)
    sentences = _FEWEST_SENTENCES + seed // len(_SENTENCES) % _SENTENCE_SPREAD
    return [token for _ in range(sentences) for token in next(following)]


def _following(seed: int) -> Iterator[tuple[str, ...]]:
    position = seed % len(_SENTENCES)
    while True:
        yield _SENTENCES[position]
        position = (position + 1) % len(_SENTENCES)
