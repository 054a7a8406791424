"""Streamed answers as each dialect's upstream sends them, written after the providers' references."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from faregate.wire.dialects.registry import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES, GenericJson
from faregate.wire.dialects.seam import MeteredDialect
from faregate.wire.dialects.settings import GenericSettings

GENERIC_SETTINGS: Final = GenericSettings(
    usage={"input": "response.body.meter.read", "output": "response.body.meter.wrote"},
    output_limit="limit",
    text="response.body.piece",
)
GENERIC: Final = GenericJson(GENERIC_SETTINGS)
DIALECTS: Final[tuple[MeteredDialect, ...]] = (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GENERIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A whole stream: its events, which of them ends it, and what it reports."""

    events: list[bytes]
    texts: Sequence[str]
    read: int
    wrote: int
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        return b"".join(self.events)


def event(payload: object, *, named: bool, line_end: str = "\n", name: str | None = None) -> bytes:
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    first = ""
    if named:
        assert isinstance(payload, dict)
        first = f"event: {name or payload['type']}{line_end}"
    return f"{first}data: {text}{line_end}{line_end}".encode()


def chat_stream(texts: Sequence[str], *, read: int = 31, wrote: int = 17, line_end: str = "\n") -> Sample:
    def chunk(choices: list[object], usage: object = None) -> bytes:
        payload = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-x", "choices": choices}
        return event(payload | {"usage": usage}, named=False, line_end=line_end)

    def choice(delta: dict[str, object], reason: str | None = None) -> list[object]:
        return [{"index": 0, "delta": delta, "finish_reason": reason}]

    usage = {
        "prompt_tokens": read,
        "completion_tokens": wrote,
        "total_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    events = [
        chunk(choice({"role": "assistant", "content": ""})),
        *(chunk(choice({"content": text})) for text in texts),
        chunk(choice({}, "stop")),
        chunk([], usage),
        f"data: [DONE]{line_end}{line_end}".encode(),
    ]
    return Sample(events=events, texts=texts, read=read, wrote=wrote)


def responses_stream(
    texts: Sequence[str],
    *,
    read: int = 31,
    wrote: int = 17,
    line_end: str = "\n",
    last: str = "response.completed",
    instructions: str = "Be brief.",
) -> Sample:
    numbers = iter(range(1_000_000))

    def numbered(kind: str, **members: object) -> bytes:
        return event({"type": kind, "sequence_number": next(numbers), **members}, named=True, line_end=line_end)

    response: dict[str, object] = {"id": "resp_1", "object": "response", "model": "gpt-x", "output": [], "usage": None}
    response["instructions"] = instructions
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
        "output_tokens": wrote,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 1,
    }
    text = "".join(texts)
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events = [
        numbered("response.created", response=response | {"status": "in_progress"}),
        numbered("response.in_progress", response=response | {"status": "in_progress"}),
        numbered("response.output_item.added", output_index=0, item=message | {"content": []}),
        numbered("response.content_part.added", part=part | {"text": ""}, **place),
        *(numbered("response.output_text.delta", delta=delta, obfuscation="xyz", **place) for delta in texts),
        numbered("response.output_text.done", text=text, **place),
        numbered("response.output_item.done", output_index=0, item=message),
        numbered(last, response=response | {"output": [message], "usage": usage, "metadata": {"usage": "{}"}}),
    ]
    return Sample(events=events, texts=texts, read=read, wrote=wrote)


def messages_stream(texts: Sequence[str], *, read: int = 31, wrote: int = 17, line_end: str = "\n") -> Sample:
    def typed(kind: str, **members: object) -> bytes:
        return event({"type": kind, **members}, named=True, line_end=line_end)

    first = {"input_tokens": read, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 11, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "usage": first,
    }
    events = [
        typed("message_start", message=message),
        typed("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        typed("ping"),
        *(typed("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
        typed("content_block_stop", index=0),
        typed(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": wrote, "cache_read_input_tokens": None},
        ),
        typed("message_stop"),
    ]
    return Sample(events=events, texts=texts, read=read, wrote=wrote)


def generic_stream(texts: Sequence[str], *, read: int = 31, wrote: int = 17, line_end: str = "\n") -> Sample:
    events = [
        event({"piece": text, "meter": {"read": read, "wrote": 1}}, named=False, line_end=line_end) for text in texts
    ]
    events.append(event({"meter": {"read": read, "wrote": wrote}}, named=False, line_end=line_end))
    events.append(f"data: [DONE]{line_end}{line_end}".encode())
    return Sample(events=events, texts=texts, read=read, wrote=wrote)


def sample_of(dialect: MeteredDialect, texts: Sequence[str], *, wrote: int = 17, line_end: str = "\n") -> Sample:
    """Return that dialect's stream of these texts."""
    make = {
        OPENAI_CHAT.name: chat_stream,
        OPENAI_RESPONSES.name: responses_stream,
        ANTHROPIC_MESSAGES.name: messages_stream,
    }.get(dialect.name, generic_stream)
    return make(texts, wrote=wrote, line_end=line_end)


def request_of(dialect: MeteredDialect, **fields: object) -> bytes:
    """Return a small request of that dialect, to be streamed."""
    common: dict[str, object] = {"model": "m", "stream": True}
    if dialect is OPENAI_RESPONSES:
        common["input"] = "How far is the moon?"
    elif dialect in {OPENAI_CHAT, ANTHROPIC_MESSAGES}:
        common["messages"] = [{"role": "user", "content": "How far is the moon?"}]
    return json.dumps(common | fields).encode()
