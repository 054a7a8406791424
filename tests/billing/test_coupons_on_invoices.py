"""Coupons from their giving to the paid invoice: our reckoning, the provider's and the account agree."""

import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.limits import MAX_COUPONS
from faregate.base.money import currency, minor_to_ledger_units
from faregate.base.periods import Period
from faregate.domain.billing.coupons import FixedCoupon, GivenCoupon, PercentCoupon
from faregate.domain.billing.provider import ProviderCoupon, ProviderInvoice, RatedLine
from faregate.domain.catalog.models import PerUnit
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.change import Change
from faregate.services.coupons import archive_coupon, coupons_of, create_coupon, give_coupon, remove_coupon
from faregate.storage.database import Database
from faregate.wire.api.coupons import CouponCreate, CouponDuration
from tests.billing.desk import Desk, FaultyProvider, Once
from tests.billing.test_every_model import calls, entries, every_price, use
from tests.billing.test_upcoming_invoice import issued, preview, said
from tests.builders import priced
from tests.services.world import APP, DOLLAR, NOW, SUBSCRIPTION, World, make_world

APRIL, MAY, JUNE, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (4, 5, 6, 7))
DAY = timedelta(days=1)
ONCE, FOREVER = CouponDuration.ONCE, CouponDuration.FOREVER


def change(world: World) -> Change:
    return Change(application_id=APP, now=world.clock.now(), new_id=world.new_id)


def offer(desk: Desk, coupon_id: str, **terms: object) -> None:
    with desk.world.database.begin() as transaction:
        create_coupon(transaction, change(desk.world), CouponCreate(coupon_id=coupon_id, **terms))  # type: ignore[arg-type]


def hand(desk: Desk, coupon_id: str, *, key: str | None = None, subscription_id: str = SUBSCRIPTION) -> GivenCoupon:
    with desk.world.database.begin() as transaction:
        return give_coupon(
            transaction,
            change(desk.world),
            subscription_id=subscription_id,
            coupon_id=coupon_id,
            caller_id=key or f"{coupon_id}@{desk.world.clock.now().isoformat()}",
        )


def take_away(desk: Desk, coupon_id: str) -> None:
    with desk.world.database.begin() as transaction:
        remove_coupon(transaction, change(desk.world), subscription_id=SUBSCRIPTION, coupon_id=coupon_id)


def held(desk: Desk) -> list[GivenCoupon]:
    with desk.world.database.snapshot() as transaction:
        return coupons_of(transaction, SUBSCRIPTION)


def dollars(desk: Desk, amount: str, *, at: datetime) -> None:
    """Use what costs an amount: a unit of the price is a cent."""
    use(desk, int(Decimal(amount) * 100), at=at)


@pytest.fixture
def by_cent(postpaid: Desk) -> Desk:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=Decimal("0.01"))))
    return postpaid


def test_coupons_come_off_in_the_order_of_giving_and_the_account_is_even(by_cent: Desk) -> None:
    offer(by_cent, "HALF", percent=Decimal(50), duration=FOREVER)
    offer(by_cent, "TEN", amount=Decimal(10), currency="USD", name="Ten dollars", duration=FOREVER)
    hand(by_cent, "TEN")
    hand(by_cent, "HALF")
    dollars(by_cent, "30.01", at=NOW)
    assert by_cent.balance() == -30 * DOLLAR - DOLLAR // 100  # in full, until the invoice
    by_cent.close_month(APRIL)
    (invoice,) = by_cent.invoices()
    assert [(found.coupon_id, found.name, found.amount) for found in invoice.discounts] == [
        ("TEN", "Ten dollars", 1_000),
        ("HALF", "HALF", 1_001),
    ]
    assert (invoice.subtotal, invoice.total, invoice.credit_applied, invoice.amount_due) == (3_001, 1_000, 0, 1_000)
    assert by_cent.balance() == 0
    kinds = [row["kind"] for row in by_cent.world.rows("ledger_entry")]
    assert (kinds.count("discount"), kinds.count("invoiced")) == (2, 1)
    (theirs,) = by_cent.provider_invoices()
    assert [(found.coupon, found.amount) for found in theirs.discounts] == [
        (found.redemption_id, found.amount) for found in invoice.discounts
    ]
    assert (theirs.subtotal, theirs.total) == (3_001, 1_000)


