from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.domain.metering.event import Event, FieldPath, compile_field
from faregate.wire.event import (
    as_utc,
    content_hash,
    corrected_body,
    decode_event,
    decode_patch,
    identity,
    patch_text,
    to_event,
)
from tests.builders import event_json, gateway_facts

numerals = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?\Z")
texts = st.text(st.characters(codec="utf-8"), max_size=10)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


def event_of(raw: bytes, *, company_id: str | None = None) -> Event:
    return to_event(decode_event(raw), company_id)


def identity_of(raw: bytes) -> bytes:
    return identity(decode_event(raw), content_hash(raw))


def read(raw: bytes, path: str) -> object:
    return compile_field(FieldPath(path))(event_of(raw).fields)


def reversed_keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: reversed_keys(inner) for key, inner in reversed(value.items())}
    return value


def with_body(json: bytes) -> bytes:
    return event_json(response={"body": msgspec.Raw(json)})


# --- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    ["2026-03-10T12:00:00.250", "2026-03-10T12:00:00.250Z", "2026-03-10T13:00:00.250+01:00", "2026-03-10T12:00:00.25"],
)
def test_a_time_without_a_zone_is_utc_and_any_other_becomes_utc(sent: str) -> None:
    event = event_of(event_json(request={"time": sent}))
    assert event.occurred_at == datetime(2026, 3, 10, 12, 0, 0, 250_000, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)), st.integers(min_value=-23, max_value=23))  # noqa: DTZ001
def test_an_instant_in_any_zone_stays_the_same_instant(naive: datetime, hours: int) -> None:
    zoned = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert as_utc(zoned) == zoned
    assert as_utc(naive) == naive.replace(tzinfo=UTC)


@pytest.mark.parametrize("sent", ["1970-01-01T00:00:00+14:00", "9998-12-31T23:59:59-14:00"])
def test_the_first_and_last_years_that_can_be_billed_are_taken(sent: str) -> None:
    assert event_of(event_json(request={"time": sent})).occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    "sent", ["1969-12-31T23:59:59", "9999-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_time_outside_the_years_that_can_be_billed_is_refused(sent: str) -> None:
    with pytest.raises(InvalidInput, match="years 1970 to 9998"):
        decode_event(event_json(request={"time": sent}))


# --- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("http://api.example/ai/chat?stream=1", "/ai/chat"),
        ("https://user@api.example:8443/ai/chat#top", "/ai/chat"),
        ("/ai/chat?next=http://elsewhere/x", "/ai/chat"),
        ("/ai/chat", "/ai/chat"),
        ("http://api.example", ""),
        ("http://[::1/ai/chat", "/ai/chat"),
        ("http://a\u2100b/ai/chat", "/ai/chat"),
        ("", ""),
        ("*", "*"),
    ],
)
def test_the_route_is_the_uris_path_without_query_whatever_the_host(uri: str, path: str) -> None:
    raw = event_json(request={"uri": uri})
    assert read(raw, "request.route") == read(raw, "request.path") == path
    assert read(raw, "request.uri") == uri


def test_the_routes_public_name_goes_before_its_path() -> None:
    raw = event_json(request={"route": "/ai/chat", "uri": "http://api.example/ai/chat/completions"})
    assert read(raw, "request.route") == "/ai/chat"
    assert read(raw, "request.path") == "/ai/chat/completions"


def test_an_event_has_the_fields_that_meters_name() -> None:
    raw = event_json(
        request={"headers": {"x-team": "red"}, "body": {"model": "m"}, "ip_address": "192.0.2.1"},
        response={"status": 201, "headers": {"x-a": "b"}, "body": {"usage": {"prompt_tokens": 12}}},
        metadata={"trace": {"id": 7}},
    )
    expected: dict[str, object] = {
        "request.verb": "POST",
        "request.headers.x-team": "red",
        "request.body.model": "m",
        "request.ip_address": "192.0.2.1",
        "response.status": 201,
        "response.headers.x-a": "b",
        "response.body.usage.prompt_tokens": 12,
        "metadata.trace.id": 7,
        "user_id": "ann",
    }
    assert {path: read(raw, path) for path in expected} == expected


@pytest.mark.parametrize(
    "raw",
    [event_json(response=None), event_json(), b'{"request":{"time":"2026-03-10T12:00:00","uri":"/","verb":"GET"}}'],
)
def test_absent_bodies_and_answers_are_nothing(raw: bytes) -> None:
    assert read(raw, "request.body") is None
    assert read(raw, "response.body") is None


