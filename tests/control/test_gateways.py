"""Gateways seen by operators: through the API, the command line, and the watch that looks after lost ones."""

import asyncio
import json
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

import pytest

from faregate.apps.cli.gateway_list import run_gateways
from faregate.apps.control.gateway_watch import GatewayWatch
from faregate.apps.control.state_feed import StateFeed
from faregate.domain.ledger.lost_units import LostUnits
from faregate.storage.database import Database
from tests.control.control_plane import GATEWAY, Handle
from tests.services.world import DOLLAR, NOW, World, make_world

DAY = timedelta(days=1)


def token(control: Handle) -> str:
    assert control.running.first_secrets is not None
    return control.running.first_secrets.api_token


def gateways(
    control: Handle, *, settle: str | None = None, units: LostUnits = LostUnits.KEEP, json: bool = True
) -> int:
    return run_gateways(settle, units, api_url=control.running.origin, token=token(control), json=json)


def test_gateways_are_listed_once_they_have_opened_an_epoch(
    control: Handle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gateways(control, json=False) == 0
    assert "No gateway" in capsys.readouterr().out
    control.as_gateway("POST", "/gateway/v1/epochs", {"gateway_id": GATEWAY})
    assert gateways(control) == 0
    # What the process logs stands on the same stream.
    shown = capsys.readouterr().out
    document, _ = json.JSONDecoder().raw_decode(shown[shown.index('{\n  "data"') :])
    (found,) = document["data"]
    assert (found["gateway_id"], found["epoch"], found["connected"]) == (GATEWAY, 1, True)
    assert (found["units"], found["suspended"], found["settles_through"]) == (0, {}, None)
    monkeypatch.setenv("COLUMNS", "80")
    assert gateways(control, json=False) == 0
    shown = capsys.readouterr().out
    assert "connected" in shown
    assert GATEWAY in shown, "an id is whole in a narrow terminal too: it is what --settle takes"


def test_a_gateway_that_is_there_or_unknown_is_not_settled(control: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    control.as_gateway("POST", "/gateway/v1/epochs", {"gateway_id": GATEWAY})
    assert gateways(control, settle=GATEWAY, units=LostUnits.RELEASE) == 1
    assert "is connected" in capsys.readouterr().err
    assert gateways(control, settle="gw/none", units=LostUnits.RELEASE) == 1
    assert "gw/none" in capsys.readouterr().err


@dataclass
class Watched:
    """A ledger with one gateway that holds half a dollar of two, and what watches it."""

    world: World
    watch: GatewayWatch

    def look(self, *, after: timedelta) -> None:
        self.world.clock.at = NOW + after
        asyncio.run(self.watch.look())


def watched(database: Database, policy: LostUnits) -> Watched:
    world = make_world(database)
    world.open_epoch()
    world.grant("2")
    world.lease("prc_in", 1_000)
    watch = GatewayWatch(
        database=database, feed=StateFeed(database), clock=world.clock, grace=timedelta(hours=1), policy=policy
    )
    return Watched(world, watch)


def test_a_lost_gateway_raises_an_alarm_and_its_money_is_shown_suspended(sqlite_url: str) -> None:
    with closing(Database(sqlite_url)) as database:
        found = watched(database, LostUnits.KEEP)
        found.look(after=timedelta(minutes=59))
        assert (found.watch.lost, found.watch.suspended()) == ([], {})
        found.look(after=DAY)
        assert {code: str(amount) for code, amount in found.watch.suspended().items()} == {"USD": "0.50"}
        assert found.world.account().reserved == DOLLAR // 2


@pytest.mark.parametrize(("policy", "balance"), [(LostUnits.RELEASE, 2 * DOLLAR), (LostUnits.CHARGE, DOLLAR * 3 // 2)])
def test_a_policy_settles_a_lost_gateway_by_itself(sqlite_url: str, policy: LostUnits, balance: int) -> None:
    with closing(Database(sqlite_url)) as database:
        found = watched(database, policy)
        found.look(after=DAY)
        found.look(after=2 * DAY)
        assert (found.world.account().balance, found.world.account().reserved) == (balance, 0)
        assert found.watch.suspended() == {}