def test_credit_pays_what_coupons_left(open_desk: object) -> None:
    desk: Desk = open_desk("prepaid")  # type: ignore[operator]
    desk.set_terms("prc_in", priced(PerUnit(amount=Decimal("0.01"))))
    desk.world.grant("20.00")
    offer(desk, "QUARTER", percent=Decimal(25))
    hand(desk, "QUARTER")
    dollars(desk, "8", at=NOW)
    assert desk.balance() == 12 * DOLLAR
    desk.close_month(APRIL)
    (invoice,) = desk.invoices()
    assert (invoice.total, invoice.credit_applied, invoice.amount_due) == (600, 600, 0)
    assert desk.balance() == 14 * DOLLAR  # the quarter is given back


def test_an_invoice_that_coupons_pay_whole_is_paid_at_once(by_cent: Desk) -> None:
    offer(by_cent, "FREE", percent=Decimal(100))
    offer(by_cent, "MORE", amount=Decimal(5), currency="USD")
    hand(by_cent, "FREE")
    hand(by_cent, "MORE")
    dollars(by_cent, "8", at=NOW)
    by_cent.close_month(APRIL)
    (invoice,) = by_cent.invoices()
    assert (invoice.total, invoice.amount_due, invoice.status.value) == (0, 0, "paid")
    assert [found.coupon_id for found in invoice.discounts] == ["FREE"]
    assert by_cent.balance() == 0
    assert [(found.offer.coupon_id, found.used) for found in held(by_cent)] == [("FREE", 1), ("MORE", 0)]


def test_a_coupon_for_once_comes_off_the_first_invoice_that_has_something_to_take(by_cent: Desk) -> None:
    offer(by_cent, "WELCOME", percent=Decimal(10))
    hand(by_cent, "WELCOME")
    by_cent.close_month(APRIL)  # nothing used, no invoice
    for month in (APRIL, MAY):
        dollars(by_cent, "1", at=month + DAY)
        by_cent.close_month(month + 32 * DAY - timedelta(days=(month + 32 * DAY).day - 1))
    assert [invoice.total for invoice in by_cent.invoices()] == [90, 100]
    assert not held(by_cent)[0].is_active


def test_a_repeating_coupon_comes_off_as_many_invoices_as_it_has_periods(by_cent: Desk) -> None:
    offer(by_cent, "TWICE", amount=Decimal("0.25"), currency="USD", duration=CouponDuration.REPEATING, periods=2)
    hand(by_cent, "TWICE")
    for start, end in ((NOW, APRIL), (APRIL, MAY), (MAY, JUNE), (JUNE, JULY)):
        if start != APRIL:
            dollars(by_cent, "1", at=start)
        by_cent.close_month(end)
    assert [invoice.total for invoice in by_cent.invoices()] == [75, 75, 100]


def test_months_that_close_together_use_a_coupon_in_their_order(by_cent: Desk) -> None:
    offer(by_cent, "WELCOME", percent=Decimal(10))
    hand(by_cent, "WELCOME")
    dollars(by_cent, "1", at=NOW)
    dollars(by_cent, "2", at=APRIL)
    assert preview(by_cent, at=APRIL).total == "2.00"
    by_cent.close_month(MAY)
    assert [invoice.total for invoice in by_cent.invoices()] == [90, 200]


def test_coupons_come_off_the_invoice_that_an_adjustment_is_on(by_cent: Desk) -> None:
    offer(by_cent, "HALF", percent=Decimal(50), duration=FOREVER)
    hand(by_cent, "HALF")
    dollars(by_cent, "1", at=NOW)
    by_cent.close_month(APRIL)
    dollars(by_cent, "3", at=NOW)  # late: March is invoiced
    dollars(by_cent, "2", at=APRIL + DAY)
    seen = preview(by_cent)
    by_cent.close_month(MAY)
    first, second = by_cent.invoices()
    assert (first.total, second.subtotal, second.total) == (50, 500, 250)
    assert issued(by_cent, 1) == said(seen)
    assert by_cent.balance() == 0


