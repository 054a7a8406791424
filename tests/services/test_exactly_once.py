"""Whatever the order, the split and the repeats of events, their effects are the same, once."""

import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from faregate.base.money import currency
from faregate.domain.pricing.rating import debit_total, whole
from faregate.storage.database import Database
from faregate.storage.metered import read_all_prices
from tests.services.world import DOLLAR, Call, World, make_world

GRANTED = 50 * DOLLAR

tokens = st.one_of(st.integers(0, 400), st.integers(0, 2_500_000))
usages = st.lists(st.tuples(tokens, tokens), min_size=1, max_size=12)


def _calls(amounts: Sequence[tuple[int, int]]) -> list[Call]:
    return [
        Call(request_id=f"req_{index}", prompt_tokens=prompt, completion_tokens=completion, sequence=index)
        for index, (prompt, completion) in enumerate(amounts, start=1)
    ]


def _fresh_world(folder: str) -> World:
    world = make_world(Database(f"sqlite:///{Path(folder) / 'world.sqlite3'}"))
    world.grant("50")
    return world


def _facts(world: World) -> tuple[object, ...]:
    windows = {(str(row["meter_id"]), row["start_at"]): row["quantity"] for row in world.rows("usage_window")}
    totals = {str(row["price_id"]): (row["settled"], row["debited"]) for row in world.rows("price_total")}
    return world.account().balance, windows, totals


@given(amounts=usages, chance=st.randoms(use_true_random=False))
def test_order_split_and_repeats_of_events_change_nothing(amounts: list[tuple[int, int]], chance: Random) -> None:
    calls = _calls(amounts)
    shuffled = calls + calls[: len(calls) // 2]
    chance.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as plain_folder, tempfile.TemporaryDirectory() as other_folder:
        plain, other = _fresh_world(plain_folder), _fresh_world(other_folder)
        plain.take(*calls)
        for call in shuffled:
            other.log(call.body())
            if chance.random() < 0.4:
                other.apply(most=chance.randint(1, 4))
        other.apply(most=chance.randint(1, 4))
        assert _facts(plain) == _facts(other)
        plain.database.close()
        other.database.close()


@given(amounts=usages)
def test_debits_add_up_to_the_rated_total(amounts: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = _fresh_world(folder)
        for call in _calls(amounts):
            world.take(call)
        with world.database.snapshot() as transaction:
            prices = read_all_prices(transaction)
        expected = debit_total(
            prices.version("prc_in", currency("USD")), whole(Decimal(sum(prompt for prompt, _ in amounts)))
        )
        expected += debit_total(
            prices.version("prc_out", currency("USD")), whole(Decimal(sum(completion for _, completion in amounts)))
        )
        assert world.debits() == expected
        assert world.account().balance == GRANTED - expected
        assert sum(int(str(row["amount"])) for row in world.rows("charge")) == expected
        world.database.close()
