"""Incident credits: once, never more than was charged, and undone without a trace in the balance."""

import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.services.change import Change
from faregate.services.corrections import cancel_event
from faregate.services.incidents import apply_incident, create_incident, draft_next, undo_incident
from faregate.storage.database import Database
from faregate.storage.incident_calls import incident_that_credited
from faregate.storage.incidents import Incident, IncidentLine, find_incident, read_lines
from faregate.storage.tables import price_total
from faregate.wire.api.incidents import IncidentCreate
from tests.billing.desk import Desk
from tests.services.world import APP, DOLLAR, NOW, SUBSCRIPTION, Call, World, make_world

HOUR = timedelta(hours=1)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def outage(database: Database) -> World:
    """Five calls of $0.50 a token of input, two of which failed upstream and were billed."""
    world = make_world(database, pays="postpaid", input_size=1)
    world.take(*(call(number, user_id="bad" if number > 3 else "good") for number in range(1, 6)))
    return world


def call(number: int, *, user_id: str = "good", tokens: int = 2, at: datetime = NOW) -> Call:
    return Call(
        request_id=f"r{number}",
        sequence=number,
        prompt_tokens=tokens,
        completion_tokens=0,
        user_id=user_id,
        occurred_at=at,
        replay=True,
    )


def change(world: World) -> Change:
    return Change(application_id=APP, now=world.clock.at, new_id=world.new_id)


def draft(
    world: World,
    name: str = "outage",
    *,
    text: str = 'user_id == "bad"',
    percent: str = "100",
    most: int = 1_000,
    reason: str = "upstream outage",
) -> Incident:
    request = IncidentCreate(
        id=name, filter_text=text, from_at=NOW - HOUR, to_at=NOW + HOUR, percent=Decimal(percent), reason=reason
    )
    with world.database.begin() as transaction:
        create_incident(transaction, change(world), request)
    more = True
    while more:
        with world.database.begin() as transaction:
            more = draft_next(transaction, APP, name, most=most)
    return kept(world, name)


def kept(world: World, name: str = "outage") -> Incident:
    with world.database.snapshot() as transaction:
        found = find_incident(transaction, APP, name)
    assert found is not None
    return found


def lines(world: World, name: str = "outage") -> list[IncidentLine]:
    with world.database.snapshot() as transaction:
        return read_lines(transaction, kept(world, name))


def give(world: World, name: str = "outage") -> Incident:
    with world.database.begin() as transaction:
        return apply_incident(transaction, change(world), name)


def undo(world: World, name: str = "outage") -> Incident:
    with world.database.begin() as transaction:
        return undo_incident(transaction, change(world), name)


def balance(world: World) -> int:
    return world.account().balance


@pytest.mark.parametrize("most", [1, 2, 1_000])
def test_a_draft_shows_what_each_customer_gets_and_moves_nothing(outage: World, most: int) -> None:
    before = balance(outage)
    found = draft(outage, most=most)
    (line,) = lines(outage)
    assert (found.status, found.matched) == ("draft", 2)
    assert (line.company_id, line.key.price_id, line.calls, line.quantity) == ("acme", "prc_in", 2, Decimal(4))
    assert (line.charged, line.credit, line.already_credited) == (2 * DOLLAR, 2 * DOLLAR, 0)
    assert balance(outage) == before


def test_applied_twice_is_applied_once_and_usage_stays(outage: World) -> None:
    before, settled = balance(outage), outage.total("prc_in").settled
    draft(outage)
    give(outage)
    assert give(outage).status == "applied"
    assert balance(outage) == before + 2 * DOLLAR
    assert outage.total("prc_in").settled == settled
    (entry,) = [row for row in outage.rows("ledger_entry") if row["kind"] == "incident_credit"]
    assert (entry["amount"], entry["price_id"], entry["description"]) == (2 * DOLLAR, "prc_in", "upstream outage")
    assert lines(outage)[0].entry_id == entry["entry_id"]


