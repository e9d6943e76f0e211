"""Why something failed, in every shape in which that is said."""

import pytest

from aimusic_async.api.reasons import (
    NO_REASON,
    failed_step,
    message_of,
    reason_of,
    reason_of_clip,
    says_why,
    shortened,
    words_of,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" no ", "no"),
        ({"message": "no"}, "no"),
        ({"msg": "no", "message": " "}, "no"),
        ({"message": "first", "msg": "second", "error": "third"}, "first"),
        ({"error": {"detail": "no"}}, "no"),
        ({"reason": "no"}, "no"),
        ({"description": "no"}, "no"),
        ([{"msg": "too long"}, "too short", {"msg": "too long"}, 5], "too long; too short"),
        ([], ""),
        ([[[["deep"]]]], "deep"),
        ([[[[["too deep"]]]]], ""),
        (5, ""),
        (None, ""),
        (True, ""),
        ({"code": 5}, ""),
        ({"error": {"error": {"error": "deep"}}}, "deep"),
        ({"error": {"error": {"error": {"error": "deeper"}}}}, "deeper"),
        ({"error": {"error": {"error": {"error": {"error": "too deep"}}}}}, ""),
    ],
)
def test_a_text_is_found_in_objects_and_lists(value, text):
    assert words_of(value) == text


def test_the_first_field_that_says_anything_counts():
    fields = {"error": "a", "detail": "b", "message": "c", "msg": "d"}
    for text in "abcd":
        assert message_of(fields) == text
        fields = {name: value for name, value in fields.items() if value != text}
    assert message_of(fields) == ""
    assert message_of({"error": {}, "detail": [], "message": "c"}) == "c"


def test_the_upload_of_a_composite_operation_says_why_first():
    steps = {"upload": {"error": {"message": "no audio"}, "message": "failed"}}
    assert message_of({"message": "success", "steps": steps}) == "no audio"
    assert failed_step({"steps": {"upload": {"message": "no audio"}}}) == "no audio"
    for fine in ({"upload": {"clip_id": "u", "message": "success"}}, {"upload": "x"}, "x", {"upload": {}}, None):
        assert failed_step({"steps": fine}) == ""


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"message": "Too loud."}, "Too loud."),
        ({"message": "success", "status": "FAILED"}, '{"message": "success", "status": "FAILED"}'),
        ({"error": "Failed."}, '{"error": "Failed."}'),
        ({"type": "failed", "at": "é"}, '{"type": "failed", "at": "é"}'),
        ({}, NO_REASON),
    ],
)
def test_what_does_not_say_why_is_shown(fields, reason):
    assert reason_of(fields) == reason


@pytest.mark.parametrize("name", ["error_message", "error", "detail", "message", "msg", "fail_reason", "reason"])
def test_a_clip_says_why_in_many_ways(name):
    assert reason_of_clip({"clip_id": "c", name: "too loud"}) == "too loud"
    assert reason_of_clip({"clip_id": "c", name: {"message": "too loud"}}) == "too loud"


def test_a_clip_s_own_field_goes_first_and_silence_is_empty():
    assert reason_of_clip({"message": "b", "error_message": "a"}) == "a"
    assert reason_of_clip({"clip_id": "c"}) == ""


@pytest.mark.parametrize(
    ("text", "does"), [("too loud", True), ("", False), ("Success", False), ("FAILED!", False), ("ok.", False)]
)
def test_whether_a_text_says_more_than_how_it_went(text, does):
    assert says_why(text) is does


def test_a_long_body_is_cut_and_an_odd_one_is_nothing():
    assert shortened({"a": "x" * 1000}) == '{"a": "' + "x" * 293 + "…"
    assert shortened({"a": "x" * 291}) == '{"a": "' + "x" * 291 + '"}'
    assert shortened({"a": {1, 2}}) == ""
    for nothing in (None, {}, [], ""):
        assert shortened(nothing) == ""
    assert shortened(["é"]) == '["é"]'
