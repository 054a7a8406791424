"""What a transaction works by is read once, however many of its steps ask for it."""

from sqlalchemy import event

from faregate.services.gateway_calls import lease_units
from faregate.wire.gateway_protocol import LeaseRequest, LeaseReturn
from tests.services.world import SUBSCRIPTION, World, need


def test_leases_granted_together_read_their_subscription_and_its_prices_once(world: World) -> None:
    world.open_epoch()
    world.grant("20")
    held = world.lease("prc_in", 10)
    requests = [
        LeaseRequest(
            lease_request_id=f"ask-{number}",
            gateway_id="gtw_1",
            epoch=1,
            returns=[LeaseReturn(lease_id=held.lease_id, returned_units=number)],
            subscription_id=SUBSCRIPTION,
            occurred_at=world.clock.now(),
            units=[need("prc_in", 10), need("prc_out", 10)],
        )
        for number in range(2, 5)
    ]
    statements: list[str] = []
    event.listen(
        world.database.engine, "before_cursor_execute", lambda *seen: statements.append(" ".join(seen[2].split()))
    )
    with world.database.begin() as transaction:
        answers = lease_units(transaction, requests, world.clock, gateways=1)
    assert [len(answer.leases) for answer in answers] == [2, 2, 2]
    assert sum("FROM price LEFT" in one and "FROM meter" not in one for one in statements) == 1
    assert sum("FROM price LEFT" in one and "FROM meter" in one for one in statements) == 1
    assert sum("subscription.plan_id" in one and "FROM subscription" in one for one in statements) == 1
