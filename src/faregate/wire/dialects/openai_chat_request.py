"""OpenAI chat completions: the shapes of a request. What is done with them is in `openai_chat.py`."""

from __future__ import annotations

from msgspec import Raw, Struct

from faregate.wire.dialects.request_fields import ABSENT


class ChatPart(Struct):
    """A part of a message; what is not text is kept as it came."""

    type: str = ""
    text: str = ""
    refusal: str = ""
    image_url: Raw = ABSENT
    input_audio: Raw = ABSENT
    file: Raw = ABSENT


class ChatMessage(Struct):
    """A message."""

    content: str | list[ChatPart] | None = None
    audio: Raw = ABSENT


class StreamOptions(Struct):
    """What a streaming caller asks for beside the stream."""

    include_usage: bool | None = None


class ChatRequest(Struct):
    """The fields of a request that bound its usage; every other field is passed on as it came."""

    messages: list[ChatMessage]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    modalities: list[str] | None = None
    audio: Raw = ABSENT
    prediction: Raw = ABSENT
    web_search_options: Raw = ABSENT

    @property
    def choices(self) -> int:
        """Return how many answers are asked for."""
        return 1 if self.n is None else self.n

    @property
    def most_output_per_choice(self) -> int | None:
        """Return the caller's own limit on one answer's tokens, or None where it names none."""
        if self.max_tokens is None:
            return self.max_completion_tokens
        if self.max_completion_tokens is None:
            return self.max_tokens
        return max(self.max_tokens, self.max_completion_tokens)

    @property
    def wants_usage(self) -> bool:
        """Return whether a streaming caller asked for the usage chunk itself."""
        return self.stream_options is not None and self.stream_options.include_usage is True


class RequestSummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the event keeps of a request: no prompt."""

    model: str | None = None
    stream: bool | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
