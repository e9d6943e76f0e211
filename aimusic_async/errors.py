"""Every error this SDK raises, as one tree: catch `MusicError` for all of them.

The tree answers the question that costs money: *may I send it again?* `NotSent`, `RateLimited` and the other refusals
(`ApiError` with a 4xx status) say that nothing was taken. `SubmissionUnknown` says that nobody knows: check before you
pay twice. No error ever carries the API key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

_JOINERS = "\u200c\u200d"
"""Invisible, and part of words in some scripts."""
_REQUEST_IDS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "x-trace-id", "cf-ray")


class JobInfo(Protocol):
    """What an error knows about its job; in practice an `aimusic_async.Job`."""

    @property
    def key(self) -> str:
        """The caller's name for the job."""
        ...

    @property
    def task_id(self) -> str | None:
        """The service's id, once it accepted the job; pass it to `MusicSession.attach`."""
        ...

    @property
    def credits(self) -> int:
        """Credits charged for it so far."""
        ...


class MusicError(Exception):
    """Base of every error of this package."""


class ConfigurationError(MusicError):
    """The session cannot be opened as it is set up (no key, plain http to a public host, a missing extra, …)."""


class JournalError(MusicError):
    """The journal cannot be opened, read or written. What it could not record was not sent.

    `passing`: whether it may work again by itself (a locked file, a full disk, a server that is away). Such trouble
    holds jobs, and ends none.
    """

    def __init__(self, message: str, *, passing: bool = True) -> None:
        """Say what is wrong and what to do, and whether it passes."""
        self.passing = passing
        super().__init__(message)


class InvalidRequest(MusicError):
    """An argument that the service would refuse, caught here before a request was spent on it."""

    def __init__(self, field: str, limit: str, value: object, *, operation: str | None = None) -> None:
        """Say which `field` broke which `limit` with which `value`."""
        self.field = field
        self.limit = limit
        self.value = value
        self.operation = operation
        where = f"{operation}: " if operation else ""
        super().__init__(f"{where}{field} {limit}; got {_shown(value)}")


def _shown(value: object) -> str:
    """Show a value short enough for one line, with its length when it was cut."""
    text = repr(value)
    if len(text) <= 60:
        return text
    return f"{text[:40]}…' ({len(value)} characters)" if isinstance(value, str) else f"{text[:40]}…"


