"""Any API that answers in JSON: a route says where its usage stands, by field paths of the call.

`usage` maps names of the route's choice to paths such as `response.body.meta.billed`, `response.headers.x-credits` or
`request.body.size`; an event then has them at `response.body.usage.<name>`. Names of `Tokens` (`input`, `output`...)
also fill `response.body.tokens`, and `input` and `output` are estimated where the upstream does not report them. In a
stream a body is each event's data, and the last event that has a field gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from faregate.base.errors import InvalidInput
from faregate.domain.metering.event import Fields, compile_field, parse_field_path
from faregate.wire.dialects.event_stream import EventStream
from faregate.wire.dialects.openai_chat_dialect import chat_error
from faregate.wire.dialects.request_fields import (
    UNREADABLE,
    decode_request,
    length_of,
    replace_fields,
    require_limit,
    unbounded,
)
from faregate.wire.dialects.seam import AnswerRecord, Bound, Fault, Headers, MeteredRequest, Reading
from faregate.wire.dialects.settings import NO_PARTS, GenericSettings, PartBounds
from faregate.wire.dialects.tokens import (
    CHARACTERS_PER_TOKEN,
    Counted,
    InputEstimate,
    Tokens,
    Usage,
    count_of,
    counted,
    whole,
)
from faregate.wire.event import exact_number

_DONE: Final = b"[DONE]"
_ROOTS: Final = ("request.body.", "response.body.", "response.headers.")
_BOUNDS: Final[Mapping[str, Bound]] = {"input": (1, 0), "output": (0, 1), "reasoning": (0, 1)}
_PARTS: Final = ("input", "cached_read", "cache_write", "output")

_DECODER: Final = msgspec.json.Decoder(dict[str, object], float_hook=exact_number)
_NO_FIELDS: Final[Fields] = {}


class GenericSummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the event keeps of a request."""

    model: str | None = None
    stream: bool | None = None


