"""The catalog of a real database, brought to the sandbox through the official SDK, each request judged."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from sqlalchemy import select
from stripe import StripeClient

from faregate.apps.secret_files import SANDBOX_KEY_FILE
from faregate.base.errors import Conflict, NotFound, Unavailable
from faregate.base.ids import new_id
from faregate.domain.billing.provider_catalog import Difference, WantedSeries
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks
from faregate.providers.stripe.catalog import StripeCatalog, sold_again
from faregate.providers.stripe.client import connect
from faregate.services.apply_catalog import apply_catalog
from faregate.services.catalog import change_plan, create_version
from faregate.services.catalog_drift import ChangedObject, look_for_drift, take_ours, take_theirs
from faregate.services.change import Change
from faregate.services.meters import change_meter
from faregate.services.setup import ensure_application
from faregate.services.sync_catalog import push, read_task, sync_catalog
from faregate.storage.catalog import find_plan_by_name
from faregate.storage.catalog_sync import CatalogKind, SyncRow, list_rows
from faregate.storage.database import Database, Transaction
from faregate.storage.metered import series_of_plan
from faregate.storage.meters import find_meter_by_name
from faregate.storage.tables import provider_link
from faregate.wire.api.catalog import PlanChange, PriceVersionCreate
from faregate.wire.api.catalog_document import CatalogDocument
from faregate.wire.api.meters import MeterChange
from tests.api.world import SEED
from tests.contract.judge import Judge, judging
from tests.control.control_plane import started
from tests.services.world import SteppedClock
from tests.support.tables import ensure_tables

T = TypeVar("T")

TIERS = [{"up_to": 10, "unit": "0.20"}, {"up_to": None, "unit": "0.1", "flat": "1"}]
MODELS: dict[str, dict[str, Any]] = {
    "Begun": {"type": "package", "amount": "0.50", "size": 1000},
    "Full": {"type": "package", "amount": "0.50", "size": 1000, "round": "down"},
    "Units": {"type": "per_unit", "amount": "0.000015"},
    "Climbing": {"type": "graduated", "tiers": TIERS},
    "Whole": {"type": "volume", "tiers": TIERS},
    "Fee": {"type": "flat", "amount": "20"},
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Judge, str]]:
    data = Path(tmp_path_factory.mktemp("catalog"))
    with started(data) as handle, judging(f"{handle.running.origin}/sandbox") as judge:
        yield judge, (data / SANDBOX_KEY_FILE).read_text().strip()


@dataclass(kw_only=True)
class Shop:
    """An application, its database, and the account that its catalog goes to."""

    database: Database
    clock: SteppedClock
    client: StripeClient
    catalog: StripeCatalog
    application_id: str

    def change(self, work: Callable[[Transaction, Change], T]) -> T:
        with self.database.begin() as transaction:
            return work(transaction, Change(application_id=self.application_id, now=self.clock.now(), new_id=new_id))

    def apply(self, document: dict[str, Any]) -> None:
        wanted = msgspec.convert(document, CatalogDocument)
        self.change(lambda tx, change: apply_catalog(tx, change, wanted, dry_run=False))

    def sync(self, catalog: Any = None) -> int:  # noqa: ANN401 - a provider, or one that fails
        return asyncio.run(sync_catalog(self.database, catalog or self.catalog, self.clock))

    def look(self, *changed: ChangedObject) -> int:
        return asyncio.run(look_for_drift(self.database, self.catalog, self.clock, changed=changed or None))

    def row(self, kind: CatalogKind) -> SyncRow:
        with self.database.snapshot() as transaction:
            return next(row for row in list_rows(transaction, self.application_id) if row.kind is kind)

    def links(self, kind: LinkKind) -> dict[str, str]:
        columns = provider_link.c
        statement = select(columns.our_id, columns.provider_id).where(
            columns.application_id == self.application_id,
            columns.account == self.catalog.account(),
            columns.kind == kind.value,
        )
        with self.database.snapshot() as transaction:
            return {row.our_id: row.provider_id for row in transaction.execute(statement)}

    def plan_id(self, name: str = "P") -> str:
        with self.database.snapshot() as transaction:
            plan = find_plan_by_name(transaction, self.application_id, name)
        assert plan is not None
        return plan.plan_id

    def series_id(self) -> str:
        plan_id = self.plan_id()
        with self.database.snapshot() as transaction:
            return series_of_plan(transaction, plan_id)[0].series_id

    def prices(self, plan: str = "P") -> dict[str, Any]:
        """All prices of a plan's product, by our id."""
        found = self.client.v1.prices.list({"product": self.plan_id(plan), "limit": 100, "expand": ["data.tiers"]})
        return {price.metadata["faregate_id"]: price for price in found.data}


