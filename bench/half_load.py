"""How long requests take at half load: at half of the gateway's own highest rate, bare and gateway in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from bench.cases import chat_body
from bench.paced import http_request, run_paced
from bench.profiles import Profile
from bench.ranks import Spread, median
from bench.stack import Stack, running_stack
from bench.throughput import BARE, GATEWAY, MAX_TOKENS, Target, load, require_wrk, running_targets

CONNECTIONS: Final = 64
_HALF: Final = 0.5


class HalfLoad(Struct, frozen=True, kw_only=True):
    """The medians of the rounds' 99th percentiles, and the rounds."""

    rate_per_s: float
    bare_p99_ms: float
    gateway_p99_ms: float
    bare: list[Spread]
    gateway: list[Spread]

    @property
    def p99_ratio(self) -> float:
        """Return how much longer the gateway's 99th percentile is."""
        return self.gateway_p99_ms / self.bare_p99_ms


def measure_half_load(profile: Profile, show: Callable[[str], None]) -> HalfLoad:
    """Find the gateway's highest rate, then send half of it to both in turn."""
    require_wrk()
    rounds: dict[str, list[Spread]] = {BARE: [], GATEWAY: []}
    with running_stack() as stack, running_targets(stack) as targets:
        by_name = {target.name: target for target in targets}
        show("the gateway's highest rate")
        load(by_name[GATEWAY], stack, connections=CONNECTIONS, seconds=1)
        highest = [
            load(by_name[GATEWAY], stack, connections=CONNECTIONS, seconds=profile.run_s).requests_per_s
            for _ in range(profile.rounds)
        ]
        rate_per_s = _HALF * median(highest)
        for number in range(profile.rounds):
            for name, taken in rounds.items():
                show(f"half load, round {number + 1} of {profile.rounds}, {name}")
                taken.append(_run(by_name[name], stack, rate_per_s=rate_per_s, seconds=profile.run_s))
    return HalfLoad(
        rate_per_s=round(rate_per_s, 1),
        bare_p99_ms=median([taken.p99_ms for taken in rounds[BARE]]),
        gateway_p99_ms=median([taken.p99_ms for taken in rounds[GATEWAY]]),
        bare=rounds[BARE],
        gateway=rounds[GATEWAY],
    )


def _run(target: Target, stack: Stack, *, rate_per_s: float, seconds: int) -> Spread:
    port = target.child.port
    request = http_request(urlsplit(target.url).path, port, key=target.key, body=chat_body(max_tokens=MAX_TOKENS))
    taken = run_paced(port, request, rate_per_s=rate_per_s, seconds=seconds, connections=CONNECTIONS)
    stack.wait_applied(within_s=120.0)
    return taken
