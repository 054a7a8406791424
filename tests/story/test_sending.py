import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from faregate.apps.story.calling import loopback_client
from faregate.apps.story.replaying.pace import Speed
from faregate.apps.story.replaying.sending import Failure, Sender, Sent, is_streamed
from faregate.apps.story.trace import TracedCall
from tests.story.server import OK_JSON, OK_STREAM, UNAVAILABLE, answering

NOON = datetime(2023, 11, 16, 12, 0, 0, 250_000, UTC)
CHUNK = b'data: {"choices":[]}\n\n'


def call(row: int) -> TracedCall:
    return TracedCall(row=row, occurred_at=NOON, context_tokens=3, generated_tokens=5)


def send(answer: Callable[[bytes], bytes], *rows: int) -> Sent:
    async def run() -> Sent:
        ended = []
        async with answering(answer) as origin, loopback_client() as client:
            sender = Sender(client, gateway=origin, key="fg_live_1", concurrency=2, progressed=lambda: ended.append(1))
            await sender.send([call(row) for row in rows], Speed(factor=None))
        assert len(ended) == len(rows)
        return sender.sent

    return asyncio.run(run())


def test_each_call_names_its_time_and_tokens_and_even_rows_ask_for_a_stream() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return OK_STREAM + CHUNK + b"data: [DONE]\n\n" if b'"stream":true' in request else OK_JSON

    sent = send(answer, 2, 3, 5)
    assert (sent.answered, sent.streams, sent.failures) == (3, 1, [])
    assert [is_streamed(call(row)) for row in (2, 3)] == [True, False]
    for request in seen:
        lowered = request.lower()
        assert lowered.startswith(b"post /ai/chat/chat/completions ")
        assert b"\r\nauthorization: bearer fg_live_1\r\n" in lowered
        assert b"\r\nx-faregate-occurred-at: 2023-11-16t12:00:00.250000+00:00\r\n" in lowered
        assert b"\r\nx-demo-prompt-tokens: 3\r\n" in lowered
        assert b"\r\nx-demo-completion-tokens: 5\r\n" in lowered


def test_a_refused_call_is_a_failure_named_by_its_row_and_is_not_sent_again() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return UNAVAILABLE

    sent = send(answer, 3)
    assert sent.failures == [Failure(row=3, what="503 later")]
    assert (sent.answered, sent.first_ms, len(seen)) == (0, [], 1)


def test_a_stream_that_ends_before_its_done_is_a_failure() -> None:
    (failure,) = send(lambda _: OK_STREAM + CHUNK, 2).failures
    assert failure == Failure(row=2, what="the stream ended before its [DONE]")


def test_a_connection_that_is_cut_is_a_failure() -> None:
    (failure,) = send(lambda _: b"", 3).failures
    assert failure.row == 3
    assert failure.what
