"""State comes as a stream: a gateway goes on with what it has, and takes what is new."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from pyreqwest.client import ClientBuilder

from faregate.apps.gateway.main import serve_gateway
from faregate.domain.governance.rule import Template
from faregate.wire.gateway_protocol import CriterionState, Remove, Reset, Upsert, UpToDate
from tests.gateway.control_plane import ControlPlane, free_port, listening, route_state, rule_state, serving
from tests.gateway.running import ASK, KEY, Running, a_state, gateway, run, settings_for
from tests.gateway.scripted import answer_json, completion, scripted


def test_without_state_every_call_is_503_and_readyz_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        port, plane = free_port(), ControlPlane()
        settings = settings_for(tmp_path, f"http://127.0.0.1:{free_port()}", port)
        stop = asyncio.Event()
        task = asyncio.create_task(serve_gateway(settings, stop))
        await listening(port)
        client = ClientBuilder().no_proxy().build()
        gate = Running(f"http://127.0.0.1:{port}", port, plane, client, settings)
        answer = await gate.call(ASK)
        readiness = await gate.call(method="GET", path="/readyz")
        alive = await gate.call(method="GET", path="/healthz")
        assert (answer.status, answer.error["code"]) == (503, "gateway_not_ready")
        assert (readiness.status, alive.status) == (503, 200)
        assert "no state" in str(readiness.json["reasons"])
        await client.close()
        stop.set()
        await task

    run(scenario())


def test_new_keys_work_and_removed_ones_do_not_within_moments(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                headers = {"x-api-key": "key-2"}
                assert (await gate.call(ASK, headers=headers)).status == 401
                plane.add_key("key-2", "acme")
                await _becomes(gate, headers, 200)
                plane.remove("key", "key_key-2")
                await _becomes(gate, headers, 401)
                assert (await gate.call(ASK)).status == 200

    run(scenario())


async def _becomes(gate: Running, headers: dict[str, str], status: int) -> None:
    for _ in range(100):
        if (await gate.call(ASK, headers=headers)).status == status:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the answer did not become {status}")


def test_a_gateway_goes_on_without_its_control_plane_and_ships_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(1, 2))) as upstream:
            plane, port = ControlPlane(), free_port()
            plane.seed(upstream.origin)
            account = plane.entities["account", "sub_1"]
            plane.put("account", "sub_1", msgspec.structs.replace(account, prepaid=False))
            url = f"http://127.0.0.1:{port}"
            async with serving(plane, port):
                down = gateway(tmp_path, plane, plane_url=url)
                gate = await down.__aenter__()
                assert (await gate.call(ASK)).status == 200
            for _ in range(5):
                assert (await gate.call(ASK)).status == 200
            assert await gate.metric("faregate_gateway_unshipped_events") >= 5
            plane.add_key("key-3", "acme")
            async with serving(plane, port):
                await plane.events_arrived(6, within_s=10)
                await _becomes(gate, {"x-api-key": "key-3"}, 200)
                await down.__aexit__(None, None, None)
        assert sorted(plane.sequences) == list(range(1, len(plane.sequences) + 1))
        assert plane.conflicts == 0

    run(scenario())


def test_a_reset_takes_effect_only_when_it_is_complete() -> None:
    plane = ControlPlane()
    plane.seed("http://127.0.0.1:1/v1")
    state = a_state()
    state.apply(Reset(generation=1))
    for (kind, entity_id), entity in plane.entities.items():
        state.apply(Upsert(kind=kind, entity_id=entity_id, entity=entity))
    assert not state.ready
    state.apply(UpToDate(version=7))
    assert (state.ready, state.version) == (True, 7)
    found = state.route_for("/ai/chat/x")
    assert found is not None
    assert found[1] == "/x"
    state.apply(Reset(generation=2))
    assert state.route_for("/ai/chat/x") is not None
    state.apply(UpToDate(version=9))
    assert state.route_for("/ai/chat/x") is None


def test_the_longest_route_name_wins_and_a_change_of_route_is_seen_at_once() -> None:
    state = a_state()
    for route_id, name in (("a", "/ai"), ("b", "/ai/chat")):
        route = route_state("http://127.0.0.1:1/v1", route_id=route_id, name=name)
        state.apply(Upsert(kind="route", entity_id=route_id, entity=route))
    found = state.route_for("/ai/chat/completions")
    assert found is not None
    assert found[0].state.route_id == "b"
    state.apply(Remove(kind="route", entity_id="b"))
    found = state.route_for("/ai/chat/completions")
    assert found is not None
    assert (found[0].state.route_id, found[1]) == ("a", "/chat/completions")


def test_a_route_whose_environment_is_missing_says_so_and_is_not_called(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane, environment={}) as gate:
                answer = await gate.call(ASK, headers=KEY)
        assert (answer.status, answer.error["code"]) == (503, "route_misconfigured")
        assert not upstream.requests

    run(scenario())


def test_a_routes_upstream_may_begin_with_a_variable_of_the_gateway(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed("${AI_API_URL}")
            environment = {"AI_API_URL": upstream.origin, "UPSTREAM_KEY": "sk-upstream"}
            async with gateway(tmp_path, plane, environment=environment) as gate:
                assert (await gate.call(ASK, headers=KEY)).status == 200
        assert len(upstream.requests) == 1

    run(scenario())


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "bad",
    [{"template": "block_on_full_moon"}, {"block_what": [CriterionState(field="request.route", pattern="(")]}],
)
def test_a_rule_that_cannot_be_compiled_leaves_the_last_good_one_in_force(
    *, reset: bool, bad: dict[str, object]
) -> None:
    plane = ControlPlane()
    plane.seed("http://127.0.0.1:1/v1")
    state = a_state()
    good = rule_state(Template.BLOCK_ON_UNPAID_INVOICES, "rul_9")
    entities = plane.entities | {("rule", "rul_9"): good}
    for (kind, entity_id), entity in entities.items():
        state.apply(Upsert(kind=kind, entity_id=entity_id, entity=entity))
    if reset:
        state.apply(Reset(generation=2))
        for (kind, entity_id), entity in plane.entities.items():
            state.apply(Upsert(kind=kind, entity_id=entity_id, entity=entity))
    state.apply(Upsert(kind="rule", entity_id="rul_9", entity=msgspec.structs.replace(good, **bad)))
    state.apply(UpToDate(version=3))
    found = state.route_for("/ai/chat")
    assert found is not None
    assert "rul_9" in [rule.rule_id for rule in found[0].covering]


def test_a_new_rule_that_cannot_be_compiled_is_left_out_and_calls_go_on() -> None:
    plane = ControlPlane()
    plane.seed("http://127.0.0.1:1/v1")
    state = a_state()
    for (kind, entity_id), entity in plane.entities.items():
        state.apply(Upsert(kind=kind, entity_id=entity_id, entity=entity))
    rule = msgspec.structs.replace(rule_state(Template.BLOCK_ON_UNPAID_INVOICES, "rul_9"), template="unknown")
    state.apply(Upsert(kind="rule", entity_id="rul_9", entity=rule))
    found = state.route_for("/ai/chat")
    assert found is not None
    assert "rul_9" not in [rule.rule_id for rule in found[0].covering]
