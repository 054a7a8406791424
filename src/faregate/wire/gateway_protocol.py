"""The protocol between a gateway process and the control plane (docs/decisions/0003).

All under `/gateway/v1`, JSON over HTTP/1.1, `Authorization: Bearer <gateway token>`; what a process says of itself
stands in `wire/gateway_epochs.py`:

    POST /gateway/v1/epochs    OpenEpoch     -> EpochOpened     at a process start; fences that gateway's earlier ones
    GET  /gateway/v1/state     ?after=N&gateway_id=G&dialects=A,B -> lines of StateMessage, forever; routes of other
                               dialects are left out: a gateway is told of no route that it cannot meter
    POST /gateway/v1/seen      StateSeen     -> 204             the gateway decides by the state of that version now
    POST /gateway/v1/leases    LeaseRequest  -> LeaseAnswer     repeatable by `lease_request_id`
    POST /gateway/v1/rates     RateReport    -> RateShares      limits per minute (wire/limit_protocol.py)
    POST /gateway/v1/events    JSON array of events with GatewayFacts -> 201 EventsAccepted, after the durable write
    POST /gateway/v1/release   ReleaseEarlierEpochs -> 204      "of earlier epochs nothing is unsettled after this"

What gateways ask for their callers stands in `caller_questions.py`.

Instants are RFC 3339 in UTC with microseconds; units are whole numbers; durations are milliseconds.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from faregate.domain.governance.rule import Cohort
from faregate.wire.dialects.settings import NO_PARTS, GenericSettings, PartBounds
from faregate.wire.limit_protocol import AnyLimit


class Enforce(StrEnum):
    """`strict`: credit is held before the upstream call and the upstream is bounded by it.

    `none`: usage is debited afterwards.
    """

    STRICT = "strict"
    NONE = "none"


class OnAbort(StrEnum):
    """When the caller goes away in mid-stream: read on to the end, or stop and bill what was counted so far."""

    DRAIN = "drain"
    CANCEL = "cancel"


class NearZero(StrEnum):
    """A call whose bound costs more than is left: its output is limited to what is left, or it is refused."""

    CLAMP = "clamp"
    REFUSE = "refuse"


class WhenCreditEnds(StrEnum):
    """A stream that holds credit as it goes and finds none: it ends with an error event, or goes on, within bounds."""

    END = "end"
    FINISH = "finish"


class Dialect(StrEnum):
    """How a route's usage is bounded, asked for and read."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC_MESSAGES = "anthropic_messages"
    GENERIC_JSON = "generic_json"
    NONE = "none"


FIRST_DIALECTS: Final = (Dialect.OPENAI_CHAT, Dialect.NONE)
"""What a gateway can meter that does not say which it can."""

DEFAULT_OVERDRAFT_TOKENS: Final = 4_096

DEFAULT_RETRY_STATUSES: Final = (502, 503)
"""Answers of an upstream that another attempt may better, where a route does not name its own."""


# --- state: what a gateway needs to decide alone -----------------------------------------------------------------


class Fallback(Struct, frozen=True, kw_only=True):
    """Another upstream that speaks the route's dialect. It gets its own headers where it has any, else the route's."""

    upstream_url: str
    upstream_headers: dict[str, str] | None = None


class RouteState(Struct, frozen=True, kw_only=True, tag="route"):
    """A route. Its upstream and header values may name the gateway's own environment: `Bearer ${OPENAI_API_KEY}`.

    `generic_json`: of that dialect. `parts`: what bounds a request's parts that are no text. `models`: the only ones
    that may be asked for; empty is any.
    `attempts`: how many times a call is sent at most, to the upstream and its `fallbacks` in turn.
    `hold_output_tokens`: what a stream holds at a time, None where it holds all before it starts;
    `overdraft_output_tokens`: what one that is finished without credit may still write.
    `answer_cost`: a whole answer waits for the ledger and says what it cost.
    """

    route_id: str
    application_id: str
    name: str
    upstream_url: str
    upstream_headers: dict[str, str]
    dialect: Dialect
    enforce: Enforce
    on_abort: OnAbort
    max_request_bytes: int
    default_output_tokens: int
    least_output_tokens: int
    hold_wait_ms: int
    connect_timeout_ms: int
    read_timeout_ms: int
    total_timeout_ms: int
    generic_json: GenericSettings | None = None
    parts: PartBounds = NO_PARTS
    models: list[str] = field(default_factory=list)
    attempts: int = 1
    retry_statuses: list[int] = field(default_factory=lambda: list(DEFAULT_RETRY_STATUSES))
    fallbacks: list[Fallback] = field(default_factory=list)
    near_zero: NearZero = NearZero.CLAMP
    hold_output_tokens: int | None = None
    when_credit_ends: WhenCreditEnds = WhenCreditEnds.END
    overdraft_output_tokens: int = DEFAULT_OVERDRAFT_TOKENS
    answer_cost: bool = False


