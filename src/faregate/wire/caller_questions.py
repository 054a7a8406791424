"""What callers ask about their own credit: a gateway's port to the caller, and what it asks the control plane for that.

Gateway, with the caller's key (docs/quotes.md):

    POST /v1/quote      QuoteRequest -> QuoteView      what a call would hold and cost; nothing goes upstream
    GET  /v1/balance                 -> BalancesView
    GET  /v1/usage      ?from=&to= or ?request_id=  -> PeriodUsageView or CallCostView

Control plane, with the gateway's token, beside `gateway_protocol.py`:

    POST /gateway/v1/quotes     QuoteQuestion   -> QuoteAnswer
    POST /gateway/v1/balances   BalanceQuestion -> BalancesView
    POST /gateway/v1/usage      UsageQuestion   -> PeriodUsageView
    POST /gateway/v1/costs      CostQuestion    -> CallCostView

Every question is about one company and changes nothing. It is answered after the asking gateway's events up to `as_of`
are applied, or a while later without them: so that who asks after a call sees it. Amounts are exact decimals.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Raw, Struct, field

from faregate.wire.api.common import DecimalText, Instant
from faregate.wire.api.readings import BalanceView

# --- between gateway and control plane ----------------------------------------------------------------------------


class AsOf(Struct, frozen=True, kw_only=True):
    """The last event of a gateway that the answer should count, and how long it may wait for that."""

    gateway_id: str
    sequence: int
    within_ms: int = 2_000


class QuotedUnits(Struct, frozen=True, kw_only=True):
    """Units of one price per input and per output token; `idle`: what the gateway has at hand of it."""

    price_id: str
    per_input: int
    per_output: int
    idle: int = 0


class QuotedAccount(Struct, frozen=True, kw_only=True):
    """One subscription that the call counts for; `unbounded`: its prices whose units nothing in a request bounds."""

    subscription_id: str
    units: list[QuotedUnits] = field(default_factory=list)
    unbounded: list[str] = field(default_factory=list)


class QuoteQuestion(Struct, frozen=True, kw_only=True):
    """A call's tokens: its input's bound and estimate, and the most output over all its choices."""

    application_id: str
    company_id: str
    as_of: AsOf
    occurred_at: datetime
    input_tokens: int
    input_estimate: int
    output_tokens: int
    accounts: list[QuotedAccount]


class QuoteLineView(Struct, frozen=True, kw_only=True):
    """One price. `units`: the most that the call uses; `amount`: what they cost on top of the period so far.

    `hold`: by how much they raise what is reserved, which is less where other calls in flight have opened a package.
    `estimated_*`: the same with the input as it is estimated.
    """

    price_id: str
    name: str
    units: int
    amount: DecimalText
    hold: DecimalText
    estimated_units: int
    estimated_amount: DecimalText


class SubscriptionQuoteView(Struct, frozen=True, kw_only=True):
    """What the call comes to for one subscription.

    `available`: the balance less what all other units in leases can cost. `affordable`: whether that pays for the hold;
    `affordable_output_tokens`: the most output that it pays for after the input, -1 where it does not pay for the
    input, null where there is no limit (output is free, or an invoice pays). `unbounded`: prices that the quote leaves
    out, since nothing in the request bounds what they count.
    """

    subscription_id: str
    pays: str
    currency: str
    amount: DecimalText
    hold: DecimalText
    estimated_amount: DecimalText
    balance: DecimalText
    available: DecimalText
    affordable: bool
    affordable_output_tokens: int | None
    lines: list[QuoteLineView]
    unbounded: list[str]


class QuoteAnswer(Struct, frozen=True, kw_only=True):
    """One quote a subscription; none for one that cannot be used at that time."""

    subscriptions: list[SubscriptionQuoteView]


class BalanceQuestion(Struct, frozen=True, kw_only=True):
    """What credit a company has."""

    application_id: str
    company_id: str
    as_of: AsOf


class UsageQuestion(Struct, frozen=True, kw_only=True):
    """What a company has used: in the open period; and by day in UTC, from `from_at` to before `to_at`, where given."""

    application_id: str
    company_id: str
    as_of: AsOf
    from_at: datetime | None = None
    to_at: datetime | None = None


class CostQuestion(Struct, frozen=True, kw_only=True):
    """What one call cost. `NotFound` where the company has no such call, or it is not applied yet."""

    application_id: str
    company_id: str
    as_of: AsOf
    request_id: str


# --- what callers see ---------------------------------------------------------------------------------------------


class QuoteRequest(Struct, frozen=True, kw_only=True):
    """`route`: the path to which `request` would be sent, as it stands here."""

    route: str
    request: Raw


class TokenBoundView(Struct, frozen=True, kw_only=True):
    """What a request may come to; `input_estimate` is what its text looks like, `input` and `output` are the bound."""

    input: int
    input_estimate: int
    output: int


class RefusalView(Struct, frozen=True, kw_only=True):
    """The answer that the call would get now, whatever it costs."""

    status: int
    body: Raw


class QuoteView(Struct, frozen=True, kw_only=True):
    """What a call would hold and cost.

    `held`: whether credit is held before the call on this route. `affordable`: whether every subscription pays for the
    whole bound. `affordable_max_tokens`: the highest limit on one answer's tokens that is paid for; 0 where not even
    the input is, null where nothing limits it. A call whose limit must be lowered below `least_max_tokens` is refused.
    `refusal`: a rule holds the caller.
    """

    route: str
    held: bool
    tokens: TokenBoundView
    choices: int
    affordable: bool
    affordable_max_tokens: int | None
    least_max_tokens: int
    refusal: RefusalView | None
    subscriptions: list[SubscriptionQuoteView]


class BalancesView(Struct, frozen=True, kw_only=True):
    """The credit of each of the company's subscriptions, and its units in the open period."""

    company_id: str
    subscriptions: list[BalanceView]


class PriceUsageView(Struct, frozen=True, kw_only=True):
    """What was used of one price in its open period, and what that has cost so far."""

    subscription_id: str
    price_id: str
    name: str
    period_start: Instant
    period_end: Instant
    quantity: DecimalText
    amount: DecimalText
    currency: str


class DayUsageView(Struct, frozen=True, kw_only=True):
    """What was used of one price on one day in UTC; `group`: the values of the fields that its meter groups by."""

    day: str
    price_id: str
    name: str
    quantity: DecimalText
    event_count: int
    group: list[str]


class PeriodUsageView(Struct, frozen=True, kw_only=True):
    """`days`: null where they were not asked for."""

    company_id: str
    prices: list[PriceUsageView]
    days: list[DayUsageView] | None = None


class CallCostLineView(Struct, frozen=True, kw_only=True):
    """What a call used of one price, and by how much that raised the period's amount."""

    price_id: str
    name: str
    quantity: DecimalText
    amount: DecimalText


class CallCostView(Struct, frozen=True, kw_only=True):
    """What one call cost. `currency` and `cost` are null where it counts for no subscription, or in two currencies.

    `estimated`: the upstream did not say all that was used. `balance`: of its prepaid subscription, after all that is
    applied by now; null where there is none.
    """

    request_id: str
    occurred_at: Instant | None
    route: str | None
    status: int | None
    estimated: bool
    currency: str | None
    cost: DecimalText | None
    balance: DecimalText | None
    lines: list[CallCostLineView]
