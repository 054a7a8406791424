"""The spool keeps every record across processes, cuts a torn tail, and forgets only what nobody needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.apps.gateway.call_records import event_of, event_tail, origin_of, parts_of, start_record
from faregate.apps.gateway.spool import Spool, SpoolUnavailable
from faregate.apps.gateway.spool_folder import SpoolFolder, Started
from faregate.apps.gateway.spool_records import (
    CallMark,
    Kind,
    Line,
    PlanRecord,
    frame,
    frame_event,
    read_lines,
    split_number,
)
from faregate.base.errors import ConfigurationError
from faregate.wire.event import WireRequest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST = WireRequest(time=NOW, uri="http://a/ai/chat", verb="POST", route="/ai/chat")


def opened(folder: Path, *, segment_bytes: int = 8_192, most_bytes: int = 100_000) -> Spool:
    return Spool(SpoolFolder(folder, lambda: "gw_1"), segment_bytes=segment_bytes, most_bytes=most_bytes)


PLAN = PlanRecord(
    attempt=1, route_id="r", route="/ai/chat", key_id="k", user_id=None, company_id="acme", replay=False, needs=[]
)
PARTS = parts_of(PLAN)


def start(spool: Spool, request_id: str) -> Started:
    record = start_record(request_id, msgspec.json.encode(REQUEST), epoch=1, input_estimate=3, held=[])
    return spool.start(PARTS, record)


def end(spool: Spool, request_id: str, started: Started | None = None) -> int:
    """Write the end of a call; the event of a started one is written whole only where its start is not beside it."""
    sequence = spool.take_sequence()
    tail = event_tail(sequence, drawn=b"", estimated=False, answered_at=NOW, status=200, summary=None, blocked_by=None)
    event = event_of(PARTS, request_id, msgspec.json.encode(REQUEST), origin=origin_of("gw_1", 1), tail=tail)
    spool.end(sequence, event, started=started, tail=tail)
    return sequence


def scenario(body: Callable[[], None]) -> None:
    async def main() -> None:
        body()

    asyncio.run(main())


def crash(spool: Spool) -> None:
    """Let go of the folder as a killed process does."""
    spool._folder.close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.spool"))


def test_events_are_read_once_in_order_and_again_by_the_next_process(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        sequences = [end(spool, f"req_{number}") for number in range(40)]
        assert sequences == list(range(1, 41))
        assert [sequence for sequence, _ in spool.read(25)] == list(range(1, 26))
        assert [sequence for sequence, _ in spool.read(25)] == list(range(26, 41))
        assert spool.read(25) == []
        spool.acknowledge(30)
        crash(spool)
        again = opened(tmp_path)
        assert again.next_sequence == 41
        assert [sequence for sequence, _ in again.read(100)] == list(range(31, 41))
        assert end(again, "req_new") == 41
        crash(again)

    scenario(body)


def test_what_the_memory_cannot_keep_is_read_back_from_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faregate.apps.gateway.spool._MOST_RECENT_BYTES", 5_000)

    def body() -> None:
        spool = opened(tmp_path, segment_bytes=2_000)
        assert spool.read(10) == []
        read: list[int] = []
        for number in range(100):
            end(spool, f"req_{number}")
            if number in {3, 60, 61, 90}:
                read += [sequence for sequence, _ in spool.read(25)]
                spool._sync.flush()
                spool.acknowledge(read[-1])
        while events := spool.read(25):
            read += [sequence for sequence, _ in events]
        assert read == list(range(1, 101))
        crash(spool)

    scenario(body)


def test_acknowledged_segments_are_deleted_and_numbering_goes_on(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        for number in range(100):
            end(spool, f"req_{number}")
        assert len(files(tmp_path)) > 2
        spool._sync.flush()
        spool.acknowledge(100)
        assert len(files(tmp_path)) == 1
        crash(spool)
        again = opened(tmp_path)
        assert (again.next_sequence, again.acknowledged, again.read(10)) == (101, 100, [])
        crash(again)

    scenario(body)


def test_what_was_acknowledged_is_kept_for_a_while_and_read_again_when_the_ledger_lost_it(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path, most_bytes=1 << 20)
        for number in range(100):
            end(spool, f"req_{number}")
        first = spool.read(100)
        spool._sync.flush()
        spool.acknowledge(100)
        assert spool.read(100) == []
        spool.rewind(40)
        end(spool, "req_100")
        assert spool.unshipped_events == 61
        assert spool.read(200)[:60] == first[40:]
        spool.acknowledge(101)
        crash(spool)
        again = opened(tmp_path, most_bytes=1 << 20)
        again.rewind(99)
        assert [sequence for sequence, _ in again.read(10)] == [100, 101]
        crash(again)

    scenario(body)


def test_a_rewind_beyond_what_is_kept_reads_what_there_is(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        for number in range(100):
            end(spool, f"req_{number}")
        assert len(spool.read(100)) == 100
        spool._sync.flush()
        spool.acknowledge(100)
        spool.rewind(0)
        kept = [sequence for sequence, _ in spool.read(100)]
        assert kept
        assert kept == list(range(kept[0], 101))
        crash(spool)

    scenario(body)


def test_a_segment_whose_call_still_runs_is_kept(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        started = start(spool, "req_long")
        for number in range(100):
            end(spool, f"req_{number}")
        spool._sync.flush()
        spool.acknowledge(100)
        assert files(tmp_path)[0] == started.segment.path.name
        end(spool, "req_long", started)
        spool._sync.flush()
        spool.acknowledge(101)
        assert started.segment.path.name not in files(tmp_path)
        crash(spool)

    scenario(body)


def test_starts_without_an_end_are_found_with_how_far_they_came(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        start(spool, "req_begun")
        start(spool, "req_far")
        started = start(spool, "req_ended")
        spool.mark(Kind.FIRST_BYTE, CallMark(request_id="req_far", attempt=1))
        spool.mark(Kind.CHECKPOINT, CallMark(request_id="req_far", attempt=1, output=17))
        end(spool, "req_ended", started)
        crash(spool)
        folder = SpoolFolder(tmp_path, lambda: "gw_other")
        found = {key[0]: (begun.first_byte, begun.output) for key, begun in folder.recovered.open_starts.items()}
        assert found == {"req_begun": (False, 0), "req_far": (True, 17)}
        assert folder.gateway_id == "gw_1"
        folder.close()

    scenario(body)


@pytest.mark.parametrize("torn", range(1, 60, 7))
def test_a_torn_tail_is_cut_and_nothing_before_it_is_lost(tmp_path: Path, torn: int) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        for number in range(5):
            end(spool, f"req_{number}")
        length = spool._active.length
        path = spool._active.path
        crash(spool)
        with path.open("r+b") as file:
            file.seek(length)
            file.write(frame_event(6, b'{"request":"cut off in the middle of a record"}')[:torn])
        again = opened(tmp_path)
        assert [sequence for sequence, _ in again.read(10)] == [1, 2, 3, 4, 5]
        assert again.next_sequence == 6
        assert path.stat().st_size == length
        crash(again)

    scenario(body)


def test_a_damaged_record_costs_only_itself(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        ends = []
        for number in range(3):
            end(spool, f"req_{number}")
            ends.append(spool._active.length)
        path = spool._active.path
        crash(spool)
        with path.open("r+b") as file:
            file.seek(ends[0] + 40)
            file.write(b"#")
        again = opened(tmp_path)
        assert [sequence for sequence, _ in again.read(10)] == [1, 3]
        crash(again)

    scenario(body)


def test_a_full_spool_takes_no_new_start_but_every_end(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path, most_bytes=4_000)
        started = start(spool, "req_first")
        for number in range(10):
            end(spool, f"req_{number}")
        with pytest.raises(SpoolUnavailable):
            start(spool, "req_late")
        sequence = end(spool, "req_first", started)
        assert spool.read(100)[-1][0] == sequence
        crash(spool)

    scenario(body)


def test_an_end_that_cannot_be_written_is_kept_and_written_later(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        new_segment = spool._folder.new_segment

        def full(size_bytes: int, header: bytes) -> object:
            raise OSError(28, "No space left on device")

        spool._folder.new_segment = full  # type: ignore[method-assign,assignment]
        written = [end(spool, f"req_{number}") for number in range(40)]
        with pytest.raises(SpoolUnavailable):
            start(spool, "req_late")
        spool._folder.new_segment = new_segment  # type: ignore[method-assign]
        spool.retry()
        assert [sequence for sequence, _ in spool.read(100)] == written
        start(spool, "req_later")
        crash(spool)

    scenario(body)


def test_one_folder_serves_one_process(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        with pytest.raises(ConfigurationError, match="another gateway process"):
            opened(tmp_path)
        crash(spool)

    scenario(body)


def test_everything_written_is_on_the_disk_after_sync(tmp_path: Path) -> None:
    async def main() -> None:
        spool = opened(tmp_path)
        end(spool, "req_1")
        await spool.sync()
        assert not spool._active.unsynced
        end(spool, "req_2")
        await asyncio.sleep(0.1)
        assert not spool._active.unsynced
        await spool.close()
        again = opened(tmp_path)
        assert len(again.read(10)) == 2
        await again.close()

    asyncio.run(main())


def test_a_call_that_began_and_ended_is_read_back_byte_for_byte(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path, segment_bytes=2_000)
        assert spool.read(10) == []
        for number in range(30):
            started = start(spool, f"req_{number}")
            end(spool, f"req_of_one_record_{number}")
            end(spool, f"req_{number}", started)
        written = spool.read(100)
        assert len(written) == 60
        kinds = [line.kind for path in tmp_path.glob("*.spool") for line in lines_of(path)]
        assert (kinds.count("S"), kinds.count("D") + kinds.count("E")) == (30, 60)
        assert 0 < kinds.count("D") < 30  # where a segment ends in between, the event is written whole
        crash(spool)
        again = opened(tmp_path)
        assert again.read(100) == written
        assert again._folder.recovered.open_starts == {}
        crash(again)

    scenario(body)


def test_each_segment_says_what_its_starts_have_in_common(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path, segment_bytes=2_000)
        for number in range(30):
            start(spool, f"req_{number}")
        for path in tmp_path.glob("*.spool"):
            kinds = [line.kind for line in lines_of(path)]
            assert kinds[:3] == ["H", "P", "S"]
            assert kinds.count("P") == 1
        crash(spool)
        found = SpoolFolder(tmp_path, lambda: "gw_other")
        assert len(found.recovered.open_starts) == 30
        assert all(begun.plan == PLAN for begun in found.recovered.open_starts.values())
        found.close()

    scenario(body)


def test_a_damaged_start_costs_the_event_that_names_it_and_no_other(tmp_path: Path) -> None:
    def body() -> None:
        spool = opened(tmp_path)
        started = [start(spool, f"req_{number}") for number in range(3)]
        for number, place in enumerate(started):
            end(spool, f"req_{number}", place)
        path = spool._active.path
        crash(spool)
        with path.open("r+b") as file:
            file.seek(started[1].place + 40)
            file.write(b"#")
        again = opened(tmp_path)
        assert [sequence for sequence, _ in again.read(10)] == [1, 3]
        assert again.next_sequence == 4
        crash(again)

    scenario(body)


def lines_of(path: Path) -> list[Line]:
    return [line for line in read_lines(path.read_bytes().rstrip(b"\0")) if line is not None]


@given(st.lists(st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"")), max_size=8), st.integers(0, 400))
def test_a_cut_block_gives_exactly_its_whole_records(payloads: list[bytes], cut: int) -> None:
    lines = [frame(Kind.EVENT, payload) for payload in payloads]
    block = b"".join(lines)
    found = [line for line in read_lines(block[:cut]) if line is not None]
    whole = 0
    while whole < len(lines) and len(b"".join(lines[: whole + 1])) <= cut:
        whole += 1
    assert [line.payload for line in found] == payloads[:whole]


@given(st.integers(1, 1 << 62), st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")))
def test_an_event_record_gives_back_its_sequence_and_event(sequence: int, event: bytes) -> None:
    (record,) = read_lines(frame_event(sequence, event))
    assert record is not None
    assert record.kind == Kind.EVENT
    assert split_number(record.payload) == (sequence, event)
