"""The streaming bench's own parts, over real sockets: it must count every chunk, and say so where one is missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cases import chat_body
from bench.children import HOST, BenchError, Child
from bench.ranks import spread
from bench.stack import running_script
from bench.stream_load import StreamLoad, run_load
from bench.streaming import Streamed, Streaming
from faregate.apps.ports import claim_port

CHUNKS_PER_S = 200
CHUNKS = 8
STREAMS = 5
LATE_MS = 5_000


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Child]:
    with running_script(tmp_path, "stream_upstream", str(CHUNKS_PER_S)) as child:
        yield child


def load(port: int, *, asked: int = CHUNKS) -> StreamLoad:
    return StreamLoad(
        port=port,
        path="/v1/chat/completions",
        body=chat_body(stream=True, max_tokens=asked, stream_options={"include_usage": True}),
        key="none",
        streams=STREAMS,
        chunks=CHUNKS,
        chunks_per_s=CHUNKS_PER_S,
    )


def test_each_chunk_of_each_stream_has_a_delay(upstream: Child) -> None:
    delays_ms = run_load(load(upstream.port))
    assert len(delays_ms) == STREAMS * CHUNKS
    assert all(0 <= delay_ms < LATE_MS for delay_ms in delays_ms)


def test_a_stream_without_all_of_its_chunks_fails_the_bench(upstream: Child) -> None:
    with pytest.raises(BenchError, match=f"5 of 5 streams failed; a stream had {CHUNKS - 1} chunks of {CHUNKS}"):
        run_load(load(upstream.port, asked=CHUNKS - 1))


def test_a_port_that_nobody_listens_on_fails_the_bench() -> None:
    with pytest.raises(BenchError, match="no connection"):
        run_load(load(claim_port(HOST, 0)))


def test_what_the_gateway_adds_is_the_difference_of_percentiles_and_the_ratio_of_cpu() -> None:
    found = Streaming(
        streams=STREAMS,
        chunks_per_s=CHUNKS_PER_S,
        bare=Streamed(delay=spread([1.0, 2.0]), p99_ms=2.0, cpu_us_per_chunk=20.0, rounds=[]),
        gateway=Streamed(delay=spread([1.0, 5.0]), p99_ms=5.0, cpu_us_per_chunk=30.0, rounds=[]),
    )
    assert (found.added_p99_ms, found.added_max_ms, found.cpu_ratio) == (3.0, 3.0, 1.5)
