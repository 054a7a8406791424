"""What moves the amount of a period after its invoice: debited at once, billed by the next invoice as a line."""

import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from faregate.base.money import currency, minor_to_ledger_units
from faregate.domain.billing.adjustment import AdjustmentSource
from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import Graduated, PerUnit, Tier
from faregate.domain.customers.subscription import BillingCycle
from faregate.domain.pricing.rating import debit_total, line_amount
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.adjustments import adjust, is_invoiced
from faregate.services.posting import post_entry
from faregate.services.upcoming_invoice import preview_invoice
from faregate.storage import tables
from faregate.storage.billing_cycle import write_cycle
from faregate.storage.database import Database
from faregate.storage.ledger import EntryKind, NewEntry, TotalKey, read_totals
from faregate.wire.api.billing import invoice_line_view
from tests.billing.desk import Desk, FaultyProvider, Once
from tests.billing.test_every_model import every_price, use
from tests.builders import priced
from tests.services.test_corrections import cancel
from tests.services.world import APP, DOLLAR, NOW, PERIOD_START, SUBSCRIPTION, Call, make_world

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)
ONE = Decimal(1)
MARCH_INPUT = TotalKey(SUBSCRIPTION, "prc_in", PERIOD_START)
CENT = 10_000_000


def lines(desk: Desk) -> list[list[tuple[str, Decimal, int]]]:
    return [[(line.description, line.quantity, line.amount) for line in one.lines] for one in desk.invoices()]


def give_back(desk: Desk, amount: int, *, name: str, key: TotalKey = MARCH_INPUT) -> bool:
    """As an incident credit does: an entry of its own, and the adjustment."""
    with desk.world.database.begin() as transaction:
        post_entry(
            transaction,
            NewEntry(
                application_id=APP,
                subscription_id=SUBSCRIPTION,
                kind=EntryKind.INCIDENT_CREDIT,
                amount=amount,
                caller_id=name,
                description="credit",
                occurred_at=desk.world.clock.at,
                price_id=key.price_id,
                period_start=key.period_start,
            ),
        )
        return adjust(
            transaction,
            application_id=APP,
            key=key,
            amount=-amount,
            source=AdjustmentSource.INCIDENT_CREDIT,
            source_id=name,
            now=desk.world.clock.at,
        )


def test_a_late_event_is_rated_on_its_own_periods_total_and_billed_as_an_adjustment(postpaid: Desk) -> None:
    tiers = Graduated(tiers=(Tier(up_to=Decimal(10), unit=ONE), Tier(up_to=None, unit=Decimal("0.1"))))
    postpaid.set_terms("prc_in", priced(tiers))
    use(postpaid, 9)
    postpaid.close_month(APRIL)
    use(postpaid, 11)
    assert postpaid.balance() == -2 * DOLLAR
    use(postpaid, 1, at=APRIL)
    postpaid.close_month(MAY)
    assert lines(postpaid) == [
        [("Input Tokens", Decimal(9), 900)],
        [
            ("Input Tokens", Decimal(1), 100),
            ("Adjustment: Input Tokens, period from 2026-03-01", Decimal(11), 200),
        ],
    ]
    first, second = postpaid.invoices()
    assert (second.lines[1].adjusts, second.lines[1].adjusted_invoice_id) == (PERIOD_START, first.invoice_id)
    assert postpaid.balance() == 0
    assert [line.amount for one in postpaid.provider_invoices() for line in one.lines] == [900, 100, 200]


def test_a_late_event_keeps_to_what_a_minimum_has_charged_already(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE), Adjustments(minimum_spend=Decimal(10))))
    use(postpaid, 4)
    postpaid.close_month(APRIL)
    use(postpaid, 5)
    assert postpaid.balance() == 0
    use(postpaid, 3)
    assert postpaid.balance() == -2 * DOLLAR
    postpaid.close_month(MAY)
    assert [invoice.total for invoice in postpaid.invoices()] == [1_000, 1_200]
    assert postpaid.balance() == 0


def test_usage_smaller_than_a_cent_adds_up_over_invoices(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=Decimal("0.004"))))
    use(postpaid, 1)
    for month in (APRIL, MAY, JUNE, JULY):
        postpaid.close_month(month)
        use(postpaid, 1, at=month)  # so that there is an invoice to be on
        use(postpaid, 1)
    postpaid.close_month(datetime(2026, 8, 1, tzinfo=UTC))
    march = [
        line.amount
        for invoice in postpaid.invoices()
        for line in invoice.lines
        if (line.adjusts or invoice.period.start) == PERIOD_START
    ]
    # 0.004, 0.008, 0.012, 0.016, 0.020
    assert march == [0, 1, 0, 1, 0]
    assert postpaid.balance() == 0


