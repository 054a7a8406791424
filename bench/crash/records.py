"""What is known of calls and of the books, each from its own source: the caller, the upstream, the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

PROMPT = "prompt_tokens"
COMPLETION = "completion_tokens"


class Outcome(StrEnum):
    """What the caller holds: a whole 200, a whole answer of another status, a part of an answer, or nothing at all."""

    COMPLETE = "complete"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerRecord:
    """A call as its caller saw it.

    `request_id` is empty where no head came. Tokens: what a complete answer reports, None where it reports none.
    """

    outcome: Outcome
    request_id: str = ""
    status: int = 0
    is_stream: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRecord:
    """A call as the upstream logged it. `completion_tokens`: what it had handed over; all, where it is `completed`.

    `chunks`: of a stream that were handed over; 0 of a JSON answer.
    """

    request_id: str
    completed: bool
    status: int
    prompt_tokens: int
    completion_tokens: int
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event that was applied. `quantities`: what was charged, by the usage field that the meter sums."""

    request_id: str
    position: int
    estimated: bool
    status: int
    is_stream: bool
    quantities: Mapping[str, Decimal]

    @property
    def is_billed(self) -> bool:
        """Return whether anything was charged for it."""
        return any(self.quantities.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """One price of the account in one period, as every table tells it. Amounts in ledger units, 10^-9 dollars.

    `package_amount`: of one package, `package_size` in units. `settled`, `outstanding`, `debited`, `reserved`: the
    running totals. `charged_*`: sums over the charges. `windowed`: sum over the usage windows. `entered`: sum over the
    ledger's debit entries, as a positive amount.
    """

    field: str
    package_amount: int
    package_size: int
    settled: Decimal
    outstanding: int
    debited: int
    reserved: int
    charged_quantity: Decimal
    charged_amount: int
    windowed: Decimal
    entered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBook:
    """The account. Amounts in ledger units. `leased_units`: granted and neither drawn nor returned, over all leases."""

    granted: int
    balance: int
    reserved: int
    leased_units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything the judge knows. `input_estimate`: of each call's prompt, in tokens, when nobody has counted it.

    `set_aside`: reason and detail of events that were kept and not applied.
    """

    callers: Sequence[CallerRecord]
    upstream: Mapping[str, UpstreamRecord]
    events: Sequence[EventRecord]
    set_aside: Sequence[str]
    prices: Sequence[PriceBook]
    account: AccountBook
    input_estimate: int
