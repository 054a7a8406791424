"""Every pricing model from the event to the paid invoice: debits, our line and the provider's are one amount."""

import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from faregate.base.money import currency, minor_to_ledger_units
from faregate.domain.catalog.adjustments import Adjustments, Commitment, FixedDiscount, PercentDiscount
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    LeafModel,
    Package,
    PackageRounding,
    Percentage,
    PerUnit,
    PricingModel,
    Tier,
    Volume,
)
from faregate.domain.catalog.price import UNADJUSTED
from faregate.domain.catalog.versions import AppliesTo
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.provider_prices import is_rated_by_provider, provider_price
from faregate.storage import tables
from faregate.storage.database import Database
from faregate.storage.ledger import TotalKey, read_totals
from tests.billing.desk import Desk
from tests.builders import price_columns, priced
from tests.domain.pricing.models import MODELS, percentages, prices_of, table_prices
from tests.services.world import APP, NOW, PERIOD_START, SUBSCRIPTION, Call, make_world

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ONE = Decimal(1)

every_price = st.sampled_from([*MODELS]).flatmap(prices_of) | percentages.map(priced) | table_prices
calls = st.lists(st.integers(min_value=0, max_value=70), max_size=6)


def cents(desk: Desk, price_id: str = "prc_in") -> int | None:
    """The line of a price on the only invoice; None where there is no such line."""
    return next(
        (line.amount for invoice in desk.invoices() for line in invoice.lines if line.price_id == price_id), None
    )


def entries(desk: Desk, price_id: str = "prc_in") -> int:
    return -sum(int(str(row["amount"])) for row in desk.world.rows("ledger_entry") if row["price_id"] == price_id)


def use(desk: Desk, *tokens: int, user_id: str | None = None, at: datetime = NOW) -> None:
    for amount in tokens:
        desk.calls += 1
        number = f"req_{desk.calls}"
        desk.world.take(
            Call(
                request_id=number,
                sequence=desk.calls,
                prompt_tokens=amount,
                completion_tokens=0,
                user_id=user_id,
                occurred_at=at,
                replay=True,
            )
        )


@settings(max_examples=25)
@given(price=every_price, tokens=calls)
def test_debits_our_line_and_the_providers_are_one_amount(price: object, tokens: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        provider = EmbeddedProvider(Path(folder) / "sandbox.sqlite3")
        desk = Desk(
            world=make_world(Database(f"sqlite:///{folder}/faregate.sqlite3"), pays="postpaid"), provider=provider
        )
        in_dollars = priced(price.model, price.adjustments)  # type: ignore[attr-defined]
        desk.set_terms("prc_in", in_dollars)
        use(desk, *tokens, user_id="small")
        desk.close_month(APRIL)
        assert [row["last_error"] for row in desk.outbox()] == [None] * len(desk.outbox())
        line = cents(desk)
        assert entries(desk) == minor_to_ledger_units(line or 0, currency("USD"))
        assert [invoice.total for invoice in desk.invoices()] == [one.subtotal for one in desk.provider_invoices()]
        desk.world.database.close()
        provider.close()


@pytest.mark.parametrize(
    ("model", "adjustments", "tokens", "line", "rated_by_provider"),
    [
        (PerUnit(amount=Decimal("0.015")), UNADJUSTED, [3, 4], 11, True),
        (Flat(amount=Decimal(20)), UNADJUSTED, [], 2_000, False),
        (Package(amount=ONE, size=Decimal(10), rounding=PackageRounding.DOWN), UNADJUSTED, [9, 12], 200, True),
        (
            Graduated(tiers=(Tier(up_to=Decimal(5), unit=ONE), Tier(up_to=None, unit=Decimal("0.5"), flat=ONE))),
            UNADJUSTED,
            [4, 4],
            750,
            True,
        ),
        (
            Volume(tiers=(Tier(up_to=Decimal(5), unit=ONE), Tier(up_to=None, unit=Decimal("0.5"), flat=ONE))),
            UNADJUSTED,
            [4, 4],
            500,
            True,
        ),
        (Percentage(percent=Decimal("2.9"), fixed=Decimal("0.30")), UNADJUSTED, [100, 50], 495, False),
        (Percentage(percent=Decimal(10), free_events=1), UNADJUSTED, [100, 50], 500, False),
        (PerUnit(amount=ONE), Adjustments(included_units=Decimal(5)), [4, 4], 300, False),
        (PerUnit(amount=ONE), Adjustments(discounts=(PercentDiscount(percent=Decimal(50)),)), [4, 4], 400, False),
        (PerUnit(amount=ONE), Adjustments(discounts=(FixedDiscount(amount=Decimal(3)),)), [4, 4], 500, False),
        (PerUnit(amount=ONE), Adjustments(maximum_spend=Decimal(6)), [4, 4], 600, False),
        (PerUnit(amount=ONE), Adjustments(minimum_spend=Decimal(60)), [4, 4], 6_000, False),
        (
            PerUnit(amount=ONE),
            Adjustments(commitment=Commitment(amount=Decimal(6), overage=Decimal(2))),
            [4, 4],
            1_000,
            False,
        ),
    ],
)
def test_a_month_of_each_model_comes_out_as_calculated_by_hand(
    postpaid: Desk,
    model: PricingModel,
    adjustments: Adjustments,
    tokens: list[int],
    line: int,
    rated_by_provider: bool,  # noqa: FBT001
) -> None:
    price = priced(model, adjustments)
    assert is_rated_by_provider(price) is rated_by_provider
    postpaid.set_terms("prc_in", price)
    use(postpaid, *tokens)
    postpaid.close_month(APRIL)
    assert cents(postpaid) == line
    assert len(postpaid.messages("usage")) == (1 if rated_by_provider else 0)
    assert postpaid.balance() == 0


def test_what_is_due_without_usage_is_charged_every_month_as_a_closing_entry(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE), Adjustments(minimum_spend=Decimal(10))))
    use(postpaid, 4)
    postpaid.close_month(APRIL)
    postpaid.close_month(MAY)
    assert [invoice.total for invoice in postpaid.invoices()] == [1_000, 1_000]
    kinds = [row["kind"] for row in postpaid.world.rows("ledger_entry") if row["price_id"] == "prc_in"]
    assert sorted(map(str, kinds)) == ["closing", "closing", "debit"]