def test_late_usage_alone_makes_an_invoice(postpaid: Desk) -> None:
    postpaid.close_month(APRIL)
    postpaid.use(1_000_000, 0)
    postpaid.close_month(MAY)
    (invoice,) = postpaid.invoices()
    assert (invoice.period.start, invoice.total, invoice.lines[0].adjusted_invoice_id) == (APRIL, 50, None)
    assert postpaid.balance() == 0


def test_credit_beyond_an_invoices_total_waits_for_the_next(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE)))
    use(postpaid, 10)
    postpaid.close_month(APRIL)
    assert give_back(postpaid, 7 * DOLLAR, name="incident")
    assert postpaid.balance() == 7 * DOLLAR
    postpaid.close_month(MAY)
    use(postpaid, 4, at=MAY)
    postpaid.close_month(JUNE)
    use(postpaid, 5, at=JUNE)
    postpaid.close_month(JULY)
    assert [[line.amount for line in one.lines] for one in postpaid.invoices()] == [[1_000], [400, -400], [500, -300]]
    assert postpaid.balance() == 0
    (row,) = postpaid.world.rows("adjustment")
    assert row["billed_in"] == JUNE


def test_credit_in_an_open_period_is_a_line_of_its_own_on_that_periods_invoice(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE)))
    use(postpaid, 10)
    give_back(postpaid, 3 * DOLLAR, name="incident")
    postpaid.close_month(APRIL)
    assert lines(postpaid) == [
        [
            ("Input Tokens", Decimal(10), 1_000),
            ("Adjustment: Input Tokens, period from 2026-03-01", Decimal(0), -300),
        ]
    ]
    assert postpaid.balance() == 0


def test_a_repeated_adjustment_changes_nothing(postpaid: Desk) -> None:
    assert give_back(postpaid, DOLLAR, name="incident")
    before = postpaid.world.rows("price_bill"), postpaid.world.rows("adjustment")
    assert not give_back(postpaid, DOLLAR, name="incident")
    assert before == (postpaid.world.rows("price_bill"), postpaid.world.rows("adjustment"))


def test_credit_on_an_invoice_leaves_prepaid_credit_where_it_was(prepaid: Desk) -> None:
    prepaid.world.grant("20")
    prepaid.set_terms("prc_in", priced(PerUnit(amount=ONE)))
    use(prepaid, 10)
    prepaid.close_month(APRIL)
    give_back(prepaid, 3 * DOLLAR, name="incident")
    use(prepaid, 5, at=APRIL)
    use(prepaid, 1)
    prepaid.close_month(MAY)
    assert [invoice.credit_applied for invoice in prepaid.invoices()] == [1_000, 300]
    assert prepaid.balance() == 7 * DOLLAR


def test_usage_that_comes_between_a_periods_end_and_its_invoice_is_an_adjustment(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=Decimal("0.004")), Adjustments(minimum_spend=Decimal("0.01"))))
    use(postpaid, 3)
    postpaid.close_month(APRIL, FaultyProvider(postpaid.provider, before=Once("close_period")))
    use(postpaid, 4)
    postpaid.move(APRIL + timedelta(minutes=10))
    postpaid.tick()
    (invoice,) = postpaid.invoices()
    assert (int(invoice.lines[0].quantity), invoice.total) == (3, 1)
    assert [part.quantity for part in invoice.lines[0].parts if part.quantity] == [3]
    use(postpaid, 3, at=APRIL)
    postpaid.close_month(MAY)
    assert [line.amount for line in postpaid.invoices()[1].lines] == [1, 2]
    assert postpaid.balance() == 0


def test_a_window_of_an_invoiced_period_is_not_reported_and_stays_readable(postpaid: Desk) -> None:
    postpaid.use(10, 0)
    postpaid.close_month(APRIL)
    told = postpaid.messages("usage")
    postpaid.use(5, 0)
    postpaid.tick()
    postpaid.close_month(MAY)
    assert postpaid.messages("usage") == told
    (window,) = [row for row in postpaid.world.rows("usage_window") if row["meter_id"] == "mtr_in"]
    assert (window["quantity"], window["dirty"]) == (Decimal(15), False)


def test_late_usage_of_a_subscription_that_has_ended_is_debited_and_waits_visibly(postpaid: Desk) -> None:
    with postpaid.world.database.begin() as transaction:
        cycle = write_cycle(BillingCycle(ends_at=NOW + timedelta(days=1)))
        transaction.execute(update(tables.subscription).values(cycle=cycle))
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE)))
    use(postpaid, 1)
    postpaid.move(APRIL)
    postpaid.tick()
    use(postpaid, 2)
    postpaid.close_month(MAY)
    assert [invoice.total for invoice in postpaid.invoices()] == [100]
    assert postpaid.balance() == -2 * DOLLAR
    assert [row["billed_in"] for row in postpaid.world.rows("adjustment")] == [None]


