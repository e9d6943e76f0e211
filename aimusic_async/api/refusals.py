"""What a refusal means: status, `type` word and text of an answer → the error class to raise. Pure.

Only what the service says itself is a verdict. The status alone does not say it: 403 stands for money, subscription,
content and queues; an unknown task is a 400; and an error may come inside an HTTP 200 with a `code` of its own.
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
    GatewayError,
    InsufficientCredits,
    NotFound,
    RateLimited,
    ServerError,
    SubscriptionRequired,
    ValidationError,
)
from .reasons import NO_REASON, failed_step, message_of, shortened
from .reply import number, task_id_in
from .whose import is_of_the_service

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
    location: str = "",
    request: object | None = None,
    headers: Mapping[str, str] | None = None,
    poll: bool = False,
) -> ApiError | None:
    """Return the error for an answer, None when it is none.

    What the service itself says becomes the class that a user can act on. What anybody else says, be it a page or
    JSON, is a `GatewayError` whatever its status, but for a 429, which asks for the same as the service's own.
    """
    fields = body if isinstance(body, dict) else {}
    http_status = status
    if status < 300:
        status = _status_inside(fields) or status
    if status < 300:
        return None
    # A redirect is no answer either.
    theirs = 300 <= http_status < 400 or not is_of_the_service(http_status, fields, poll=poll)
    message = message_of(fields) or text or shortened(body) or NO_REASON
    common: dict[str, Any] = {
        "status": status,
        "type": _word(fields),
        "request": request,
        "body": body,
        "headers": headers,
        "retry_after": retry_after,
    }
    if theirs and status != 429:
        if status < 400:
            message = f"redirected to {location or 'nowhere'}, which is not followed: is base_url right?"
        else:
            message = f"not the service's own answer, but somebody's on the way: {message}"
        return GatewayError(message, **common)
    return _kind(status, message)(message, **common)


def _status_inside(fields: Mapping[str, Any]) -> int | None:
    """Return the status that a body with HTTP 200 should have had, None when it is no error."""
    code = number(fields.get("code"))
    if code is not None and 400 <= code < 600:
        return int(code)
    step = failed_step(fields)
    if ("data" in fields and not step) or task_id_in(fields) is not None:
        return None
    if step:
        return 400
    if not message_of({**fields, "message": None}):
        return None
    return _BY_WORD.get((_word(fields) or "").lower())


def _kind(status: int, message: str) -> type[ApiError]:
    lowered = re.sub(r": '.*'", "", message.lower(), flags=re.DOTALL)  # what it quotes is the user's text
    for words, kind in _BY_TEXT.get(status, ()):
        if words in lowered:
            return kind
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, ApiError)


def _word(fields: Mapping[str, Any]) -> str | None:
    word = fields.get("type")
    return word if isinstance(word, str) else None