def test_a_call_without_an_answer_has_no_response() -> None:
    raw = b'{"request":{"time":"2026-03-10T12:00:00","uri":"/","verb":"GET"},"response":null}'
    assert event_of(raw).fields["response"] is None


def test_the_company_is_the_one_of_our_records() -> None:
    event = event_of(event_json(company_id="claimed"), company_id="acme")
    assert (event.company_id, event.fields["company_id"]) == ("acme", "acme")
    assert event_of(event_json(company_id="claimed")).company_id is None


def test_an_event_says_which_rule_blocked_it() -> None:
    assert event_of(event_json(blocked_by="rul_1")).blocked_by == "rul_1"
    assert event_of(event_json()).blocked_by is None


# --- numbers --------------------------------------------------------------------------------------------------------


def floats_in(value: object) -> list[float]:
    if isinstance(value, dict):
        return [found for inner in value.values() for found in floats_in(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in floats_in(inner)]
    return [value] if isinstance(value, float) else []


@given(numerals)
def test_a_number_in_a_body_is_exact_and_never_a_float(numeral: str) -> None:
    value = read(with_body(b'{"tokens":' + numeral.encode() + b"}"), "response.body.tokens")
    assert isinstance(value, int | Decimal)
    assert Decimal(value) == Decimal(numeral)


def test_no_part_of_an_event_has_a_float() -> None:
    numbers = msgspec.Raw(b'{"a":[0.1,{"b":1e3}],"c":-0.0}')
    raw = event_json(
        request={"headers": numbers, "body": numbers}, response={"headers": numbers, "body": numbers}, metadata=numbers
    )
    assert floats_in(dict(event_of(raw).fields)) == []


@pytest.mark.parametrize("numeral", [b"1e99999999999999999999", b"-1e-99999999999999999999"])
def test_a_numeral_beyond_every_decimal_stays_a_text_and_costs_no_event(numeral: bytes) -> None:
    raw = with_body(b'{"odd":' + numeral + b',"tokens":5}')
    assert read(raw, "response.body.odd") == numeral.decode()
    assert read(raw, "response.body.tokens") == 5
    assert len(content_hash(raw)) == 16


# --- what is no event -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"{", "truncated"),
        (b"{}", "missing required field `request`"),
        (event_json(request={"time": "yesterday"}), r"\$\.request\.time"),
        (event_json(request={"verb": 7}), r"\$\.request\.verb"),
        (event_json(response={"status": "ok"}), r"\$\.response\.status"),
        (event_json(faregate={"gateway_id": "gtw_1"}), r"\$\.faregate"),
    ],
)
def test_an_event_that_cannot_be_read_says_which_field_is_wrong(raw: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refused:
        decode_event(raw)
    assert [fault.field for fault in refused.value.faults] == ["event"]


@pytest.mark.parametrize("decode", [decode_event, content_hash])
@pytest.mark.parametrize("body", [b"[" * 100_000 + b"]" * 100_000, b"01", b"{1:2}", b"nul"])
def test_a_body_that_is_too_deep_or_no_json_is_refused(decode: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode(with_body(b"null").replace(b'"body":null', b'"body":' + body))


@pytest.mark.parametrize("body", [b'"\xff\xfe"', b'{"a":"\xed\xa0\x80"}', b"1" * 5_000])
def test_a_body_that_cannot_be_read_is_refused_by_hash_and_event_alike(body: bytes) -> None:
    raw = with_body(body)
    with pytest.raises(InvalidInput):
        content_hash(raw)
    with pytest.raises(InvalidInput):
        to_event(decode_event(raw), None)


@given(st.binary(max_size=60) | documents.map(msgspec.json.encode))
def test_whatever_a_body_is_what_can_be_hashed_can_be_metered(body: bytes) -> None:
    raw = with_body(b"null").replace(b'"body":null', b'"body":' + body)
    try:
        wire, body_hash = decode_event(raw), content_hash(raw)
    except InvalidInput:
        return
    assert to_event(wire, None).fields["response"] is not None
    assert len(identity(wire, body_hash)) == 16


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_invalid_input(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_event(raw)


# --- content and identity -------------------------------------------------------------------------------------------


@given(documents)
def test_the_content_hash_ignores_key_order_and_white_space(document: object) -> None:
    raw = event_json(metadata={"document": document, "z": 1, "a": 2}, request={"body": document})
    shuffled = msgspec.json.format(msgspec.json.encode(reversed_keys(msgspec.json.decode(raw))), indent=2)
    assert content_hash(shuffled) == content_hash(raw)


def test_the_content_hash_ignores_our_own_facts() -> None:
    plain = content_hash(event_json())
    assert content_hash(event_json(faregate=gateway_facts(sequence=1))) == plain
    assert content_hash(event_json(faregate=gateway_facts(sequence=2))) == plain


@pytest.mark.parametrize(
    "changed",
    [
        event_json(response={"status": 201}),
        event_json(request={"time": "2026-03-10T12:00:00.251"}),
        event_json(response={"body": {"usage": 1}}),
        event_json(user_id="bob"),
        event_json(transaction_id="t1"),
        event_json(metadata={"faregate": 1}),
    ],
)
def test_any_other_difference_changes_the_content_hash(changed: bytes) -> None:
    assert content_hash(changed) != content_hash(event_json())


def test_a_number_and_its_text_are_different_contents() -> None:
    assert content_hash(with_body(b"1.5")) != content_hash(with_body(b'"1.5"'))


@pytest.mark.parametrize("raw", [b"[1,2]", b"7", b"null"])
def test_what_is_no_object_has_a_hash_too(raw: bytes) -> None:
    assert len(content_hash(raw)) == 16


def test_a_gateways_call_is_its_request_id_and_attempt_whatever_it_contains() -> None:
    first = identity_of(event_json(faregate=gateway_facts(request_id="req_1", attempt=1)))
    assert identity_of(event_json(faregate=gateway_facts(), response={"status": 500}, transaction_id="t1")) == first
    assert identity_of(event_json(faregate=gateway_facts(sequence=9))) == first
    assert identity_of(event_json(faregate=gateway_facts(attempt=2))) != first
    assert identity_of(event_json(faregate=gateway_facts(request_id="req_2"))) != first


def test_an_agents_call_is_its_id_together_with_its_content() -> None:
    first = identity_of(event_json(transaction_id="t1"))
    assert identity_of(event_json(transaction_id="t1")) == first
    assert identity_of(event_json(transaction_id="t1", response={"status": 500})) != first
    assert identity_of(event_json(transaction_id="t2")) != first


@pytest.mark.parametrize("raw", [event_json(), event_json(transaction_id=None), event_json(transaction_id="")])
def test_a_call_without_an_id_is_its_content(raw: bytes) -> None:
    wire = decode_event(raw)
    assert identity(wire, content_hash(raw)) == identity(decode_event(event_json()), content_hash(raw))
    assert identity(wire, content_hash(event_json(user_id="bob"))) != identity(wire, content_hash(raw))


def test_the_same_id_from_an_agent_and_from_a_gateway_are_two_calls() -> None:
    of_gateway = identity_of(event_json(faregate=gateway_facts(request_id="t1")))
    assert identity_of(event_json(transaction_id="t1")) != of_gateway


@given(texts, st.integers(min_value=1, max_value=99), texts, st.integers(min_value=1, max_value=99))
def test_no_two_request_ids_and_attempts_share_an_identity(one: str, attempt: int, other: str, again: int) -> None:
    first = identity_of(event_json(faregate=gateway_facts(request_id=one, attempt=attempt)))
    second = identity_of(event_json(faregate=gateway_facts(request_id=other, attempt=again)))
    assert (first == second) == ((one, attempt) == (other, again))


def test_a_merge_patch_changes_what_it_names_takes_nulls_away_and_keeps_numbers_exact() -> None:
    body = b'{"request":{"a":1,"b":{"c":0.1000000000000000055511}},"keep":[1,2]}'
    fields = decode_patch("event", b'{"request":{"a":null,"b":{"d":2.50}},"new":{"x":null,"y":1}}')
    assert corrected_body(body, fields) == (
        b'{"keep":[1,2],"new":{"y":1},"request":{"b":{"c":0.1000000000000000055511,"d":2.50}}}'
    )
    assert corrected_body(b'{"a":1}', {"a": {"b": 2}}) == b'{"a":{"b":2}}'
    assert patch_text({"b": 1, "a": 2}) == '{"a":2,"b":1}'


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"text"', b"null"])
def test_a_patch_that_is_no_object_is_refused_by_its_field(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="event: must be an object"):
        decode_patch("event", raw)
