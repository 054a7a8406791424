import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET
from sqlalchemy import insert

from faregate.base.errors import Conflict, InvalidInput, NotFound, Unavailable
from faregate.domain.billing.provider import ProviderCustomer
from faregate.domain.billing.provider_checkout import (
    CheckoutMode,
    CheckoutPhase,
    CheckoutStanding,
    SubscriptionPage,
    TopUpPage,
)
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks
from faregate.domain.billing.standing import ChargeStanding, RefundStanding
from faregate.domain.customers.subscription import Pays
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.change import Change
from faregate.services.checkouts import Checkouts
from faregate.services.run_top_ups import TopUpRunner
from faregate.services.top_ups import set_auto_top_up
from faregate.storage import tables
from faregate.storage.checkouts import CheckoutRow
from faregate.wire.api.checkouts import CheckoutCreate
from faregate.wire.api.top_ups import AutoTopUpSet
from tests.builders import a_subscription_standing
from tests.services.provider_world import ACCOUNT, CUSTOMER, ProviderWorld
from tests.services.world import APP, COMPANY, DOLLAR, NOW, SUBSCRIPTION, World, add_subscription

TOP_UP = CheckoutCreate(
    mode=CheckoutMode.TOP_UP,
    success_url="https://example.com/done",
    cancel_url="https://example.com/",
    amount=Decimal("20.00"),
    subscription_id=SUBSCRIPTION,
)
SUBSCRIBE = CheckoutCreate(
    mode=CheckoutMode.SUBSCRIPTION,
    success_url="https://example.com/done",
    cancel_url="https://example.com/",
    plan_id="pln_1",
)


@dataclass
class Pages:
    """A provider's pages: what was asked for, and how each stands."""

    opened: list[TopUpPage | SubscriptionPage] = field(default_factory=list)
    standings: dict[str, CheckoutStanding] = field(default_factory=dict)
    fault: Exception | None = None

    def open_top_up(self, wanted: TopUpPage, links: ProviderLinks) -> CheckoutStanding:
        return self._open(wanted, links)

    def open_subscription(self, wanted: SubscriptionPage, links: ProviderLinks) -> CheckoutStanding:
        return self._open(wanted, links)

    def expire(self, session_id: str) -> CheckoutStanding:
        if self.fault is not None:
            raise self.fault
        if self.standings[session_id].phase is CheckoutPhase.OPEN:
            self.becomes(session_id, CheckoutPhase.EXPIRED)
        return self.standings[session_id]

    def open_portal(self, customer: ProviderCustomer, links: ProviderLinks, *, return_url: str) -> str:
        links.add(LinkKind.CUSTOMER, customer.lookup_key, CUSTOMER)
        return f"https://portal.test/{customer.name}?return={return_url}"

    def becomes(self, session_id: str, phase: CheckoutPhase, **changed: str) -> None:
        self.standings[session_id] = replace(self.standings[session_id], phase=phase, **changed)  # type: ignore[arg-type]

    def _open(self, wanted: TopUpPage | SubscriptionPage, links: ProviderLinks) -> CheckoutStanding:
        if self.fault is not None:
            raise self.fault
        self.opened.append(wanted)
        links.add(LinkKind.CUSTOMER, wanted.customer.lookup_key, CUSTOMER)
        session_id = f"cs_{wanted.checkout_id}"
        return self.standings.setdefault(
            session_id,
            CheckoutStanding(
                session_id=session_id,
                faregate_id=wanted.checkout_id,
                phase=CheckoutPhase.OPEN,
                url=f"https://checkout.test/{session_id}",
                expires_at=NOW + timedelta(days=1),
                provider_subscription_id="",
            ),
        )


