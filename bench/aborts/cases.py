"""What is tried, and what is owed for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, product
from typing import Final

from faregate.apps.gateway.answers import UPSTREAM_UNAVAILABLE
from faregate.wire.dialects.seam import MeteredDialect, Reading, StreamMeter

BEFORE_THE_HEAD: Final = -1
"""A place in an answer: its head has not been sent."""

MOST_OUTPUT: Final = 100
"""The limit of every call."""

_OK: Final = 200
_UNAVAILABLE: Final = UPSTREAM_UNAVAILABLE.status


class Side(StrEnum):
    """Who breaks off."""

    CALLER = "caller"
    UPSTREAM = "upstream"


class Way(StrEnum):
    """How: an ordered close, a reset, or only the writing half closed."""

    CLOSE = "close"
    RESET = "reset"
    HALF_CLOSE = "half-close"


_WAYS: Final = {Side.CALLER: (Way.CLOSE, Way.RESET, Way.HALF_CLOSE), Side.UPSTREAM: (Way.CLOSE, Way.RESET)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """One stream: what is asked for, and its events as the upstream sends them; `names`: its fields of usage."""

    name: str
    dialect: MeteredDialect
    request: bytes
    events: Sequence[bytes]
    names: tuple[str, str]

    @property
    def stream(self) -> bytes:
        """Return all of it."""
        return b"".join(self.events)

    def places(self) -> list[int]:
        """Return each event's border and one byte around it."""
        borders = accumulate((len(event) for event in self.events), initial=0)
        stream_bytes = len(self.stream)
        around = {border + step for border in borders for step in (-1, 0, 1)}
        return [BEFORE_THE_HEAD, *sorted(place for place in around if 0 <= place <= stream_bytes)]

    def heard(self, place: int) -> tuple[StreamMeter, bytes]:
        """Return the reader of the stream up to a place, and what of it passes to the caller."""
        request = self.dialect.read_request(self.request)
        meter = self.dialect.stream(request=request, headers=(), most_output=MOST_OUTPUT)
        return meter, meter.feed(self.stream[: max(0, place)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A stream that breaks off after so many bytes."""

    number: int
    speech: Speech
    drains: bool
    side: Side
    way: Way
    place: int

    @property
    def name(self) -> str:
        """Return what it is, in words."""
        policy = "drain" if self.drains else "cancel"
        return f"{self.speech.name}, {policy}: {self.side.value} {self.way.value} at byte {self.place}"

    @property
    def passes(self) -> bytes:
        """Return what reaches the caller before anybody leaves."""
        meter, passing = self.speech.heard(self.place)
        return passing + (meter.end() if meter.finished else b"")

    @property
    def rest(self) -> list[bytes]:
        """Return what follows the place, event by event."""
        pieces, begin = [], 0
        for event in self.speech.events:
            pieces.append(event[max(0, self.place - begin) :])
            begin += len(event)
        return [piece for piece in pieces if piece]

    @property
    def told(self) -> bytes | None:
        """Return the whole body that a caller who stays must get; None where it gets no stream, or leaves."""
        if self.side is Side.CALLER or self.place == BEFORE_THE_HEAD:
            return None
        meter, passing = self.speech.heard(self.place)
        return passing + (meter.end() if meter.finished else meter.close_with(UPSTREAM_UNAVAILABLE.fault))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A call's event: its status, its fields of usage, whether they are estimated. `read` None: nothing was used."""

    status: int
    read: object = None
    written: object = None
    estimated: bool = False


def owed(case: Case) -> Bill:
    """Return what is to be billed: the real usage where the gateway reads on to it, else what had come."""
    speech = case.speech
    reads_on = case.side is Side.CALLER and case.drains
    if case.place == BEFORE_THE_HEAD and case.side is Side.UPSTREAM:
        return Bill(status=_UNAVAILABLE)
    meter, _ = speech.heard(len(speech.stream) if reads_on else max(0, case.place))
    estimate = speech.dialect.read_request(speech.request).input_estimate()
    return bill_of(speech, _OK, meter.read(input_estimate=estimate, complete=meter.finished))


def bill_of(speech: Speech, status: int, reading: Reading) -> Bill:
    """Return a reading as a bill."""
    usage = reading.record.usage
    if usage is None:
        return Bill(status=status)
    read, written = (usage.get(name) for name in speech.names)
    return Bill(status=status, read=read, written=written, estimated=reading.estimated)


def every_case(speeches: Sequence[Speech], *, every: int = 1) -> list[Case]:
    """Return all cases, or one of `every`, spread over all of them."""
    return [case for case in _cases(speeches) if case.number % every == 0]


def _cases(speeches: Sequence[Speech]) -> Iterator[Case]:
    number = 0
    for speech in speeches:
        for place, side in product(speech.places(), Side):
            # Whether a route drains makes no difference to a caller who stays.
            for way, drains in product(_WAYS[side], (True, False) if side is Side.CALLER else (True,)):
                yield Case(number=number, speech=speech, drains=drains, side=side, way=way, place=place)
                number += 1