def test_a_coupon_that_is_given_or_taken_away_after_a_month_ended_leaves_its_invoice_alone(by_cent: Desk) -> None:
    for coupon_id in ("FIRST", "LATE"):
        offer(by_cent, coupon_id, percent=Decimal(10), duration=FOREVER)
    hand(by_cent, "FIRST")
    dollars(by_cent, "1", at=NOW)
    by_cent.move(APRIL)  # over, and not closed yet
    take_away(by_cent, "FIRST")
    hand(by_cent, "LATE")
    by_cent.close_month(APRIL)
    (invoice,) = by_cent.invoices()
    assert [found.coupon_id for found in invoice.discounts] == ["FIRST"]


def test_a_coupon_that_was_taken_away_comes_off_no_more_and_can_be_given_again(by_cent: Desk) -> None:
    offer(by_cent, "TEN", percent=Decimal(10), duration=FOREVER)
    first = hand(by_cent, "TEN", key="a")
    take_away(by_cent, "TEN")
    take_away(by_cent, "TEN")  # a repeat changes nothing
    dollars(by_cent, "1", at=NOW)
    by_cent.close_month(APRIL)
    assert [invoice.total for invoice in by_cent.invoices()] == [100]
    assert hand(by_cent, "TEN", key="b").redemption_id != first.redemption_id
    dollars(by_cent, "1", at=APRIL)
    by_cent.close_month(MAY)
    assert [invoice.total for invoice in by_cent.invoices()] == [100, 90]
    with pytest.raises(NotFound):
        take_away(by_cent, "NONE")


def test_what_cannot_be_given_is_named(by_cent: Desk) -> None:
    offer(by_cent, "EURO", amount=Decimal(1), currency="EUR")
    offer(by_cent, "SOON", percent=Decimal(1), redeem_by=NOW + DAY)
    offer(by_cent, "FEW", percent=Decimal(1), max_redemptions=1)
    offer(by_cent, "OLD", percent=Decimal(1))
    with by_cent.world.database.begin() as transaction:
        archived = archive_coupon(transaction, change(by_cent.world), "OLD")
        assert archive_coupon(transaction, change(by_cent.world), "OLD") == archived
    other = by_cent.add_company("beta")
    hand(by_cent, "FEW", subscription_id=other)
    with pytest.raises(InvalidInput, match="takes off EUR, and the subscription pays USD"):
        hand(by_cent, "EURO")
    with pytest.raises(InvalidInput, match="there is no coupon 'NONE'"):
        hand(by_cent, "NONE")
    with pytest.raises(Conflict, match="archived"):
        hand(by_cent, "OLD")
    with pytest.raises(Conflict, match="1 times, all that it can be"):
        hand(by_cent, "FEW")
    assert hand(by_cent, "SOON", key="mine") == hand(by_cent, "SOON", key="mine")
    with pytest.raises(Conflict, match="another one"):
        hand(by_cent, "EURO", key="mine")
    with pytest.raises(Conflict, match="already"):
        hand(by_cent, "SOON", key="again")
    by_cent.move(NOW + DAY)
    with pytest.raises(Conflict, match="could be given until"):
        hand(by_cent, "SOON", subscription_id=other)


def test_a_subscription_has_so_many_coupons_at_most(by_cent: Desk) -> None:
    for number in range(MAX_COUPONS + 1):
        offer(by_cent, f"C{number}", percent=Decimal(1))
    for number in range(MAX_COUPONS):
        hand(by_cent, f"C{number}")
    with pytest.raises(Conflict, match=f"{MAX_COUPONS} coupons already"):
        hand(by_cent, f"C{MAX_COUPONS}")


def test_a_lost_answer_repeats_the_close_and_takes_the_coupon_off_once(by_cent: Desk) -> None:
    offer(by_cent, "HALF", percent=Decimal(50), duration=FOREVER)
    hand(by_cent, "HALF")
    dollars(by_cent, "8", at=NOW)
    by_cent.close_month(APRIL, FaultyProvider(inner=by_cent.provider, after=Once("close_period")))
    assert by_cent.invoices() == []
    by_cent.move(APRIL + DAY)
    by_cent.tick()
    assert [invoice.total for invoice in by_cent.invoices()] == [400]
    assert held(by_cent)[0].used == 1
    assert by_cent.balance() == 0