@dataclass
class Shop:
    """A world, its provider, and the pages of it."""

    there: ProviderWorld
    pages: Pages = field(default_factory=Pages)

    @property
    def world(self) -> World:
        return self.there.world

    @property
    def checkouts(self) -> Checkouts:
        return Checkouts(
            self.world.database, self.pages, self.world.clock, account=lambda: ACCOUNT, new_id=self.world.new_id
        )

    def open(self, request: CheckoutCreate = TOP_UP, *, key: str = "one", company_id: str = COMPANY) -> CheckoutRow:
        return asyncio.run(self.checkouts.open(APP, company_id, request, caller_id=key))

    def hears(self, row: CheckoutRow, phase: CheckoutPhase, kind: str = "completed") -> str:
        """The page stands so, and the provider tells of it; what came of it."""
        assert row.session_id is not None
        self.pages.becomes(row.session_id, phase)
        self.there.provider.checkouts = self.pages.standings
        event_id = self.there.hear(f"checkout.session.{kind}", row.session_id)
        self.there.work()
        return self.there.row(event_id).outcome

    def phases(self) -> list[object]:
        return [row["phase"] for row in self.world.rows("checkout")]

    def tops_up(self, folder: Path) -> list[object]:
        """Automatic top-ups run; how they all ended."""
        provider = EmbeddedProvider(folder / "provider.sqlite3")
        try:
            runner = TopUpRunner(
                self.world.database,
                provider,
                self.world.clock,
                new_id=self.world.new_id,
                expire_pages=self.checkouts.expire_open,
            )
            asyncio.run(runner.run())
        finally:
            provider.close()
        return [row["status"] for row in self.world.rows("top_up")]

    def sets_auto_top_up(self) -> None:
        terms = AutoTopUpSet(below=Decimal(5), amount=Decimal(20))
        change = Change(application_id=APP, now=NOW, new_id=self.world.new_id)
        with self.world.database.begin() as transaction:
            set_auto_top_up(transaction, change, terms, subscription_id=SUBSCRIPTION)


@pytest.fixture
def shop(world: World) -> Shop:
    return Shop(ProviderWorld(world))


def test_credit_is_given_when_the_money_is_there_once_whatever_is_told_how_often(shop: Shop) -> None:
    row = shop.open()
    assert (row.phase, row.url) == (CheckoutPhase.OPEN, f"https://checkout.test/cs_{row.checkout_id}")
    (page,) = shop.pages.opened
    assert isinstance(page, TopUpPage)
    assert (page.amount, page.currency, page.description) == (2_000, "USD", "Credit for My AI API Plan")
    shop.hears(row, CheckoutPhase.PROCESSING)
    assert shop.world.account().balance == 0
    for kind in ("completed", "async_payment_succeeded", "completed"):
        assert shop.hears(row, CheckoutPhase.COMPLETE, kind).endswith("is complete")
    assert shop.world.account().balance == 20 * DOLLAR
    assert shop.world.rows("checkout")[0]["grant_id"] is not None


@pytest.mark.parametrize("phase", [CheckoutPhase.FAILED, CheckoutPhase.EXPIRED])
def test_a_page_that_nobody_paid_at_gives_nothing(shop: Shop, phase: CheckoutPhase) -> None:
    shop.hears(shop.open(), phase)
    assert shop.world.account().balance == 0
    assert shop.phases() == [phase.value]


def test_a_repeat_answers_the_first_page_and_a_lost_answer_opens_the_same_one(shop: Shop) -> None:
    shop.pages.fault = Unavailable("the line broke")
    with pytest.raises(Unavailable):
        shop.open()
    shop.pages.fault = None
    first = shop.open()
    assert shop.open() == first
    assert len(shop.pages.opened) == 1
    assert shop.open(key="two").checkout_id != first.checkout_id


def test_credit_of_a_page_goes_back_with_its_payment(shop: Shop) -> None:
    row = shop.open()
    shop.hears(row, CheckoutPhase.COMPLETE)
    shop.there.provider.charges["ch_1"] = ChargeStanding(
        charge_id="ch_1",
        faregate_id=row.checkout_id,
        currency="USD",
        refunds=(RefundStanding(refund_id="re_1", amount=2_000),),
    )
    shop.there.hear("charge.refunded", "ch_1")
    shop.there.work()
    assert shop.world.account().balance == 0


