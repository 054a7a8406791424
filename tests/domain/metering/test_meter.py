from decimal import Decimal

from faregate.domain.metering.meter import compile_meter
from faregate.domain.metering.metric import Unmeterable
from tests.builders import a_filter, a_meter, an_event

SEED = a_meter(a_filter(request__route="/ai/chat", response__status=200))


def a_call(*, status: int = 200, usage: object = None) -> dict[str, object]:
    return {"request": {"route": "/ai/chat"}, "response": {"status": status, "body": {"usage": usage}}}


def test_a_matching_event_counts_for_its_field() -> None:
    assert compile_meter(SEED)(an_event(a_call(usage={"prompt_tokens": 12}))) == Decimal(12)


def test_an_event_outside_the_filter_counts_for_nothing() -> None:
    assert compile_meter(SEED)(an_event(a_call(status=500, usage={"prompt_tokens": 12}))) is None


def test_a_matching_event_without_a_quantity_is_unmeterable() -> None:
    found = compile_meter(SEED)(an_event(a_call()))
    assert found == Unmeterable("response.body.usage.prompt_tokens is missing or null")


def test_an_event_that_a_rule_blocked_matches_no_meter() -> None:
    blocked = an_event(a_call(usage={"prompt_tokens": 12}), blocked_by="rul_1")
    assert compile_meter(SEED)(blocked) is None
    assert compile_meter(a_meter())(blocked) is None
