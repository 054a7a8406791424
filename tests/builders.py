"""Complete things of the core, of which a test names only what it is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from faregate.base.money import currency
from faregate.base.periods import Period
from faregate.domain.billing.invoice import Invoice, InvoiceStatus
from faregate.domain.billing.standing import Collection, InvoiceStanding, SubscriptionStanding
from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import Package, PricingModel
from faregate.domain.catalog.price import UNADJUSTED, BillingPeriod, Price, TaxBehavior
from faregate.domain.catalog.terms_text import write_terms
from faregate.domain.catalog.versions import Terms
from faregate.domain.costing.cost import CostPrice, Rate
from faregate.domain.customers.subscription import MONTHLY_CYCLE, BillingCycle, Pays, Subscription
from faregate.domain.governance.rule import Cohort, Criterion, Refusal, Rule, Template
from faregate.domain.ledger.grant_slice import UnitNeed
from faregate.domain.ledger.reserve import PriceUse
from faregate.domain.metering.event import Event, FieldPath
from faregate.domain.metering.expression import Expression, parse_expression
from faregate.domain.metering.filter import EVERYTHING, All, Filter, Is
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.metric import AdditiveMetric, Metric, Sum
from faregate.domain.metering.units import UNCHANGED, Units
from faregate.domain.metering.windows import ReportingPeriod
from faregate.domain.pricing.rating import whole

NOON: Final = datetime(2026, 3, 10, 12, tzinfo=UTC)


def a_price(
    amount: str | Decimal = "0.50",
    size: int | Decimal = 1_000_000,
    *,
    code: str = "USD",
    price_id: str = "prc_1",
) -> Price:
    return priced(Package(amount=Decimal(amount), size=Decimal(size)), code=code, price_id=price_id)


def priced(
    model: PricingModel, adjustments: Adjustments = UNADJUSTED, *, code: str = "USD", price_id: str = "prc_1"
) -> Price:
    return Price(
        price_id=price_id,
        plan_id="pln_1",
        name="Input Tokens",
        model=model,
        period=BillingPeriod.MONTH,
        currency=currency(code),
        tax_behavior=TaxBehavior.AUTO,
        adjustments=adjustments,
        series_id=price_id,
    )


def terms_text(price: Price) -> str:
    """A price's terms as its row keeps them."""
    return write_terms({price.currency: Terms(model=price.model, adjustments=price.adjustments)})


def price_columns(price: Price, *, effective_at: datetime) -> dict[str, object]:
    """The columns of a price's first version that its terms decide, for rows that tests insert themselves."""
    return {
        "price_id": price.price_id,
        "series_id": price.price_id,
        "version": 1,
        "terms": terms_text(price),
        "effective_at": effective_at,
        "applies_to": "all",
        "period": price.period.value,
        "currency": price.currency.code,
        "tax_behavior": price.tax_behavior.value,
    }


def a_use(price: Price | None = None, *, settled: int | str | Decimal = 0, outstanding: int = 0) -> PriceUse:
    return PriceUse(price=price or a_price(), totals=whole(Decimal(settled)), outstanding=outstanding)


def a_need(use: PriceUse | None = None, *, floor: int = 0, call: int = 0, slice_units: int = 0) -> UnitNeed:
    return UnitNeed(use=use or a_use(), floor=floor, call=call, slice=slice_units)


def a_subscription(*, started_at: datetime = NOON, cycle: BillingCycle = MONTHLY_CYCLE) -> Subscription:
    return Subscription(
        subscription_id="sub_1",
        company_id="acme",
        plan_id="pln_1",
        pays=Pays.PREPAID,
        currency=currency("USD"),
        started_at=started_at,
        payment_terms=timedelta(days=14),
        cycle=cycle,
    )


def an_event(fields: Mapping[str, object] | None = None, *, blocked_by: str | None = None) -> Event:
    return Event(occurred_at=NOON, company_id="acme", user_id="ann", blocked_by=blocked_by, fields=fields or {})


def a_filter(**values: str | int | bool) -> Filter:
    """`response__status=200` stands for the condition that `response.status` is 200."""
    return All(tuple(Is(path=FieldPath(name.replace("__", ".")), value=value) for name, value in values.items()))


def a_meter(
    criteria: Filter | None = None,
    *,
    field: str = "response.body.usage.prompt_tokens",
    metric: Metric | None = None,
    group_by: tuple[str, ...] = (),
    units: Units = UNCHANGED,
    meter_id: str = "mtr_1",
) -> Meter:
    return Meter(
        meter_id=meter_id,
        name="Input Token Meter",
        price_id="prc_1",
        filter=EVERYTHING if criteria is None else criteria,
        metric=metric or Sum(path=FieldPath(field)),
        reporting_period=ReportingPeriod.FIVE_MINUTES,
        group_by=tuple(FieldPath(path) for path in group_by),
        units=units,
    )


