"""Server-sent events are cut alike however the network cuts the bytes, and no byte is changed."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from faregate.wire.sse import EventSplitter, data_of

LINE = st.sampled_from(
    ["data: {}", "data:x", "data", "event: a", ": comment", "id: 1", "data: ä€", "retry: 1", "datax: 1"]
)
LINE_END = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    text = ""
    for _ in range(draw(st.integers(0, 5))):
        line_end = draw(LINE_END)
        for line in draw(st.lists(LINE, min_size=0, max_size=3)):
            text += line + line_end
        text += line_end
    return (text + draw(st.sampled_from(["", "data: unfinished", "\r", "\n"]))).encode()


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    borders = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in pairwise(borders)]


@given(streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    whole, pieces = EventSplitter(), EventSplitter()
    expected = whole.feed(stream)
    found = [event for piece in cut(stream, places) for event in pieces.feed(piece)]
    assert found == expected
    assert pieces.rest() == whole.rest()


@given(streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_events_and_the_rest_together_are_the_stream(stream: bytes, places: list[int]) -> None:
    splitter = EventSplitter()
    passed = b"".join(raw for piece in cut(stream, places) for raw, _ in splitter.feed(piece))
    assert passed + splitter.rest() == stream
    assert splitter.rest() == b""


@given(
    st.binary(max_size=200).map(lambda raw: raw.replace(b"\n", b"").replace(b"\r", b"")), st.lists(st.integers(0, 999))
)
def test_an_event_over_the_limit_passes_unread_and_the_next_one_is_read(filler: bytes, places: list[int]) -> None:
    splitter = EventSplitter(limit=32)
    stream = b"data: a\n\n" + b"data: " + b"x" * 40 + filler + b"\n\n" + b"data: b\n\n"
    events = [event for piece in cut(stream, places) for event in splitter.feed(piece)]
    assert b"".join(raw for raw, _ in events) == stream
    assert [data for _, data in events if data is not None] == [b"a", b"b"]


def test_data_lines_are_joined_and_comments_are_none() -> None:
    assert data_of(b"data: a\ndata:b\n\n") == b"a\nb"
    assert data_of(b"event: x\r\ndata: a\r\n\r\n") == b"a"
    assert data_of(b": ping\n\n") is None
    assert data_of(b"\xef\xbb\xbfdata: a\n\n") == b"a"
    assert data_of(b"data\n\n") == b""
