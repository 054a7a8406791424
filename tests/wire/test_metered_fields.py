from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.domain.metering.event import FieldPath, compile_field, parse_field_path
from faregate.wire.event import decode_event, to_event
from faregate.wire.metered_fields import MeteredFields
from tests.builders import event_json

PATHS = [
    "request",
    "request.route",
    "request.route.x",
    "request.path",
    "request.verb",
    "request.time",
    "request.other",
    "request.headers.x-team",
    "request.headers",
    "request.body",
    "request.body.model",
    "request.body.usage.n",
    "request.body.messages[0].n",
    "request.body.messages[*].n",
    "response",
    "response.status",
    "response.body.usage.n",
    "response.body.usage",
    "response.body.usage.prompt_tokens",
    'response.body["f0"]',
    "response.body.headers.X",
    "response.headers.X-Team.a",
    "metadata.n",
    "metadata",
    "metadata.usage.n",
    "user_id",
    "user_id.x",
    "company_id",
]
leaves = st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(-10, 10) | st.sampled_from(["", "a", "1.0"])
names = st.sampled_from(["n", "usage", "model", "f0", "messages", "headers", "x-team", "X-TEAM", "prompt_tokens"])
bodies = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(names, bodies, max_size=4)


@given(
    request=st.fixed_dictionaries(
        {}, optional={"body": bodies, "headers": objects | st.none(), "route": st.just("/r")}
    ),
    response=st.fixed_dictionaries({}, optional={"body": bodies, "headers": objects, "other": leaves}),
    metadata=objects | st.none(),
    chosen=st.sets(st.sampled_from(PATHS), min_size=1),
)
def test_what_a_path_finds_is_what_it_finds_in_the_whole_event(
    request: dict[str, object], response: dict[str, object], metadata: object, chosen: set[str]
) -> None:
    raw = event_json(request=request, response=response, metadata=metadata)
    whole = to_event(decode_event(raw), "acme")
    paths = [parse_field_path("field", text) for text in sorted(chosen)]
    fields = MeteredFields(paths)
    event = fields.event(raw, "acme")
    for path in paths:
        if path.text in {"request", "response"}:
            # Whole, they are kept as a tree, of which a filter can only ask whether it is there.
            assert fields.reading(path)(event.fields) is not None
        else:
            assert fields.reading(path)(event.fields) == compile_field(path)(whole.fields), path.text
    assert (event.occurred_at, event.company_id, event.user_id, event.blocked_by, event.weight) == (
        whole.occurred_at,
        whole.company_id,
        whole.user_id,
        whole.blocked_by,
        whole.weight,
    )


def test_a_decimal_is_read_exactly() -> None:
    path = FieldPath("response.body.n")
    fields = MeteredFields([path])
    raw = event_json(response={"body": msgspec.Raw(b'{"n": 0.1000000000000000055511151231257827}')})
    assert fields.reading(path)(fields.event(raw, None).fields) == Decimal("0.1000000000000000055511151231257827")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"request": 1}', b"[" * 100_000])
def test_json_that_is_no_event_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        MeteredFields([]).event(raw, None)
