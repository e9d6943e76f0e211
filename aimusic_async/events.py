"""What happens inside a session, as values: listen to show progress, count requests, or feed telemetry."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeAlias

import attrs

from .errors import ConfigurationError, JobInfo, request_id_of
from .settings import check_function

logger: logging.Logger = logging.getLogger("aimusic_async")


class JobState(StrEnum):
    """The state of a job.

    `queued → sending → submitted → succeeded | failed` is the usual course. The other states end it differently.
    """

    QUEUED = "queued"
    """It waits for a token; nothing is paid yet."""
    SENDING = "sending"
    """Its POST is under way, or about to be: a journal may still be asked whether it may leave."""
    SUBMITTED = "submitted"
    """The service has it, under a task id."""
    SUCCEEDED = "succeeded"
    """The result is here."""
    FAILED = "failed"
    """Refused by the service, or taken and failed."""
    UNKNOWN = "unknown"
    """Sent, and the answer was lost: the service may have it."""
    CANCELLED = "cancelled"
    """Cancelled before it was sent; nothing was paid."""
    DETACHED = "detached"
    """The service has it, and this session has released it (cancelled, timed out); it can be attached again."""


class Purpose(StrEnum):
    """Why a request is sent."""

    CALL = "call"
    """An operation that is answered at once."""
    SUBMIT = "submit"
    """A task handed to the service."""
    POLL = "poll"
    """A poll of a running task."""


@attrs.frozen
class RequestSent:
    """One request was sent, and took one token."""

    purpose: Purpose
    job: JobInfo


@attrs.frozen
class RequestAnswered:
    """The answer is here; `status` is None when it was lost on the way."""

    purpose: Purpose
    job: JobInfo
    status: int | None
    seconds: float
    headers: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """Those of the answer that help to find out what happened, with names in small letters."""

    @property
    def request_id(self) -> str | None:
        """The id under which the service, or what stands before it, knows the request; None when it gave none."""
        return request_id_of(self.headers)


@attrs.frozen
class RequestRefused:
    """The service said 429; nothing is sent for `pause` seconds, then the same request goes first.

    `platform`: which one refused, when the others go on: its queue is full, say. None: nothing at all is sent.
    """

    job: JobInfo
    pause: float
    platform: str | None = None


@attrs.frozen
class RefusedRepeatedly:
    """The service sent 429 this often: the limiter does not fit the plan, or others use the account. Emitted once."""

    refusals: int


@attrs.frozen
class CreditsShort:
    """The account has too few credits: jobs that wait are held, jobs that run go on.

    The hold ends when credits come back (a refund, or `MusicSession.credits()` that shows enough). When nothing runs
    any more, the jobs that still wait end with `InsufficientCredits`.
    """

    job: JobInfo
    waiting: int
    """Number of jobs that wait, this one included."""
    needed: int
    """Credits that they cost together."""


@attrs.frozen
class BalanceDiffers:
    """The balance fell by more credits than this session's requests explain: see `Settings.prices`."""

    fell: int
    """Credits by which it fell since it was read before."""
    explained: int
    """Credits that the requests since then may have cost, as priced here."""


@attrs.frozen
class JobChanged:
    """A job has a new state."""

    job: JobInfo
    state: JobState


@attrs.frozen
class JobStreaming:
    """A song can be listened to before it is finished, at this address."""

    job: JobInfo
    url: str


class Verdict(StrEnum):
    """The verdict on a delivery that came to a webhook door."""

    ACCEPTED = "accepted"
    """Genuine and new."""
    DUPLICATE = "duplicate"
    """Genuine, and received before."""
    UNSIGNED = "unsigned"
    """Refused: the signature is missing or does not fit."""
    STALE = "stale"
    """Refused: signed too long ago, or in the future."""
    MALFORMED = "malformed"
    """Refused: the address, the encoding or the body is none of the service's."""
    TOO_LARGE = "too large"
    """Refused: more bytes than the door takes."""
    NOT_OPEN = "not open"
    """Answered 503: the session is closed, or its journal has not stored it yet; the service tries again."""


@attrs.frozen(kw_only=True)
class WebhookReceived:
    """A delivery came to a webhook door. Its contents are here only when it is genuine."""

    verdict: Verdict
    reason: str = ""
    """Why it was not accepted."""
    id: str | None = None
    """The service's id of the delivery."""
    event: str | None = None
    """Such as `song.completed`."""
    task_id: str | None = None
    job_id: str | None = None
    """The job that the address named."""


Event: TypeAlias = (
    RequestSent
    | RequestAnswered
    | RequestRefused
    | RefusedRepeatedly
    | CreditsShort
    | BalanceDiffers
    | JobChanged
    | JobStreaming
    | WebhookReceived
)
Listener: TypeAlias = Callable[[Event], object]


class Events:
    """Hands each event to every listener, at once and in order."""

    def __init__(self) -> None:
        self._listeners: list[tuple[Listener, tuple[type[Event], ...]]] = []
        self._by_kind: dict[type, tuple[Listener, ...]] = {}  # as far as asked for since the listeners changed

    def listen(self, listener: Listener, *kinds: type[Event]) -> Callable[[], None]:
        """Call `listener` with every event from now on, on the loop's thread; it must be quick and must not block.

        `kinds`: only with events of these classes. A listener that raises is logged and does not disturb the session.
        Returns a function that removes the listener. Raises `ConfigurationError` for an `async def`: nobody would await
        it; let a plain function start a task.
        """
        check_function("listener", listener)
        strange = [kind for kind in kinds if not isinstance(kind, type)]
        if strange:
            raise ConfigurationError(f"kinds must be classes of events, such as JobChanged; got {strange[0]!r}")
        entry = (listener, kinds)
        self._listeners.append(entry)
        self._by_kind.clear()

        def leave() -> None:
            if entry in self._listeners:
                self._listeners.remove(entry)
                self._by_kind.clear()

        return leave

    def listeners(self, kind: type[Event]) -> tuple[Listener, ...]:
        """Return who listens to events of a class; where nobody does, none need be made."""
        found = self._by_kind.get(kind)
        if found is None:
            found = tuple(listener for listener, kinds in self._listeners if not kinds or kind in kinds)
            self._by_kind[kind] = found
        return found

    def emit(self, event: Event) -> None:
        """Call every listener."""
        for listener in self.listeners(type(event)):
            try:
                returned: object = listener(event)
                if returned is not None and inspect.iscoroutine(returned):
                    returned.close()
                    raise TypeError("it returned a coroutine, which nobody awaits: let it start a task")  # noqa: TRY301
            except Exception:
                logger.exception("a listener failed on %s", type(event).__name__)


@attrs.define
class Stats:
    """Counts of one session since it was opened."""

    calls: int = 0
    """Requests for operations that are answered at once."""
    submits: int = 0
    """Requests that handed in a task."""
    polls: int = 0
    """Requests that polled a task."""
    refusals: int = 0
    """Answers with status 429."""

    @property
    def requests(self) -> int:
        """All requests sent: what the rate limit counts."""
        return self.calls + self.submits + self.polls

    def count(self, event: Event) -> None:
        """Count one event."""
        match event:
            case RequestSent(purpose=Purpose.CALL):
                self.calls += 1
            case RequestSent(purpose=Purpose.SUBMIT):
                self.submits += 1
            case RequestSent(purpose=Purpose.POLL):
                self.polls += 1
            case RequestRefused():
                self.refusals += 1