def test_token_prices_by_model_keep_a_total_for_each_and_say_which_model_has_no_price(postpaid: Desk) -> None:
    table: dict[tuple[str, ...], LeafModel] = {
        ("small",): PerUnit(amount=Decimal("0.01")),
        ("large",): PerUnit(amount=Decimal("0.10")),
    }
    postpaid.set_terms("prc_in", priced(ByDimension(fields=("user_id",), table=table, default=None)))
    use(postpaid, 10, user_id="small")
    use(postpaid, 7, user_id="large")
    use(postpaid, 5, user_id="huge")
    with postpaid.world.database.snapshot() as transaction:
        key = TotalKey(SUBSCRIPTION, "prc_in", PERIOD_START)
        total = read_totals(transaction, [key])[key]
    assert total.totals == {("small",): Decimal(10), ("large",): Decimal(7)}
    assert total.settled == 17
    reasons = [str(row["reason"]) for row in postpaid.world.rows("unmeterable")]
    assert [reason for reason in reasons if "'huge'" in reason and "no default" in reason]
    postpaid.close_month(APRIL)
    assert cents(postpaid) == 80


def test_values_that_the_table_does_not_name_share_the_defaults_total(postpaid: Desk) -> None:
    model = ByDimension(
        fields=("user_id",),
        table={("small",): PerUnit(amount=ONE)},
        default=Package(amount=Decimal(5), size=Decimal(10)),
    )
    postpaid.set_terms("prc_in", priced(model))
    for user in ("ann", "bob"):
        use(postpaid, 4, user_id=user)
    use(postpaid, 4)
    postpaid.close_month(APRIL)
    assert cents(postpaid) == 1_000


def test_an_invoice_line_says_what_it_is_made_of(postpaid: Desk) -> None:
    tiers = (Tier(up_to=Decimal(5), unit=ONE), Tier(up_to=None, unit=Decimal("0.333"), flat=ONE))
    adjustments = Adjustments(discounts=(PercentDiscount(percent=Decimal(10)),), minimum_spend=Decimal(10))
    postpaid.set_terms("prc_in", priced(Graduated(tiers=tiers), adjustments))
    use(postpaid, 6)
    postpaid.close_month(APRIL)
    (line,) = postpaid.invoices()[0].lines
    assert [(part.kind.value, part.tier, part.quantity, part.amount) for part in line.parts] == [
        ("tier", 1, 5, 5),
        ("tier", 2, 1, Decimal("1.333")),
        ("discount", None, None, Decimal("-0.6333")),
        ("true_up", None, None, Decimal("4.3003")),
    ]
    assert sum(part.amount for part in line.parts) * 100 == line.amount


def add_version(
    desk: Desk, model: PricingModel, *, at: datetime, applies_to: AppliesTo = AppliesTo.ALL, price_id: str = "prc_in_2"
) -> None:
    with desk.world.database.begin() as transaction:
        columns = price_columns(priced(model, price_id=price_id), effective_at=at)
        columns |= {"series_id": "prc_in", "version": 2, "applies_to": applies_to.value}
        transaction.execute(
            insert(tables.price).values(
                application_id=APP, plan_id="pln_1", name="Input Tokens", created_at=NOW, **columns
            )
        )


def test_a_change_of_unit_prices_holds_from_its_very_moment_and_both_stand_on_the_invoice(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE)))
    change = NOW + timedelta(minutes=2)
    add_version(postpaid, PerUnit(amount=Decimal(3)), at=change)
    use(postpaid, 2, at=change - timedelta(microseconds=1))
    use(postpaid, 4, at=change)
    postpaid.close_month(APRIL)
    assert (cents(postpaid), cents(postpaid, "prc_in_2")) == (200, 1_200)
    charges = {str(row["price_id"]) for row in postpaid.world.rows("charge") if row["meter_id"] == "mtr_in"}
    assert charges == {"prc_in", "prc_in_2"}


def test_a_change_of_packages_waits_for_the_next_period(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(Package(amount=ONE, size=Decimal(10))))
    add_version(postpaid, Package(amount=Decimal(2), size=Decimal(10)), at=NOW)
    use(postpaid, 1, at=NOW + DAY)
    use(postpaid, 1, at=APRIL + DAY)
    postpaid.close_month(APRIL)
    postpaid.close_month(MAY)
    lines = [[(line.price_id, line.amount) for line in invoice.lines] for invoice in postpaid.invoices()]
    assert sorted(lines) == [[("prc_in", 100)], [("prc_in_2", 200)]]


def test_a_change_for_new_subscriptions_leaves_a_standing_one_as_it_is(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=ONE)))
    add_version(postpaid, PerUnit(amount=Decimal(3)), at=NOW, applies_to=AppliesTo.NEW_SUBSCRIPTIONS)
    use(postpaid, 4, at=NOW + DAY)
    postpaid.close_month(APRIL)
    assert (cents(postpaid), cents(postpaid, "prc_in_2")) == (400, None)


def test_the_provider_is_never_told_of_a_price_that_it_cannot_rate() -> None:
    with pytest.raises(TypeError, match="Flat"):
        provider_price(priced(Flat(amount=ONE)), product="Plan")