def test_an_open_page_is_closed_before_an_automatic_top_up(shop: Shop, tmp_path: Path) -> None:
    shop.sets_auto_top_up()
    shop.open()
    assert shop.tops_up(tmp_path) == ["failed"], "nobody left a payment method; it was tried"
    assert shop.phases() == ["expired"]


def test_what_was_paid_at_the_page_makes_the_automatic_top_up_needless(shop: Shop, tmp_path: Path) -> None:
    shop.sets_auto_top_up()
    row = shop.open()
    shop.pages.becomes(row.session_id or "", CheckoutPhase.COMPLETE)
    assert shop.tops_up(tmp_path) == []
    assert shop.world.account().balance == 20 * DOLLAR


def test_no_automatic_top_up_begins_while_a_page_may_be_open(shop: Shop, tmp_path: Path) -> None:
    shop.sets_auto_top_up()
    shop.open()
    shop.pages.fault = Unavailable("away")
    assert shop.tops_up(tmp_path) == []
    with pytest.raises(Unavailable):
        shop.open(key="two")
    shop.pages.fault = None
    assert shop.tops_up(tmp_path) == [], "the second page may have opened, although its answer was lost"
    shop.world.clock.at = NOW + timedelta(minutes=3)
    assert shop.tops_up(tmp_path) == ["failed"]


def test_no_page_opens_while_an_automatic_top_up_is_under_way(shop: Shop) -> None:
    shop.sets_auto_top_up()
    with shop.world.database.begin() as transaction:
        transaction.execute(
            insert(tables.top_up).values(
                top_up_id="top_1",
                application_id=APP,
                subscription_id=SUBSCRIPTION,
                amount=1,
                status="pending",
                began_at=NOW,
                attempts=0,
            )
        )
    with pytest.raises(Conflict, match="under way"):
        shop.open()


def test_what_cannot_be_ordered_is_refused_by_field(shop: Shop) -> None:
    with shop.world.database.begin() as transaction:
        add_subscription(transaction, "sub_globex", "globex", "prepaid")
        add_subscription(transaction, "sub_post", COMPANY, "postpaid", plan_id="pln_2")
    to_plan: dict[str, object] = {"mode": CheckoutMode.SUBSCRIPTION, "amount": UNSET, "subscription_id": UNSET}
    refused: list[tuple[dict[str, object], str]] = [
        ({"amount": UNSET}, "amount"),
        ({"amount": Decimal("0.001")}, "amount"),
        ({"subscription_id": UNSET}, "subscription_id"),
        ({"plan_id": "pln_1"}, "plan_id"),
        ({"subscription_id": "sub_globex"}, "subscription_id"),
        ({"subscription_id": "sub_post"}, "subscription_id"),
        (to_plan, "plan_id"),
        (to_plan | {"plan_id": "pln_1", "amount": Decimal(1)}, "amount"),
        (to_plan | {"plan_id": "pln_9"}, "plan_id"),
    ]
    for change, name in refused:
        with pytest.raises(InvalidInput) as caught:
            shop.open(msgspec.structs.replace(TOP_UP, **change))
        assert [fault.field for fault in caught.value.faults] == [name], change
    assert shop.world.rows("checkout") == []


def test_an_unknown_company_and_a_plan_that_it_has_are_refused(shop: Shop) -> None:
    with pytest.raises(NotFound):
        shop.open(company_id="nobody")
    with pytest.raises(Conflict, match="already"):
        shop.open(SUBSCRIBE)


