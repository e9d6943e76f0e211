"""Every error this SDK raises, as one tree: catch `MusicError` for all of them.

The tree answers the question that costs money: *may I send it again?* `NotSent`, `RateLimited` and the other refusals
(`ApiError` with a 4xx status) say that nothing was taken. `SubmissionUnknown` says that nobody knows: check before you
pay twice. No error ever carries the API key.

Every error can be copied, pickled, and made again as `type(error)(*error.args)`. What another process gets carries the
ids of its job, and nothing that lives here.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, Protocol, Self, TypeVar

import attrs

E = TypeVar("E", bound="MusicError")

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


@attrs.frozen(kw_only=True)
class JobRef:
    """What an error knows about its job in another process than the job's: its ids, and how it stood."""

    key: str
    task_id: str | None = None
    credits: int = 0
    state: str | None = None
    """A `JobState`."""
    operation: str | None = None
    """Such as `sonic.create_music`."""

    @classmethod
    def of(cls, job: JobInfo | str) -> JobRef:
        """Return the ids of a job; where all that is left of it is a text, that is its key."""
        if isinstance(job, cls):
            return job
        if isinstance(job, str):
            return cls(key=job)
        operation = getattr(job, "operation", None)
        return cls(
            key=job.key,
            task_id=job.task_id,
            credits=job.credits,
            state=getattr(job, "state", None),
            operation=getattr(operation, "operation", operation),
        )


@attrs.frozen(repr=False)
class _Shown:
    """Stands for a value that no other process can have."""

    text: str

    def __repr__(self) -> str:
        return self.text


class MusicError(Exception):
    """Base of every error of this package. `args` are what its class was called with, in order."""

    _text: str = ""

    def __new__(cls, *args: Any, **fields: Any) -> Self:
        """Keep all arguments in `args`, those given by name, too."""
        error = super().__new__(cls, *args)
        if fields:
            bound = _signature(cls.__init__).bind(error, *args, **fields)
            bound.apply_defaults()
            error.args = bound.args[1:]
        return error

    def __init__(self, message: str = "") -> None:
        """Keep the text."""
        self._text = message  # and not in `args`, as `Exception` would

    def __str__(self) -> str:
        """Return what is wrong."""
        return self._text

    def __repr__(self) -> str:
        """Show what it says, and not all that it was made from."""
        return f"{type(self).__name__}({str(self)!r})"

    def fresh(self) -> Self:
        """Return the same error without a traceback, to be raised anew: so no error keeps who awaited it before."""
        twin = _rebuilt(type(self), self.args, self.__dict__)
        twin.__cause__, twin.__suppress_context__ = self.__cause__, self.__suppress_context__
        return twin

    def __copy__(self) -> Self:
        """Return one that says the same, of the same job."""
        return self.fresh()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `__copy__`: what it holds is not changed by anybody, but for a body."""
        twin = self.fresh()
        for name, value in self.__dict__.items():
            if isinstance(value, dict | list):
                twin.__dict__[name] = copy.deepcopy(value, memo)
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out what lives in this process alone: a job becomes its ids."""
        job: JobInfo | None = self.__dict__.get("job")

        def portable(value: object) -> object:
            return JobRef.of(job) if job is not None and value is job else _portable(value)

        state = {name: portable(value) for name, value in self.__dict__.items()}
        cause = self.__cause__ if isinstance(self.__cause__, MusicError) else None
        return _rebuilt, (type(self), tuple(map(portable, self.args)), state, cause)


@cache
def _signature(init: Callable[..., None]) -> inspect.Signature:
    return inspect.signature(init)


def _rebuilt(cls: type[E], args: tuple[Any, ...], state: Mapping[str, Any], cause: MusicError | None = None) -> E:
    """Make an error without calling its class, whose arguments subclasses may change."""
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    if "__notes__" in state:
        error.__dict__["__notes__"] = [*state["__notes__"]]
    error.__cause__ = cause
    return error


def _portable(value: Any) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    if getattr(value, "webhook_secret", None) is not None:  # a request's; no other process is to have it
        try:
            value = attrs.evolve(value, webhook_secret=None)
        except Exception:  # noqa: BLE001 - whatever it is, it may hold the secret
            return _Shown(repr(value))
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - a lock, a lambda, an object of the caller's: anything may raise anything
        return _Shown(repr(value))
    return value


def _job(job: JobInfo | str) -> JobInfo:
    """Return the job; text is what some task queues leave of one (`exc_message` of Celery)."""
    return JobRef.of(job) if isinstance(job, str) else job


class WrongLoop(MusicError):
    """The session was used from another event loop, thread or process than the one in which it was entered."""