class Forgetful(FaultyProvider):
    """Finalizes without the coupons that it was told of."""

    def close_period(
        self,
        subscription: str,
        period: Period,
        *,
        issued_at: datetime,
        rated: tuple[RatedLine, ...] = (),
        metered: tuple[RatedLine, ...] = (),
        coupons: tuple[ProviderCoupon, ...] = (),
        credit: int = 0,
    ) -> ProviderInvoice:
        del metered, coupons, credit
        return super().close_period(subscription, period, issued_at=issued_at, rated=rated)


def test_an_invoice_without_its_coupon_is_not_adopted(by_cent: Desk) -> None:
    offer(by_cent, "HALF", percent=Decimal(50))
    given_coupon = hand(by_cent, "HALF")
    dollars(by_cent, "8", at=NOW)
    by_cent.close_month(APRIL, Forgetful(inner=by_cent.provider))
    assert by_cent.invoices() == []
    (waiting,) = by_cent.waiting()
    assert f"discounts {{'{given_coupon.redemption_id}': 400}}" in str(waiting["last_error"])


coupons = st.lists(
    st.decimals(min_value="0.01", max_value=100, places=2).map(lambda percent: PercentCoupon(percent=percent))
    | st.builds(FixedCoupon, amount=st.integers(min_value=1, max_value=500), currency=st.just(currency("USD"))),
    max_size=4,
)


@settings(max_examples=25)
@given(price=every_price, tokens=calls, offered=coupons, grant=st.sampled_from([None, "0.50", "1000000"]))
def test_with_any_coupons_our_invoice_the_providers_the_preview_and_the_account_agree(
    price: object, tokens: list[int], offered: list[PercentCoupon | FixedCoupon], grant: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        provider = EmbeddedProvider(Path(folder) / "sandbox.sqlite3")
        database = Database(f"sqlite:///{folder}/faregate.sqlite3")
        desk = Desk(world=make_world(database, pays="credit_first"), provider=provider)
        desk.set_terms("prc_in", priced(price.model, price.adjustments))  # type: ignore[attr-defined]
        if grant is not None:
            desk.world.grant(grant)
        before = desk.balance()
        for number, off in enumerate(offered):
            terms: dict[str, object] = (
                {"percent": off.percent}
                if isinstance(off, PercentCoupon)
                else {"amount": Decimal(off.amount).scaleb(-2), "currency": "USD"}
            )
            offer(desk, f"C{number}", **terms)
            hand(desk, f"C{number}")
        use(desk, *tokens, user_id="small")
        seen = preview(desk)
        desk.close_month(APRIL)
        assert [row["last_error"] for row in desk.outbox()] == [None] * len(desk.outbox())
        assert [issued(desk)] == [said(seen)] if desk.invoices() else seen.lines == []
        for invoice in desk.invoices():
            assert entries(desk) == minor_to_ledger_units(invoice.subtotal, currency("USD"))
            assert desk.balance() == before - minor_to_ledger_units(invoice.credit_applied, currency("USD"))
            assert [found.used for found in held(desk)] == [
                int(found.redemption_id in {one.redemption_id for one in invoice.discounts}) for found in held(desk)
            ]
        database.close()
        provider.close()


def test_a_providers_file_from_before_coupons_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite3"
    EmbeddedProvider(path).close()
    old = sqlite3.connect(path)
    sql = old.execute("SELECT sql FROM sqlite_master WHERE name = 'invoice'").fetchone()[0]
    old.execute("DROP TABLE invoice")
    old.execute("DROP TABLE invoice_discount")
    old.execute(sql.replace("    total INTEGER NOT NULL,\n", "").replace("(total =", "(subtotal ="))
    old.execute("INSERT INTO customer VALUES ('cus_1', 'app_1/acme', 'Acme')")
    old.execute("INSERT INTO subscription VALUES ('sub_p', 'sub_1', 'cus_1', 'usd', 0, 0, 0)")
    old.execute(
        "INSERT INTO invoice VALUES"
        " (1, 'in_1', 'INV-000001', 'sub_p', 'cus_1', 'usd', 0, 1000000, 250, 50, 200, 'open', 5, 6, NULL)"
    )
    old.commit()
    old.close()
    for _ in range(2):
        provider = EmbeddedProvider(path)
        (invoice,) = provider.list_invoices(subscription="sub_1")
        assert (invoice.subtotal, invoice.total, invoice.credit_applied, invoice.amount_due) == (250, 250, 50, 200)
        assert invoice.discounts == ()
        provider.close()
