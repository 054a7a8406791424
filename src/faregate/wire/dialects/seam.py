"""What the gateway needs of a dialect, whichever it is: the seam between a call's path and the protocol it speaks.

How the gateway uses it: docs/decisions/0008. A dialect is pure: bytes in, values and bytes out; it keeps nothing of
one call for another. `registry.py` has all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from faregate.wire.dialects.settings import NO_PARTS, PartBounds
from faregate.wire.dialects.tokens import InputEstimate, Tokens, Usage

Headers = Sequence[tuple[str, str]]
"""An answer's headers, names in lower case."""

Bound = tuple[int, int]
"""Units that a metered field comes to at most: for each input token, for each output token."""


class AnswerRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the event keeps of an answer: no text.

    `usage`: the upstream's own, assembled, its total computed again; `tokens`: the same in one form for all dialects.
    """

    id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    tokens: Tokens | None = None


class Reading(NamedTuple):
    """What was read of an answer, and whether some of its usage is estimated."""

    record: AnswerRecord
    estimated: bool


class Fault(Struct, frozen=True, kw_only=True):
    """What a caller is told in place of an answer, or of the rest of one; `type` and `code` are OpenAI's words."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None


class UsageNames(NamedTuple):
    """The fields in which an upstream tells its usage; empty where it has no such field."""

    read: str
    written: str
    total: str


class MeteredRequest(Protocol):
    """One request, read: what bounds it, and what goes upstream."""

    @property
    def streams(self) -> bool:
        """Return whether the caller asked for server-sent events."""
        ...

    @property
    def choices(self) -> int:
        """Return how many answers are asked for."""
        ...

    @property
    def most_output_per_choice(self) -> int | None:
        """Return the caller's own limit on one answer's tokens, or None where it names none."""
        ...

    @property
    def least_output_per_choice(self) -> int:
        """Return the lowest limit that the upstream would accept for this request."""
        ...

    @property
    def model(self) -> str | None:
        """Return the model that is asked for."""
        ...

    def require_bounded(self, parts: PartBounds = NO_PARTS) -> int:
        """Return what parts that are no text add to the input's bound; may be below zero.

        Raises `InvalidInput` naming a part whose usage neither the request nor `parts` bound.
        """
        ...

    def input_bound(self) -> int:
        """Return the most input tokens that the request can come to."""
        ...

    def input_estimate(self) -> int:
        """Return the input tokens to bill when the upstream reports none."""
        ...

    def summary(self) -> Struct:
        """Return what the event keeps of the request: no prompt."""
        ...

    def rewrite(self, *, most_output_per_choice: int | None) -> bytes:
        """Return the body to send upstream: output limited where a limit is given, usage asked for where it must be."""
        ...


class StreamMeter(Protocol):
    """An answer that is streamed: feed it the upstream's bytes and send on what it returns.

    Fed in any pieces it returns the same bytes and reads the same usage. `finished` turns true with the event that ends
    the dialect's streams, which is not returned but kept for `end` with all that follows it, so that the call can be
    settled first. `output_so_far` never decreases until the upstream has said its last word.
    """

    @property
    def finished(self) -> bool:
        """Return whether the event that ends a stream has come."""
        ...

    @property
    def first_token_seen(self) -> bool:
        """Return whether some content has come."""
        ...

    @property
    def output_so_far(self) -> int:
        """Return the output tokens to bill if nothing more came."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """Take the upstream's next bytes and return what to send to the caller now; may be empty."""
        ...

    def end(self) -> bytes:
        """Return the bytes still to be sent after the upstream's end."""
        ...

    def limit_output(self, most_output: int) -> None:
        """Never estimate more output than this from now on: what could be held is all that may be billed."""
        ...

    def close_with(self, fault: Fault) -> bytes:
        """Return what ends the caller's stream with an error; an event that had come only in part is left out."""
        ...

    def read(self, *, input_estimate: InputEstimate | None, complete: bool) -> Reading:
        """Return what was read so far; `complete`: the upstream's answer came to its own end.

        With an `input_estimate`, what the upstream did not report is estimated.
        """
        ...


class MeteredDialect(Protocol):
    """A dialect. `bounds`: the fields of an event that a request bounds, by path."""

    @property
    def name(self) -> str:
        """Return the name that a route gives."""
        ...

    @property
    def bounds(self) -> Mapping[str, Bound]:
        """Return what each boundable field counts at most, by its path in the event."""
        ...

    @property
    def usage_names(self) -> UsageNames:
        """Return the fields of a usage that is estimated."""
        ...

    @property
    def methods(self) -> frozenset[str]:
        """Return the HTTP methods whose answers are metered."""
        ...

    def upstream_path(self, rest: str) -> str | None:
        """Return the upstream path for what followed the route's name, None where no metered answer is asked for."""
        ...

    def read_request(self, body: bytes) -> MeteredRequest:
        """Return the request; `InvalidInput` names the field that is malformed or out of range."""
        ...

    def read_answer(
        self,
        body: bytes,
        *,
        request: MeteredRequest | None,
        headers: Headers,
        input_estimate: InputEstimate | None,
        most_output: int | None,
    ) -> Reading:
        """Read a whole answer that was not streamed.

        With an `input_estimate`, what the upstream did not report is estimated, its output at `most_output` at most.
        """
        ...

    def stream(self, *, request: MeteredRequest | None, headers: Headers, most_output: int | None) -> StreamMeter:
        """Return the reader of a streamed answer; output is never estimated above `most_output`."""
        ...

    def error_body(self, fault: Fault) -> bytes:
        """Return the error document of an answer that is not a stream."""
        ...
