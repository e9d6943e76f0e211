"""Refusals: every message of the service's error page becomes the error that a user can act on."""

import pytest

from aimusic_async import (
    ApiError,
    AuthenticationError,
    ContentRejected,
    EndpointRetired,
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
