"""The quality of a route's bounds, as operators read it."""

from datetime import timedelta

import pytest

from faregate.base.periods import Period
from faregate.storage.leases import LeaseRow, add_leases
from faregate.wire.gateway_protocol import Drawn
from tests.api.world import NOW, Api, problem
from tests.services.world import Call


def test_a_routes_bounds_are_shown_by_price(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe()
    (route,) = api.get("/routes")["data"]
    prices = {price["name"]: price["price_id"] for price in api.get("/prices")["data"]}
    route_id, price_id = route["route_id"], prices["Input Tokens"]

    lease = LeaseRow(
        lease_id="lse_1",
        lease_request_id="lrq_1",
        gateway_id="gtw_1",
        epoch=1,
        subscription_id=subscription_id,
        price_id=price_id,
        period=Period(NOW - timedelta(days=9), NOW + timedelta(days=9)),
        granted_units=0,
        drawn_units=0,
        returned_units=0,
        duration_ms=1_000,
        created_at=NOW,
    )
    with api.database.begin() as transaction:
        add_leases(transaction, [lease])

    def call(number: int, used: int, **more: object) -> Call:
        fields = {"request_id": f"r{number}", "sequence": number, "route_id": route_id, "prompt_tokens": used}
        return Call(drawn=(Drawn(lease_id="lse_1", units=used, held=100),), **(fields | more))

    api.take(*(call(number, used) for number, used in enumerate([10, 20, 30, 40, 120], start=1)))
    api.take(call(6, 50, occurred_at=NOW - timedelta(days=2), clamped=True, estimated=True))
    found = api.get(f"/routes/{route_id}/bounds")
    assert found["end"] == "2026-03-10T12:00:00Z"
    (line,) = found["data"]
    assert line.pop("by_step") == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert line == {
        "price_id": price_id,
        "name": "Input Tokens",
        "calls": 6,
        "held": "600",
        "used": "270",
        "used_of_held": "0.4500",
        "median_percent": 30,
        "p90_percent": None,
        "overshoots": 1,
        "clamped": 1,
        "estimated": 1,
    }
    days = f"/routes/{route_id}/bounds?from=2026-03-08T05:00:00Z&to=2026-03-10T00:00:00Z"
    assert [line["calls"] for line in api.get(days)["data"]] == [1]


def test_a_route_without_holds_has_none(api: Api) -> None:
    api.seed()
    (route,) = api.get("/routes")["data"]
    assert api.get(f"/routes/{route['route_id']}/bounds")["data"] == []


@pytest.mark.parametrize(
    "days", ["from=2026-03-12T00:00:00Z&to=2026-03-10T00:00:00Z", "from=2024-03-01T00:00:00Z&to=2026-03-10T00:00:00Z"]
)
def test_days_that_are_none_or_too_many_are_refused(api: Api, days: str) -> None:
    api.seed()
    (route,) = api.get("/routes")["data"]
    assert list(problem(api.ask("GET", f"/routes/{route['route_id']}/bounds?{days}"), 400)) == ["to"]
    assert problem(api.ask("GET", "/routes/unknown/bounds"), 404) == {}