def test_applied_and_undone_is_nothing(outage: World) -> None:
    before = balance(outage)
    draft(outage)
    give(outage)
    undo(outage)
    assert undo(outage).status == "undone"
    assert balance(outage) == before
    with pytest.raises(Conflict, match="undone, not draft"):
        give(outage)


def test_a_call_is_credited_by_one_incident_alone(outage: World) -> None:
    draft(outage)
    give(outage)
    draft(outage, "wider", text="true")
    (line,) = lines(outage, "wider")
    assert (line.calls, line.already_credited, line.credit) == (3, 2, 3 * DOLLAR)
    give(outage, "wider")
    assert balance(outage) == 0
    undo(outage)
    draft(outage, "again")
    assert lines(outage, "again")[0].credit == 2 * DOLLAR


def test_a_draft_that_another_incident_overtook_is_refused(outage: World) -> None:
    draft(outage)
    draft(outage, "other", text="true")
    give(outage, "other")
    with pytest.raises(Conflict, match="another draft"):
        give(outage)


def cancel(world: World, event_id: str) -> None:
    with world.database.begin() as transaction:
        cancel_event(transaction, change(world), event_id, correction_id=event_id, reason="")


def test_a_draft_with_a_call_that_is_cancelled_is_refused_and_the_next_one_is_without_it(outage: World) -> None:
    draft(outage)
    cancel(outage, "evt_5")
    with pytest.raises(Conflict, match="another draft"):
        give(outage)
    outage.apply()
    with pytest.raises(Conflict, match="another draft"):
        give(outage)
    draft(outage, "second")
    give(outage, "second")
    assert (lines(outage, "second")[0].calls, balance(outage)) == (1, -3 * DOLLAR)


def test_a_call_that_is_credited_is_cancelled_only_after_that_is_undone(outage: World) -> None:
    draft(outage)
    give(outage)
    with pytest.raises(Conflict, match="'outage'; undo that first"):
        cancel(outage, "evt_5")
    undo(outage)
    cancel(outage, "evt_5")
    outage.apply()
    assert balance(outage) == -4 * DOLLAR


def test_who_credited_a_call_is_known_until_it_is_undone(outage: World) -> None:
    def credited(position: int) -> str | None:
        with outage.database.snapshot() as transaction:
            return incident_that_credited(transaction, position)

    draft(outage)
    assert credited(5) is None
    give(outage)
    assert (credited(1), credited(5)) == (None, "outage")
    undo(outage)
    assert credited(5) is None


def test_a_part_of_the_charges_is_given_back(outage: World) -> None:
    before = balance(outage)
    draft(outage, percent="33.3333")
    give(outage)
    assert balance(outage) - before == 666_666_000


def test_a_repeat_answers_the_same_and_another_credit_of_the_id_is_refused(outage: World) -> None:
    first = draft(outage)
    outage.take(call(9, user_id="bad"))
    assert draft(outage) == first
    with pytest.raises(Conflict, match="another id"):
        draft(outage, percent="50")


def test_calls_without_a_charge_match_and_give_nothing(outage: World) -> None:
    outage.take(Call(request_id="failed", status=500, sequence=7), Call(request_id="who", company_id=None, sequence=8))
    found = draft(outage, text="response.status == 500 or not company_id exists")
    assert (found.matched, lines(outage)) == (2, [])
    give(outage)
    undo(outage)


def test_nothing_is_credited_beyond_what_the_period_was_debited(outage: World) -> None:
    draft(outage, text="true")
    with outage.database.begin() as transaction:
        transaction.execute(update(price_total).values(debited=3 * DOLLAR))
    with pytest.raises(Conflict, match="changed since"):
        give(outage)
    draft(outage, "second", text="true")
    assert [(line.charged, line.credit) for line in lines(outage, "second")] == [(5 * DOLLAR, 3 * DOLLAR)]


