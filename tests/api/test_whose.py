"""Whose words an answer is, by its status and its JSON."""

import pytest

from aimusic_async.api.whose import NOT_TAKEN, is_of_the_service

SERVICE = [
    (403, {"type": "forbidden", "error": "no"}),
    (500, {"type": "server_error", "message": "no"}),
    (402, {"type": "x", "detail": ["no"]}),
    (504, {"type": "TIMEOUT", "error": {"message": "late"}}),
    (404, {"code": 404, "message": "gone"}),
    (404, {"code": "404", "msg": "gone"}),
    (404, {"code": 0, "message": "gone"}),
    (404, {"code": 100, "message": "gone"}),
    (403, {"code": 403, "error": "no"}),
    (500, {"task_id": "t", "x": 1}),
    (503, {"refund_processed": True}),
    (400, {"detail": "an invalid file"}),
    (422, {"detail": [{"msg": "too long"}]}),
    (400, {"error": "wrong"}),
    (200, {"code": 200}),
    (200, {"credits": 5}),
    (200, {"data": None}),
    (202, {"status": "running"}),
    (200, {"results": []}),
]
OTHERS = [
    (200, None),
    (200, {}),
    (200, [{"clip_id": "c"}]),
    (200, "fine"),
    (200, {"message": "success"}),
    (403, {"message": "Forbidden"}),
    (404, {"error": "Not Found"}),
    (404, {"statusCode": 404, "error": "Not Found", "message": "x"}),
    (502, {"status": "error", "message": "Bad gateway"}),
    (502, {"data": None, "credits": 5}),
    (300, {"data": [], "credits": 5}),
    (403, {"type": "about:blank", "detail": "no"}),
    (403, {"type": "https://a.test/problem", "detail": "no"}),
    (403, {"type": "", "error": "no"}),
    (403, {"type": "forbidden"}),
    (403, {"type": "forbidden", "error": " "}),
    (403, {"type": ["forbidden"], "error": "no"}),
    (404, {"code": 5, "message": "no method"}),
    (404, {"code": 99, "message": "no method"}),
    (404, {"code": True, "message": "x"}),
    (404, {"code": "404"}),
    (404, {"code": "NoSuchKey", "message": "x"}),
    (400, {"message": "Bad Request"}),
    (401, {"detail": "Unauthorized"}),
    (423, {"detail": "Locked"}),
]


@pytest.mark.parametrize(("status", "body"), SERVICE)
def test_these_are_the_service_s_own_words(status, body):
    assert is_of_the_service(status, body)


@pytest.mark.parametrize(("status", "body"), OTHERS)
def test_these_are_somebody_else_s(status, body):
    assert not is_of_the_service(status, body)


@pytest.mark.parametrize("status", [400, 422])
def test_a_poll_has_no_arguments_that_could_be_refused(status):
    assert not is_of_the_service(status, {"detail": "no"}, poll=True)
    assert is_of_the_service(status, {"type": "validation_error", "error": "no"}, poll=True)


def test_after_which_statuses_nothing_was_taken():
    assert {307, 308, 405, 413, 414, 429, 431} == NOT_TAKEN