class KeyState(Struct, frozen=True, kw_only=True, tag="key"):
    """A live API key: SHA-256 of its text, in hex. `replay` keys may date their calls (`x-faregate-occurred-at`)."""

    key_id: str
    application_id: str
    key_hash: str
    company_id: str
    user_id: str | None
    replay: bool


class AccountState(Struct, frozen=True, kw_only=True, tag="account"):
    """A live subscription: whether calls of its company need a hold, and which prices its plan has."""

    subscription_id: str
    application_id: str
    company_id: str
    prepaid: bool
    started_at: datetime
    price_ids: list[str]
    plan_id: str = ""


class ConditionState(Struct, frozen=True, kw_only=True):
    """A meter's condition: the field at `path` is `value`."""

    path: str
    value: str | int | bool


class MeterState(Struct, frozen=True, kw_only=True, tag="meter"):
    """A billing meter: what it counts, and the price it feeds.

    One that sums a field where all conditions hold says so; every other has its `definition`, as the domain writes it.
    """

    meter_id: str
    application_id: str
    price_id: str
    conditions: list[ConditionState] = field(default_factory=list)
    sum_path: str = ""
    definition: str = ""


class CriterionState(Struct, frozen=True, kw_only=True):
    """A pattern to be found in a field of the request."""

    field: str
    pattern: str


class RuleState(Struct, frozen=True, kw_only=True, tag="rule"):
    """An active governance rule and the answer it gives."""

    rule_id: str
    application_id: str
    name: str
    template: str
    cohort: Cohort
    block_what: list[CriterionState]
    status: int
    headers: dict[str, str]
    error_type: str
    error_code: str
    message: str
    priority: int


class MembershipState(Struct, frozen=True, kw_only=True, tag="membership"):
    """The cohorts a company is in now; a company in none has no such entity."""

    company_id: str
    application_id: str
    cohorts: list[Cohort]


class ClockState(Struct, frozen=True, kw_only=True, tag="clock"):
    """How far an application's business time runs ahead of the wall clock."""

    application_id: str
    offset_us: int


EntityState = RouteState | KeyState | AccountState | MeterState | RuleState | MembershipState | ClockState | AnyLimit


class Reset(Struct, frozen=True, kw_only=True, tag="reset"):
    """Forget all state: a full set of upserts follows. `generation` rises when the ledger was restored."""

    generation: int


class Upsert(Struct, frozen=True, kw_only=True, tag="upsert"):
    """`kind` and `entity_id` name the entity as `Remove` does."""

    kind: str
    entity_id: str
    entity: EntityState


class Remove(Struct, frozen=True, kw_only=True, tag="remove"):
    """The entity is gone: revoked, archived, or out of every cohort."""

    kind: str
    entity_id: str


class UpToDate(Struct, frozen=True, kw_only=True, tag="up_to_date"):
    """Everything up to `version` has been sent. Also the heartbeat: one every five seconds at least."""

    version: int


class Recall(Struct, frozen=True, kw_only=True, tag="recall"):
    """A call elsewhere lacks credit of this account: give back what is idle at once, and keep little for a while.

    Sent to gateways that are connected, and not again: a refusal that repeats is recalled for anew.
    """

    subscription_id: str