def one_line(text: str) -> str:
    """Return what somebody else said as one line that a terminal or a log shows and never obeys.

    Line breaks become spaces; what else cannot be printed (colours, bells, reversed reading) is shown as an escape.
    """
    return "".join(
        char if char.isprintable() or char in _JOINERS else char.encode("unicode_escape").decode()
        for char in " ".join(text.split())
    )


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the id that the service, or what stands before it, gave a request; None without one."""
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)


class ApiError(MusicError):
    """The service answered, and refused the request or failed."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str | None = None,  # noqa: A002 - the service's own word
        request: object | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what the service said: HTTP `status`, its `type` word, `message`, our `request`, its whole `body`.

        `headers`: those of the answer that help to find out what happened, with names in small letters. `message` is
        one line that can be printed anywhere; `body` is as it came.
        """
        self.status = status
        self.type = type
        self.message: str = one_line(message)
        self.request = request
        self.body = body
        self.headers: Mapping[str, str] = dict(headers or {})
        operation = getattr(request, "operation", None)
        known = f"HTTP {status}, request id {self.request_id}" if self.request_id else f"HTTP {status}"
        super().__init__(f"{operation}: {self.message} ({known})" if operation else f"{self.message} ({known})")

    @property
    def request_id(self) -> str | None:
        """The id under which the service, or what stands before it, knows the request; None when it gave none."""
        return request_id_of(self.headers)


class ValidationError(ApiError):
    """400: the service found the parameters wrong; nothing was charged."""


class AuthenticationError(ApiError):
    """401: the API key is missing or wrong."""


class InsufficientCredits(ApiError):
    """402 or 403: both pots together hold too few credits; nothing was charged."""


class SubscriptionRequired(ApiError):
    """403: the account has no active subscription."""


class ContentRejected(ApiError):
    """403: lyrics, description or audio were refused by the content rules; nothing was charged."""


class NotFound(ApiError):
    """400 or 404: no such task, clip or persona for this key."""


class EndpointRetired(ApiError):
    """410: the service has switched the operation off."""


class RateLimited(ApiError):
    """429: too many requests. The SDK waits and sends again by itself; you meet it only outside a session."""

    def __init__(self, message: str, *, retry_after: float | None = None, **rest: Any) -> None:
        """Keep `retry_after`: the seconds that the service asked us to wait, None when it did not say."""
        self.retry_after = retry_after
        super().__init__(message, **rest)


class ServerError(ApiError):
    """5xx, or an answer that makes no sense: the service failed."""


class TransportError(MusicError):
    """The request or its answer was lost on the way."""


class NotSent(TransportError):
    """The request surely never reached the service (no connection): safe to send again.

    `passing`: whether it may work again by itself. An untrusted certificate or a wrong address do not.
    """

    def __init__(self, message: str, *, passing: bool = True) -> None:
        """Say why it was not sent, and whether that passes."""
        self.passing = passing
        super().__init__(message)


class SubmissionUnknown(TransportError):
    """A paid request was sent and its answer lost: it may have been taken. Check before you pay twice.

    `job` is the job, `__cause__` what went wrong. `MusicSession.credits()` before and after shows if it was charged.
    """

    def __init__(self, job: JobInfo, reason: str) -> None:
        """Name the `job` and the `reason` why its outcome is unknown."""
        self.job = job
        self.reason = reason
        super().__init__(
            f"{job.key}: {reason}. The service may have taken and charged it; it was not sent again. "
            "Compare your credits or check the service's dashboard before you submit it again."
        )


class JobError(MusicError):
    """A job ended without a result; `job` is its handle."""

    job: JobInfo
    _what: ClassVar[str] = "ended without a result"
    _task: ClassVar[str] = "task {} can be attached again"

    def __init__(self, job: JobInfo, reason: str | None = None) -> None:
        """Name the `job` and the `reason`."""
        self.job = job
        super().__init__(reason or self._what)

    def __str__(self) -> str:
        """Name the job, the reason, and whether the service has it; the last may become known after the error."""
        job = self.job
        if job.task_id:
            fate = self._task.format(one_line(job.task_id))
        else:
            fate = f"{job.credits} credits were charged" if job.credits else "it was never sent; nothing was paid"
        return f"{job.key} {self.args[0]} ({fate})"


class JobFailed(JobError):
    """The service accepted the job and failed to do it."""

    _task = "task {}"

    def __init__(self, job: JobInfo, reason: str, *, refunded: bool | None = None) -> None:
        """Keep the service's `reason`, and `refunded`: True or False as it said, None when it did not say."""
        self.reason: str = one_line(reason)
        self.refunded = refunded
        money = {True: "; credits were refunded", False: "; credits were not refunded", None: ""}[refunded]
        super().__init__(job, f"failed: {self.reason.rstrip('.')}{money}")


class JobTimeout(JobError):
    """The time given to the job ran out. The service goes on with it: `.job.task_id` can be attached again."""

    _what = "took longer than its timeout"


class JobCancelled(JobError):
    """The job was cancelled here. If it had been sent, the service goes on with it and `.job.task_id` is known."""

    _what = "was cancelled"


class KeyConflict(JobError):
    """The journal knows another request under the job's key; nothing was sent."""

    def __init__(self, job: JobInfo, kept: str, given: str) -> None:
        """Show both requests: the one that is `kept` under the key, and the one that was `given`."""
        self.kept = kept
        self.given = given
        super().__init__(job, f"has a key that belongs to another request: the journal has {kept}, this one is {given}")


class BudgetExceeded(JobError):
    """Sending the job would spend more credits than the budget allows."""

    _what = "would exceed the budget"


class WebhookError(MusicError):
    """A webhook delivery that must not be trusted."""


class InvalidSignature(WebhookError):
    """The signature is missing or does not fit the body."""


class StaleTimestamp(WebhookError):
    """The delivery was signed too long ago, or in the future."""


class InvalidPayload(WebhookError):
    """The delivery is signed, but its body is none of the service's events."""
