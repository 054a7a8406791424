"""Who is told that an account's credit changed, and how often idle units are asked for."""

from faregate.apps.control.recalls import RECALL_EVERY_S, Recalls


def test_idle_units_are_recalled_at_the_first_refusal_and_then_at_most_every_fifty_milliseconds() -> None:
    recalls = Recalls()
    assert recalls.note("sub_1", "gw_1", now_s=1.0)
    assert not recalls.note("sub_1", "gw_2", now_s=1.0 + RECALL_EVERY_S / 2)
    assert recalls.note("sub_2", "gw_1", now_s=1.0)
    assert recalls.note("sub_1", "gw_1", now_s=1.0 + RECALL_EVERY_S)


def test_every_gateway_that_waits_is_told_when_balance_or_reservation_change_and_only_then() -> None:
    recalls = Recalls()
    recalls.note("sub_1", "gw_1", now_s=0)
    recalls.note("sub_1", "gw_2", now_s=0)
    assert recalls.changed({"sub_1": (5, 3)}, now_s=0) == {}
    assert recalls.changed({"sub_1": (5, 3)}, now_s=0) == {}
    assert recalls.changed({"sub_1": (3, 1)}, now_s=0) == {"sub_1": {"gw_1", "gw_2"}}
    assert recalls.changed({"sub_1": (3, 0)}, now_s=0) == {"sub_1": {"gw_1", "gw_2"}}


def test_who_has_not_asked_for_a_while_is_forgotten() -> None:
    recalls = Recalls()
    recalls.note("sub_1", "gw_1", now_s=0)
    assert recalls.awaited() == ["sub_1"]
    recalls.changed({}, now_s=60)
    assert recalls.awaited() == []
    assert recalls.changed({"sub_1": (1, 1)}, now_s=60) == {}