def test_an_event_older_than_35_days_is_kept_and_not_billed_unless_it_is_a_replay(postpaid: Desk) -> None:
    horizon = NOW - timedelta(days=35)
    early = PERIOD_START - timedelta(days=60)
    with postpaid.world.database.begin() as transaction:
        transaction.execute(update(tables.subscription).values(started_at=early, billed_until=early))
    postpaid.world.take(
        Call(request_id="a", sequence=1, occurred_at=horizon),
        Call(request_id="b", sequence=2, occurred_at=horizon - timedelta(microseconds=1)),
        Call(request_id="c", sequence=3, occurred_at=horizon - timedelta(microseconds=1), replay=True),
    )
    assert [row["reason"] for row in postpaid.world.rows("set_aside")] == ["late"]
    assert sorted(str(row["position"]) for row in postpaid.world.rows("charge")) == ["1", "1", "3", "3"]


def test_a_period_is_invoiced_from_its_end_on(postpaid: Desk) -> None:
    with postpaid.world.database.snapshot() as transaction:
        assert not is_invoiced(transaction, MARCH_INPUT)
    postpaid.close_month(APRIL)
    with postpaid.world.database.snapshot() as transaction:
        assert is_invoiced(transaction, MARCH_INPUT)
        assert not is_invoiced(transaction, TotalKey("unknown", "prc_in", PERIOD_START))


amounts = st.lists(st.integers(min_value=0, max_value=70), max_size=4)


@settings(max_examples=25)
@given(
    price=every_price,
    parts=st.lists(amounts, min_size=2, max_size=3),
    cancelled=st.lists(st.integers(1, 6), max_size=3, unique=True),
)
def test_debits_and_lines_of_a_period_are_its_rated_total_whatever_comes_and_goes_after_its_invoice(
    price: object, parts: list[list[int]], cancelled: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        provider = EmbeddedProvider(Path(folder) / "sandbox.sqlite3")
        world = make_world(Database(f"sqlite:///{folder}/faregate.sqlite3"), pays="postpaid")
        desk = Desk(world=world, provider=provider)
        in_dollars = priced(price.model, price.adjustments, price_id="prc_in")  # type: ignore[attr-defined]
        desk.set_terms("prc_in", in_dollars)
        for month, tokens in zip((APRIL, MAY, JUNE), parts, strict=False):
            use(desk, *tokens, user_id="small")
            desk.close_month(month)
        for number in cancelled:
            if number <= desk.calls:
                cancel(world, f"req_{number}", name=f"c{number}")
        # Room for what is given back, and an invoice for what is smaller than a cent.
        desk.use(0, 10**12, at=JUNE)
        desk.close_month(JULY)
        assert [row["last_error"] for row in desk.outbox()] == [None] * len(desk.outbox())
        with world.database.snapshot() as transaction:
            total = read_totals(transaction, [MARCH_INPUT]).get(MARCH_INPUT)
        totals = total.totals if total is not None else {}
        entries = [row for row in world.rows("ledger_entry") if row["period_start"] == PERIOD_START and row["price_id"]]
        debits = -sum(int(str(row["amount"])) for row in entries if row["kind"] == "debit")
        assert debits == debit_total(in_dollars, totals)
        march = sum(
            line.amount
            for invoice in desk.invoices()
            for line in invoice.lines
            if (line.adjusts or invoice.period.start) == PERIOD_START
        )
        assert march == line_amount(in_dollars, totals)
        assert -sum(int(str(row["amount"])) for row in entries) == minor_to_ledger_units(march, currency("USD"))
        assert desk.balance() == 0
        world.database.close()
        provider.close()


def test_the_preview_of_an_invoice_has_the_adjustments_that_wait_once(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE)))
    use(postpaid, 10)
    postpaid.close_month(APRIL)
    use(postpaid, 2)
    use(postpaid, 1, at=APRIL)
    with postpaid.world.database.snapshot() as transaction:
        open_one, following = (
            preview_invoice(transaction, APP, SUBSCRIPTION, now=postpaid.world.clock.at, at=at) for at in (None, MAY)
        )
    assert following.lines == []
    postpaid.close_month(MAY)
    invoice = postpaid.invoices()[1]
    assert open_one.lines == [invoice_line_view(line, currency("USD")) for line in invoice.lines]
    assert [line.adjusted_invoice_id for line in open_one.lines] == [None, postpaid.invoices()[0].invoice_id]
