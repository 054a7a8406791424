"""All dialects by the name that a route gives (`seam.MeteredDialect`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from faregate.base.errors import InvalidInput
from faregate.wire.dialects.anthropic_messages import messages_path, read_messages_request
from faregate.wire.dialects.anthropic_messages_answer import messages_error, read_messages_answer, stream_messages
from faregate.wire.dialects.generic_json import (
    GenericRequest,
    GenericStream,
    UsageFields,
    generic_bounds,
    read_generic_answer,
)
from faregate.wire.dialects.openai_chat import completion_path
from faregate.wire.dialects.openai_chat_dialect import chat_error, read_chat_call, stream_chat
from faregate.wire.dialects.openai_chat_usage import read_chat_answer
from faregate.wire.dialects.openai_responses import read_responses_request, responses_path
from faregate.wire.dialects.openai_responses_answer import read_responses_answer, stream_responses
from faregate.wire.dialects.seam import (
    Bound,
    Fault,
    Headers,
    MeteredDialect,
    MeteredRequest,
    Reading,
    StreamMeter,
    UsageNames,
)
from faregate.wire.dialects.settings import GenericSettings
from faregate.wire.dialects.tokens import InputEstimate
from faregate.wire.gateway_protocol import Dialect, RouteState

_POST: Final = frozenset(("POST",))
_WITH_ANSWERS: Final = frozenset(("POST", "PUT", "PATCH", "GET"))
_INPUT: Final[Bound] = (1, 0)
_OUTPUT: Final[Bound] = (0, 1)
_BOTH: Final[Bound] = (1, 1)
_TOKENS: Final[Mapping[str, Bound]] = {
    "input": _INPUT,
    "cached_read": _INPUT,
    "cache_write": _INPUT,
    "output": _OUTPUT,
    "reasoning": _OUTPUT,
    "audio_input": _INPUT,
    "audio_output": _OUTPUT,
    "total": _BOTH,
}


class WholeReader(Protocol):
    """Reads a whole answer; an answer's body tells all, so that request and headers are not looked at."""

    def __call__(
        self,
        body: bytes,
        *,
        request: MeteredRequest | None,
        headers: Headers,
        input_estimate: InputEstimate | None,
        most_output: int | None,
    ) -> Reading:
        """Return what was read."""
        ...


class StreamMaker(Protocol):
    """Makes the reader of a streamed answer."""

    def __call__(self, *, request: MeteredRequest | None, headers: Headers, most_output: int | None) -> StreamMeter:
        """Return the reader."""
        ...


