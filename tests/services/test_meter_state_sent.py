"""What gateways are told of meters: a plain sum as its conditions, any other by its definition."""

import pytest

from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.filter_text import parse_filter
from faregate.domain.metering.metric import Count, Metric, Sum
from faregate.domain.metering.units import UNCHANGED, UnitRounding, Units
from faregate.services.state_stream import meter_state
from faregate.wire.gateway_protocol import ConditionState
from tests.builders import a_filter, a_meter

TOKENS = FieldPath("response.body.usage.prompt_tokens")


def test_a_plain_sum_is_sent_as_its_conditions() -> None:
    sent = meter_state("app_1", a_meter(a_filter(request__route="/ai/chat", response__status=200)))
    assert sent.conditions == [
        ConditionState(path="request.route", value="/ai/chat"),
        ConditionState(path="response.status", value=200),
    ]
    assert (sent.sum_path, sent.definition) == (TOKENS.text, "")
    one = meter_state("app_1", a_meter(parse_filter("f", "response.status == 200")))
    assert one.conditions == [ConditionState(path="response.status", value=200)]


@pytest.mark.parametrize(
    ("text", "metric", "units"),
    [
        ("response.status < 300", Sum(path=TOKENS), UNCHANGED),
        ("metadata.share == 0.5", Sum(path=TOKENS), UNCHANGED),
        ("", Count(), UNCHANGED),
        ("", Sum(path=TOKENS, weighted=True), UNCHANGED),
        ("", Sum(path=TOKENS), Units(rounding=UnitRounding.UP)),
    ],
)
def test_any_other_meter_is_sent_by_its_definition(text: str, metric: Metric, units: Units) -> None:
    meter = a_meter(parse_filter("f", text), metric=metric, units=units)
    sent = meter_state("app_1", meter)
    assert (sent.conditions, sent.sum_path) == ([], "")
    assert sent.definition == write_definition(meter.definition)
