"""The calls of a story: chat completions whose tokens are known before they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from faregate.apps.upstream.directions import MAX_REPLAY_COMPLETION_TOKENS, MAX_REPLAY_PROMPT_TOKENS
from faregate.wire.dialects.openai_chat_dialect import read_chat_call

MODEL: Final = "faregate-demo"
PATH: Final = "/ai/chat/chat/completions"
"""Where the official SDK posts to with the route `/ai/chat` as its base URL."""

_SENTENCE: Final = "Tell me, in plain words, what the old dog saw by the long road. "


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a call uses: prompt tokens and the tokens of all its answers together."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """A call as it goes out: its body, and headers that tell the demo upstream what to report."""

    body: bytes
    headers: dict[str, str]
    stream: bool


def story_call(tokens: Tokens, *, stream: bool = False, choices: int = 1, token_ms: int = 0) -> ChatCall:
    """Return a call that a strict route holds exactly for and that uses exactly `tokens`.

    The prompt is as long as `tokens.prompt` needs to be covered by the input's bound; `max_tokens` times `choices` is
    `tokens.completion`. `token_ms`: the upstream's pause between two chunks of a stream.
    """
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": tokens.completion // choices}
    if choices > 1:
        asked["n"] = choices
    if stream:
        asked["stream"] = True
    headers = directions(tokens, choices=choices)
    if token_ms:
        headers["x-demo-token-ms"] = str(token_ms)
    return ChatCall(body=_body_bounded_by(tokens.prompt, asked), headers=headers, stream=stream)


def directions(tokens: Tokens, *, choices: int = 1) -> dict[str, str]:
    """Return the headers that make the demo upstream report `tokens`.

    Counts beyond what it writes out are reported word for word beside a short answer.
    """
    each = tokens.completion // choices
    if each <= MAX_REPLAY_COMPLETION_TOKENS and tokens.prompt <= MAX_REPLAY_PROMPT_TOKENS:
        return {"x-demo-prompt-tokens": str(tokens.prompt), "x-demo-completion-tokens": str(each)}
    usage = {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
    }
    return {"x-demo-usage": msgspec.json.encode(usage).decode(), "x-demo-completion-tokens": "1"}


def _body_bounded_by(bound: int, asked: dict[str, Any]) -> bytes:
    """Return a body whose input bound is `bound`, or as near above it as a body with a few words can be."""
    words = _body(asked, _SENTENCE.strip())
    missing = bound - _bound(words)
    if missing <= 0:
        return words
    padded = (_SENTENCE * (missing // len(_SENTENCE) + 2))[: len(_SENTENCE.strip()) + missing]
    return _body(asked, padded)


def _body(asked: dict[str, Any], prompt: str) -> bytes:
    return msgspec.json.encode({**asked, "messages": [{"role": "user", "content": prompt}]})


def _bound(body: bytes) -> int:
    return read_chat_call(body).input_bound()