@pytest.mark.parametrize("percent", ["0", "100.1", "1.00001", "NaN"])
def test_a_percentage_that_cannot_be_is_refused(outage: World, percent: str) -> None:
    with pytest.raises(InvalidInput, match="percent"):
        draft(outage, percent=percent)


def test_what_cannot_be_is_refused(outage: World) -> None:
    with pytest.raises(NotFound):
        give(outage)
    request = IncidentCreate(id="x", filter_text="true", from_at=NOW, to_at=NOW, reason="r")
    with pytest.raises(InvalidInput, match="after 'from'"), outage.database.begin() as transaction:
        create_incident(transaction, change(outage), request)
    draft(outage)
    with pytest.raises(Conflict, match="draft, not applied"):
        undo(outage)


def test_the_invoice_of_an_open_period_shows_the_credit_as_a_line(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="1", size="1")
    world = postpaid.world
    world.take(call(1, tokens=5), call(2, user_id="bad", tokens=3))
    draft(world)
    give(world)
    postpaid.close_month(APRIL)
    (invoice,) = postpaid.invoices()
    assert [(line.amount, line.quantity) for line in invoice.lines] == [(800, Decimal(8)), (-300, Decimal(0))]
    assert postpaid.balance() == 0


def test_an_invoiced_period_is_credited_on_the_next_invoice_and_undone_on_the_one_after(postpaid: Desk) -> None:
    postpaid.set_price("prc_in", amount="1", size="1")
    world = postpaid.world
    world.take(call(1, tokens=5), call(2, user_id="bad", tokens=3))
    postpaid.close_month(APRIL)
    draft(world)
    give(world)
    assert postpaid.balance() == 3 * DOLLAR
    world.take(call(3, tokens=4, at=APRIL))
    postpaid.close_month(MAY)
    undo(world)
    world.take(call(4, tokens=1, at=MAY))
    postpaid.close_month(datetime(2026, 6, 1, tzinfo=UTC))
    billed = [[line.amount for line in invoice.lines] for invoice in postpaid.invoices()]
    assert billed == [[800], [400, -300], [100, 300]]
    assert postpaid.balance() == 0


@settings(max_examples=25, deadline=None)
@given(
    calls=st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), min_size=1, max_size=10),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["draft", "apply", "undo"]),
            st.sampled_from(["one", "two"]),
            st.sampled_from(["a", "b", "c"]),
        ),
        max_size=10,
    ),
    percent=st.integers(1, 100),
)
def test_credits_never_exceed_charges_and_what_is_undone_is_nothing(
    calls: list[tuple[int, str]], steps: list[tuple[str, str, str]], percent: int
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Database(f"sqlite:///{Path(folder) / 'one.sqlite3'}")) as database,
    ):
        world = make_world(database, pays="postpaid", input_size=3)
        world.take(*(call(n, user_id=user, tokens=tokens) for n, (tokens, user) in enumerate(calls, 1)))
        start, charged = balance(world), world.debits()
        for step, name, user in steps:
            try:
                if step == "draft":
                    draft(world, name, text=f'user_id != "{user}"', percent=str(percent))
                else:
                    (give if step == "apply" else undo)(world, name)
            except (Conflict, NotFound):
                continue
        credited = {row["incident_id"] for row in world.rows("incident") if row["status"] == "applied"}
        given = sum(int(str(row["credit"])) for row in world.rows("incident_line") if row["incident_id"] in credited)
        assert balance(world) - start == given
        assert 0 <= given <= charged
        pairs = [(row["position"], row["meter_id"]) for row in world.rows("incident_call") if row["credited"]]
        assert len(pairs) == len(set(pairs))
        for name in sorted(map(str, credited)):
            undo(world, name)
        assert balance(world) == start


def test_the_account_is_that_of_the_subscription(outage: World) -> None:
    draft(outage)
    assert {line.key.subscription_id for line in lines(outage)} == {SUBSCRIPTION}
