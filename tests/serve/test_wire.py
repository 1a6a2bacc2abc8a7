"""Bodies: what is taken, and what is said of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serendip.serve import wire
from serendip.serve.wire import ApiError, BatchRequest, RecommendRequest, SimilarRequest, decode

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def refused(body: bytes | Any, kind: type[wire.Request] = RecommendRequest) -> tuple[int, str, str, str]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ApiError) as caught:
        decode(text, kind)
    problem = caught.value.reply.error
    return caught.value.status, problem.code, problem.message, problem.hint or ""


def test_a_request_keeps_ids_as_they_came() -> None:
    asked = decode(b'{"user_id": "007", "history": [1, "1"], "k": 3}', RecommendRequest)
    assert asked == RecommendRequest(user_id="007", history=[1, "1"], k=3)
    assert decode(b"{}", RecommendRequest) == RecommendRequest(user_id=None, k=10, exclude_seen=True)


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b"", "an empty body"),
        (b"  \n", "an empty body"),
        (b'{"user_id": 1', "JSON that breaks off"),
        (b'{"user_id": 1}}', "malformed JSON (trailing characters (byte 15))"),
        (b"user_id=1&k=10", "malformed JSON (invalid character (byte 0))"),
        (b'{"user_id": "\xff"}', "text that is not UTF-8"),
    ],
)
def test_what_is_not_json_is_said_to_be_so(body: bytes, got: str) -> None:
    status, code, message, hint = refused(body)
    assert (status, code) == (400, "malformed_json")
    assert message == f"The body must be one JSON object. Got {got} instead."
    assert hint == 'For example: {"user_id":1,"k":10}'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"k": 0}, "`k` must be a whole number >= 1. Got 0 instead."),
        ({"k": -5}, "`k` must be a whole number >= 1. Got -5 instead."),
        ({"k": 1001}, "`k` must be a whole number <= 1000. Got 1001 instead."),
        ({"k": 10**30}, f"`k` must be a whole number <= 1000. Got 1{'0' * 30} instead."),
        ({"k": 1.5}, "`k` must be a whole number. Got 1.5 instead."),
        ({"k": True}, "`k` must be a whole number. Got true instead."),
        ({"k": None}, "`k` must be a whole number. Got null instead."),
        ({"k": "ten"}, '`k` must be a whole number. Got "ten" instead.'),
        ({"user_id": 1.5}, "`user_id` must be a whole number or text or null. Got 1.5 instead."),
        ({"user_id": [1]}, "`user_id` must be a whole number or text or null. Got a list of 1 instead."),
        ({"user_id": 2**63}, f"`user_id` must be a whole number <= {2**63 - 1}. Got {2**63} instead."),
        ({"history": [1, {}]}, "`history[1]` must be a whole number or text. Got an object instead."),
        ({"history": 5}, "`history` must be a list or null. Got 5 instead."),
        ({"exclude": None}, "`exclude` must be a list. Got null instead."),
        ({"allow": [1] * 10_001}, "`allow` must be a list of at most 10000 entries. Got a list of 10001 instead."),
        ({"exclude_seen": "x" * 100}, f'`exclude_seen` must be true or false. Got "{"x" * 59}… instead.'),
        ({"attributes": ["x"]}, "`attributes` must be an object. Got a list of 1 instead."),
        (
            {"attributes": {"a": {}}},
            "`attributes[...]` must be true or false or a whole number or a number or text or a list or null. "
            "Got something else instead.",
        ),
        (
            {"attributes": {"a": [[]]}},
            "`attributes[...][0]` must be true or false or a whole number or a number or text or null. "
            "Got something else instead.",
        ),
        ({"events": {"view": 3}}, "`events[...]` must be a list. Got something else instead."),
        ({"time": -1}, "`time` must be a whole number >= 0. Got -1 instead."),
        ([], "The body must be an object. Got a list of 0 instead."),
        ("text", 'The body must be an object. Got "text" instead.'),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(body: Any, message: str) -> None:
    assert refused(body)[:3] == (422, "invalid_value", message)


def test_an_unknown_field_is_named_with_the_nearest_known_one() -> None:
    assert refused({"user_idd": 1}) == (422, "unknown_field", "Unknown field `user_idd`.", "Did you mean `user_id`?")
    assert refused({"K": 1})[3] == "Did you mean `k`?"
    known = "user_id, k, history, exclude, allow, filter, exclude_seen, attributes, events, time, reasons, explore"
    assert refused({"zzzz": 1})[3] == f"Known fields: {known}."
    assert refused({"queries": []})[3] == "Many users at once are asked for at /v1/recommend/batch."


def test_places_inside_a_batch_are_named() -> None:
    assert refused({"queries": [{"user": 1}]}, BatchRequest)[2:] == (
        "Unknown field `user` in `queries[0]`.",
        "Did you mean `user_id`?",
    )
    assert refused({"queries": [{}, {"user_id": 0.5}]}, BatchRequest)[2].startswith("`queries[1].user_id` must be")
    assert (
        refused({"queries": []}, BatchRequest)[2]
        == "`queries` must be a list of at least 1 entries. Got a list of 0 instead."
    )
    assert refused({"k": 3}, BatchRequest)[1:3] == ("missing_field", "The field `queries` is required.")
    assert refused({}, SimilarRequest)[2:] == (
        "The field `item_id` is required.",
        'For example: {"item_id":50,"k":10}',
    )


@pytest.mark.parametrize("rest", [b'"user_id": ', b'"user_id": "\xff"}', b'"user_id": ' + b"[" * 100_000])
def test_a_wrong_value_before_what_is_not_json_is_named_without_it(rest: bytes) -> None:
    assert refused(b'{"k": 0, ' + rest)[2] == "`k` must be a whole number >= 1. Got something else instead."


@pytest.mark.parametrize("name", ["", "`", "x - at `$.k`", "x` - at `$.queries[0]", "a.b", "[0]", "\n", "$"])
def test_a_strange_name_is_an_unknown_field(name: str) -> None:
    assert refused({name: 1})[:2] == (422, "unknown_field")
    assert refused({"queries": [{name: 1}]}, BatchRequest)[:2] == (422, "unknown_field")


def test_long_values_are_cut_in_messages() -> None:
    status, code, message, _ = refused({"x" * 5000: 1})
    assert (status, code) == (422, "unknown_field") and len(message) < 100


@SLOW
@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused_with_a_reason(body: bytes) -> None:
    for kind in (RecommendRequest, BatchRequest, SimilarRequest):
        try:
            decode(body, kind)
        except ApiError as error:
            assert error.status in (400, 422) and error.reply.error.message


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from([*RecommendRequest.__struct_fields__, "queries", "item_id", "other"])


@SLOW
@given(st.dictionaries(FIELDS, VALUES, max_size=5))
def test_any_json_is_taken_or_refused_with_a_reason(body: dict[str, Any]) -> None:
    for kind in (RecommendRequest, BatchRequest, SimilarRequest):
        try:
            decode(json.dumps(body).encode(), kind)
        except ApiError as error:
            assert error.status == 422 and error.reply.error.message
