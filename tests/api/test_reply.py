"""Answers as they come over the wire: bytes, headers, and the id of a task wherever it stands."""

import json
import os
import time
from email.utils import formatdate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aimusic_async.api.reply import (
    Reply,
    find_task_id,
    is_task_id,
    means_task_id,
    number,
    read_json,
    seconds_until,
    task_id_in,
)

EXAMPLES = int(os.environ.get("AIMUSIC_EXAMPLES", "300"))


def parsed(text, status=200):
    return Reply.parse(status, text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": "Caf\xe9"}', {"a": "Caf\ufffd"}),
        (b'{"a": "cut \xc3"}', {"a": "cut \ufffd"}),
        ('{"a": "é"}'.encode(), {"a": "é"}),
        ('\ufeff{"a": 1}'.encode(), {"a": 1}),
        ('{"a": 1}'.encode("utf-16"), {"a": 1}),
        (b'{"a": "two\nlines\x00"}', {"a": "two\nlines\x00"}),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": float("inf")}),
        (b'{"a": ' + b"9" * 4000 + b"}", {"a": int("9" * 4000)}),
        (b'{"a": 12, "b": -1.5}', {"a": 12, "b": -1.5}),
    ],
)
def test_a_byte_or_a_number_that_json_forbids_costs_only_itself(data, value):
    assert read_json(data) == value


def test_what_is_no_json_is_kept_as_the_beginning_of_a_text():
    page = parsed(b"<html>\n  \xff Just  a moment" + b"." * 500, 502)
    assert (page.body, page.fields, page.status) == (None, {}, 502)
    assert page.text.startswith("<html> \ufffd Just a moment...")
    assert len(page.text) < 200
    assert parsed("[" * 100_000).body is None
    assert parsed("[1]").fields == {}
    assert parsed('{"a": 1}').text == ""


def test_where_a_redirect_leads_is_kept_in_one_short_line():
    assert Reply.parse(302, b"", location="https://a.test/\r\n x").location == "https://a.test/ x"
    assert len(Reply.parse(302, b"", location="x" * 500).location) == 200
    assert Reply.parse(200, b"{}").location == ""


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        ("7", None, 7.0),
        (" 0.5 ", None, 0.5),
        ("0", None, 0.0),
        ("-3", None, None),
        ("-0.5", None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("soon", None, None),
        ("", None, None),
        (None, None, None),
        ("Wed, 25 Nov 2026 10:02:00 GMT", "Wed, 25 Nov 2026 10:00:00 GMT", 120.0),
        ("Wednesday, 25-Nov-26 10:02:00 GMT", "Wed, 25 Nov 2026 10:00:00 GMT", 120.0),
        ("Wed, 25 Nov 2026 10:00:00 GMT", "Wed, 25 Nov 2026 10:00:01 GMT", 0.0),
        ("Wed, 99 Nov 2026 10:00:00 GMT", "Wed, 25 Nov 2026 10:00:01 GMT", None),
    ],
)
def test_how_long_to_wait_is_read_in_seconds_and_as_a_time(header, date, seconds):
    assert seconds_until(header, date) == seconds
    assert Reply.parse(429, b"<html>", retry_after=header, date=date).retry_after == seconds
    assert Reply.parse(429, b"{}", retry_after=header, date=date).retry_after == seconds


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_time_is_compared_with_this_machine_s_clock_when_the_answer_shows_none(date):
    until = formatdate(time.time() + 120, usegmt=True)
    assert 110 < seconds_until(until, date) <= 120


@pytest.mark.parametrize(
    ("written", "read"),
    [("1.5", 1.5), (2, 2.0), (2.5, 2.5), (True, None), (None, None), ("x", None), ([1], None), (10**400, None)],
)
def test_numbers_may_be_written_as_text(written, read):
    assert number(written) == read


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"task_id": "t"}, "t"),
        ({"task_id": 7}, "7"),
        ({"task_id": " t "}, "t"),
        ({"data": {"task_id": "t"}}, "t"),
        ({"task_id": "", "data": {"task_id": "t"}}, "t"),
        ({"task_id": "t", "data": {"task_id": "u"}}, "t"),
        ({"taskId": "u", "data": {"task_id": "t"}}, "t"),
        ({"taskId": "t"}, "t"),
        ({"data": {"TASK-ID": "t"}}, "t"),
        ({"data": [{"taskid": "t"}]}, "t"),
        ([{"task_id": "t"}], "t"),
        ({"data": [{"x": {"taskId": "u"}}], "result": {"taskId": "t"}}, "t"),
        ({"steps": {"extend": {"task_id": "t"}}}, "t"),
        ({"a": {"b": {"c": {"task_id": "t"}}}}, "t"),
        ({"a": {"b": {"c": {"d": {"task_id": "t"}}}}}, None),
        ({"task_id": True}, None),
        ({"task_id": ["t"]}, None),
        ({"task_id": " "}, None),
        ({"task": "t", "id": "t", "subtask_id": "t"}, None),
        (None, None),
        ("task_id", None),
    ],
)
def test_the_id_of_a_task_is_found_wherever_it_stands(body, found):
    assert task_id_in(body) == found
    assert find_task_id(Reply(status=200, body=body)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"message": "success", "task_id": "t-1", "mess', "t-1"),
        ('{"task_id" : "t-1"} {"more": 1}', "t-1"),
        ('{"taskId":"t-1",', "t-1"),
        ('{"task_id": 17, ', "17"),
        ('{"task_id": "t-1', None),
        ('{"task_id": 17', None),
        ('{"subtask_id": "t-1", ', None),
        ("<html>no task_id here</html>", None),
    ],
)
def test_the_id_of_a_task_is_found_in_what_is_cut_off_after_it(text, found):
    assert find_task_id(parsed(text)) == found


def test_what_is_json_is_not_searched_as_text():
    assert find_task_id(parsed(json.dumps({"message": '"task_id": "t-1",'}))) is None


@pytest.mark.parametrize(("name", "does"), [("task_id", True), ("taskID", True), ("task--id", True), ("id", False)])
def test_spellings_of_the_id(name, does):
    assert means_task_id(name) is does


headers = st.none() | st.text(max_size=40) | st.binary(max_size=20).map(lambda raw: raw.decode("latin-1"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(body=st.binary(max_size=300), status=st.integers(100, 999), retry=headers, date=headers, location=headers)
@example(body=b"[" * 20_000, status=200, retry="1e999", date="0", location="\x00")
def test_any_bytes_any_status_and_any_headers_are_read(body, status, retry, date, location):
    reply = Reply.parse(status, body, retry_after=retry, date=date, location=location)
    assert reply.status == status
    assert reply.retry_after is None or reply.retry_after >= 0
    find_task_id(reply)


def test_an_endless_word_where_an_id_could_stand_is_passed_over_at_once():
    """Looking for its end again from each of its letters would take minutes."""
    for word in (b"a" * 2**20, b"." * 2**20, b'"task_id": "' * 2**16):
        assert find_task_id(Reply.parse(200, b'{"task_id": "' + word)) is None


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("t-1", True), ("a" * 255, True), ("a" * 256, False), ("..", False), (":a", True), ("a b", False), ("", False)],
)
def test_what_can_be_the_id_of_a_task(text, is_one):
    assert is_task_id(text) is is_one
