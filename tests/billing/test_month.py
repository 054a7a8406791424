from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import update

from faregate.domain.billing.invoice import InvoiceStatus
from faregate.services.ingest import append_events
from faregate.storage import tables
from tests.billing.desk import Desk, FaultyProvider, Once
from tests.services.world import APP, DOLLAR, NOW, PERIOD_START, SUBSCRIPTION, Call

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
CENT = 10_000_000


def billed_until(desk: Desk) -> datetime:
    value = desk.world.rows("subscription")[0]["billed_until"]
    assert isinstance(value, datetime)
    return value


def test_a_postpaid_month_becomes_one_invoice_with_exact_lines(postpaid: Desk) -> None:
    postpaid.use(1_200_000, 300_000)
    assert postpaid.balance() == -2.5 * DOLLAR
    postpaid.close_month(APRIL)
    (invoice,) = postpaid.invoices()
    assert [(line.description, line.quantity, line.amount) for line in invoice.lines] == [
        ("Input Tokens", Decimal(1_200_000), 100),
        ("Output Tokens", Decimal(300_000), 150),
    ]
    assert (invoice.total, invoice.credit_applied, invoice.amount_due) == (250, 0, 250)
    assert (invoice.number, invoice.currency, invoice.status) == ("INV-000001", "USD", InvoiceStatus.OPEN)
    assert invoice.due_at == invoice.issued_at + timedelta(days=14)


def test_the_debt_moves_from_the_account_to_the_invoice(postpaid: Desk) -> None:
    postpaid.use(1_200_000, 300_000)
    postpaid.close_month(APRIL)
    entries = [row["amount"] for row in postpaid.world.rows("ledger_entry") if row["kind"] == "invoiced"]
    assert entries == [250 * CENT]
    assert postpaid.balance() == 0


def test_credit_that_the_provider_mirrors_pays_the_invoice_and_stays_debited(prepaid: Desk) -> None:
    prepaid.world.grant("10")
    prepaid.use(1_200_000, 300_000)
    prepaid.close_month(APRIL)
    (invoice,) = prepaid.invoices()
    assert (invoice.total, invoice.credit_applied, invoice.amount_due) == (250, 250, 0)
    assert (invoice.status, invoice.paid_at) == (InvoiceStatus.PAID, invoice.issued_at)
    assert prepaid.balance() == 7.5 * DOLLAR


def test_what_credit_does_not_cover_is_due_and_leaves_the_account_at_zero(prepaid: Desk) -> None:
    prepaid.world.grant("1.00")
    prepaid.use(1_200_000, 300_000)
    prepaid.close_month(APRIL)
    (invoice,) = prepaid.invoices()
    assert (invoice.credit_applied, invoice.amount_due) == (100, 150)
    assert prepaid.balance() == 0


def test_a_month_is_open_until_its_grace_is_over(postpaid: Desk) -> None:
    postpaid.use(1, 1)
    postpaid.move(APRIL + timedelta(seconds=60) - timedelta(microseconds=1))
    postpaid.tick()
    assert postpaid.invoices() == []
    postpaid.move(APRIL + timedelta(seconds=60))
    postpaid.tick()
    assert len(postpaid.invoices()) == 1


def test_a_second_pass_changes_nothing(postpaid: Desk) -> None:
    postpaid.use(1, 1)
    postpaid.close_month(APRIL)
    before = {name: postpaid.world.rows(name) for name in ("invoice", "ledger_entry", "outbox", "account")}
    postpaid.tick()
    assert {name: postpaid.world.rows(name) for name in before} == before


def test_passes_at_the_same_time_give_one_invoice(postpaid: Desk) -> None:
    postpaid.use(1_200_000, 300_000)
    postpaid.move(APRIL + timedelta(minutes=2))
    postpaid.tick_side_by_side(3)
    assert [invoice.total for invoice in postpaid.invoices()] == [250]
    assert (postpaid.waiting(), postpaid.balance()) == ([], 0)


def test_a_month_without_usage_makes_no_invoice_and_is_over_all_the_same(postpaid: Desk) -> None:
    postpaid.close_month(APRIL)
    assert postpaid.invoices() == []
    assert billed_until(postpaid) == APRIL


def test_several_months_that_ended_are_closed_in_order(postpaid: Desk) -> None:
    postpaid.use(1_000_000, 0, at=NOW)
    postpaid.move(JUNE + timedelta(days=3))
    postpaid.use(2_000_000, 0, at=datetime(2026, 5, 7, tzinfo=UTC))
    postpaid.use(1, 0, at=JUNE)
    postpaid.tick()
    invoices = postpaid.invoices()
    assert [(invoice.period.start, invoice.total) for invoice in invoices] == [(PERIOD_START, 50), (MAY, 100)]
    assert [invoice.number for invoice in invoices] == ["INV-000001", "INV-000002"]
    assert billed_until(postpaid) == JUNE
    assert postpaid.balance() == -DOLLAR // 2