def subscribed(shop: Shop, *events: str) -> None:
    """A customer that the provider knows subscribes there, and it tells of that in this order."""
    shop.there.link(CUSTOMER, "globex")
    row = shop.open(SUBSCRIBE, company_id="globex")
    standing = a_subscription_standing(faregate_id=row.subscription_id, status="active")
    shop.there.provider.subscriptions[standing.provider_subscription_id] = standing
    shop.pages.becomes(row.session_id or "", CheckoutPhase.COMPLETE)
    shop.there.provider.checkouts = shop.pages.standings
    for kind in events:
        is_page = kind.startswith("checkout")
        shop.there.hear(kind, (row.session_id or "") if is_page else standing.provider_subscription_id)
        shop.there.work()


@pytest.fixture
def globex(shop: Shop) -> Shop:
    with shop.world.database.begin() as transaction:
        transaction.execute(
            insert(tables.company).values(application_id=APP, company_id="globex", name="Globex", created_at=NOW)
        )
    return shop


@pytest.mark.parametrize("page_first", [True, False])
def test_who_subscribes_at_a_page_is_on_the_plan_here_as_ordered(globex: Shop, *, page_first: bool) -> None:
    told = ["checkout.session.completed", "customer.subscription.created"]
    subscribed(globex, *(told if page_first else reversed(told)), "customer.subscription.updated")
    (page,) = globex.pages.opened
    assert isinstance(page, SubscriptionPage)
    assert {price.lookup_key for price in page.prices} == {"prc_in", "prc_out"}
    made = [row for row in globex.world.rows("subscription") if row["company_id"] == "globex"]
    assert [(row["subscription_id"], row["pays"]) for row in made] == [(page.subscription_id, Pays.POSTPAID.value)]
    assert globex.phases() == ["complete"]


def test_a_subscription_made_by_hand_to_a_product_of_ours_is_ours_too_once(globex: Shop) -> None:
    globex.there.link("cus_2", "globex")
    for number in (1, 2):
        standing = replace(
            a_subscription_standing(provider_subscription_id=f"sub_{number}_there", customer_id="cus_2"),
            product_ids=("prod_other", "pln_1"),
        )
        globex.there.provider.subscriptions[standing.provider_subscription_id] = standing
        globex.there.hear("customer.subscription.created", standing.provider_subscription_id)
        globex.there.work()
    made = [row for row in globex.world.rows("subscription") if row["company_id"] == "globex"]
    assert [(row["plan_id"], row["pays"], row["started_at"]) for row in made] == [("pln_1", "postpaid", NOW)]


def test_one_that_never_began_or_is_of_another_product_is_not(globex: Shop) -> None:
    globex.there.link("cus_2", "globex")
    for product, status in (("pln_1", "incomplete"), ("prod_1", "active")):
        standing = replace(a_subscription_standing(customer_id="cus_2", status=status), product_ids=(product,))
        globex.there.provider.subscriptions[standing.provider_subscription_id] = standing
        event_id = globex.there.hear("customer.subscription.created", standing.provider_subscription_id)
        globex.there.work()
        assert globex.there.row(event_id).outcome == f"subscription (not one of ours) is {status}"
    assert [row["company_id"] for row in globex.world.rows("subscription")] == [COMPANY]


def test_a_page_that_somebody_else_made_is_said(shop: Shop) -> None:
    shop.there.provider.checkouts["cs_9"] = CheckoutStanding(
        session_id="cs_9",
        faregate_id="",
        phase=CheckoutPhase.COMPLETE,
        url=None,
        expires_at=NOW,
        provider_subscription_id="",
    )
    event_id = shop.there.hear("checkout.session.completed", "cs_9")
    shop.there.work()
    assert shop.there.row(event_id).outcome == "a page that was not made here"


def test_the_portal_is_opened_for_the_company_and_its_customer_linked(shop: Shop) -> None:
    url = asyncio.run(shop.checkouts.open_portal(APP, COMPANY, return_url="https://example.com"))
    assert url == "https://portal.test/Acme?return=https://example.com"
    assert [row["provider_id"] for row in shop.world.rows("provider_link")] == [CUSTOMER]
