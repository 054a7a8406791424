"""What the next invoice would say is what it says, when nothing more happens."""

import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput, NotFound, Unavailable
from faregate.base.limits import MAX_PERIODS_AHEAD
from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import Flat, PerUnit
from faregate.domain.customers.subscription import BillingCycle
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.upcoming_invoice import preview_invoice
from faregate.storage.database import Database
from faregate.storage.subscriptions import find_subscription, set_cycle
from faregate.wire.api.billing import UpcomingInvoiceView, invoice_view
from tests.billing.desk import Desk, FaultyProvider
from tests.billing.test_every_model import calls, every_price, use
from tests.builders import priced
from tests.services.world import APP, NOW, SUBSCRIPTION, Call, make_world

MARCH, APRIL, MAY, JUNE = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5, 6))
ONE = Decimal(1)


def preview(desk: Desk, *, at: datetime | None = None, subscription_id: str = SUBSCRIPTION) -> UpcomingInvoiceView:
    with desk.world.database.snapshot() as transaction:
        return preview_invoice(transaction, APP, subscription_id, now=desk.world.clock.now(), at=at)


def issued(desk: Desk, number: int = 0) -> tuple[object, ...]:
    """What the invoice says, in the order in which `said` tells a preview."""
    view = invoice_view(desk.invoices()[number], desk.world.clock.now())
    return (
        view.period_start,
        view.period_end,
        view.lines,
        view.discounts,
        view.total,
        view.credit_applied,
        view.amount_due,
    )


def said(view: UpcomingInvoiceView) -> tuple[object, ...]:
    return (
        view.period_start,
        view.period_end,
        view.lines,
        view.discounts,
        view.total,
        view.credit_applied,
        view.amount_due,
    )


def end_now(desk: Desk, at: datetime) -> None:
    """Let the subscription end: no later period begins."""
    with desk.world.database.begin() as transaction:
        row = find_subscription(transaction, APP, SUBSCRIPTION)
        assert row is not None
        set_cycle(transaction, row.subscription._with(BillingCycle(ends_at=at)))


@settings(max_examples=25)
@given(
    price=every_price,
    tokens=calls,
    pays=st.sampled_from(["prepaid", "credit_first", "postpaid"]),
    grant=st.sampled_from([None, "0.005", "1.00", "7.333", "1000000"]),
)
def test_the_preview_is_the_invoice_when_nothing_more_happens(
    price: object, tokens: list[int], pays: str, grant: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        provider = EmbeddedProvider(Path(folder) / "sandbox.sqlite3")
        desk = Desk(world=make_world(Database(f"sqlite:///{folder}/faregate.sqlite3"), pays=pays), provider=provider)
        desk.set_terms("prc_in", priced(price.model, price.adjustments))  # type: ignore[attr-defined]
        if grant is not None:
            desk.world.grant(grant)
        use(desk, *tokens, user_id="small")
        seen = preview(desk)
        use(desk, *tokens, user_id="small", at=APRIL)
        desk.close_month(APRIL)
        assert [issued(desk)] == [said(seen)] if desk.invoices() else seen.lines == []
        second = preview(desk)
        desk.close_month(MAY)
        assert issued(desk, -1) == said(second) if second.lines else True
        desk.world.database.close()
        provider.close()


def test_a_preview_writes_nothing_and_says_what_is_still_open(prepaid: Desk) -> None:
    prepaid.world.grant("10")
    prepaid.world.open_epoch()
    prepaid.use(1_200_000, 0)
    prepaid.world.lease("prc_out", 500)
    prepaid.world.log(Call(request_id="req_waiting", sequence=9).body())
    before = {table: prepaid.world.rows(table) for table in ("price_total", "outbox", "subscription", "usage_window")}
    view = preview(prepaid)
    assert (view.total, view.credit_applied, view.amount_due) == ("1.00", "1.00", "0.00")
    assert view.closes_at == APRIL + timedelta(seconds=60)
    assert not view.closed
    assert view.open_windows == 2
    assert [(one.price_id, one.units) for one in view.units_in_leases] == [("prc_out", 500)]
    assert view.events_to_apply == 1
    assert before == {table: prepaid.world.rows(table) for table in before}


def test_credit_of_a_later_period_is_what_earlier_invoices_leave(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(Flat(amount=Decimal(7))))
    postpaid.world.grant("10")
    seen = [preview(postpaid, at=month) for month in (MARCH, APRIL, MAY)]
    assert [(one.credit_applied, one.amount_due) for one in seen] == [
        ("7.00", "0.00"),
        ("3.00", "4.00"),
        ("0.00", "7.00"),
    ]
    for month in (APRIL, MAY, JUNE):
        postpaid.close_month(month)
    assert [issued(postpaid, number) for number in range(3)] == [said(one) for one in seen]


def test_a_closed_period_is_previewed_as_it_was_written_down(postpaid: Desk) -> None:
    def away(method: str, key: str) -> None:
        if method == "close_period":
            raise Unavailable(f"no answer for {key}")

    postpaid.world.grant("0.40")
    postpaid.use(1_000, 0)
    postpaid.close_month(APRIL, FaultyProvider(inner=postpaid.provider, before=away))
    view = preview(postpaid, at=NOW)
    assert (view.closed, view.total, view.credit_applied, view.open_windows) == (True, "0.50", "0.40", 0)
    assert preview(postpaid).period_start == APRIL
    postpaid.use(1, 0, at=APRIL)
    following = preview(postpaid)
    assert (following.total, following.credit_applied) == ("0.50", "0.00")
    postpaid.move(APRIL + timedelta(hours=1))
    postpaid.tick()
    assert issued(postpaid) == said(view)


def test_a_period_that_closed_without_anything_due_has_no_lines(postpaid: Desk) -> None:
    postpaid.close_month(APRIL)
    view = preview(postpaid, at=NOW)
    assert (view.closed, view.lines, view.total) == (True, [], "0.00")


def test_an_invoiced_period_is_refused_with_its_invoice(postpaid: Desk) -> None:
    postpaid.use(1_000, 0)
    postpaid.close_month(APRIL)
    with pytest.raises(InvalidInput, match=postpaid.invoices()[0].invoice_id):
        preview(postpaid, at=NOW)


def test_an_instant_before_the_subscription_or_too_far_ahead_is_refused(postpaid: Desk) -> None:
    with pytest.raises(InvalidInput, match="between the subscription's start"):
        preview(postpaid, at=MARCH - timedelta(days=1))
    last = datetime(2026 + (2 + MAX_PERIODS_AHEAD) // 12, (2 + MAX_PERIODS_AHEAD) % 12 + 1, 1, tzinfo=UTC)
    assert preview(postpaid, at=last).period_start == last
    with pytest.raises(InvalidInput, match="at most 100 periods ahead"):
        preview(postpaid, at=last + timedelta(days=31))


def test_a_subscription_that_has_ended_and_is_billed_has_no_next_invoice(postpaid: Desk) -> None:
    end_now(postpaid, NOW)
    assert preview(postpaid).period_end == NOW
    postpaid.close_month(APRIL)
    with pytest.raises(NotFound):
        preview(postpaid)
    with pytest.raises(NotFound):
        preview(postpaid, subscription_id="sub_9")


def test_what_is_due_without_usage_is_in_the_preview(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE), Adjustments(minimum_spend=Decimal(10))))
    use(postpaid, 4)
    (line,) = preview(postpaid).lines
    assert (line.quantity, line.amount, [part.kind.value for part in line.parts]) == (
        "4",
        "10.00",
        ["usage", "true_up"],
    )