class ConfigurationError(MusicError):
    """The session cannot be opened as it is set up (no key, plain http to a public host, a missing extra, …)."""


class JournalError(MusicError):
    """The journal cannot be opened, read or written. What it could not record was not sent.

    `passing`: whether it may work again by itself (a locked file, a full disk, a server that is away). Such trouble
    holds jobs, and ends none.
    """

    def __init__(self, message: str, passing: bool = True) -> None:  # noqa: FBT001, FBT002 - `cls(*args)` has no names
        """Say what is wrong and what to do, and whether it passes."""
        self.passing = passing
        super().__init__(message)


class InvalidRequest(MusicError):
    """An argument that the service would refuse, caught here before a request was spent on it."""

    def __init__(self, field: str, limit: str, value: object, operation: str | None = None) -> None:
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
    line = " ".join(text.split())
    if line.isprintable():  # as nearly always
        return line
    return "".join(
        char if char.isprintable() or char in _JOINERS else char.encode("unicode_escape").decode() for char in line
    )


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the id that the service, or what stands before it, gave a request; None without one."""
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)


class ApiError(MusicError):
    """The service answered, and refused the request or failed."""

    _usual_status: ClassVar[int] = 0

    def __init__(  # noqa: PLR0917 - `cls(*args)` has no names
        self,
        message: str,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - the service's own word
        request: object | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Keep what the service said: HTTP `status`, its `type` word, `message`, our `request`, its whole `body`.

        `headers`: those of the answer that help to find out what happened, with names in small letters. `message` is
        one line that can be printed anywhere; `body` is as it came. `retry_after`: the seconds that we were asked to
        wait, None when the answer did not say.
        """
        self.status: int = self._usual_status if status is None else status
        self.type = type
        self.message: str = one_line(message)
        self.request = request
        self.body = body
        self.headers: Mapping[str, str] = dict(headers or {})
        self.retry_after = retry_after
        operation = getattr(request, "operation", None)
        known = f"HTTP {self.status}, request id {self.request_id}" if self.request_id else f"HTTP {self.status}"
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

    _usual_status = 429


class ServerError(ApiError):
    """5xx, or an answer that makes no sense: the service failed."""


class GatewayError(ServerError):
    """Somebody on the way answered instead of the service: a gateway, a proxy, a filter. It is no verdict on anything.

    With a status of 307, 308, 405, 413, 414, 429 or 431 the request surely did not reach the service; with any other it
    may have.
    """


class TransportError(MusicError):
    """The request or its answer was lost on the way."""


class NotSent(TransportError):
    """The request surely never reached the service (no connection): safe to send again.

    `passing`: whether it may work again by itself. An untrusted certificate or a wrong address do not.
    """

    def __init__(self, message: str, passing: bool = True) -> None:  # noqa: FBT001, FBT002 - `cls(*args)` has no names
        """Say why it was not sent, and whether that passes."""
        self.passing: bool = passing
        super().__init__(message)


class SubmissionUnknown(TransportError):
    """A paid request was sent and its answer lost: it may have been taken. Check before you pay twice.

    `job` is the job, `__cause__` what went wrong. `MusicSession.credits()` before and after shows if it was charged.
    """

    def __init__(self, job: JobInfo | str, reason: str) -> None:
        """Name the `job` and the `reason` why its outcome is unknown."""
        self.job: JobInfo = _job(job)
        self.reason = reason
        super().__init__(
            f"{self.job.key}: {reason}. The service may have taken and charged it; it was not sent again. "
            "Compare your credits or check the service's dashboard before you submit it again."
        )


class JobError(MusicError):
    """A job ended without a result; `job` is its handle."""

    job: JobInfo
    _what: ClassVar[str] = "ended without a result"
    _task: ClassVar[str] = "task {} can be attached again"

    def __init__(self, job: JobInfo | str, reason: str | None = None) -> None:
        """Name the `job` and the `reason`."""
        self.job = _job(job)
        super().__init__(reason or self._what)

    def __str__(self) -> str:
        """Name the job, the reason, and whether the service has it; the last may become known after the error."""
        job = self.job
        if job.task_id:
            fate = self._task.format(one_line(job.task_id))
        else:
            fate = f"{job.credits} credits were charged" if job.credits else "it was never sent; nothing was paid"
        return f"{job.key} {self._text} ({fate})"


class JobFailed(JobError):
    """The service accepted the job and failed to do it."""

    _task = "task {}"

    def __init__(self, job: JobInfo | str, reason: str, refunded: bool | None = None) -> None:  # noqa: FBT001 - as above
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

    def __init__(self, job: JobInfo | str, kept: str, given: str) -> None:
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
