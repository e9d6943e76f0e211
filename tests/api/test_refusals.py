"""Refusals: every message of the service's error page becomes the error that a user can act on."""

import pytest

from aimusic_async import (
    ApiError,
    AuthenticationError,
    ContentRejected,
    EndpointRetired,
    GatewayError,
    InsufficientCredits,
    NotFound,
    RateLimited,
    ServerError,
    SubscriptionRequired,
    ValidationError,
    sonic,
)
from aimusic_async.api.refusals import refusal

PAGE = [
    (
        400,
        "validation_error",
        "The 'mv' field is invalid. The model should be 'sonic-v3-5' or 'sonic-v5'.",
        ValidationError,
    ),
    (400, "validation_error", "The 'persona_id' field is required when task_type = persona_music.", ValidationError),
    (400, "validation_error", "The 'make_instrumental' field should be boolean.", ValidationError),
    (400, "validation_error", "The prompt character length should be less than 3000.", ValidationError),
    (400, "validation_error", "description is required.", ValidationError),
    (400, "validation_error", "task not found.", NotFound),
    (400, "validation_error", "missing task id.", ValidationError),
    (401, "unauthorized", "Authorization header is missing.", AuthenticationError),
    (401, "unauthorized", "Invalid authorization format.", AuthenticationError),
    (
        403,
        "forbidden",
        "The remaining credits are not enough. You can buy more one-time credit packs or subscribe.",
        InsufficientCredits,
    ),
    (
        403,
        "forbidden",
        "You do not have an active subscription. Please check whether your renewal was successful.",
        SubscriptionRequired,
    ),
    (403, "forbidden", "The lyrics format is invalid. Please check and try again.", ContentRejected),
    (
        403,
        "forbidden",
        "The lyrics contain copyrighted content: 'la la'. Please use original lyrics.",
        ContentRejected,
    ),
    (403, "forbidden", "The lyrics contain inappropriate content: 'x'.", ContentRejected),
    (403, "forbidden", "The song description needs moderation review.", ContentRejected),
    (403, "forbidden", "The song description contains artist names: 'x' which is not allowed.", ContentRejected),
    (403, "forbidden", "The song description contains producer tags: 'x' which is not allowed.", ContentRejected),
    (403, "forbidden", "QPS limit exceeded", RateLimited),
    (403, "forbidden", "queue is full", RateLimited),
    (403, "forbidden", "something new", ApiError),
    (402, "insufficient_credits", "Not enough credits.", InsufficientCredits),
    (404, "not_found", "task not found", NotFound),
    (410, "endpoint_retired", "Nuro was switched off.", EndpointRetired),
    (429, "rate_limit", "too many requests", RateLimited),
    (429, "rate_limited", "too many requests", RateLimited),
    (500, "server_error", "Internal Server Error.", ServerError),
    (502, "upstream_error", "bad gateway", ServerError),
]


@pytest.mark.parametrize(("status", "word", "text", "expected"), PAGE, ids=lambda value: str(value)[:40])
def test_each_message_has_its_error(status, word, text, expected):
    request = sonic.UpsampleTags(tags="pop")
    error = refusal(status, {"type": word, "error": text}, request=request)
    assert type(error) is expected
    assert (error.status, error.type, error.message) == (status, word, text)
    assert error.request is request
    assert text in str(error)
    assert "sonic.upsample_tags" in str(error)


def test_a_success_is_no_refusal():
    assert refusal(200, {"code": 200, "message": "success", "task_id": "t"}) is None
    assert refusal(202, {"type": "not_ready", "error": "wait"}) is None
    assert refusal(200, None) is None


def test_an_error_inside_a_200_is_one():
    error = refusal(200, {"code": 403, "message": "The remaining credits are not enough."})
    assert isinstance(error, InsufficientCredits)
    assert error.status == 403


@pytest.mark.parametrize("field", ["error", "detail", "message"])
def test_the_text_is_found_in_each_of_its_fields(field):
    assert refusal(400, {"type": "validation_error", field: "wrong"}).message == "wrong"


def test_an_error_without_a_text_still_says_something():
    assert "no reason" in str(refusal(418, {}))
    assert "Bad Gateway" in str(refusal(502, None, text="<h1>Bad Gateway</h1>"))


def test_a_failed_upload_hidden_in_the_steps_is_found():
    body = {"code": 200, "message": "success", "steps": {"upload": {"error": "Audio URL is not accessible."}}}
    error = refusal(200, body)
    assert isinstance(error, ValidationError)
    assert error.message == "Audio URL is not accessible."


def test_steps_of_a_success_are_no_error():
    steps = {"upload": {"clip_id": "u", "message": "success"}, "cover": {"task_id": "t", "message": "success"}}
    assert refusal(200, {"task_id": "t", "steps": steps}) is None


def test_retry_after_is_kept():
    assert refusal(429, {"type": "rate_limit"}, retry_after=7.0).retry_after == 7.0


def test_the_whole_body_is_kept():
    body = {"type": "x", "error": "y", "more": [1]}
    assert refusal(400, body).body == body


@pytest.mark.parametrize("words", ["no credit to my name", "my subscription's over", "the queue is full of fools"])
def test_quoted_lyrics_do_not_decide_the_error(words):
    text = f"The lyrics contain copyrighted content: '{words}'. Please use original lyrics."
    assert type(refusal(403, {"type": "forbidden", "error": text})) is ContentRejected
    assert type(refusal(403, {"type": "forbidden", "error": f"Not allowed: '{words}'."})) is ApiError