@pytest.fixture
def shop(judge: tuple[Judge, str], sqlite_url: str) -> Iterator[Shop]:
    clock = SteppedClock()
    client = connect(judge[1], base_url=judge[0].url)
    judge[0].log.clear()
    with closing(Database(sqlite_url)) as database:
        with database.begin() as transaction:
            ensure_tables(transaction)
            secrets = ensure_application(transaction, new_id=new_id, now=clock.now())
        assert secrets is not None
        yield Shop(
            database=database,
            clock=clock,
            client=client,
            catalog=StripeCatalog(lambda: client),
            application_id=secrets.application_id,
        )
    assert judge[0].refused() == []


def a_plan(*models: str, name: str = "P", **more: object) -> dict[str, Any]:
    prices = [{"name": model, "model": MODELS[model], "currency": "USD"} | more for model in models]
    return {"plans": [{"name": name, "prices": prices}]}


def test_every_price_that_stripe_can_rate_stands_there_as_it_is_and_a_repeat_changes_nothing(
    shop: Shop, judge: tuple[Judge, str]
) -> None:
    shop.apply(a_plan(*MODELS))
    assert shop.sync() == 7
    found = {price.nickname: price for price in shop.prices().values()}
    assert set(found) == {"Begun", "Full", "Units", "Climbing", "Whole"}
    assert [found[name].transform_quantity.round for name in ("Begun", "Full")] == ["up", "down"]
    assert (str(found["Units"].unit_amount_decimal), found["Units"].tax_behavior) == ("0.0015", "unspecified")
    assert [found[name].tiers_mode for name in ("Climbing", "Whole")] == ["graduated", "volume"]
    assert [(tier.up_to, tier.unit_amount, tier.flat_amount) for tier in found["Whole"].tiers] == [
        (10, 20, None),
        (None, 10, 100),
    ]
    assert all(price.lookup_key == our_id for our_id, price in shop.prices().items())
    assert shop.client.v1.products.retrieve(shop.plan_id()).name == "P"
    asked = len(judge[0].log)
    assert (shop.sync(), shop.look()) == (0, 0)
    assert all(judged.method == "GET" for judged in judge[0].log[asked:])


def test_a_crash_between_the_calls_and_their_mark_makes_nothing_twice(shop: Shop) -> None:
    shop.apply(a_plan("Begun", "Climbing", currency_options={"EUR": {"model": MODELS["Begun"]}}))
    for _ in range(2):
        with shop.database.snapshot() as transaction:
            for row in list_rows(transaction, shop.application_id):
                task = read_task(transaction, row, account="", now=shop.clock.now())
                assert task.wanted is not None
                push(shop.catalog, task.wanted, ProviderLinks())
    shop.sync()
    shop.sync()
    listed = shop.client.v1.prices.list({"product": shop.plan_id(), "limit": 100}).data
    assert sorted(price.currency for price in listed) == ["eur", "eur", "usd", "usd"]
    assert {price.id for price in listed} == set(shop.links(LinkKind.PRICE).values())


