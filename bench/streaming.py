"""What the gateway adds to a stream: many at once, each chunk bearing the time at which it was sent.

The same streams go through the bare pass-through and through the gateway in turn, in one run; what the chunks wait
longer in the gateway, and what it computes more, is the gateway's part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from bench.cases import CHAT, chat_body
from bench.children import Child, cpu_seconds
from bench.profiles import Profile
from bench.ranks import Spread, median, spread
from bench.stack import running_script, running_stack
from bench.stream_load import StreamLoad, run_load
from bench.throughput import load_key

STREAMS: Final = 200
CHUNKS_PER_S: Final = 20

_MICROSECONDS: Final = 1_000_000
_WARM_STREAMS: Final = 20


class StreamRound(Struct, frozen=True, kw_only=True):
    """One round of one target: how long chunks were on their way, and the process' CPU for each of them."""

    delay: Spread
    cpu_us_per_chunk: float


class Streamed(Struct, frozen=True, kw_only=True):
    """A target: the delays of all rounds, of their 99th percentiles the median, as of CPU."""

    delay: Spread
    p99_ms: float
    cpu_us_per_chunk: float
    rounds: list[StreamRound]


class Streaming(Struct, frozen=True, kw_only=True):
    """Both targets. What the gateway adds is the difference of their percentiles."""

    streams: int
    chunks_per_s: int
    bare: Streamed
    gateway: Streamed

    @property
    def added_p99_ms(self) -> float:
        """Return how far the gateway's p99 is behind the bare one's."""
        return round(self.gateway.p99_ms - self.bare.p99_ms, 3)

    @property
    def added_max_ms(self) -> float:
        """Return how far the gateway's longest delay is behind the bare one's."""
        return round(self.gateway.delay.max_ms - self.bare.delay.max_ms, 3)

    @property
    def cpu_ratio(self) -> float:
        """Return the gateway's CPU for a chunk against the bare one's."""
        return round(self.gateway.cpu_us_per_chunk / self.bare.cpu_us_per_chunk, 3)


class _Target(Struct, frozen=True):
    child: Child
    path: str
    key: str


def measure_streaming(profile: Profile, show: Callable[[str], None]) -> Streaming:
    """Stream through the bare pass-through and the gateway in turn, as many rounds as the profile says."""
    with (
        running_stack() as stack,
        running_script(stack.folder, "stream_upstream", str(CHUNKS_PER_S)) as upstream,
        running_script(stack.folder, "passthrough", upstream.origin) as bare,
    ):
        targets = {
            "bare pass-through": _Target(bare, "/v1/chat/completions", "none"),
            "gateway": _Target(stack.gateway, f"{CHAT}/chat/completions", load_key(stack, upstream)),
        }
        for target in targets.values():
            run_load(_load(target, streams=_WARM_STREAMS, chunks=CHUNKS_PER_S))
        delays_ms: dict[str, list[float]] = {name: [] for name in targets}
        rounds: dict[str, list[StreamRound]] = {name: [] for name in targets}
        for number in range(profile.rounds):
            for name, target in targets.items():
                show(f"{STREAMS} streams, round {number + 1} of {profile.rounds}, {name}")
                measured_ms, taken = _run(target, chunks=profile.stream_s * CHUNKS_PER_S)
                delays_ms[name] += measured_ms
                rounds[name].append(taken)
                stack.wait_applied()
        bare_streamed, gateway_streamed = (_sum_up(delays_ms[name], rounds[name]) for name in targets)
        return Streaming(streams=STREAMS, chunks_per_s=CHUNKS_PER_S, bare=bare_streamed, gateway=gateway_streamed)


def _run(target: _Target, *, chunks: int) -> tuple[list[float], StreamRound]:
    cpu_before_s = cpu_seconds(target.child.pid)
    delays_ms = run_load(_load(target, streams=STREAMS, chunks=chunks))
    cpu_s = cpu_seconds(target.child.pid) - cpu_before_s
    cpu_us = round(cpu_s * _MICROSECONDS / len(delays_ms), 1)
    return delays_ms, StreamRound(delay=spread(delays_ms), cpu_us_per_chunk=cpu_us)


def _sum_up(delays_ms: list[float], rounds: list[StreamRound]) -> Streamed:
    return Streamed(
        delay=spread(delays_ms),
        p99_ms=median([taken.delay.p99_ms for taken in rounds]),
        cpu_us_per_chunk=median([taken.cpu_us_per_chunk for taken in rounds]),
        rounds=rounds,
    )


def _load(target: _Target, *, streams: int, chunks: int) -> StreamLoad:
    return StreamLoad(
        port=target.child.port,
        path=target.path,
        body=chat_body(stream=True, max_tokens=chunks),
        key=target.key,
        streams=streams,
        chunks=chunks,
        chunks_per_s=CHUNKS_PER_S,
    )
