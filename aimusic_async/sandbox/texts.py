"""The service's literal messages, and the refusals that carry them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from attrs import frozen

NOT_READY = "Task is still processing. Please wait a few seconds and try again."
GENERATION_FAILED = "Generation failed."

TASK_NOT_FOUND = "task not found."
TASK_ID_MISSING = "missing task id."
TASK_TIMED_OUT = "Task failed due to timeout. Credits were previously refunded."
SERVER_ERROR = "Internal Server Error."

NO_AUTHORIZATION = "Authorization header is missing."
BAD_AUTHORIZATION = "Invalid authorization format."
UNKNOWN_KEY = "Invalid API key."

CREDITS_SHORT = "The remaining credits are not enough. You can buy more one-time credit packs or subscribe."
NO_SUBSCRIPTION = "You do not have an active subscription. Please check whether your renewal was successful."

LYRICS_FORMAT = "The lyrics format is invalid. Please check and try again."
LYRICS_COPYRIGHTED = "The lyrics contain copyrighted content: '{}'. Please use original lyrics."
LYRICS_INAPPROPRIATE = "The lyrics contain inappropriate content: '{}'."
DESCRIPTION_MODERATED = "The song description needs moderation review."
DESCRIPTION_ARTIST = "The song description contains artist names: '{}' which is not allowed."
DESCRIPTION_PRODUCER_TAG = "The song description contains producer tags: '{}' which is not allowed."

PERSONA_REQUIRED = "The 'persona_id' field is required when task_type = persona_music."
OLD_PERSONA_REQUIRED = "name and continue_clip_id are required fields."
NEW_PERSONA_REQUIRED = "name and clip_id are required fields."
DESCRIPTION_REQUIRED = "description is required."

AUDIO_UNREACHABLE = "Audio URL is not accessible. Please provide a public direct audio file URL."
AUDIO_INVALID = "Invalid audio file"
AUDIO_KNOWN = "The uploaded audio matches an existing recording in our catalog."

RATE_LIMIT = "Too many requests. Please slow down and try again."
UNAVAILABLE = "This endpoint is currently unavailable."
RETIRED = "This endpoint has been retired."
NO_ENDPOINT = "No such endpoint."
BODY_NOT_JSON = "The request body should be a JSON object."
LANGUAGE = "language not supported"


def should_be_boolean(name: str) -> str:
    """What a boolean field says to anything else."""
    return f"The '{name}' field should be boolean."


def required(name: str) -> str:
    """What a field says when it is left out and must not be."""
    return f"The '{name}' field is required."


def too_long(name: str, most: int) -> str:
    """What a text field says when it has more characters than `most`."""
    return f"The {name} character length should be less than {most}."


def not_a_model(models: Sequence[str]) -> str:
    """What the `mv` field says to a model that it does not know: the models that it does."""
    return f"The 'mv' field is invalid. The model should be {alternatives(models)}."


def alternatives(values: Sequence[str]) -> str:
    """`'a', 'b', or 'c'`."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " or ".join(quoted)
    return ", ".join(quoted[:-1]) + f", or {quoted[-1]}"


def failed_body() -> dict[str, Any]:
    """What a task of which nothing came shows where it has no clips to show."""
    return {"type": "failed", "message": GENERATION_FAILED, "refund_processed": True}


@frozen(kw_only=True)
class Answer:
    """What goes back: HTTP status, JSON body, headers, and how many (real) seconds pass first."""

    status: int = 200
    body: Mapping[str, Any]
    page: str | None = None
    """What goes back instead of the body, in plain text or HTML: words of the host that the service runs on."""
    headers: Mapping[str, str] = {}
    after: float = 0.0


class Refusal(Exception):
    """A request that is answered with an error body and costs nothing."""

    def __init__(self, status: int, type: str, text: str, **more: Any) -> None:  # noqa: A002  # the service's own word
        super().__init__(text)
        self.status = status
        self.type = type
        self.text = text
        self.more = more
        self.headers: dict[str, str] = {}

    def answer(self, form: str = "type", *, retriable: bool = False) -> Answer:
        """The error body: `{type, error}`, or `{code, message}` when `form` is "code".

        `retriable`: whether errors that may pass say so.
        """
        head: dict[str, Any] = (
            {"type": self.type, "error": self.text} if form == "type" else {"code": self.status, "message": self.text}
        )
        if retriable and (self.status == 429 or (self.status >= 500 and self.type != "timeout")):
            head["retriable"] = True
        return Answer(status=self.status, body={**head, **self.more}, headers=self.headers)


class HostRefusal(Refusal):
    """What the host that the service runs on says by itself, before or instead of the service."""

    def __init__(self, status: int, page: str, **headers: str) -> None:
        super().__init__(status, "", page)
        self.headers = headers

    def answer(self, form: str = "type", *, retriable: bool = False) -> Answer:  # noqa: ARG002 - the service's own forms do not concern it
        """The page."""
        return Answer(status=self.status, body={}, page=self.text, headers=self.headers)


def gateway_page(status: int) -> str:
    """The HTML page of a gateway."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    return f"<html>\n<head><title>{status} {phrase}</title></head>\n<body><h1>{status} {phrase}</h1></body>\n</html>\n"


def no_address(method: str, form: str) -> Refusal:
    """What an address that does not exist answers: HTML with 404 or 405, or with `form` "json" the service's JSON."""
    if form == "json":
        return not_found(NO_ENDPOINT)
    if method in ("GET", "HEAD"):
        return HostRefusal(404, gateway_page(404))
    return HostRefusal(405, gateway_page(405), Allow="GET, HEAD")


def broken_off() -> Refusal:
    """504 in plain text: the host gave up a request that took too long."""
    return HostRefusal(504, "An error occurred with your deployment\n\nFUNCTION_INVOCATION_TIMEOUT\n")


def invalid(text: str, **more: Any) -> Refusal:
    """400 `validation_error`."""
    return Refusal(400, "validation_error", text, **more)


def unauthorized(text: str) -> Refusal:
    """401 `unauthorized`."""
    return Refusal(401, "unauthorized", text)


def forbidden(text: str) -> Refusal:
    """403 `forbidden`."""
    return Refusal(403, "forbidden", text)


def not_found(text: str) -> Refusal:
    """404 `not_found`."""
    return Refusal(404, "not_found", text)


def retired() -> Refusal:
    """410 `endpoint_retired`: the operation was there once."""
    return Refusal(410, "endpoint_retired", RETIRED)


def unavailable() -> Refusal:
    """403 `forbidden`: the operation exists and is switched off."""
    return forbidden(UNAVAILABLE)