def test_usage_at_the_border_belongs_to_the_next_month(postpaid: Desk) -> None:
    postpaid.move(APRIL + timedelta(seconds=1))
    postpaid.use(1_000_000, 0, at=APRIL - timedelta(microseconds=1))
    postpaid.use(2_000_000, 0, at=APRIL)
    postpaid.close_month(APRIL)
    postpaid.close_month(MAY)
    assert [invoice.total for invoice in postpaid.invoices()] == [50, 100]


def test_debits_and_rounding_make_the_line_where_a_package_costs_a_fraction_of_a_cent(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="0.004", size="100")
    for _ in range(12):
        postpaid.use(100, 0)
    assert postpaid.balance() == -48_000_000
    postpaid.close_month(APRIL)
    (invoice,) = postpaid.invoices()
    rounding = [row["amount"] for row in postpaid.world.rows("ledger_entry") if row["kind"] == "rounding"]
    assert (invoice.total, rounding) == (5, [-2_000_000])
    assert postpaid.balance() == 0


def test_a_month_waits_for_units_that_are_still_out_for_an_hour_at_most(prepaid: Desk) -> None:
    prepaid.world.grant("10")
    prepaid.world.open_epoch()
    prepaid.use(1, 0)
    prepaid.world.lease("prc_in", 100)
    prepaid.move(APRIL + timedelta(minutes=59))
    prepaid.tick()
    assert (prepaid.invoices(), billed_until(prepaid)) == ([], PERIOD_START)
    prepaid.move(APRIL + timedelta(hours=1))
    prepaid.tick()
    assert len(prepaid.invoices()) == 1


def test_a_month_waits_for_events_that_were_accepted_and_are_not_charged_yet(postpaid: Desk) -> None:
    with postpaid.world.database.begin() as transaction:
        append_events(transaction, application_id=APP, bodies=[Call(prompt_tokens=5).body()], now=NOW)
    postpaid.close_month(APRIL)
    assert billed_until(postpaid) == PERIOD_START
    postpaid.world.apply()
    postpaid.tick()
    assert [line.quantity for line in postpaid.invoices()[0].lines] == [5, 5]


def test_an_invoice_that_differs_is_not_adopted_and_is_visible(postpaid: Desk) -> None:
    postpaid.use(1_000_000, 1)
    postpaid.tick()
    with postpaid.world.database.begin() as transaction:
        total = tables.price_total
        transaction.execute(update(total).where(total.c.price_id == "prc_in").values(settled=Decimal(1_000_001)))
    postpaid.close_month(APRIL)
    assert postpaid.invoices() == []
    (message,) = postpaid.waiting()
    assert message["kind"] == "period_close"
    error = str(message["last_error"])
    assert "'prc_in': '1000000 units = 50'" in error
    assert "'prc_in': '1000001 units = 100'" in error
    assert [row["kind"] for row in postpaid.world.rows("ledger_entry")].count("invoiced") == 0


def test_an_invoice_that_ignores_credit_is_not_adopted(prepaid: Desk) -> None:
    prepaid.world.grant("10")
    prepaid.use(1, 0)
    with prepaid.world.database.begin() as transaction:
        transaction.execute(update(tables.outbox).values(delivered_at=NOW))
    prepaid.close_month(APRIL)
    assert prepaid.invoices() == []
    assert "credit 0; our ledger" in str(prepaid.waiting()[0]["last_error"])


def test_an_answer_lost_after_the_provider_finalized_gives_one_invoice(postpaid: Desk) -> None:
    postpaid.use(1, 1)
    lost = Once("close_period")
    postpaid.close_month(APRIL, FaultyProvider(postpaid.provider, after=lost))
    assert lost.happened
    assert postpaid.invoices() == []
    postpaid.move(APRIL + timedelta(minutes=10))
    postpaid.tick()
    assert [invoice.invoice_id for invoice in postpaid.invoices()] == [
        invoice.id for invoice in postpaid.provider_invoices(SUBSCRIPTION)
    ]


def test_a_grant_given_after_the_provider_finalized_does_not_make_the_invoice_differ(prepaid: Desk) -> None:
    prepaid.world.grant("0.10")
    prepaid.use(1, 0)
    prepaid.close_month(APRIL, FaultyProvider(prepaid.provider, after=Once("close_period")))
    prepaid.world.grant("5", caller_id="grant-2")
    prepaid.move(APRIL + timedelta(minutes=10))
    prepaid.tick()
    (invoice,) = prepaid.invoices()
    assert (invoice.credit_applied, invoice.amount_due) == (10, 40)
    assert prepaid.balance() == 5 * DOLLAR
