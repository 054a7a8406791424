"""What calls use of caps and quotas is counted with their charges, once, and told to gateways where it is used up."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from msgspec import UNSET

from faregate.domain.limits.limit import Measure, Per, Subject
from faregate.services.change import Change
from faregate.services.limits import change_limit, create_limit, delete_limit
from faregate.services.state_stream import state_after, whole_state
from faregate.storage.database import Transaction
from faregate.storage.limits import OwnedLimit
from faregate.storage.state_feed import latest_version
from faregate.wire.api.limits import LimitChange, LimitCreate
from faregate.wire.gateway_protocol import Remove, Upsert
from faregate.wire.limit_protocol import LimitBlockState, LimitState
from tests.services.world import APP, COMPANY, NOW, Call, World


def change(world: World, work: Callable[[Transaction, Change], OwnedLimit | None]) -> OwnedLimit | None:
    with world.database.begin() as transaction:
        return work(transaction, Change(application_id=APP, now=world.clock.now(), new_id=world.new_id))


def limit(
    world: World,
    measure: Measure,
    amount: str,
    *,
    per: Per = Per.DAY,
    subject: Subject = Subject.COMPANY,
    hard: bool = True,
    **more: object,
) -> str:
    request = LimitCreate(
        name=f"{measure} {amount} {per}",
        subject=subject,
        measure=measure,
        amount=Decimal(amount),
        per=per,
        hard=hard,
        **more,  # type: ignore[arg-type]  # a field or two that a test names
    )
    owned = change(world, lambda tx, changing: create_limit(tx, changing, request))
    assert owned is not None
    return owned.limit.limit_id


def used(world: World) -> dict[str, Decimal]:
    return {f"{row['limit_id']}/{row['subject_id']}": Decimal(str(row["used"])) for row in world.rows("limit_use")}


def blocks(world: World) -> list[LimitBlockState]:
    with world.database.snapshot() as transaction:
        messages = whole_state(transaction).messages
    return [
        message.entity
        for message in messages
        if isinstance(message, Upsert) and isinstance(message.entity, LimitBlockState)
    ]


def test_calls_tokens_money_and_a_meters_quantity_are_counted_exactly(world: World) -> None:
    calls = limit(world, Measure.REQUESTS, "100")
    tokens = limit(world, Measure.TOKENS, "100")
    money = limit(world, Measure.SPEND, "100", currency="USD")
    euros = limit(world, Measure.SPEND, "101", currency="EUR")
    units = limit(world, Measure.METER, "100", meter_id="mtr_in")
    world.take(Call(request_id="a", sequence=1), Call(request_id="b", sequence=2, status=500))
    world.take(Call(request_id="c", sequence=3, prompt_tokens=7, completion_tokens=1))
    assert used(world) == {
        f"{calls}/acme": Decimal(3),
        f"{tokens}/acme": Decimal(15 + 15 + 8),
        f"{money}/acme": Decimal(2),
        f"{units}/acme": Decimal(17),
    }
    assert euros not in str(used(world))


def test_a_repeat_and_a_refused_call_use_nothing(world: World) -> None:
    calls = limit(world, Measure.REQUESTS, "100")
    world.take(Call(request_id="a"))
    world.take(Call(request_id="a"))
    world.take(Call(request_id="b", sequence=2, blocked_by="rul_1"))
    assert used(world) == {f"{calls}/acme": Decimal(1)}


def test_each_key_and_user_is_counted_for_itself(world: World) -> None:
    keys = limit(world, Measure.REQUESTS, "100", subject=Subject.KEY)
    users = limit(world, Measure.REQUESTS, "101", subject=Subject.USER)
    for number, (key_id, user_id) in enumerate([("key_1", "ann"), ("key_2", "ann"), ("key_2", None)]):
        world.take(Call(request_id=f"r{number}", sequence=number + 1, key_id=key_id, user_id=user_id))
    assert used(world) == {f"{keys}/key_1": 1, f"{keys}/key_2": 2, f"{users}/ann": 2}


def test_each_period_is_counted_for_itself_and_begins_anew(world: World) -> None:
    calls = limit(world, Measure.REQUESTS, "1")
    world.take(Call(request_id="a"))
    assert [block.until_at for block in blocks(world)] == [NOW.replace(hour=0) + timedelta(days=1)]
    world.clock.at = NOW + timedelta(days=1)
    world.take(Call(request_id="b", sequence=2, occurred_at=world.clock.at))
    rows = world.rows("limit_use")
    assert [(row["limit_id"], row["used"], row["reached"]) for row in rows] == [(calls, Decimal(1), True)] * 2
    assert [block.from_at for block in blocks(world)] == [NOW.replace(hour=0) + timedelta(days=1)]


def test_what_happened_before_a_limit_was_made_does_not_count(world: World) -> None:
    limit(world, Measure.REQUESTS, "10")
    world.take(Call(request_id="a", occurred_at=NOW - timedelta(seconds=1)))
    assert used(world) == {}


def test_only_routes_and_plans_of_the_limit_count(world: World) -> None:
    limit(world, Measure.REQUESTS, "10", routes=["^/ai/images$"])
    plan = limit(world, Measure.REQUESTS, "11", plan_id="pln_1")
    world.take(Call(request_id="a"), Call(request_id="b", sequence=2, company_id="other"))
    assert used(world) == {f"{plan}/{COMPANY}": 1}


def test_gateways_are_told_when_a_hard_limit_is_used_up_and_when_it_is_not_any_more(world: World) -> None:
    hard = limit(world, Measure.TOKENS, "20", per=Per.BILLING_PERIOD)
    limit(world, Measure.TOKENS, "20", per=Per.TOTAL, hard=False)
    limit(world, Measure.REQUESTS, "20", per=Per.TOTAL)
    world.take(Call(request_id="a"))
    assert blocks(world) == []
    with world.database.snapshot() as transaction:
        before = latest_version(transaction)
    world.take(Call(request_id="b", sequence=2))
    with world.database.snapshot() as transaction:
        told = [message for message in state_after(transaction, before).messages if isinstance(message, Upsert)]
        before = latest_version(transaction)
    block = next(message.entity for message in told if isinstance(message.entity, LimitBlockState))
    assert (block.limit_id, block.subject_id, block.company_id, block.amount) == (hard, COMPANY, COMPANY, "20")
    assert (block.from_at, block.until_at) == (NOW.replace(day=1, hour=0), NOW.replace(month=4, day=1, hour=0))

    change(world, lambda tx, changing: change_limit(tx, changing, LimitChange(amount=Decimal(40)), limit_id=hard))
    with world.database.snapshot() as transaction:
        removed = [message for message in state_after(transaction, before).messages if isinstance(message, Remove)]
    assert [message.entity_id for message in removed if message.kind == "limit_block"] == [f"{hard}/{COMPANY}"]
    assert blocks(world) == []
    change(world, lambda tx, changing: change_limit(tx, changing, LimitChange(amount=Decimal(30)), limit_id=hard))
    assert len(blocks(world)) == 1
    change(world, lambda tx, changing: change_limit(tx, changing, LimitChange(hard=False), limit_id=hard))
    assert blocks(world) == []
    change(world, lambda tx, changing: change_limit(tx, changing, LimitChange(hard=True), limit_id=hard))
    change(world, lambda tx, changing: delete_limit(tx, changing, hard))
    assert blocks(world) == []


def test_gateways_are_told_when_little_is_left(world: World) -> None:
    limit(world, Measure.TOKENS, "33")
    world.take(Call(request_id="a"), Call(request_id="b", sequence=2))
    assert [(block.is_near, block.amount) for block in blocks(world)] == [(True, "33")]
    world.take(Call(request_id="c", sequence=3))
    assert [block.is_near for block in blocks(world)] == [False]


def test_a_total_is_used_up_for_good(world: World) -> None:
    limit(world, Measure.REQUESTS, "1", per=Per.TOTAL)
    world.take(Call(request_id="a"))
    assert [block.until_at for block in blocks(world)] == [None]


def test_a_limit_per_minute_is_told_to_gateways_and_not_counted_here(world: World) -> None:
    rate = limit(world, Measure.REQUESTS, "60", per=Per.MINUTE, subject=Subject.KEY, alert_at=UNSET)
    world.take(Call(request_id="a", key_id="key_1"))
    assert used(world) == {}
    with world.database.snapshot() as transaction:
        messages = whole_state(transaction).messages
    told = [message.entity for message in messages if isinstance(message, Upsert)]
    limits = [entity for entity in told if isinstance(entity, LimitState)]
    assert [(one.limit_id, one.amount, one.subject_id) for one in limits] == [(rate, 60, None)]