@pytest.mark.parametrize(
    ("word", "expected"), [("server_error", ServerError), ("forbidden", ApiError), ("rate_limit", RateLimited)]
)
def test_an_error_body_with_http_200_and_no_code_is_one(word, expected):
    assert type(refusal(200, {"type": word, "error": "oops"})) is expected
    assert refusal(200, {"type": "something", "error": "oops"}) is None
    assert refusal(200, {"type": word, "error": "", "data": []}) is None


PAGE_OF_A_FILTER = "<meta name='description' content='lyrics, credits, subscription'>"


@pytest.mark.parametrize("status", [300, 302, 400, 401, 402, 403, 404, 408, 410, 422, 500, 502, 504])
@pytest.mark.parametrize("body", [None, {}, [], {"message": "no lyrics, no credits, no subscription"}])
def test_what_is_not_the_service_s_is_a_gateway_s_whatever_its_status(status, body):
    error = refusal(status, body, text=PAGE_OF_A_FILTER if body is None else "", retry_after=7.0)
    assert type(error) is GatewayError
    assert (error.status, error.body, error.retry_after, error.type) == (status, body, 7.0, None)


def test_a_gateway_s_error_shows_what_it_said():
    assert refusal(502, None, text="<h1>Down</h1>").message == (
        "not the service's own answer, but somebody's on the way: <h1>Down</h1>"
    )
    assert refusal(502, {"x": 1}).message.endswith(': {"x": 1}')
    assert refusal(502, {"message": "Bad"}, text="<p>").message.endswith(": Bad")
    assert refusal(502, None).message.endswith(": the service gave no reason")


@pytest.mark.parametrize("body", [None, {"type": "moved", "error": "x"}, {"code": 302, "message": "x"}])
def test_a_redirect_says_where_it_leads_whoever_says_so(body):
    error = refusal(302, body, location="https://www.a.test/x")
    assert type(error) is GatewayError
    assert error.message == "redirected to https://www.a.test/x, which is not followed: is base_url right?"
    assert "redirected to nowhere" in refusal(307, body).message
    assert "redirected" not in refusal(400, body, location="https://www.a.test/x").message


def test_too_fast_is_too_fast_whoever_says_so():
    for body in (None, {}, {"message": "slow down"}, {"type": "rate_limit", "error": "x"}):
        error = refusal(429, body, text="<html>", retry_after=3.0)
        assert (type(error), error.retry_after) == (RateLimited, 3.0)


@pytest.mark.parametrize("code", [403, "403", 403.0, " 403 "])
def test_a_code_may_be_written_as_text(code):
    error = refusal(200, {"code": code, "message": "The remaining credits are not enough."})
    assert (type(error), error.status) == (InsufficientCredits, 403)


@pytest.mark.parametrize("code", [200, "200", 399, 600, 0, True, None, "x", [], 1e300])
def test_other_codes_in_a_success_are_no_error(code):
    assert refusal(200, {"code": code, "message": "success"}) is None


@pytest.mark.parametrize(("code", "kind"), [(400, ValidationError), (599, ServerError), (500, ServerError)])
def test_a_code_in_a_success_has_the_limits_of_a_status(code, kind):
    assert type(refusal(200, {"code": code, "message": "x"})) is kind
    assert type(refusal(299, {"code": code, "message": "x"})) is kind


def test_a_code_counts_even_beside_data_or_a_task():
    assert refusal(200, {"code": 500, "data": [], "message": "x"}).status == 500
    assert refusal(200, {"code": 500, "task_id": "t", "message": "x"}).status == 500


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("validation_error", 400),
        ("bad_request", 400),
        ("unauthorized", 401),
        ("insufficient_credits", 402),
        ("forbidden", 403),
        ("NOT_FOUND", 404),
        ("endpoint_retired", 410),
        ("rate_limit", 429),
        ("rate_limited", 429),
        ("server_error", 500),
        ("api_error", 500),
        ("upstream_error", 502),
        ("timeout", 504),
    ],
)
def test_a_word_in_a_success_stands_for_a_status(word, status):
    for said in ({"error": "x"}, {"detail": ["x"]}, {"error": {"message": "x"}}, {"msg": "x"}):
        error = refusal(200, {"type": word, **said})
        assert (error.status, error.type, error.message) == (status, word, "x")
        assert refusal(200, {"type": word, "task_id": "t", **said}) is None
        assert refusal(200, {"type": word, "data": None, **said}) is None
    assert refusal(200, {"type": word, "message": "x"}) is None


def test_an_upload_that_failed_is_a_validation_error_unless_there_is_a_task():
    steps = {"upload": {"error": "Audio URL is not accessible."}}
    assert refusal(200, {"steps": steps, "data": {}}).status == 400
    assert refusal(200, {"steps": steps, "task_id": "t"}) is None


@pytest.mark.parametrize("status", [400, 422])
def test_a_detail_alone_refuses_arguments_but_no_poll(status):
    assert type(refusal(status, {"detail": "too long"})) is ValidationError
    assert type(refusal(status, {"detail": "too long"}, poll=True)) is GatewayError


@pytest.mark.parametrize("text", ["It matches an existing recording.", "It MATCHES an existing recording"])
@pytest.mark.parametrize("status", [400, 403])
def test_a_recording_that_is_known_is_content(status, text):
    assert type(refusal(status, {"type": "x", "error": text})) is ContentRejected


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ValidationError), (418, ApiError), (499, ApiError), (500, ServerError), (599, ServerError)],
)
def test_a_status_alone_decides_where_no_words_do(status, kind):
    assert type(refusal(status, {"type": "x", "error": "odd"})) is kind


def test_a_body_that_gives_no_reason_is_shown():
    assert refusal(400, {"clip_id": "c"}).message == '{"clip_id": "c"}'
    assert refusal(429, {}).message == "the service gave no reason"
    assert refusal(429, {}, text="<p>").message == "<p>"
