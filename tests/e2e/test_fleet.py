"""Two gateway processes on one control plane: one balance, one state."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPException
from itertools import count
from pathlib import Path

import pytest

from bench.calling import Api, Line
from bench.cases import Customer, Offer, chat_body, chat_headers, make_call_offer, make_customer, make_rules
from bench.chat_line import ask, wait_until_known
from bench.children import wait_until
from bench.overspend.fleet import Fleet, running_fleet
from faregate.apps.control.settings import DATABASE_FILE
from tests.support.command import faregate

NUMBERS = count(1)
SWEPT_AFTER_S = 3.0
"""When a gateway gives back by itself what nobody uses."""


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with running_fleet(gateways=2, on_postgres=False) as running:
        running.start_gateways()
        yield running


@pytest.fixture(scope="module")
def offer(fleet: Fleet) -> Offer:
    """A cent for every 100 output tokens; both rules."""
    with closing(fleet.api()) as opened:
        make_rules(opened)
        return make_call_offer(opened, fleet.upstream.origin, least_output_tokens=100)


@pytest.fixture
def api(fleet: Fleet) -> Iterator[Api]:
    with closing(fleet.api()) as opened:
        yield opened


def customer_with(api: Api, offer: Offer, fleet: Fleet, credit: str) -> Customer:
    made = make_customer(api, offer, f"company-{next(NUMBERS)}", credit=credit)
    for gateway in fleet.gateways:
        wait_until_known(gateway.port, offer, made)
    return made


def call(port: int, offer: Offer, customer: Customer, *, most: int, used: int) -> int:
    line = Line(port)
    try:
        headers = chat_headers(customer.key, completion_tokens=used)
        return ask(line, offer.route, body=chat_body(max_tokens=most), headers=headers).status
    finally:
        line.close()


def test_what_lies_idle_at_one_gateway_is_called_back_before_another_refuses(
    fleet: Fleet, api: Api, offer: Offer
) -> None:
    customer = customer_with(api, offer, fleet, "1.00")
    first, second = (gateway.port for gateway in fleet.gateways)
    # All credit is held for a call that uses a hundredth of it; the rest stays at the first gateway.
    assert call(first, offer, customer, most=10_000, used=100) == 200
    started_s = time.monotonic()
    assert call(second, offer, customer, most=9_900, used=100) == 200
    assert time.monotonic() - started_s < SWEPT_AFTER_S


def test_a_refund_calls_idle_credit_back_first(fleet: Fleet, api: Api, offer: Offer) -> None:
    customer = customer_with(api, offer, fleet, "1.00")
    # Credit for a hundred calls is held for one; what it does not use stays at its gateway.
    assert call(fleet.gateways[0].port, offer, customer, most=10_000, used=100) == 200
    grants = f"/subscriptions/{customer.subscription_id}/grants"
    (grant,) = api.get(grants)["data"]
    api.post(f"{grants}/{grant['grant_id']}/refund", {"amount": "0.99", "reason": "asked for"})
    assert api.get(f"/subscriptions/{customer.subscription_id}/balance")["balance"] == "0.00"


def test_the_last_cent_can_be_spent_through_either_gateway(fleet: Fleet, api: Api, offer: Offer) -> None:
    customer = customer_with(api, offer, fleet, "0.08")
    ports = [gateway.port for gateway in fleet.gateways] * 4
    assert [call(port, offer, customer, most=100, used=100) for port in ports] == [200] * 8
    assert [call(port, offer, customer, most=100, used=100) for port in ports[:2]] == [402, 402]
    fleet.wait_applied(within_s=20)
    found = api.get(f"/subscriptions/{customer.subscription_id}/balance")
    assert (found["balance"], found["reserved"]) == ("0.00", "0.00")


def test_a_grant_a_block_and_a_revoked_key_reach_every_gateway_while_they_run(
    fleet: Fleet, api: Api, offer: Offer
) -> None:
    customer = customer_with(api, offer, fleet, "0.01")
    ports = [gateway.port for gateway in fleet.gateways]
    assert call(ports[0], offer, customer, most=100, used=100) == 200
    for port in ports:
        wait_until(_answers(port, offer, customer, 402), within_s=5, what="the block at each gateway")
    api.post(f"/subscriptions/{customer.subscription_id}/grants", {"amount": "0.02"})
    # The change is answered when connected gateways decide by it: no wait is needed here.
    assert [call(port, offer, customer, most=100, used=100) for port in ports] == [200, 200]
    key = api.post("/keys", {"company_id": customer.company_id})
    authorized = {"authorization": f"Bearer {fleet.api_token}"}
    line = Line(fleet.control_plane.port)
    assert line.call("DELETE", f"/api/v1/keys/{key['key_id']}", headers=authorized).status == 204
    line.close()
    revoked = Customer(company_id=customer.company_id, subscription_id=customer.subscription_id, key=key["key"])
    assert [call(port, offer, revoked, most=100, used=100) for port in ports] == [401, 401]


def test_gateways_go_on_while_the_control_plane_is_away_and_hear_what_they_missed(
    fleet: Fleet, api: Api, offer: Offer
) -> None:
    customer = customer_with(api, offer, fleet, "5.00")
    ports = [gateway.port for gateway in fleet.gateways]
    # Leases for more than one call are at hand.
    assert [call(port, offer, customer, most=1_000, used=100) for port in ports] == [200, 200]
    fleet.control_plane.kill()
    try:
        assert [call(port, offer, customer, most=100, used=100) for port in ports] == [200, 200]
    finally:
        fleet.control_plane.start()
        fleet.control_plane.wait_ready("/readyz")
    with closing(fleet.api()) as again:
        other = customer_with(again, offer, fleet, "0.01")
    assert [call(port, offer, other, most=100, used=100) for port in ports] == [200, 402]


def test_after_the_database_was_put_back_spools_ship_again_and_credit_waits_for_a_minute(tmp_path: Path) -> None:
    with running_fleet(gateways=2, on_postgres=False, keep=tmp_path) as fleet:
        fleet.start_gateways()
        with closing(fleet.api()) as api:
            make_rules(api)
            offer = make_call_offer(api, fleet.upstream.origin, least_output_tokens=100)
            customer = customer_with(api, offer, fleet, "1.00")
        ports = [gateway.port for gateway in fleet.gateways]
        assert [call(port, offer, customer, most=100, used=100) for port in ports] == [200, 200]
        fleet.wait_applied(within_s=20)
        fleet.control_plane.stop()
        for name in (DATABASE_FILE, f"{DATABASE_FILE}-wal"):
            if (tmp_path / name).exists():
                shutil.copy(tmp_path / name, tmp_path / f"backup-{name}")
        fleet.control_plane.start()
        fleet.control_plane.wait_ready("/readyz")
        assert [_soon_answers(port, offer, customer) for port in ports] == [200, 200]
        fleet.wait_applied(within_s=20)
        fleet.control_plane.stop()
        for path in tmp_path.glob(f"{DATABASE_FILE}*"):
            path.unlink()
        for path in tmp_path.glob("backup-*"):
            path.rename(tmp_path / path.name.removeprefix("backup-"))
        assert faregate("restored", "--data", str(tmp_path), folder=tmp_path).returncode == 0
        fleet.control_plane.start()
        fleet.control_plane.wait_ready("/readyz")
        with closing(fleet.api()) as api:
            balance = f"/subscriptions/{customer.subscription_id}/balance"
            # The two calls that the backup did not have are charged again, by what the spools kept.
            wait_until(lambda: api.get(balance)["balance"] == "0.96", within_s=20, what="the lost calls to be charged")
            assert [row["epoch"] for row in api.get("/gateways")["data"]] == [2, 2]
            assert [call(port, offer, customer, most=100, used=100) for port in ports] == [503, 503]
            with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as database, database:
                database.execute("UPDATE application SET leases_from = NULL")
            assert [call(port, offer, customer, most=100, used=100) for port in ports] == [200, 200]
            fleet.wait_applied(within_s=20)
            assert (api.get(balance)["balance"], api.get(balance)["reserved"]) == ("0.94", "0.00")


def _soon_answers(port: int, offer: Offer, customer: Customer) -> int:
    wait_until(_answers(port, offer, customer, 200), within_s=10, what="an answer")
    return 200


def _answers(port: int, offer: Offer, customer: Customer, status: int) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            return call(port, offer, customer, most=100, used=100) == status
        except (OSError, HTTPException):
            return False

    return answers