class Freed(Struct, frozen=True, kw_only=True, tag="freed"):
    """What this account has available changed after a refusal that was not final: calls that wait may ask again."""

    subscription_id: str


StateChange = Reset | Upsert | Remove | UpToDate
"""What the state is made of: versioned, and sent again to a gateway that was away."""

StateMessage = StateChange | Recall | Freed


class StateSeen(Struct, frozen=True, kw_only=True):
    """The gateway has taken everything up to `version`. A change is answered only after connected gateways said so."""

    gateway_id: str
    version: int


# --- leases -----------------------------------------------------------------------------------------------------


class UnitRequest(Struct, frozen=True, kw_only=True):
    """Units of one price: refuse the call below `floor`, `call` is its bound, `slice` what to keep at hand."""

    price_id: str
    floor: int
    call: int
    slice: int


class LeaseReturn(Struct, frozen=True, kw_only=True):
    """Units of a lease that no call holds or has used; a running total, so that a repeat changes nothing."""

    lease_id: str
    returned_units: int


class LeaseRequest(Struct, frozen=True, kw_only=True):
    """Returns are taken first, then all of `units` are granted or none is. Without `units` it only returns.

    `given_up`: earlier requests of this gateway whose answer it no longer waits for; whatever they were granted, or
    would be when they arrive late, is free.
    """

    lease_request_id: str
    gateway_id: str
    epoch: int
    returns: list[LeaseReturn] = field(default_factory=list)
    subscription_id: str = ""
    occurred_at: datetime | None = None
    units: list[UnitRequest] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)


class Lease(Struct, frozen=True, kw_only=True):
    """Units of one price in one period.

    Hold from it for 80 % of `duration_ms`, counted from before the request was sent.
    """

    lease_id: str
    price_id: str
    period_start: datetime
    period_end: datetime
    units: int
    duration_ms: int


class Refused(StrEnum):
    """Why a lease request was refused, in the order they are checked."""

    FENCED = "fenced"
    SUSPENDED = "suspended"
    NO_SUBSCRIPTION = "no_subscription"
    EXHAUSTED = "exhausted"
    INSUFFICIENT = "insufficient"


class LeaseAnswer(Struct, frozen=True, kw_only=True):
    """Either leases, or why not.

    `outstanding`: whether units of this account are still out, so that waiting may help. `final`: the credit ends with
    about what was granted (RFC 8506's final unit): calls that use it are to be settled without delay.
    """

    leases: list[Lease] = field(default_factory=list)
    refused: Refused | None = None
    outstanding: bool = False
    final: bool = False


# --- events -------------------------------------------------------------------------------------------------------


class Drawn(Struct, frozen=True, kw_only=True):
    """Units that the call used up of a lease. `held`: what was held there; 0 where no usage was read."""

    lease_id: str
    units: int
    held: int = 0


class AttemptFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sending of a call: to which upstream, and what came of it.

    `status` is null where no answer came. `usage`: as the upstream reported it; only the last attempt's is billed.
    """

    attempt: int
    upstream: str
    asked_at: datetime
    status: int | None = None
    usage: dict[str, object] | None = None


class GatewayFacts(Struct, frozen=True, kw_only=True):
    """What only our gateway knows of a call. `sequence` counts the gateway's events, over all epochs, without a gap.

    `clamped`: the hold was for less output than was asked for. `uncovered`: units used that no lease had.
    A call is settled once, under its request id and `attempt`, however often it was sent. `attempts` names all sendings
    of a call that was sent more than once; the last one's answer went to the caller. `credit_ended`: what was done
    with a stream whose credit ended.
    """

    gateway_id: str
    epoch: int
    sequence: int
    request_id: str
    attempt: int
    route_id: str
    key_id: str | None = None
    drawn: list[Drawn] = field(default_factory=list)
    clamped: bool = False
    uncovered: int = 0
    estimated: bool = False
    replay: bool = False
    attempts: list[AttemptFacts] = field(default_factory=list)
    credit_ended: WhenCreditEnds | None = None


class EventsAccepted(Struct, frozen=True, kw_only=True):
    """How many events of the batch are durable now."""

    accepted: int