def test_a_new_version_takes_the_lookup_key_when_it_takes_effect_and_the_old_one_is_archived(shop: Shop) -> None:
    shop.apply(a_plan("Begun"))
    shop.sync()
    series_id = shop.series_id()
    (before,) = shop.prices().values()
    later = shop.clock.now() + timedelta(days=2)
    request = msgspec.convert({"model": MODELS["Units"], "effective_at": later}, PriceVersionCreate)
    shop.change(lambda tx, change: create_version(tx, change, request, price_id=series_id))
    shop.sync()
    new = next(price for price in shop.prices().values() if price.id != before.id)
    assert (new.active, new.lookup_key) == (True, None)
    assert shop.client.v1.prices.retrieve(before.id).lookup_key == f"{series_id}/USD"
    shop.clock.at = later
    assert shop.sync() == 1
    prices = {price.id: (price.active, price.lookup_key) for price in shop.prices().values()}
    assert prices == {before.id: (False, None), new.id: (True, f"{series_id}/USD")}
    with sold_again(shop.client, before.id):
        assert shop.client.v1.prices.retrieve(before.id).active
    assert not shop.client.v1.prices.retrieve(before.id).active


def test_a_renamed_plan_and_meter_are_renamed_there_and_an_archived_plan_is_archived_with_its_prices(
    shop: Shop,
) -> None:
    shop.apply({name: SEED[name] for name in ("plans", "meters")})
    shop.sync()
    plan_id = shop.plan_id("My AI API Plan")
    with shop.database.snapshot() as transaction:
        meter = find_meter_by_name(transaction, shop.application_id, "Input Token Meter")
    assert meter is not None
    names = {made.display_name for made in shop.client.v1.billing.meters.list({"limit": 100}).data}
    assert {"Input Token Meter", "Output Token Meter"} <= names
    rename = MeterChange(name="Prompt Meter")
    shop.change(lambda tx, change: change_meter(tx, change, rename, meter_id=meter.meter_id))
    shop.change(lambda tx, change: change_plan(tx, change, PlanChange(name="P", archived=True), plan_id=plan_id))
    shop.sync()
    meter_id = shop.links(LinkKind.METER)[meter.price_id]
    product = shop.client.v1.products.retrieve(plan_id)
    assert shop.client.v1.billing.meters.retrieve(meter_id).display_name == "Prompt Meter"
    assert (product.name, product.active) == ("P", False)
    assert not any(price.active for price in shop.prices().values())
    shop.change(lambda tx, change: change_plan(tx, change, PlanChange(archived=False), plan_id=plan_id))
    shop.sync()
    assert all(price.active for price in shop.prices().values())


class Failing(StripeCatalog):
    """Fails for one price."""

    def push_series(self, wanted: WantedSeries, links: ProviderLinks) -> None:
        if wanted.prices[0].nickname == "Units":
            raise Unavailable("Stripe did not answer")
        super().push_series(wanted, links)


def test_one_failure_delays_no_other_is_kept_with_its_error_and_tried_again_later(shop: Shop) -> None:
    shop.apply(a_plan("Units", "Begun"))
    assert shop.sync(Failing(lambda: shop.client)) == 2
    (failed,) = [row for row in rows_of(shop) if row.last_error]
    assert (failed.last_error, failed.attempts) == ("Stripe did not answer", 1)
    assert shop.sync() == 0
    shop.clock.at += timedelta(seconds=2)
    assert shop.sync() == 1
    assert [row.last_error for row in rows_of(shop)] == [None, None, None]


def rows_of(shop: Shop) -> list[SyncRow]:
    with shop.database.snapshot() as transaction:
        return list_rows(transaction, shop.application_id)


