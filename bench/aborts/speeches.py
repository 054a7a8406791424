"""The streams that are broken off: what the demo upstream says in each provider's dialect, and an API of our own."""

from __future__ import annotations

from typing import Final

import msgspec

from bench.aborts.cases import MOST_OUTPUT, Speech
from bench.calling import Line
from bench.cases import MODEL
from bench.children import BenchError
from faregate.wire.dialects.registry import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES, GenericJson
from faregate.wire.dialects.seam import MeteredDialect
from faregate.wire.dialects.settings import GenericSettings
from faregate.wire.sse import EventSplitter

OWN: Final = GenericSettings(
    usage={"input": "response.body.meter.read", "output": "response.body.meter.wrote"},
    output_limit="limit",
    text="response.body.piece",
)
_QUESTION: Final = "What did the old dog see by the long road?"
_MESSAGES: Final = [{"role": "user", "content": _QUESTION}]
_WORDS: Final = ("It saw", " a house,", " and the sea", " behind it.")
_ASKED: Final[tuple[tuple[str, MeteredDialect, dict[str, object], tuple[str, str]], ...]] = (
    (
        "openai_chat, usage asked for",
        OPENAI_CHAT,
        {"messages": _MESSAGES, "max_tokens": MOST_OUTPUT, "stream_options": {"include_usage": True}},
        ("prompt_tokens", "completion_tokens"),
    ),
    (
        "openai_chat",
        OPENAI_CHAT,
        {"messages": _MESSAGES, "max_tokens": MOST_OUTPUT},
        ("prompt_tokens", "completion_tokens"),
    ),
    (
        "openai_responses",
        OPENAI_RESPONSES,
        {"input": _QUESTION, "max_output_tokens": MOST_OUTPUT},
        ("input_tokens", "output_tokens"),
    ),
    (
        "anthropic_messages",
        ANTHROPIC_MESSAGES,
        {"messages": _MESSAGES, "max_tokens": MOST_OUTPUT},
        ("input_tokens", "output_tokens"),
    ),
)


def all_speeches(upstream_port: int) -> list[Speech]:
    """Return a stream of each dialect, asked of the demo upstream as the gateway would ask."""
    line = Line(upstream_port)
    speeches = [
        _record(line, name, dialect, asked={"model": MODEL, "stream": True} | asked, names=names)
        for name, dialect, asked, names in _ASKED
    ]
    line.close()
    return [*speeches, _own_speech()]


def _record(
    line: Line, name: str, dialect: MeteredDialect, *, asked: dict[str, object], names: tuple[str, str]
) -> Speech:
    request = msgspec.json.encode(asked)
    sent = dialect.read_request(request).rewrite(most_output_per_choice=MOST_OUTPUT)
    path = dialect.upstream_path("") or ""
    headers = {"content-type": "application/json", "x-demo-completion-tokens": "6"}
    reply = line.call("POST", path, body=sent, headers=headers)
    events = [raw for raw, _ in EventSplitter().feed(reply.body)]
    if b"".join(events) != reply.body or not events:
        raise BenchError(f"the demo upstream did not stream {name}")
    return Speech(name=name, dialect=dialect, request=request, events=events, names=names)


def _own_speech() -> Speech:
    said: list[object] = [{"piece": word, "meter": {"read": 12, "wrote": 1}} for word in _WORDS]
    said.append({"meter": {"read": 12, "wrote": 9}})
    events = [b"data: %b\n\n" % msgspec.json.encode(payload) for payload in said]
    return Speech(
        name="generic_json",
        dialect=GenericJson(OWN),
        request=msgspec.json.encode({"question": _QUESTION, "limit": MOST_OUTPUT, "stream": True}),
        events=[*events, b"data: [DONE]\n\n"],
        names=("input", "output"),
    )