def an_expression(text: str) -> Expression:
    return parse_expression("expression", text)


def a_rate(
    amount: str,
    *,
    kind: str = "input",
    field: str = "response.body.usage.prompt_tokens",
    metric: AdditiveMetric | None = None,
    per: int = 1_000_000,
) -> Rate:
    return Rate(kind=kind, metric=metric or Sum(path=FieldPath(field)), amount=Decimal(amount), per=per)


def a_cost(
    *rates: Rate,
    name: str = "gpt",
    criteria: Filter | None = None,
    code: str = "USD",
    effective_at: datetime = NOON,
    ends_at: datetime | None = None,
    cost_id: str = "cst_1",
) -> CostPrice:
    return CostPrice(
        cost_id=cost_id,
        name=name,
        currency=currency(code),
        filter=EVERYTHING if criteria is None else criteria,
        rates=rates,
        effective_at=effective_at,
        ends_at=ends_at,
    )


def a_rule(
    rule_id: str = "rul_1",
    *,
    cohort: Cohort = Cohort.NO_AVAILABLE_CREDITS,
    patterns: tuple[str, ...] = (),
    active: bool = True,
    priority: int = 10,
) -> Rule:
    return Rule(
        rule_id=rule_id,
        name="Block When No Available Credits",
        template=Template.BLOCK_WHEN_NO_AVAILABLE_CREDITS,
        cohort=cohort,
        block_what=tuple(Criterion(field="request.route", pattern=pattern) for pattern in patterns),
        refusal=Refusal(status=402, headers={}, error_type="insufficient_quota", error_code="no", message="No."),
        active=active,
        priority=priority,
    )


def event_json(
    *,
    request: Mapping[str, object] | None = None,
    response: Mapping[str, object] | None = None,
    **fields: object,
) -> bytes:
    """An event as an agent sends it; `request` and `response` add to those parts."""
    wire: dict[str, object] = {
        "request": {"time": "2026-03-10T12:00:00.250", "uri": "http://api.example/ai/chat?stream=1", "verb": "POST"}
        | dict(request or {}),
        "response": {"time": "2026-03-10T12:00:01.000", "status": 200} | dict(response or {}),
        "user_id": "ann",
    }
    return msgspec.json.encode(wire | fields)


def gateway_facts(*, request_id: str = "req_1", attempt: int = 1, sequence: int = 1) -> dict[str, object]:
    """What our gateway adds to an event, as JSON's objects."""
    return {
        "gateway_id": "gtw_1",
        "epoch": 1,
        "sequence": sequence,
        "request_id": request_id,
        "attempt": attempt,
        "route_id": "rte_1",
    }


def an_invoice_standing(
    *,
    invoice_id: str = "in_1",
    customer_id: str = "cus_1",
    status: InvoiceStatus | None = InvoiceStatus.OPEN,
    collection: Collection = Collection.CHARGE_AUTOMATICALLY,
    amount_remaining: int = 250,
    attempts: int = 0,
    due_at: datetime | None = None,
    paid_at: datetime | None = None,
) -> InvoiceStanding:
    return InvoiceStanding(
        invoice_id=invoice_id,
        customer_id=customer_id,
        number="ACME-0001",
        currency="USD",
        status=status,
        collection=collection,
        amount_due=250,
        amount_paid=250 - amount_remaining,
        amount_remaining=amount_remaining,
        attempts=attempts,
        created_at=NOON,
        due_at=due_at,
        paid_at=paid_at,
        page_url="https://invoice.stripe.test/in_1",
    )


def a_subscription_standing(
    *,
    provider_subscription_id: str = "sub_at_stripe",
    customer_id: str = "cus_1",
    faregate_id: str = "",
    status: str = "active",
    cancel_at: datetime | None = None,
    ended_at: datetime | None = None,
) -> SubscriptionStanding:
    return SubscriptionStanding(
        provider_subscription_id=provider_subscription_id,
        customer_id=customer_id,
        faregate_id=faregate_id,
        status=status,
        product_ids=("prod_1",),
        currency="USD",
        started_at=NOON,
        trial_ends_at=None,
        cancel_at=cancel_at,
        ended_at=ended_at,
        collection=Collection.CHARGE_AUTOMATICALLY,
        days_until_due=None,
    )


def an_invoice(*, invoice_id: str = "in_1", month: int = 1) -> Invoice:
    issued_at = datetime(2026, month + 1, 1, tzinfo=UTC)
    return Invoice(
        invoice_id=invoice_id,
        number=f"ACME-{month:04}",
        subscription_id="sub_1",
        company_id="acme",
        currency="USD",
        period=Period(datetime(2026, month, 1, tzinfo=UTC), issued_at),
        lines=(),
        total=250,
        credit_applied=0,
        amount_due=250,
        status=InvoiceStatus.OPEN,
        issued_at=issued_at,
        due_at=issued_at,
        paid_at=None,
    )
