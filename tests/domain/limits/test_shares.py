"""Gateways that share a limit: never more than it in any minute, and an equal part for whoever wants it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.limits.shares import SILENT_MS, Share, SharedLimit, fair_parts
from faregate.domain.limits.window import SlidingWindow


@dataclass
class Gateway:
    """Does what a gateway does: admits within its share, and asks."""

    name: str
    window: SlidingWindow = field(default_factory=lambda: SlidingWindow(0))
    share: int = 0
    refused: int = 0
    asked_ms: int = 0
    admitted_ms: list[int] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, int]:
        return self.name, 1

    def call(self, now_ms: int) -> bool:
        self.window.advance(now_ms // 1_000)
        if self.window.used + 1 > self.share:
            self.refused += 1
            return False
        self.window.add(1)
        self.admitted_ms.append(now_ms)
        return True

    def question(self, now_ms: int) -> dict[str, int]:
        self.window.advance(now_ms // 1_000)
        used = self.window.used
        wanted, self.refused = used + self.refused + (1 if used else 0), 0
        return {"holds": self.share, "used": used, "wanted": wanted}


def ask(shared: SharedLimit, gateway: Gateway, *, amount: int, now_ms: int) -> Share:
    answer = shared.ask(gateway.key, amount=amount, now_ms=now_ms, **gateway.question(now_ms))
    gateway.share = answer.units
    return answer


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 40))
def test_in_no_minute_is_more_admitted_than_the_limit_whatever_is_late_or_lost(
    seed: int, gateways: int, amount: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
    shared, fleet = SharedLimit(), [Gateway(f"gw{number}") for number in range(gateways)]
    in_flight: list[tuple[int, Gateway, int]] = []
    busy: set[str] = set()
    now_ms = 0
    for _ in range(400):
        now_ms += chance.choice((0, 5, 200, 900))
        # One that has nothing to ask reports all the same, lest it be taken for gone.
        overdue = next((one for one in fleet if one.asked_ms + SILENT_MS // 3 <= now_ms), None)
        gateway = overdue or chance.choice(fleet[: chance.randint(1, gateways)])
        for due in [one for one in in_flight if one[0] <= now_ms]:
            in_flight.remove(due)
            busy.discard(due[1].name)
            if chance.random() < 0.9:
                due[1].share = due[2]
        if overdue is None and chance.random() < 0.75:
            for _ in range(chance.randint(1, 4)):
                gateway.call(now_ms)
        elif gateway.name not in busy:
            # What is answered is acted by later, or never; the gateway goes on with its old share meanwhile.
            answer = shared.ask(gateway.key, amount=amount, now_ms=now_ms, **gateway.question(now_ms))
            in_flight.append((now_ms + chance.choice((1, 50, 400)), gateway, answer.units))
            busy.add(gateway.name)
            gateway.asked_ms = now_ms
    admitted = sorted(at for gateway in fleet for at in gateway.admitted_ms)
    for place, at in enumerate(admitted):
        assert sum(1 for other in admitted[place:] if other < at + 60_000) <= amount


@given(st.dictionaries(st.tuples(st.text(max_size=3), st.just(1)), st.integers(0, 50), min_size=1), st.integers(0, 99))
def test_parts_come_to_no_more_than_the_limit_and_nobody_gets_less_than_an_equal_part_it_wants(
    wanted: dict[tuple[str, int], int], amount: int
) -> None:
    parts = fair_parts(wanted, amount)
    assert sum(parts.values()) == min(amount, sum(wanted.values()))
    for key, want in wanted.items():
        assert min(want, amount // len(wanted)) <= parts[key] <= want


def test_one_gateway_alone_has_the_whole_limit() -> None:
    shared, gateway = SharedLimit(), Gateway("a")
    gateway.refused = 500
    assert ask(shared, gateway, amount=100, now_ms=0) == Share(100, 0)


def test_who_comes_later_gets_its_part_when_the_others_use_has_left_the_minute() -> None:
    shared, first, second = SharedLimit(), Gateway("a"), Gateway("b")
    now_ms, served = 0, 0
    first.refused = 10
    ask(shared, first, amount=10, now_ms=now_ms)
    assert sum(first.call(now_ms) for _ in range(20)) == 10
    second.refused = 10
    assert ask(shared, second, amount=10, now_ms=now_ms) == Share(0, 0)
    for now_ms in range(1_000, 180_000, 1_000):
        first.call(now_ms)
        second.call(now_ms)
        ask(shared, first, amount=10, now_ms=now_ms)
        ask(shared, second, amount=10, now_ms=now_ms)
        served = sum(1 for at in second.admitted_ms if at > now_ms - 60_000)
    assert served == 5


def test_a_share_that_was_taken_back_is_free_only_when_its_gateway_says_so() -> None:
    shared = SharedLimit()
    assert shared.ask(("a", 1), amount=10, holds=0, used=0, wanted=10, now_ms=0).units == 10
    assert shared.ask(("b", 1), amount=10, holds=0, used=0, wanted=10, now_ms=1).units == 0
    assert shared.ask(("a", 1), amount=10, holds=10, used=2, wanted=10, now_ms=2).units == 5
    assert shared.ask(("b", 1), amount=10, holds=0, used=0, wanted=10, now_ms=3).units == 0
    assert shared.ask(("a", 1), amount=10, holds=5, used=7, wanted=10, now_ms=4).units == 5
    assert shared.ask(("b", 1), amount=10, holds=0, used=0, wanted=10, now_ms=5) == Share(3, 7)


def test_a_gateway_that_is_done_claims_nothing() -> None:
    shared = SharedLimit()
    shared.ask(("a", 1), amount=10, holds=0, used=0, wanted=10, now_ms=0)
    assert shared.ask(("a", 1), amount=10, holds=0, used=0, wanted=0, now_ms=1) == Share(0, 0)
    assert shared.is_idle


def test_a_gateway_that_says_no_more_is_forgotten_when_its_minute_must_be_over() -> None:
    shared = SharedLimit()
    shared.ask(("a", 1), amount=10, holds=0, used=0, wanted=10, now_ms=0)
    shared.sweep(SILENT_MS + 60_999)
    assert not shared.is_idle
    shared.sweep(SILENT_MS + 61_000)
    assert shared.is_idle


def test_what_an_earlier_process_of_a_gateway_may_have_used_counts_for_a_minute() -> None:
    shared = SharedLimit()
    shared.ask(("a", 1), amount=10, holds=0, used=0, wanted=4, now_ms=0)
    assert shared.ask(("a", 2), amount=10, holds=0, used=0, wanted=10, now_ms=10).units == 6
    assert shared.ask(("a", 2), amount=10, holds=6, used=6, wanted=10, now_ms=61_009).units == 6
    assert shared.ask(("a", 2), amount=10, holds=6, used=6, wanted=10, now_ms=61_010).units == 10
