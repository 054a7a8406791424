import json
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import update

from faregate.apps.control import dispatcher
from faregate.services import state_stream
from faregate.services.gateway_calls import main_application
from faregate.services.restored import note_restored
from faregate.services.routes import route_to_row
from faregate.services.state_stream import forget_old_changes, state_after, whole_state
from faregate.storage.database import Transaction
from faregate.storage.routes import insert_route
from faregate.storage.state_feed import latest_version, record_change
from faregate.storage.tables import api_key
from faregate.wire.gateway_protocol import Reset
from tests.control.control_plane import GATEWAY, Handle, Reply
from tests.control.world import KEY, METER, PRICE, SUBSCRIPTION, add_catalog, add_key, add_subscription
from tests.gateway.control_plane import route_state


def kinds(messages: list[dict[str, object]]) -> list[object]:
    return [message.get("kind", message["type"]) for message in messages]


def test_a_new_gateway_gets_a_reset_then_everything_then_the_version(control: Handle) -> None:
    for add in (add_catalog, add_subscription, add_key):
        control.write(add)
    with control.follow() as stream:
        messages = stream.burst()
    assert kinds(messages) == ["reset", "clock", "meter", "account", "membership", "key", "up_to_date"]
    entities = {str(message.get("kind")): message.get("entity") for message in messages}
    account = entities["account"]
    assert isinstance(account, dict)
    assert (account["subscription_id"], account["prepaid"], account["price_ids"]) == (SUBSCRIPTION, True, [PRICE])
    assert messages[-1]["version"] == control.read(latest_version)