class GenericRequest:
    """A request that was read (`seam.MeteredRequest`)."""

    __slots__ = ("_body", "_limit_name", "fields", "most_output_per_choice")

    choices: Final = 1
    least_output_per_choice: Final = 1

    def __init__(self, body: bytes, limit_name: str | None) -> None:
        self._body = body
        self._limit_name = limit_name
        self.fields: Final = decode_request(_DECODER, body)
        limit = None if limit_name is None else self.fields.get(limit_name)
        if limit is not None and (limit_name is None or type(limit) is not int):
            raise InvalidInput.of(limit_name or "body", "must be a whole number")
        if limit_name is not None:
            require_limit(limit_name, limit)
        self.most_output_per_choice: Final = limit

    @property
    def streams(self) -> bool:
        """Return whether the caller asked for server-sent events, as is usual: by `stream`."""
        return self.fields.get("stream") is True

    @property
    def model(self) -> str | None:
        """Return the model that is asked for, where one is, as is usual: by `model`."""
        model = self.fields.get("model")
        return model if isinstance(model, str) else None

    def require_bounded(self, parts: PartBounds = NO_PARTS) -> int:
        """Return 0; raises `InvalidInput` where the route names no field that limits the output."""
        del parts
        if self._limit_name is None:
            raise unbounded("body", "a call without a limit on its output")
        return 0

    def input_bound(self) -> int:
        """Return the body's bytes."""
        return len(self._body)

    def input_estimate(self) -> int:
        """Return bytes / 4, rounded up."""
        return max(1, -(-len(self._body) // CHARACTERS_PER_TOKEN))

    def summary(self) -> GenericSummary:
        """Return what the event keeps of the request."""
        return GenericSummary(model=self.model, stream=self.streams or None)

    def rewrite(self, *, most_output_per_choice: int | None) -> bytes:
        """Return the body with its output limited."""
        if most_output_per_choice is None or self._limit_name is None:
            return self._body
        own = self.most_output_per_choice
        most = most_output_per_choice if own is None else min(own, most_output_per_choice)
        return replace_fields(self._body, {self._limit_name: b"%d" % most})


class UsageFields:
    """A route's paths, compiled; `InvalidInput` names the one that is wrong."""

    def __init__(self, settings: GenericSettings) -> None:
        if not settings.usage:
            raise InvalidInput.of("usage", "must name at least one field")
        self._readers: Final = {name: _reader(f"usage.{name}", path) for name, path in settings.usage.items()}
        self._text: Final = None if settings.text is None else _reader("text", settings.text)
        self.estimable: Final = tuple(name for name in ("input", "output") if name in settings.usage)
        self.normal: Final = tuple(name for name in Tokens.__struct_fields__ if name in settings.usage)

    @property
    def reads_text(self) -> bool:
        """Return whether the route says where an answer's text is."""
        return self._text is not None

    def values(self, fields: Fields) -> Usage:
        """Return the fields that are there, as they came."""
        found = {name: read(fields) for name, read in self._readers.items()}
        return {name: value for name, value in found.items() if value is not None}

    def text_length(self, fields: Fields) -> int:
        """Return the characters of the text, 0 where there is none."""
        return 0 if self._text is None else length_of(self._text(fields))


class _Answer:
    """What was seen of one answer."""

    __slots__ = ("_fields", "_headers", "_request", "answer_id", "counted", "model", "usage")

    def __init__(
        self, fields: UsageFields, *, request: MeteredRequest | None, headers: Headers, most_output: int | None
    ) -> None:
        self._fields = fields
        self._headers = dict(headers)
        self._request = {"body": request.fields if isinstance(request, GenericRequest) else _NO_FIELDS}
        self.answer_id: str | None = None
        self.model: str | None = None
        self.counted = Counted(most_output)
        # What headers and the request say holds even where no body comes.
        self.usage: Usage = fields.values(self._event(_NO_FIELDS))

    def keep(self, data: bytes, *, streamed: bool) -> None:
        try:
            body = _DECODER.decode(data)
        except UNREADABLE:
            return
        event = self._event(body)
        self.usage |= self._fields.values(event)
        self.answer_id = _text(body.get("id"), self.answer_id)
        self.model = _text(body.get("model"), self.model)
        if self._fields.reads_text:
            self.counted.add(self._fields.text_length(event))
        elif streamed:
            self.counted.deltas += 1
        else:
            self.counted.add(len(data))
        self.counted.report(self.usage.get("output"))

    def reading(self, input_estimate: InputEstimate | None, *, complete: bool) -> Reading:
        usage = self.usage
        estimates = {} if input_estimate is None else self._estimates(input_estimate, complete=complete)
        if estimates:
            usage = usage | estimates
        names = self._fields.normal
        tokens = _tokens({name: count_of(usage, name) for name in names}) if names and usage else None
        record = AnswerRecord(id=self.answer_id, model=self.model, usage=usage or None, tokens=tokens)
        return Reading(record, bool(estimates))

    def _estimates(self, input_estimate: InputEstimate, *, complete: bool) -> Usage:
        estimates: Usage = {}
        for name in self._fields.estimable:
            reported = whole(self.usage.get(name))
            if name == "input" and reported is None:
                estimates[name] = counted(input_estimate)
            elif name == "output" and (reported is None or not complete):
                estimates[name] = max(self.counted.estimate, reported or 0)
        return estimates

    def _event(self, body: Fields) -> Fields:
        return {"request": self._request, "response": {"headers": self._headers, "body": body}}


class GenericStream(EventStream):
    """A streamed answer (`seam.StreamMeter`); it ends with `[DONE]` where the API sends that, else with its bytes."""

    __slots__ = ("_answer",)

    def __init__(
        self, fields: UsageFields, *, request: MeteredRequest | None, headers: Headers, most_output: int | None
    ) -> None:
        super().__init__()
        self._answer = _Answer(fields, request=request, headers=headers, most_output=most_output)

    def limit_output(self, most_output: int) -> None:
        """Never estimate more output than this from now on."""
        self._answer.counted.most = most_output

    @property
    def first_token_seen(self) -> bool:
        """Return whether some content has come."""
        return self._answer.counted.deltas > 0

    @property
    def output_so_far(self) -> int:
        """Return what was reported at the end, until then the larger of that and the estimate."""
        reported = whole(self._answer.usage.get("output")) if self.finished else None
        return self._answer.counted.estimate if reported is None else reported

    def read(self, *, input_estimate: InputEstimate | None, complete: bool) -> Reading:
        """Return what was read so far; an output is the last word only where the answer is complete."""
        return self._answer.reading(input_estimate, complete=complete)

    def close_with(self, fault: Fault) -> bytes:
        """Return an event with OpenAI's error document."""
        return self._drop_partial() + b"data: %b\n\n" % chat_error(fault)

    def _read(self, data: bytes) -> bool:
        if data == _DONE:
            return True
        self._answer.keep(data, streamed=True)
        return False


def read_generic_answer(
    fields: UsageFields,
    body: bytes,
    *,
    request: MeteredRequest | None,
    headers: Headers,
    input_estimate: InputEstimate | None,
    most_output: int | None,
) -> Reading:
    """Read a whole answer; one that is not JSON gives what headers and request say."""
    answer = _Answer(fields, request=request, headers=headers, most_output=most_output)
    answer.keep(body, streamed=False)
    return answer.reading(input_estimate, complete=True)


def generic_bounds(settings: GenericSettings) -> dict[str, Bound]:
    """Return what a request bounds: input by its bytes, output where its limit has a name."""
    if settings.output_limit is None:
        return {}
    bounds: dict[str, Bound] = {}
    for name in settings.usage:
        if name in _BOUNDS:
            bounds[f"response.body.usage.{name}"] = bounds[f"response.body.tokens.{name}"] = _BOUNDS[name]
    return bounds


def _reader(field: str, text: str) -> Callable[[Fields], object]:
    path = parse_field_path(field, text)
    if not path.is_single or not path.text.startswith(_ROOTS):
        raise InvalidInput.of(field, f"{text!r} must name one field under {', '.join(_ROOTS)}without [*]")
    return compile_field(path)


def _tokens(counts: Mapping[str, int]) -> Tokens:
    total = sum(counts.get(name, 0) for name in _PARTS)
    return Tokens(**(dict(counts) | {"total": total}))


def _text(value: object, otherwise: str | None) -> str | None:
    return value if isinstance(value, str) else otherwise