def _bounds(usage: Mapping[str, Bound]) -> Mapping[str, Bound]:
    own = {f"response.body.usage.{name}": bound for name, bound in usage.items()}
    return own | {f"response.body.tokens.{name}": bound for name, bound in _TOKENS.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProviderDialect:
    """A provider's own dialect (`seam.MeteredDialect`): everything about it is known beforehand."""

    name: str
    bounds: Mapping[str, Bound]
    usage_names: UsageNames
    upstream_path: Callable[[str], str | None]
    read_request: Callable[[bytes], MeteredRequest]
    read_answer: WholeReader
    stream: StreamMaker
    error_body: Callable[[Fault], bytes]
    methods: frozenset[str] = _POST


class GenericJson:
    """A route's own API; `InvalidInput` names the setting that is wrong."""

    name: Final = "generic_json"
    methods: Final = _WITH_ANSWERS

    def __init__(self, settings: GenericSettings) -> None:
        self._settings = settings
        self._fields = UsageFields(settings)
        self.bounds: Final[Mapping[str, Bound]] = generic_bounds(settings)
        estimable = self._fields.estimable
        self.usage_names: Final = UsageNames(
            "input" if "input" in estimable else "", "output" if "output" in estimable else "", ""
        )

    def upstream_path(self, rest: str) -> str | None:
        """Return the path as it came: every call is metered."""
        return rest

    def read_request(self, body: bytes) -> GenericRequest:
        """Return the request; raises `InvalidInput`."""
        return GenericRequest(body, self._settings.output_limit)

    def read_answer(
        self,
        body: bytes,
        *,
        request: MeteredRequest | None,
        headers: Headers,
        input_estimate: InputEstimate | None,
        most_output: int | None,
    ) -> Reading:
        """Read a whole answer."""
        return read_generic_answer(
            self._fields,
            body,
            request=request,
            headers=headers,
            input_estimate=input_estimate,
            most_output=most_output,
        )

    def stream(self, *, request: MeteredRequest | None, headers: Headers, most_output: int | None) -> StreamMeter:
        """Return the reader of a streamed answer."""
        return GenericStream(self._fields, request=request, headers=headers, most_output=most_output)

    def error_body(self, fault: Fault) -> bytes:
        """Return the error document in OpenAI's shape."""
        return chat_error(fault)


OPENAI_CHAT: Final = ProviderDialect(
    name="openai_chat",
    bounds=_bounds(
        {
            "prompt_tokens": _INPUT,
            "prompt_tokens_details.cached_tokens": _INPUT,
            "prompt_tokens_details.cache_write_tokens": _INPUT,
            "completion_tokens": _OUTPUT,
            "completion_tokens_details.reasoning_tokens": _OUTPUT,
            "total_tokens": _BOTH,
        }
    ),
    usage_names=UsageNames("prompt_tokens", "completion_tokens", "total_tokens"),
    upstream_path=completion_path,
    read_request=read_chat_call,
    read_answer=read_chat_answer,
    stream=stream_chat,
    error_body=chat_error,
)
OPENAI_RESPONSES: Final = ProviderDialect(
    name="openai_responses",
    bounds=_bounds(
        {
            "input_tokens": _INPUT,
            "input_tokens_details.cached_tokens": _INPUT,
            "input_tokens_details.cache_write_tokens": _INPUT,
            "output_tokens": _OUTPUT,
            "output_tokens_details.reasoning_tokens": _OUTPUT,
            "total_tokens": _BOTH,
        }
    ),
    usage_names=UsageNames("input_tokens", "output_tokens", "total_tokens"),
    upstream_path=responses_path,
    read_request=read_responses_request,
    read_answer=read_responses_answer,
    stream=stream_responses,
    error_body=chat_error,
)
ANTHROPIC_MESSAGES: Final = ProviderDialect(
    name="anthropic_messages",
    bounds=_bounds(
        {
            "input_tokens": _INPUT,
            "cache_read_input_tokens": _INPUT,
            "cache_creation_input_tokens": _INPUT,
            "output_tokens": _OUTPUT,
        }
    ),
    usage_names=UsageNames("input_tokens", "output_tokens", ""),
    upstream_path=messages_path,
    read_request=read_messages_request,
    read_answer=read_messages_answer,
    stream=stream_messages,
    error_body=messages_error,
)
_KNOWN: Final[Mapping[str, MeteredDialect]] = {
    dialect.name: dialect for dialect in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES)
}
NAMES: Final = (*_KNOWN, GenericJson.name)


def dialect_named(name: str, settings: GenericSettings | None = None) -> MeteredDialect:
    """Return the dialect; `InvalidInput` where there is none of that name, or `generic_json` has no settings."""
    if name == GenericJson.name:
        if settings is None:
            raise InvalidInput.of("generic_json", "must say where an answer's usage stands, for this dialect")
        return GenericJson(settings)
    if name not in _KNOWN:
        raise InvalidInput.of("dialect", f"must be one of {', '.join(NAMES)}, not {name!r}")
    return _KNOWN[name]


def dialect_of(route: RouteState) -> MeteredDialect | None:
    """Return how a route's usage is read, None where it is not; `InvalidInput` names a setting that cannot be."""
    return None if route.dialect is Dialect.NONE else dialect_named(route.dialect, route.generic_json)