def test_a_change_is_pushed_within_milliseconds_of_its_commit(control: Handle) -> None:
    control.write(add_catalog)
    with control.follow() as stream:
        stream.burst()
        delays_s = []
        for _ in range(20):
            control.write(_touch_clock)
            committed_at_s = time.monotonic()
            assert kinds(stream.burst()) == ["clock", "up_to_date"]
            delays_s.append(time.monotonic() - committed_at_s)
    assert sorted(delays_s)[len(delays_s) // 2] < 0.02


def test_several_changes_of_an_entity_in_one_commit_arrive_once(control: Handle) -> None:
    def change(transaction: Transaction) -> None:
        for _ in range(3):
            _touch_clock(transaction)
        add_catalog(transaction)

    with control.follow() as stream:
        stream.burst()
        control.write(change)
        assert kinds(stream.burst()) == ["clock", "meter", "up_to_date"]


def test_a_gateway_that_comes_back_gets_only_what_changed_since(control: Handle) -> None:
    with control.follow() as stream:
        version = stream.burst()[-1]["version"]
    control.write(add_catalog)
    assert isinstance(version, int)
    with control.follow(after=version) as stream:
        messages = stream.burst()
    assert kinds(messages) == ["meter", "up_to_date"]
    assert messages[0]["entity_id"] == METER


def test_a_gateway_is_told_of_no_route_that_it_cannot_meter(control: Handle) -> None:
    def add(transaction: Transaction) -> None:
        settings = route_state("http://127.0.0.1:1", dialect="anthropic_messages")
        insert_route(transaction, route_to_row(settings), created_at=control.running.clock.now())
        record_change(transaction, "route", settings.route_id)

    with control.follow() as old, control.follow(dialects="openai_chat,anthropic_messages") as new:
        assert kinds(old.burst())[-1] == kinds(new.burst())[-1] == "up_to_date"
        control.write(add)
        assert old.burst()[0] == {"type": "remove", "kind": "route", "entity_id": "rte_1"}
        assert new.burst()[0]["type"] == "upsert"


def test_a_revoked_key_is_removed(control: Handle) -> None:
    def revoke(transaction: Transaction) -> None:
        transaction.execute(update(api_key).values(revoked_at=control.running.clock.now()))
        record_change(transaction, "key", KEY)

    control.write(add_key)
    with control.follow() as stream:
        stream.burst()
        control.write(revoke)
        assert stream.burst()[0] == {"type": "remove", "kind": "key", "entity_id": KEY}


def test_a_version_of_another_generation_of_the_ledger_gets_everything_anew(control: Handle) -> None:
    with control.follow() as stream:
        version = stream.burst()[-1]["version"]
    assert isinstance(version, int)
    control.write(lambda tx: note_restored(tx, control.running.clock))
    with control.follow(after=version) as stream:
        first = stream.burst()[0]
    assert (first["type"], first["generation"]) == ("reset", 2)


def test_a_version_that_was_never_reached_here_gets_everything_anew(control: Handle) -> None:
    with control.follow(after=10_000) as stream:
        assert stream.burst()[0]["type"] == "reset"


def test_a_gateway_that_was_away_for_longer_than_changes_are_kept_gets_everything_anew(
    control: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_stream, "CHANGES_KEPT", 3)
    for _ in range(5):
        control.write(_touch_clock)
    newest = control.read(latest_version)
    assert control.write(forget_old_changes) == newest - 3
    resumed = control.read(lambda tx: state_after(tx, newest - 3))
    assert not isinstance(resumed.messages[0], Reset)
    gap = control.read(lambda tx: state_after(tx, newest - 4))
    assert isinstance(gap.messages[0], Reset)
    assert gap == control.read(whole_state)


def test_more_changes_than_one_look_up_takes_travel_as_several_bursts(
    control: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_stream, "CHANGES_AT_ONCE", 2)
    with control.follow() as stream:
        stream.burst()
        control.write(_change_five_keys)
        bursts = [stream.burst() for _ in range(3)]
    assert [len(burst) for burst in bursts] == [3, 3, 2]
    assert bursts[-1][-1]["version"] == control.read(latest_version)


def test_the_stream_needs_the_gateway_token(control: Handle) -> None:
    reply = control.ask("GET", "/gateway/v1/state?after=0", authorization="Bearer other")
    assert (reply.status, reply.json()["code"]) == (401, "unauthorized")


def test_a_version_that_is_no_number_is_a_problem_that_names_it(control: Handle) -> None:
    reply = control.as_gateway("GET", "/gateway/v1/state?after=x")
    assert reply.status == 400
    assert "after" in reply.body.decode()
    assert control.as_gateway("POST", "/gateway/v1/state").status == 405


def test_a_stream_without_changes_gets_a_heartbeat(control: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faregate.apps.control.state_feed.HEARTBEAT_S", 0.05)
    with control.follow() as stream:
        version = stream.burst()[-1]["version"]
        assert stream.message() == {"type": "up_to_date", "version": version}


def _change_five_keys(transaction: Transaction) -> None:
    for number in range(5):
        record_change(transaction, "key", f"key_{number}")


def _touch_clock(transaction: Transaction) -> None:
    record_change(transaction, "clock", main_application(transaction))


def _make_plan(control: Handle, token: str, executor: ThreadPoolExecutor) -> "Future[Reply]":
    body = json.dumps({"name": "Another Plan"}).encode()
    bearer = {"authorization": f"Bearer {token}", "content_type": "application/json"}
    return executor.submit(control.ask, "POST", "/api/v1/plans", body, **bearer)


def _token(control: Handle) -> str:
    secrets = control.running.first_secrets
    assert secrets is not None
    return secrets.api_token


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change waits so long for gateways that a test can tell waiting from giving up."""
    monkeypatch.setattr(dispatcher, "_GATEWAYS_WITHIN_S", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_change_is_answered_when_every_connected_gateway_has_said_that_it_knows(control: Handle) -> None:
    control.write(add_catalog)
    with control.follow() as stream, ThreadPoolExecutor(1) as executor:
        stream.burst()
        answer = _make_plan(control, _token(control), executor)
        time.sleep(0.1)
        assert not answer.done()
        seen = {"gateway_id": GATEWAY, "version": control.read(latest_version)}
        assert control.as_gateway("POST", "/gateway/v1/seen", seen).status == 204
        assert answer.result(15).status == 201


def test_a_gateway_that_says_nothing_holds_a_change_back_for_a_quarter_of_a_second(control: Handle) -> None:
    control.write(add_catalog)
    with control.follow() as stream, ThreadPoolExecutor(1) as executor:
        stream.burst()
        began_at_s = time.monotonic()
        assert _make_plan(control, _token(control), executor).result(15).status == 201
        assert time.monotonic() - began_at_s > 0.24


@pytest.mark.usefixtures("patient")
def test_without_a_gateway_a_change_is_answered_at_once(control: Handle) -> None:
    control.write(add_catalog)
    with ThreadPoolExecutor(1) as executor:
        assert _make_plan(control, _token(control), executor).result(15).status == 201
