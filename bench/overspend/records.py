"""What is known of calls, kills and accounts, each from its own source: the callers, the killer, the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.crash.records import EventRecord, Outcome, UpstreamRecord
from bench.overspend.market import Buyer

Tokens = tuple[int, int]
"""Of input and of output."""


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """A call as its caller saw it. Instants are seconds of the machine's monotonic clock.

    `bound`: the most input and output tokens that it could use; `least`: with its output lowered as far as the route
    does. `request_id` is empty where no head came.
    """

    buyer: int
    gateway: int
    sent_s: float
    ended_s: float
    bound: Tokens
    least: Tokens
    is_stream: bool
    outcome: Outcome = Outcome.NOT_SENT
    status: int = 0
    request_id: str = ""
    reported: Tokens | None = None
    error_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A process' end and return. Of a gateway, `suspended`: units by subscription, input and output, in its leases.

    `freed_s`: when the ledger had taken back what it held. Of the control plane `suspended` is None: leases whose
    answers were lost with it are nobody's until their gateways have named them again, which they had at `freed_s`.
    """

    process: str
    killed_s: float
    ready_s: float
    freed_s: float
    suspended: Mapping[str, Tokens] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """An account after the end, in billionths of a dollar. `lowest`: the balance after its lowest entry."""

    balance: int
    reserved: int
    leased_units: int
    lowest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalRow:
    """One price of an account: units settled and outstanding; amounts in billionths of a dollar."""

    settled: int
    outstanding: int
    debited: int
    reserved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Everything the judge knows. `buyers` by their number; `totals` by subscription, then by usage field.

    `owners`: the subscription that an event was charged to, by request id. `set_aside`: reason and detail of events
    that were kept and not applied. `input_estimate`: of each call's prompt, in tokens, when nobody has counted it.
    `cheapest`: the least bound of any call that is made.
    """

    buyers: Sequence[Buyer]
    calls: Sequence[CallRecord]
    kills: Sequence[Kill]
    upstream: Mapping[str, UpstreamRecord]
    events: Sequence[EventRecord]
    owners: Mapping[str, str]
    set_aside: Sequence[str]
    accounts: Mapping[str, AccountRow]
    totals: Mapping[str, Mapping[str, TotalRow]]
    input_estimate: int
    cheapest: Tokens
