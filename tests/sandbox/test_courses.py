"""Whatever way time goes, a subscription's course is the same: periods tile it, and each has one invoice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faregate.base.clock import SystemClock
from faregate.base.ids import new_id
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.customers import make_customer
from faregate.providers.sandbox.due import work_due
from faregate.providers.sandbox.faults import Json, StripeFault
from faregate.providers.sandbox.meters import make_meter
from faregate.providers.sandbox.prices import make_price
from faregate.providers.sandbox.products import make_product
from faregate.providers.sandbox.store import Store
from faregate.providers.sandbox.subscription_periods import first_anchor, period_at, share_left
from faregate.providers.sandbox.subscriptions import subscribe
from faregate.providers.sandbox.test_clocks import advance_clock, make_clock
from tests.sandbox.billed import asked
from tests.sandbox.subscribing import at

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOURS = 24 * 200


class HandClock(SystemClock):
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        """Return the instant it was moved to."""
        return self.instant


class Course:
    """A subscription to a quantity and to usage, on an account whose clock is moved by hand."""

    def __init__(self, folder: Path, **sent: object) -> None:
        self.clock = HandClock()
        self.sandbox = Sandbox(key="sk_test_course", store=Store(folder / "s.db"), clock=self.clock, new_id=new_id)
        self.sandbox.store.connection.execute("PRAGMA synchronous=OFF")
        with self.sandbox.store.transaction():
            customer = make_customer(self.sandbox, asked(name="Acme"))
            product = make_product(self.sandbox, asked(name="Calls"))["id"]
            meter = make_meter(
                self.sandbox, asked(display_name="Calls", event_name="calls", default_aggregation={"formula": "sum"})
            )
            recurring: Json = {"interval": "month"}
            prices = [
                make_price(self.sandbox, asked(product=product, currency="usd", unit_amount=1000, recurring=each))["id"]
                for each in (recurring, recurring | {"usage_type": "metered", "meter": meter["id"]})
            ]
            items = [{"price": price} for price in prices]
            payment = {"collection_method": "send_invoice", "days_until_due": 10, "items": items}
            self.id = subscribe(self.sandbox, customer, payment | sent)["id"]

    def move(self, hours: int) -> None:
        """Let the account's time be some hours after the start."""
        self.clock.instant = START + timedelta(hours=hours)
        work_due(self.sandbox)

    def subscription(self) -> Json:
        """Return the subscription as it is."""
        return self.sandbox.store.get("subscription", self.id)

    def invoices(self) -> list[Json]:
        """Return its invoices, oldest first."""
        return self.sandbox.store.find("invoice", "subscription", self.id)[::-1]

    def told(self) -> list[tuple[str, int]]:
        """Return what was told, and when, in order."""
        events = list(self.sandbox.store.newest_first("event"))[::-1]
        return [(event["type"], event["created"]) for event in events]


@contextmanager
def course(**sent: object) -> Iterator[Course]:
    with tempfile.TemporaryDirectory() as folder:
        made = Course(Path(folder), **sent)
        try:
            yield made
        finally:
            made.sandbox.store.close()


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, HOURS), max_size=4).map(sorted),
    st.sampled_from([{}, {"trial_period_days": 20}, {"cancel_at": int(START.timestamp()) + 100 * 86_400}]),
)
def test_one_jump_leaves_what_many_leave_and_periods_tile_time(stops: list[int], sent: Json) -> None:
    with course(**sent) as walked, course(**sent) as jumped:
        for hours in stops:
            walked.move(hours)
        for each in (walked, jumped):
            each.move(HOURS)
        assert walked.told() == jumped.told()
        assert [_seen(each) for each in walked.invoices()] == [_seen(each) for each in jumped.invoices()]
        assert walked.subscription()["status"] == jumped.subscription()["status"]
        first, *cycles = walked.invoices()
        assert first["period_start"] == first["period_end"] == int(START.timestamp())
        borders = [first["period_end"], *(each["period_end"] for each in cycles)]
        assert [(each["period_start"], each["period_end"]) for each in cycles] == list(pairwise(borders))
        assert len(cycles) >= len(sent) + 3 or "cancel_at" in sent


def _seen(invoice: Json) -> tuple[object, ...]:
    names = ("status", "billing_reason", "period_start", "period_end", "total", "created", "due_date")
    return tuple(invoice[name] for name in names)


def test_nothing_is_done_before_it_is_due() -> None:
    with course() as made:
        made.move(0)
        told = made.told()
        assert work_due(made.sandbox) == 0
        assert made.told() == told


def test_a_clock_that_advances_is_advanced_by_nobody_else() -> None:
    with course() as made, made.sandbox.store.transaction():
        clock = make_clock(made.sandbox, asked(frozen_time=at(2026, 1)))["id"]
        assert advance_clock(made.sandbox, asked(clock, frozen_time=at(2026, 2)))["status"] == "advancing"
        with pytest.raises(StripeFault, match="still advancing"):
            advance_clock(made.sandbox, asked(clock, frozen_time=at(2026, 3)))
        with pytest.raises(StripeFault, match="still advancing"):
            make_customer(made.sandbox, asked(test_clock=clock))


def test_a_clock_is_deleted_after_thirty_days() -> None:
    with course() as made:
        with made.sandbox.store.transaction():
            clock = make_clock(made.sandbox, asked(frozen_time=at(2026, 1)))["id"]
            customer = make_customer(made.sandbox, asked(test_clock=clock))["id"]
        made.move(24 * 30)
        assert list(made.sandbox.store.newest_first("test_helpers.test_clock")) == []
        assert made.sandbox.store.get("customer", customer)["deleted"]


def test_a_work_of_what_was_forgotten_is_dropped_and_holds_up_no_other() -> None:
    with course() as made:
        store = made.sandbox.store
        customer = store.get("customer", made.subscription()["customer"])
        items = [{"price": item["price"]["id"]} for item in made.subscription()["items"]["data"]]
        with store.transaction():
            other = subscribe(
                made.sandbox, customer, {"items": items, "collection_method": "send_invoice", "days_until_due": 1}
            )
            store.put(made.subscription() | {"customer": "cus_forgotten"})
        made.move(24 * 40)
        assert len(made.invoices()) == 1
        assert len(store.find("invoice", "subscription", other["id"])) == 2


def test_a_part_of_a_period_is_its_seconds() -> None:
    month: Json = {"interval": "month", "interval_count": 1}
    anchor = at(2026, 1, 31)
    assert period_at(anchor, month, at(2026, 3, 30)) == (at(2026, 2, 28), at(2026, 3, 31))
    assert share_left(anchor, month, start=at(2026, 3, 14), end=at(2026, 3, 31)) * 31 == 17
    assert share_left(anchor, month, start=at(2026, 3, 31) - 1, end=at(2026, 3, 31)) * 31 * 86_400 == 1


@pytest.mark.parametrize(
    ("config", "anchor"),
    [
        ({"day_of_month": 15}, at(2026, 2, 15, 12)),
        ({"day_of_month": 31, "hour": 13}, at(2026, 1, 31, 13)),
        ({"day_of_month": 31, "hour": 0}, at(2026, 2, 28)),
        ({"day_of_month": 1, "month": 1, "hour": 0}, at(2027, 1, 1)),
    ],
    ids=str,
)
def test_an_anchor_is_the_next_such_day(config: Json, anchor: int) -> None:
    assert first_anchor(config, int(START.timestamp())) == anchor
