"""What a refusal means: status, `type` word and text of an answer → the error class to raise. Pure.

The status alone does not say: 403 stands for money, subscription, content and queues; an unknown task is a 400; and an
error may come inside an HTTP 200 with a `code` of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import (
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
)

_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: ValidationError,
    401: AuthenticationError,
    402: InsufficientCredits,
    404: NotFound,
    410: EndpointRetired,
    422: ValidationError,
    429: RateLimited,
}

# For the rare error body that comes with HTTP 200 and no `code`.
_BY_WORD: Mapping[str, int] = {
    "validation_error": 400,
    "bad_request": 400,
    "unauthorized": 401,
    "insufficient_credits": 402,
    "forbidden": 403,
    "not_found": 404,
    "endpoint_retired": 410,
    "rate_limit": 429,
    "rate_limited": 429,
    "server_error": 500,
    "api_error": 500,
    "upstream_error": 502,
    "timeout": 504,
}

# The first row whose words stand in the text wins; texts are those of the service's error page.
_BY_TEXT: Mapping[int, tuple[tuple[str, type[ApiError]], ...]] = {
    400: (
        ("task not found", NotFound),
        ("matches an existing recording", ContentRejected),
    ),
    403: (
        ("lyrics", ContentRejected),
        ("description", ContentRejected),
        ("copyright", ContentRejected),
        ("inappropriate", ContentRejected),
        ("moderation", ContentRejected),
        ("matches an existing recording", ContentRejected),
        ("credit", InsufficientCredits),
        ("subscription", SubscriptionRequired),
        ("qps limit", RateLimited),
        ("queue is full", RateLimited),
    ),
}


def refusal(
    status: int,
    body: Any,
    *,
    text: str = "",
    retry_after: float | None = None,
    request: object | None = None,
    headers: Mapping[str, str] | None = None,
) -> ApiError | None:
    """Return the error for an answer, None when it is none."""
    fields = body if isinstance(body, dict) else {}
    code = fields.get("code")
    if status < 300 and isinstance(code, int) and not isinstance(code, bool) and code >= 400:
        status = code
    if status < 300 and not fields.get("task_id"):
        status = _status_inside(fields) or status
    if status < 300:
        return None
    message = message_of(fields) or text or "the service gave no reason"
    kind = _kind(status, message)
    common: dict[str, Any] = {
        "status": status,
        "type": _word(fields),
        "request": request,
        "body": body,
        "headers": headers,
    }
    if kind is RateLimited:
        return RateLimited(message, retry_after=retry_after, **common)
    return kind(message, **common)


def _status_inside(fields: Mapping[str, Any]) -> int | None:
    """Return the status that a body with HTTP 200 should have had, None when it is no error."""
    if _failed_step(fields):
        return 400
    if "data" in fields or not isinstance(fields.get("error"), str):
        return None
    return _BY_WORD.get(_word(fields) or "")


def _kind(status: int, message: str) -> type[ApiError]:
    lowered = re.sub(r": '.*'", "", message.lower(), flags=re.DOTALL)  # what it quotes is the user's text
    for words, kind in _BY_TEXT.get(status, ()):
        if words in lowered:
            return kind
    if status >= 500 or status < 400:  # a redirect is not an answer either
        return ServerError
    return _BY_STATUS.get(status, ApiError)


def _word(fields: Mapping[str, Any]) -> str | None:
    word = fields.get("type")
    return word if isinstance(word, str) else None


def message_of(fields: Mapping[str, Any]) -> str:
    """Return the text of an error body: the first of `error`, `detail`, `message`, or the failed step's."""
    if step := _failed_step(fields):
        return step
    for name in ("error", "detail", "message"):
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _failed_step(fields: Mapping[str, Any]) -> str:
    """Return why the upload of a composite operation failed; it hides in `steps`."""
    steps = fields.get("steps")
    upload = steps.get("upload") if isinstance(steps, dict) else None
    if not isinstance(upload, dict) or upload.get("clip_id"):
        return ""
    return next((value for name in ("error", "message") if isinstance(value := upload.get(name), str) and value), "")
