"""Re-rating beside the billing provider: invoices stay final, open periods are told again, and both sides agree."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec import UNSET

from faregate.services.explain_line import LineRef
from faregate.wire.api.pricing import AdjustmentsShape, FlatModel, PackageModel, PerUnitModel
from faregate.wire.api.reratings import PriceCorrection, ReratingCreate
from tests.billing.desk import Desk
from tests.billing.test_explaining_lines import every_line, explained
from tests.services.test_rerating import COMPLETIONS, Operator
from tests.services.world import APP, NOW, PERIOD_START

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
ONE_DOLLAR = PriceCorrection(price_id="prc_in", model=PerUnitModel(amount=Decimal(1)))


def rerate(
    desk: Desk,
    *,
    price: PriceCorrection | None = None,
    to: datetime | None = None,
) -> None:
    correction = ReratingCreate(
        from_at=PERIOD_START,
        to_at=UNSET if to is None else to,
        price=UNSET if price is None else price,
        meter=COMPLETIONS if price is None else UNSET,
    )
    Operator(desk.world).apply(correction)


def lines(desk: Desk) -> list[list[tuple[Decimal, int]]]:
    return [[(line.quantity, line.amount) for line in invoice.lines] for invoice in desk.invoices()]


def require_agreement(desk: Desk) -> None:
    assert [row["last_error"] for row in desk.outbox()] == [None] * len(desk.outbox())
    assert [invoice.total for invoice in desk.invoices()] == [one.subtotal for one in desk.provider_invoices()]


def test_an_open_period_is_invoiced_by_the_corrected_price_although_its_usage_was_reported(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="0.50", size="1")
    postpaid.use(4, 0)
    postpaid.move(NOW + timedelta(hours=1))
    postpaid.tick()
    assert len(postpaid.messages("usage")) == 1
    rerate(postpaid, price=ONE_DOLLAR)
    postpaid.use(2, 0, at=NOW + timedelta(minutes=1))
    postpaid.close_month(APRIL)
    require_agreement(postpaid)
    assert lines(postpaid) == [[(Decimal(6), 600)]]
    # Four calls' charges are as they were: 2.00 of what is now 4.00.
    assert [line.rerated for line in every_line(postpaid)] == ["2.00"]


def test_an_open_period_is_invoiced_by_the_corrected_meter(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="0.50", size="1")
    postpaid.set_price("prc_out", amount="0", size="1")
    postpaid.use(4, 10)
    postpaid.move(NOW + timedelta(hours=1))
    postpaid.tick()
    rerate(postpaid)
    postpaid.close_month(APRIL)
    require_agreement(postpaid)
    assert sorted(lines(postpaid)[0]) == [(Decimal(10), 0), (Decimal(10), 500)]


def test_a_corrected_price_of_an_invoiced_period_is_billed_by_adjustments_of_the_next_invoice(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="0.50", size="1")
    postpaid.use(4, 0)
    postpaid.close_month(APRIL)
    rerate(postpaid, price=ONE_DOLLAR)
    assert postpaid.balance() == -2_000_000_000
    postpaid.use(1, 0, at=APRIL + timedelta(hours=1))
    postpaid.close_month(MAY)
    require_agreement(postpaid)
    first, second = postpaid.invoices()
    assert (first.total, second.total) == (200, 300)
    of_march = explained(postpaid, LineRef(APP, first.invoice_id, 1))
    assert (of_march.changed_debited, of_march.rerated) == ("-2.00", "-2.00")
    assert {line.adjusts for line in second.lines} == {None, PERIOD_START}
    assert postpaid.balance() == 0


def test_what_is_given_back_of_an_invoiced_period_lowers_the_next_invoice(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="2", size="1")
    postpaid.use(4, 0)
    postpaid.close_month(APRIL)
    rerate(postpaid, price=ONE_DOLLAR, to=APRIL)
    postpaid.use(3, 0, at=APRIL + timedelta(hours=1))
    postpaid.close_month(MAY)
    require_agreement(postpaid)
    assert [invoice.total for invoice in postpaid.invoices()] == [800, 200]
    assert postpaid.balance() == 0


def test_a_corrected_meter_of_an_invoiced_period_moves_its_adjustment_alone(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="0.50", size="1")
    postpaid.set_price("prc_out", amount="0", size="1")
    postpaid.use(4, 10)
    postpaid.close_month(APRIL)
    rerate(postpaid)
    told = len(postpaid.messages("usage"))
    postpaid.move(APRIL + timedelta(hours=1))
    postpaid.tick()
    assert len(postpaid.messages("usage")) == told
    postpaid.close_month(MAY)
    require_agreement(postpaid)
    assert [invoice.total for invoice in postpaid.invoices()] == [200, 300]
    assert postpaid.balance() == 0


def test_a_corrected_flat_fee_is_due_in_periods_without_usage_too(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="0", size="1")
    postpaid.use(0, 1)
    postpaid.close_month(APRIL)
    rerate(postpaid, price=PriceCorrection(price_id="prc_in", model=FlatModel(amount=Decimal(5))))
    postpaid.close_month(MAY)
    require_agreement(postpaid)
    assert postpaid.invoices()[1].total == 1_000
    assert postpaid.balance() == 0


def test_a_corrected_minimum_counts_for_the_whole_of_an_invoiced_period(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="0.50", size="1")
    postpaid.use(4, 0)
    postpaid.close_month(APRIL)
    minimum = AdjustmentsShape(minimum_spend=Decimal(10))
    model = PackageModel(amount=Decimal("0.50"), size=Decimal(1))
    rerate(postpaid, price=PriceCorrection(price_id="prc_in", model=model, adjustments=minimum), to=APRIL)
    postpaid.use(1, 0, at=APRIL + timedelta(hours=1))
    postpaid.close_month(MAY)
    require_agreement(postpaid)
    assert [invoice.total for invoice in postpaid.invoices()] == [200, 850]
    assert postpaid.balance() == 0
