"""A caller of the gateway on one open connection: what it asks, and what it got, JSON or stream."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

from bench.calling import Line
from bench.cases import CALL_TOKENS, Customer, Offer, chat_body, chat_headers
from bench.children import BenchError, wait_until

DONE: Final = b"data: [DONE]\n\n"
"""What a whole stream ends in."""

BAD_REQUEST: Final = 400
"""What who may call is answered to what cannot be read."""

_OK: Final = 200


class Usage(Struct, frozen=True):
    """Tokens as an answer reports them."""

    prompt_tokens: int
    completion_tokens: int


class _Answer(Struct, frozen=True):
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A whole answer. `usage` is None where it says none: refusals, and streams that were not asked to."""

    status: int
    request_id: str
    usage: Usage | None


def ask(line: Line, route: str, *, body: bytes, headers: dict[str, str]) -> Answered:
    """Make a call and read its whole answer.

    Raises:
        OSError, http.client.HTTPException: There was no whole answer.
        BenchError: A stream ended before its `[DONE]`.
    """
    reply = line.call("POST", f"{route}/chat/completions", body=body, headers=headers)
    is_stream = reply.headers.get("content-type", "").startswith("text/event-stream")
    return Answered(
        status=reply.status,
        request_id=reply.headers.get("x-request-id", ""),
        usage=usage_of(reply.body, is_stream=is_stream) if reply.status == _OK else None,
    )


def ask_for_a_cent(line: Line, offer: Offer, customer: Customer) -> Answered:
    """Make a call that costs `CALL_AMOUNT` on the plan of fixed calls."""
    headers = chat_headers(customer.key, completion_tokens=CALL_TOKENS)
    return ask(line, offer.route, body=chat_body(max_tokens=CALL_TOKENS), headers=headers)


def ask_in_vain(port: int, offer: Offer, customer: Customer) -> int:
    """Ask what cannot be answered, in any dialect; return the status.

    Whoever may call is told that the body is wrong (400), and nothing is held or used.
    """
    with closing(Line(port)) as line:
        return line.call("POST", offer.route, body=b"{", headers=chat_headers(customer.key)).status


def wait_until_known(port: int, offer: Offer, customer: Customer, *, within_s: float = 10.0) -> None:
    """Return once the gateway lets the customer call."""
    wait_until(
        lambda: ask_in_vain(port, offer, customer) == BAD_REQUEST,
        within_s=within_s,
        what=f"the gateway to know the customer of {offer.route} and its credit",
    )


def usage_of(body: bytes, *, is_stream: bool) -> Usage | None:
    """Return what a whole answer says that it used; None where it says nothing, as a stream that was not asked to.

    Raises:
        BenchError: A stream ends before its `[DONE]`.
    """
    if not is_stream:
        return msgspec.json.decode(body, type=_Answer).usage
    *events, last, rest = body.split(b"\n\n")
    if last + b"\n\n" != DONE or rest:
        raise BenchError("the stream ended before its [DONE]")
    found = [msgspec.json.decode(event.removeprefix(b"data: "), type=_Answer).usage for event in events]
    return next((usage for usage in reversed(found) if usage is not None), None)
