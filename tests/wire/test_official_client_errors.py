"""What the official OpenAI client makes of the errors that a dialect ends a stream with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent

from faregate.wire.dialects.registry import OPENAI_CHAT, OPENAI_RESPONSES
from faregate.wire.dialects.seam import Fault, MeteredDialect
from tests.support.dialect_streams import sample_of

EMPTY = Fault(status=402, type="insufficient_quota", code="credit_balance_exhausted", message="No credit is left.")


@contextmanager
def serving(stream: bytes) -> Iterator[str]:
    class Stream(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(stream)))
            self.end_headers()
            self.wfile.write(stream)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stream) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(timeout=10)


def ended_early(dialect: MeteredDialect, *, after: int) -> bytes:
    """Return a stream that is ended by us in the middle of an event."""
    sample = sample_of(dialect, ["one", "two", "three"])
    meter = dialect.stream(request=None, headers=(), most_output=None)
    begun = b"".join(sample.events[:after])
    return meter.feed(begun + sample.events[after][:20]) + meter.close_with(EMPTY)


def test_a_chat_stream_that_we_end_raises_after_its_chunks() -> None:
    seen: list[ChatCompletionChunk] = []
    with serving(ended_early(OPENAI_CHAT, after=3)) as origin, OpenAI(base_url=origin, api_key="any") as client:
        chunks = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
        with pytest.raises(APIError, match="No credit is left") as raised:
            seen.extend(chunks)
    assert raised.value.code == "credit_balance_exhausted"
    assert [chunk.choices[0].delta.content for chunk in seen] == ["", "one", "two"]


def test_a_response_that_we_end_raises_after_its_events() -> None:
    seen: list[ResponseStreamEvent] = []
    with serving(ended_early(OPENAI_RESPONSES, after=5)) as origin, OpenAI(base_url=origin, api_key="any") as client:
        events = client.responses.create(model="m", input="hi", stream=True)
        with pytest.raises(APIError, match="No credit is left") as raised:
            seen.extend(events)
    assert raised.value.code == "credit_balance_exhausted"
    assert seen[-1].type == "response.output_text.delta"
