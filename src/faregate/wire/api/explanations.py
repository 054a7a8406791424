"""Why an amount is what it is, on the wire: from an invoice line to its windows and events, and from an event back."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from faregate.domain.pricing.explaining import Step, StepKind
from faregate.wire.api.common import DecimalText, Instant, plain
from faregate.wire.api.corrections import CorrectionView
from faregate.wire.api.meter_trials import MismatchView
from faregate.wire.gateway_protocol import WhenCreditEnds


class StepView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step of a line's arithmetic: by how much it moves the amount, and where that stands then (`subtotal`).

    `quantity`: the units that it is about. What it charges is `charged` (units or packages) x `unit_amount` + `flat`,
    at most `cap`. `tier` counts from 1; `dimension` is the row of a price by dimension.
    """

    kind: StepKind
    words: str
    amount: DecimalText
    subtotal: DecimalText
    dimension: list[str] = []
    quantity: DecimalText | None = None
    charged: DecimalText | None = None
    unit_amount: DecimalText | None = None
    flat: DecimalText | None = None
    cap: DecimalText | None = None
    tier: int | None = None


class LineExplanationView(Struct, frozen=True, kw_only=True):
    """An invoice line's arithmetic.

    The amounts of `steps` add up to `amount`, and so do the account's movements: `debited` (by events, as they came) +
    `closing` (due beyond usage) + `rounding`. Quantities of its windows add up to `quantity`, and what the windows'
    events were charged to `debited`; what came after the invoice is in `changed_quantity` and `changed_debited`, which
    the windows have as well. A re-rating moves debits and no event's charge: `rerated` says by how much, so that
    charges and `rerated` add up to `debited` + `changed_debited`. Where it replaced the version of an invoiced line,
    all of its usage went to the replacement. An adjustment's steps are what moved the earlier period, and its windows
    that period's.
    """

    invoice_id: str
    line: int
    description: str
    price_id: str
    price_version: int
    company_id: str
    subscription_id: str
    currency: str
    period_start: Instant
    period_end: Instant
    is_adjustment: bool
    adjusted_invoice_id: str | None
    quantity: DecimalText
    amount: DecimalText
    steps: list[StepView]
    debited: DecimalText
    closing: DecimalText
    rounding: DecimalText
    changed_quantity: DecimalText
    changed_debited: DecimalText
    rerated: DecimalText


class LineWindowView(Struct, frozen=True, kw_only=True):
    """A usage window of a line; `window` names it in the path to its events.

    `billed_quantity` is what its events added to the line's quantity: of a meter that is not additive, not the window's
    own `quantity`. `amount` is what they were charged.
    """

    window: str
    meter_id: str
    start: Instant
    end: Instant
    group: list[str]
    quantity: DecimalText
    billed_quantity: DecimalText
    event_count: int
    amount: DecimalText
    currency: str


class WindowEventView(Struct, frozen=True, kw_only=True):
    """An event of a window: by how much it moved the period's total, and what it was charged.

    `entry_id`: the ledger entry that took it, with what other events of its batch cost; null where all cost nothing.
    `corrects`: the event whose charge this one takes back; its own is listed too.
    """

    event_id: str
    occurred_at: Instant
    quantity: DecimalText
    amount: DecimalText
    currency: str
    entry_id: int | None
    corrects: str | None


class Fate(StrEnum):
    """What became of an event: not applied yet, counted as a call, known before, or kept and not metered.

    `cancelled` and `corrected` counted once and were taken back; `correction` is the record that takes one back.
    """

    WAITING = "waiting"
    ADMITTED = "admitted"
    REPEAT = "repeat"
    SET_ASIDE = "set_aside"
    CANCELLED = "cancelled"
    CORRECTED = "corrected"
    CORRECTION = "correction"


class Outcome(StrEnum):
    """What a meter made of an event."""

    COUNTED = "counted"
    NOT_MATCHED = "not_matched"
    UNMETERABLE = "unmeterable"
    NOT_COUNTED = "not_counted"


class BilledAs(StrEnum):
    """Where an event's charge is billed: on an invoice, in a period that is open or has just closed, or nowhere.

    `adjustment`: its period was invoiced before it came; the next invoice takes it up.
    """

    INVOICED = "invoiced"
    ADJUSTMENT = "adjustment"
    OPEN_PERIOD = "open_period"
    CLOSED_PERIOD = "closed_period"
    NOBODY = "nobody"


class EntryRefView(Struct, frozen=True, kw_only=True):
    """The ledger entry that took a charge: `amount` is that of all events of its batch, price and period."""

    entry_id: int
    amount: DecimalText
    description: str


class TakenBackView(Struct, frozen=True, kw_only=True):
    """The charge that compensates one; `event_id` is the record of the correction in the log."""

    event_id: str
    quantity: DecimalText
    amount: DecimalText


class CountedView(Struct, frozen=True, kw_only=True):
    """What an event counted for on a meter, and what came of that. `dimension`: the row of a price by dimension."""

    quantity: DecimalText
    amount: DecimalText
    currency: str
    price_id: str
    price_name: str
    dimension: list[str]
    group: list[str]
    window_start: Instant | None
    window_end: Instant | None
    subscription_id: str | None
    period_start: Instant | None
    period_end: Instant | None
    entry: EntryRefView | None
    billed: BilledAs
    invoice_id: str | None
    invoice_line: int | None
    taken_back: TakenBackView | None


class MeterOutcomeView(Struct, frozen=True, kw_only=True):
    """What one meter made of an event; `mismatches` are the conditions that keep it out."""

    meter_id: str
    name: str
    outcome: Outcome
    reason: str | None
    mismatches: list[MismatchView]
    counted: CountedView | None


class DrawnView(Struct, frozen=True, kw_only=True):
    """Units that the call drew from a lease; `price_id` is null where the lease is unknown."""

    lease_id: str
    price_id: str | None
    units: int


class AttemptView(Struct, frozen=True, kw_only=True):
    """One sending of a call.

    `status` is null where no answer came; `usage`: as a failed attempt reported it, not billed.
    """

    attempt: int
    upstream: str
    asked_at: Instant
    status: int | None
    usage: dict[str, Any] | None


class EventExplanationView(Struct, frozen=True, kw_only=True):
    """What became of an event, and why: admitted or not, what every meter made of it, where each charge is billed.

    `corrects`: the event that it takes back, or stands for. `corrected_by`: what takes this one back. `attempts`: of a
    call that was sent more than once; the last one's answer was billed. `credit_ended`: what was done with a stream
    whose credit ended.
    """

    event_id: str
    request_id: str | None
    occurred_at: Instant | None
    ingested_at: Instant
    company_id: str | None
    user_id: str | None
    route: str | None
    status: int | None
    blocked_by: str | None
    fate: Fate
    reason: str | None
    repeat_of: str | None
    corrects: str | None
    corrected_by: CorrectionView | None
    meters: list[MeterOutcomeView]
    leases: list[DrawnView]
    attempts: list[AttemptView]
    credit_ended: WhenCreditEnds | None


def step_view(step: Step) -> StepView:
    """Return a step as it travels."""
    return StepView(
        kind=step.kind,
        words=step.words,
        amount=plain(step.amount),
        subtotal=plain(step.subtotal),
        dimension=list(step.dimension),
        quantity=None if step.quantity is None else plain(step.quantity),
        charged=None if step.charged is None else plain(step.charged),
        unit_amount=None if step.unit_amount is None else plain(step.unit_amount),
        flat=None if step.flat is None else plain(step.flat),
        cap=None if step.cap is None else plain(step.cap),
        tier=step.tier,
    )