def test_a_price_that_stands_there_with_other_amounts_is_told_and_not_used(shop: Shop) -> None:
    shop.apply(a_plan("Units"))
    shop.client.v1.products.create({"id": shop.plan_id(), "name": "P"})
    price_id = f"{shop.series_id()}/USD"
    shop.client.v1.prices.create(
        {
            "product": shop.plan_id(),
            "currency": "usd",
            "unit_amount": 7,
            "metadata": {"faregate_id": price_id},
        }
    )
    shop.sync()
    error = shop.row(CatalogKind.PRICE).last_error
    assert error is not None
    assert "a price never changes there" in error


def test_what_was_changed_there_is_shown_field_by_field_and_ours_again_on_demand(shop: Shop) -> None:
    shop.apply(a_plan("Begun"))
    shop.sync()
    (price_id,) = shop.links(LinkKind.PRICE).values()
    (meter_id,) = shop.links(LinkKind.METER).values()
    shop.client.v1.prices.update(price_id, {"nickname": "Theirs", "active": False})
    shop.client.v1.billing.meters.update(meter_id, {"display_name": "Another"})
    assert shop.look(ChangedObject(kind="price", provider_id="price_of_another")) == 0
    assert shop.look(ChangedObject(kind="price", provider_id=price_id)) == 3
    series_id = shop.series_id()
    assert [(seen.field, seen.ours, seen.theirs) for seen in shop.row(CatalogKind.PRICE).drift] == [
        ("display_name", "Begun", "Another"),
        ("active", "true", "false"),
        ("nickname", "Begun", "Theirs"),
    ]
    with pytest.raises(Conflict, match="display_name: a meter there bears the name"):
        shop.change(lambda tx, change: take_theirs(tx, change, CatalogKind.PRICE, our_id=series_id))
    shop.change(lambda tx, change: take_ours(tx, change, CatalogKind.PRICE, our_id=series_id))
    shop.sync()
    assert (shop.look(), shop.row(CatalogKind.PRICE).drift) == (0, ())
    assert shop.client.v1.prices.retrieve(price_id).nickname == "Begun"


def test_a_plans_name_and_whether_it_is_sold_can_be_taken_from_there(shop: Shop) -> None:
    shop.apply(a_plan("Begun"))
    shop.sync()
    plan_id = shop.plan_id()
    with pytest.raises(Conflict, match="nothing differs"):
        shop.change(lambda tx, change: take_theirs(tx, change, CatalogKind.PLAN, our_id=plan_id))
    with pytest.raises(NotFound):
        shop.change(lambda tx, change: take_ours(tx, change, CatalogKind.PLAN, our_id="pln_none"))
    shop.client.v1.products.update(plan_id, {"name": "Their plan", "active": False})
    assert shop.look(ChangedObject(kind="product", provider_id=plan_id)) == 2
    shop.change(lambda tx, change: take_theirs(tx, change, CatalogKind.PLAN, our_id=plan_id))
    shop.sync()
    assert shop.look() == 0
    with shop.database.snapshot() as transaction:
        plan = find_plan_by_name(transaction, shop.application_id, "Their plan")
    assert plan is not None
    assert plan.is_archived


def test_what_was_deleted_there_differs_in_just_that_and_is_made_again_on_demand(shop: Shop) -> None:
    shop.apply(a_plan("Fee"))
    shop.sync()
    plan_id = shop.plan_id()
    shop.client.v1.products.delete(plan_id)
    assert shop.look() == 1
    (seen,) = shop.row(CatalogKind.PLAN).drift
    assert seen == Difference(
        kind=LinkKind.PRODUCT, our_id=plan_id, provider_id=plan_id, field="deleted", ours="false", theirs="true"
    )
    with pytest.raises(Conflict, match="was deleted there"):
        shop.change(lambda tx, change: take_theirs(tx, change, CatalogKind.PLAN, our_id=plan_id))
    shop.change(lambda tx, change: take_ours(tx, change, CatalogKind.PLAN, our_id=plan_id))
    shop.sync()
    assert shop.client.v1.products.retrieve(plan_id).name == "P"
