"""What the gateway costs: (a) the upstream direct, (b) a bare pass-through, (c) the gateway with everything on.

The three are loaded in turn, a b c a b c, so that what else the machine does falls on all of them; wrk makes the load.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.cases import CHAT, GREAT_BALANCE, chat_body, make_customer, make_rules, make_seed_offer
from bench.chat_line import wait_until_known
from bench.children import BenchError, Child, cpu_seconds
from bench.profiles import Profile
from bench.ranks import median
from bench.stack import Stack, running_script, running_stack

UPSTREAM: Final = "a: upstream direct"
BARE: Final = "b: bare pass-through"
GATEWAY: Final = "c: gateway"

_SCRIPT: Final = Path(__file__).with_name("chat.lua")
_MICROSECONDS: Final = 1_000_000
MAX_TOKENS: Final = 32


class Round(Struct, frozen=True, kw_only=True):
    """One run of wrk. CPU is of the process that is loaded, and of the control plane until all of it is applied."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float
    control_plane_us_per_request: float | None = None


class Measured(Struct, frozen=True, kw_only=True):
    """A target at a number of connections: the medians of its rounds, and the rounds."""

    target: str
    connections: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float
    control_plane_us_per_request: float | None
    rounds: list[Round]


class _Wrk(Struct, frozen=True):
    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    socket_errors: int
    status_errors: int


class Target(Struct, frozen=True):
    """What is loaded: a process, its URL, and the key that it wants."""

    name: str
    url: str
    child: Child
    key: str = ""


def require_wrk() -> None:
    """Raise `BenchError` where the load generator is missing."""
    if shutil.which("wrk") is None:
        raise BenchError("wrk makes the load and is not installed; on Debian, as root: apt-get install wrk")


def measure_throughput(profile: Profile, show: Callable[[str], None]) -> list[Measured]:
    """Measure a, b and c at each number of connections."""
    require_wrk()
    with running_stack() as stack, running_targets(stack) as targets:
        for target in targets:
            load(target, stack, connections=8, seconds=1)
        measured = []
        for connections in profile.connections:
            rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
            for number in range(profile.rounds):
                for target in targets:
                    show(f"{connections} connections, round {number + 1} of {profile.rounds}, {target.name}")
                    rounds[target.name].append(load(target, stack, connections=connections, seconds=profile.run_s))
            measured += [_sum_up(name, connections, taken) for name, taken in rounds.items()]
        return measured


def find(measured: list[Measured], target: str, connections: int) -> Measured:
    """Return what was measured of a target at a number of connections."""
    return next(row for row in measured if (row.target, row.connections) == (target, connections))


@contextmanager
def running_targets(stack: Stack) -> Iterator[tuple[Target, ...]]:
    """Start the bare pass-through beside the stack, with a customer; yield a, b and c."""
    with running_script(stack.folder, "passthrough", stack.upstream.origin) as bare:
        yield (
            Target(UPSTREAM, f"{stack.upstream.origin}/v1/chat/completions", stack.upstream),
            Target(BARE, f"{bare.origin}/v1/chat/completions", bare),
            Target(
                GATEWAY,
                f"{stack.gateway.origin}{CHAT}/chat/completions",
                stack.gateway,
                load_key(stack, stack.upstream),
            ),
        )


def load_key(stack: Stack, upstream: Child) -> str:
    """Sell `CHAT`, answered by that upstream, to a customer with great credit; return their key once it is known."""
    api = stack.api()
    make_rules(api)
    offer = make_seed_offer(api, upstream.origin)
    customer = make_customer(api, offer, "load", credit=GREAT_BALANCE)
    api.close()
    wait_until_known(stack.gateway.port, offer, customer)
    return customer.key


def _command(url: str, key: str, *, connections: int, seconds: int) -> list[str]:
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPT)]
    headers = ["-H", "content-type: application/json", "-H", f"authorization: Bearer {key}"]
    return ["wrk", *options, *headers, url, "--", chat_body(max_tokens=MAX_TOKENS).decode()]


def load(target: Target, stack: Stack, *, connections: int, seconds: int) -> Round:
    """Run wrk once; where it loads the gateway, until all of it is applied. `BenchError` where a request fails."""
    cpu_before_s, control_before_s = cpu_seconds(target.child.pid), cpu_seconds(stack.control_plane.pid)
    command = _command(target.url, target.key, connections=connections, seconds=seconds)
    wrk = _read(subprocess.run(command, capture_output=True, check=False, timeout=seconds + 60))
    if wrk.socket_errors or wrk.status_errors or not wrk.requests:
        raise BenchError(
            f"{target.name}: {wrk.socket_errors} socket errors, {wrk.status_errors} refused of {wrk.requests}"
        )
    cpu_s = cpu_seconds(target.child.pid) - cpu_before_s
    control_us = None
    if target.name == GATEWAY:
        stack.wait_applied(within_s=120.0)
        control_us = _per_request(cpu_seconds(stack.control_plane.pid) - control_before_s, wrk.requests)
    return Round(
        requests=wrk.requests,
        requests_per_s=round(wrk.requests * _MICROSECONDS / wrk.duration_us, 1),
        p50_ms=wrk.p50_us / 1_000,
        p99_ms=wrk.p99_us / 1_000,
        cpu_us_per_request=_per_request(cpu_s, wrk.requests),
        control_plane_us_per_request=control_us,
    )


def _read(done: subprocess.CompletedProcess[bytes]) -> _Wrk:
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise BenchError(f"wrk failed: {done.stderr.decode(errors='replace').strip()}")
    return msgspec.json.decode(lines[-1], type=_Wrk)


def _per_request(seconds: float, requests: int) -> float:
    return round(seconds * _MICROSECONDS / requests, 1)


def _sum_up(name: str, connections: int, rounds: list[Round]) -> Measured:
    control = [taken.control_plane_us_per_request for taken in rounds if taken.control_plane_us_per_request is not None]
    return Measured(
        target=name,
        connections=connections,
        requests_per_s=median([taken.requests_per_s for taken in rounds]),
        p50_ms=median([taken.p50_ms for taken in rounds]),
        p99_ms=median([taken.p99_ms for taken in rounds]),
        cpu_us_per_request=median([taken.cpu_us_per_request for taken in rounds]),
        control_plane_us_per_request=median(control) if control else None,
        rounds=rounds,
    )
