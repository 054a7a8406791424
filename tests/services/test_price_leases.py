"""What leases hold of prices that are no plain packages, and of prices that change."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, update

from faregate.domain.catalog.models import ByDimension, Graduated, PerUnit, Tier, Volume
from faregate.domain.catalog.price import Price
from faregate.storage import tables
from faregate.wire.gateway_protocol import Drawn, Refused
from tests.builders import price_columns, priced, terms_text
from tests.services.world import APP, DOLLAR, NOW, Call, World, need

ONE = Decimal(1)


@pytest.fixture
def funded(world: World) -> World:
    world.open_epoch()
    world.grant("20")
    return world


def set_terms(world: World, price: Price) -> None:
    with world.database.begin() as transaction:
        columns = tables.price.c
        transaction.execute(update(tables.price).where(columns.price_id == "prc_in").values(terms=terms_text(price)))


def test_units_of_a_table_are_held_at_its_dearest_row(funded: World) -> None:
    model = ByDimension(
        fields=("user_id",),
        table={("small",): PerUnit(amount=ONE), ("large",): PerUnit(amount=Decimal(5))},
        default=None,
    )
    set_terms(funded, priced(model))
    lease = funded.lease("prc_in", 3)
    assert funded.account().reserved == 15 * DOLLAR
    assert funded.ask(need("prc_in", 2), request_id="ask-2").refused is Refused.INSUFFICIENT
    drawn = (Drawn(lease_id=lease.lease_id, units=3),)
    funded.take(Call(prompt_tokens=3, completion_tokens=0, user_id="small", drawn=drawn))
    assert (funded.account().balance, funded.account().reserved) == (17 * DOLLAR, 0)


def test_volume_tiers_are_held_at_their_highest_point(funded: World) -> None:
    tiers = (Tier(up_to=Decimal(10), unit=ONE), Tier(up_to=None, unit=Decimal("0.1")))
    set_terms(funded, priced(Volume(tiers=tiers)))
    funded.lease("prc_in", 11)
    assert funded.account().reserved == 10 * DOLLAR


def test_the_fee_of_a_first_tier_is_held_with_the_first_unit(funded: World) -> None:
    set_terms(funded, priced(Graduated(tiers=(Tier(up_to=None, unit=ONE, flat=Decimal(9)),))))
    funded.lease("prc_in", 2)
    assert funded.account().reserved == 11 * DOLLAR


def test_no_lease_reaches_beyond_a_change_of_its_price_and_the_next_is_of_the_new_version(funded: World) -> None:
    set_terms(funded, priced(PerUnit(amount=ONE)))
    change = NOW + timedelta(minutes=5)
    with funded.database.begin() as transaction:
        columns = price_columns(priced(PerUnit(amount=Decimal(2)), price_id="prc_in_2"), effective_at=change)
        columns |= {"series_id": "prc_in", "version": 2}
        transaction.execute(
            insert(tables.price).values(
                application_id=APP, plan_id="pln_1", name="Input Tokens", created_at=NOW, **columns
            )
        )
    before = funded.lease("prc_in", 3)
    assert (before.price_id, before.period_end) == ("prc_in", change)
    funded.clock.at = change
    after = funded.lease("prc_in", 4, request_id="ask-2")
    assert after.price_id == "prc_in"
    assert after.period_end > change
    assert funded.ask(need("prc_in", 4), request_id="ask-2").leases == [after]
    assert [funded.total(price_id).outstanding for price_id in ("prc_in", "prc_in_2")] == [3, 4]
    assert funded.account().reserved == 11 * DOLLAR
