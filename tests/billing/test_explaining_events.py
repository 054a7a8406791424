"""What became of an event, and why: every meter's outcome, and where each charge is billed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, select

from faregate.base.errors import NotFound, Unavailable
from faregate.domain.catalog.models import ByDimension, PerUnit
from faregate.services.explain_event import explain_event
from faregate.storage import tables
from faregate.storage.state_feed import record_change
from faregate.wire.api.explanations import BilledAs, EventExplanationView, Fate, MeterOutcomeView, Outcome
from faregate.wire.gateway_protocol import Drawn
from tests.billing.desk import Desk, FaultyProvider
from tests.builders import priced
from tests.services.test_corrections import cancel, correct
from tests.services.world import APP, NOW, PERIOD_START, SUBSCRIPTION, Call

APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def explained(desk: Desk, event_id: str = "req_1") -> EventExplanationView:
    with desk.world.database.snapshot() as transaction:
        return explain_event(transaction, APP, event_id)


def latest(desk: Desk) -> str:
    with desk.world.database.snapshot() as transaction:
        position = transaction.execute(select(tables.event_log.c.position).order_by(tables.event_log.c.position.desc()))
        return f"evt_{position.scalars().first()}"


def outcome(view: EventExplanationView, meter_id: str = "mtr_in") -> MeterOutcomeView:
    return next(found for found in view.meters if found.meter_id == meter_id)


def test_a_counted_event_names_window_price_debit_entry_and_lease(prepaid: Desk) -> None:
    prepaid.world.grant("10")
    prepaid.world.open_epoch()
    lease = prepaid.world.lease("prc_in", 100)
    prepaid.world.take(
        Call(drawn=(Drawn(lease_id=lease.lease_id, units=10), Drawn(lease_id="lse_lost", units=1))),
        Call(request_id="req_2", sequence=2),
    )
    view = explained(prepaid)
    assert (view.fate, view.reason, view.company_id, view.request_id) == (Fate.ADMITTED, None, "acme", "req_1")
    assert [(one.lease_id, one.price_id, one.units) for one in view.leases] == [
        (lease.lease_id, "prc_in", 10),
        ("lse_lost", None, 1),
    ]
    of_input = outcome(view)
    assert of_input.outcome is Outcome.COUNTED
    counted = of_input.counted
    assert counted is not None
    assert (counted.quantity, counted.amount, counted.currency, counted.price_name) == (
        "10",
        "0.50",
        "USD",
        "Input Tokens",
    )
    assert (counted.window_start, counted.window_end) == (NOW, NOW + timedelta(minutes=5))
    assert (counted.period_start, counted.period_end) == (PERIOD_START, APRIL)
    assert (counted.subscription_id, counted.billed, counted.invoice_id) == (SUBSCRIPTION, BilledAs.OPEN_PERIOD, None)
    assert counted.entry is not None
    assert (counted.entry.amount, counted.entry.description) == ("-0.50", "usage")
    second = outcome(explained(prepaid, "req_2")).counted
    assert second is not None
    assert (second.amount, second.entry) == ("0.00", counted.entry)


def test_an_event_that_costs_nothing_is_still_told_its_period_and_its_line(postpaid: Desk) -> None:
    postpaid.use(10, 5)
    postpaid.use(10, 5)

    def away(method: str, key: str) -> None:
        if method == "close_period":
            raise Unavailable(f"no answer for {key}")

    free = outcome(explained(postpaid, "req_2")).counted
    assert free is not None
    assert (free.amount, free.entry, free.period_start) == ("0.00", None, PERIOD_START)
    postpaid.close_month(APRIL, FaultyProvider(inner=postpaid.provider, before=away))
    closed = outcome(explained(postpaid, "req_2")).counted
    assert closed is not None
    assert (closed.billed, closed.invoice_id) == (BilledAs.CLOSED_PERIOD, None)
    postpaid.move(APRIL + timedelta(hours=1))
    postpaid.tick()
    (invoice,) = postpaid.invoices()
    for meter_id, line in (("mtr_in", 1), ("mtr_out", 2)):
        counted = outcome(explained(postpaid, "req_2"), meter_id).counted
        assert counted is not None
        assert (counted.billed, counted.invoice_id, counted.invoice_line) == (
            BilledAs.INVOICED,
            invoice.invoice_id,
            line,
        )


def test_an_event_that_no_meter_matches_is_told_why_of_each(postpaid: Desk) -> None:
    postpaid.world.take(Call(status=500))
    view = explained(postpaid)
    assert view.fate is Fate.ADMITTED
    assert [found.outcome for found in view.meters] == [Outcome.NOT_MATCHED] * 2
    (mismatch,) = outcome(view).mismatches
    assert (mismatch.field, mismatch.actual, mismatch.expected) == ("response.status", "500", "== 200")


def test_a_refused_call_matches_no_meter_and_names_the_rule(postpaid: Desk) -> None:
    postpaid.world.take(Call(blocked_by="rul_1"))
    (mismatch,) = outcome(explained(postpaid)).mismatches
    assert (mismatch.field, mismatch.actual) == ("blocked_by", "rul_1")


def test_an_unmeterable_event_says_which_field_is_to_blame(postpaid: Desk) -> None:
    postpaid.world.take(Call(prompt_tokens=None))
    found = outcome(explained(postpaid))
    assert found.outcome is Outcome.UNMETERABLE
    assert found.reason is not None
    assert "prompt_tokens is missing" in found.reason


def test_usage_that_nobody_pays_for_is_told_as_such(postpaid: Desk) -> None:
    postpaid.world.take(Call(company_id="stranger"))
    counted = outcome(explained(postpaid)).counted
    assert counted is not None
    assert (counted.billed, counted.subscription_id, counted.entry, counted.amount) == (
        BilledAs.NOBODY,
        None,
        None,
        "0.00",
    )
    assert counted.window_start == NOW


def test_a_price_by_dimension_names_the_row(postpaid: Desk) -> None:
    model = ByDimension(fields=("user_id",), table={("small",): PerUnit(amount=Decimal(1))}, default=None)
    postpaid.set_terms("prc_in", priced(model))
    postpaid.world.take(Call(user_id="small"))
    counted = outcome(explained(postpaid)).counted
    assert counted is not None
    assert (counted.dimension, counted.amount) == (["small"], "10.00")


def test_an_event_that_waits_a_repeat_and_one_set_aside_are_told_apart(postpaid: Desk) -> None:
    call = Call()
    postpaid.world.log(call.body())
    first = latest(postpaid)
    waiting = explained(postpaid, first)
    assert (waiting.fate, waiting.reason) == (Fate.WAITING, "the event waits to be applied")
    assert (outcome(waiting).outcome, outcome(waiting).reason) == (
        Outcome.NOT_COUNTED,
        "the event waits to be applied",
    )
    postpaid.world.apply()
    postpaid.world.take(call)
    repeat = explained(postpaid, latest(postpaid))
    assert (repeat.fate, repeat.repeat_of) == (Fate.REPEAT, first)
    assert outcome(repeat).reason == "the event does not count: see why above"
    postpaid.world.take(Call(prompt_tokens=11))
    conflict = explained(postpaid, latest(postpaid))
    assert conflict.fate is Fate.SET_ASIDE
    assert conflict.reason is not None
    assert conflict.reason.startswith("conflict: the same call stands at position")
    postpaid.world.log(b'{"request": 1}')
    postpaid.world.apply()
    broken = explained(postpaid, latest(postpaid))
    assert (broken.fate, broken.meters, broken.occurred_at) == (Fate.SET_ASIDE, [], None)


def test_an_agents_repeat_is_known_by_what_it_sent(postpaid: Desk) -> None:
    body = b'{"request":{"time":"2026-03-10T12:00:00Z","uri":"http://a/b","verb":"GET"},"transaction_id":"t-1"}'
    postpaid.world.log(body, body)
    postpaid.world.apply()
    view = explained(postpaid, latest(postpaid))
    assert view.fate is Fate.REPEAT
    assert view.repeat_of is not None
    assert explained(postpaid, view.repeat_of).fate is Fate.ADMITTED


def test_a_meter_made_after_the_event_says_why_it_did_not_count(postpaid: Desk) -> None:
    postpaid.world.take(Call())
    with postpaid.world.database.begin() as transaction:
        transaction.execute(
            insert(tables.meter).values(
                meter_id="mtr_new",
                application_id=APP,
                name="Calls",
                price_id="prc_in",
                definition='{"filter":"true","metric":{"type":"count"}}',
                reporting_period="5m",
                created_at=NOW,
            )
        )
        record_change(transaction, "meter", "mtr_new")
    found = outcome(explained(postpaid), "mtr_new")
    assert found.outcome is Outcome.NOT_COUNTED
    assert found.reason is not None
    assert "made, or changed, after" in found.reason


def test_an_unknown_event_is_named(postpaid: Desk) -> None:
    with pytest.raises(NotFound, match="evt_77"):
        explained(postpaid, "evt_77")


def test_a_late_event_waits_for_the_next_invoice_and_then_names_its_line(postpaid: Desk) -> None:
    postpaid.use(600_000, 0)
    postpaid.close_month(APRIL)
    postpaid.use(600_000, 0)
    waiting = outcome(explained(postpaid, "req_2")).counted
    assert waiting is not None
    assert (waiting.billed, waiting.period_start, waiting.invoice_id) == (BilledAs.ADJUSTMENT, PERIOD_START, None)
    on_time = outcome(explained(postpaid, "req_1")).counted
    assert on_time is not None
    postpaid.close_month(datetime(2026, 5, 1, tzinfo=UTC))
    first, second = postpaid.invoices()
    assert (on_time.billed, on_time.invoice_id) == (BilledAs.INVOICED, first.invoice_id)
    billed = outcome(explained(postpaid, "req_2")).counted
    assert billed is not None
    assert (billed.billed, billed.invoice_id, billed.invoice_line) == (BilledAs.INVOICED, second.invoice_id, 1)


def test_an_event_that_was_taken_back_says_by_what_and_its_record_what_it_takes_back(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=Decimal(1))))
    postpaid.use(5, 0)
    postpaid.use(7, 0)
    corrected = correct(postpaid.world, "req_1", 2)
    cancelled = cancel(postpaid.world, "req_2", name="c2")
    wrong = explained(postpaid, f"evt_{corrected.event_position}")
    assert (wrong.fate, wrong.company_id) == (Fate.CORRECTED, "acme")
    assert wrong.corrected_by is not None
    assert wrong.corrected_by.replacement_event_id == f"evt_{corrected.replacement_position}"
    counted = outcome(wrong).counted
    assert counted is not None
    assert counted.taken_back is not None
    assert (counted.quantity, counted.taken_back.quantity, counted.taken_back.amount) == ("5", "-5", "-5.00")
    record = explained(postpaid, f"evt_{corrected.position}")
    assert (record.fate, record.corrects, record.meters) == (Fate.CORRECTION, wrong.event_id, [])
    right = explained(postpaid, f"evt_{corrected.replacement_position}")
    assert (right.fate, right.corrects) == (Fate.ADMITTED, wrong.event_id)
    gone = explained(postpaid, f"evt_{cancelled.event_position}")
    assert (gone.fate, gone.reason) == (Fate.CANCELLED, f"taken back by the correction 'c2': {cancelled.reason}")


def test_a_correction_of_an_invoiced_period_names_the_adjustment_that_bills_it(postpaid: Desk) -> None:
    postpaid.set_terms("prc_in", priced(PerUnit(amount=Decimal(1))))
    postpaid.use(5, 0)
    postpaid.close_month(APRIL)
    corrected = correct(postpaid.world, "req_1", 9)
    replacement = f"evt_{corrected.replacement_position}"
    waiting = outcome(explained(postpaid, replacement)).counted
    assert waiting is not None
    assert waiting.billed is BilledAs.ADJUSTMENT
    postpaid.close_month(datetime(2026, 5, 1, tzinfo=UTC))
    billed = outcome(explained(postpaid, replacement)).counted
    assert billed is not None
    assert (billed.billed, billed.invoice_id) == (BilledAs.INVOICED, postpaid.invoices()[1].invoice_id)
