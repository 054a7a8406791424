"""The parts of the benches that could measure the wrong thing without anyone noticing."""

import itertools
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bench.cases import Customer
from bench.children import BenchError
from bench.hold import measure_hold
from bench.intake import BATCH_EVENTS, EVENT_BYTES, Batches
from bench.profiles import QUICK
from bench.ranks import spread
from bench.throughput import require_wrk
from bench.traces import Sum, sum_trace, write_trace
from faregate.wire.event import decode_event


def batch() -> tuple[list[msgspec.Raw], int]:
    customer = Customer(company_id="acme", subscription_id="sub", key="key")
    body, tokens = Batches(customer).make()
    return msgspec.json.decode(body, type=list[msgspec.Raw]), tokens


def test_a_batch_holds_a_hundred_valid_events_of_a_kilobyte_each() -> None:
    events, _ = batch()
    assert {len(bytes(event)) for event in events} == {EVENT_BYTES}
    assert len(events) == BATCH_EVENTS
    assert {decode_event(event).company_id for event in events} == {"acme"}


def test_a_batchs_events_differ_and_use_the_tokens_it_says() -> None:
    events, tokens = batch()
    decoded = [decode_event(event) for event in events]
    assert len({event.transaction_id for event in decoded}) == BATCH_EVENTS
    answers = [event.response.body for event in decoded if event.response is not None]
    assert sum(answer["usage"]["prompt_tokens"] for answer in answers) == tokens


def test_without_its_load_generator_a_bench_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchError, match="apt-get install wrk"):
        require_wrk()


def test_percentiles_are_by_the_nearest_rank() -> None:
    found = spread(list(range(1, 201)))
    assert (found.p50_ms, found.p99_ms, found.max_ms) == (100, 198, 200)


def test_the_cost_of_a_hold_keeps_the_fractions_of_a_microsecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter_ns", itertools.count(0, 1_400).__next__)
    found = measure_hold(replace(QUICK, hold_samples=3))
    assert (found.samples, found.p50_us, found.p99_us) == (3, 1.4, 1.4)


def test_a_trace_is_summed_month_by_month_with_packages_rounded_up_once(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2023-11-30 23:59:59.9999999,1000000,1\r\n"
        "2023-11-30 23:59:59.9999999,1,0\r\n"
        "2023-12-01 00:00:00.0000000,1,0"
    )
    assert sum_trace(trace) == Sum(calls=3, tokens_in=1_000_002, tokens_out=1, money="3.00")


def test_a_made_trace_has_the_rows_asked_for_and_one_in_a_hundred_twice(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    write_trace(trace, 400, seed=1)
    assert sum_trace(trace).calls == 404
