"""One request of a job: send it, and see what its answer makes of the job."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..api.models import canonical
from ..api.request import Answer
from ..api.results import Credits
from ..api.wire import Progress, Reply, TaskState, read_now, read_task, read_task_id
from ..clock import Clock
from ..errors import (
    AuthenticationError,
    InsufficientCredits,
    JobFailed,
    JobTimeout,
    MusicError,
    NotSent,
    RateLimited,
    SubmissionUnknown,
    SubscriptionRequired,
    TransportError,
)
from ..events import (
    Events,
    JobState,
    JobStreaming,
    Purpose,
    RefusedRepeatedly,
    RequestAnswered,
    RequestRefused,
    RequestSent,
    logger,
)
from ..limiting.bucket import RateLimiter, Token
from ..scheduling.durations import TaskKind
from ..scheduling.retry import Again, Doubt, GiveUp, Repeat, after_failure, pause
from ..scheduling.schedule import Kind, Schedule
from ..settings import Settings
from ..transport.http import HttpTransport
from .job import Job
from .shortage import Shortage

if TYPE_CHECKING:
    from .keeper import Keeper
    from .mailbox import Mailbox

_RECOMMENDED_INTERVAL = {"sonic": 15.0}
_OTHER_INTERVAL = 5.0
_REPEAT_INTERVAL = 6.0
"""Seconds between the first two askings of an operation that has to be asked again until it is ready."""
_READY_WITHIN = 600.0
"""Seconds after which it is given up: such things take a minute."""
_GRACE = 40.0
"""Seconds that a webhook has after its task is overdue: by then the service has tried again as often as it does."""
_RARELY = 60.0
"""Seconds between looks at a task of which a webhook should have told by then."""
_REPEATEDLY = 3
"""Refusals for speed after which it is told that the limit does not fit."""


class Send(Protocol):
    """One request, ready to go; `on_sent` is called when its headers leave."""

    def __call__(self, *, on_sent: Callable[[], None]) -> Awaitable[Reply]:
        """Send it."""
        ...


class Requests:
    """Sends the requests of one session's jobs, one by one, each with a token that somebody else took for it.

    `kinds` are the jobs that have not ended, and as what each was queued; the dispatcher keeps it.
    """

    def __init__(
        self,
        transport: HttpTransport,
        limiters: Sequence[RateLimiter],
        clock: Clock,
        events: Events,
        settings: Settings,
        *,
        schedule: Schedule[Job[Any]],
        kinds: dict[Job[Any], Kind],
        wake: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._limiters = limiters
        self._clock = clock
        self._events = events
        self._settings = settings
        self._schedule = schedule
        self._kinds = kinds
        self.keeper: Keeper | None = None
        """What writes down in a journal what happens to the jobs; None without one."""
        self.mailbox: Mailbox | None = None
        """Where webhooks are delivered; None without any."""
        self.posts: set[Job[Any]] = set()
        """Jobs whose POST is under way."""
        self.quiet: asyncio.Event = asyncio.Event()
        """Set whenever one of them is over."""
        self._tries: dict[Job[Any], int] = {}
        self._asked_since: dict[Job[Any], float] = {}  # when what has to be asked again was answered first
        self._refusals = 0  # in a row
        self._incidents = 0  # since the session was opened
        self._paused_until = 0.0
        self._outage = False
        self._shortage = Shortage(schedule, kinds, events, clock, sending=lambda: bool(self.posts), wake=wake)

    def attach(self, job: Job[Any], age: float | None = None) -> None:
        """Watch a job that the service already has, since `age` seconds if that is known."""
        kind, interval, now = self._task_kind(job), self._interval(job), self._clock.now()
        if age is None:
            self._schedule.attach(job, kind, now=now, interval=interval)
        else:
            timeout = None if job.timeout is None else age + job.timeout
            self._schedule.watch(job, kind, now=now - age, interval=interval, timeout=timeout)

    def forget(self, job: Job[Any]) -> None:
        """Forget a job that has ended."""
        self._tries.pop(job, None)
        self._asked_since.pop(job, None)
        if self.mailbox is not None:
            self.mailbox.forget(job)
        self._shortage.give_up()

    async def send(self, job: Job[Any], token: Token, left: asyncio.Event) -> None:
        """Send a submit or a call; `left` is set when it has left."""
        request = job.request
        assert request is not None
        job._move(JobState.SENDING)
        is_task = request.answer is Answer.TASK
        more = self.mailbox.fields(job) if self.mailbox is not None else {}
        send = partial(self._transport.send, request, more)
        self.posts.add(job)
        try:
            if self.keeper is not None and not await self._begin(self.keeper, job, token):
                return
            reply = await self._exchange(job, Purpose.SUBMIT if is_task else Purpose.CALL, send, token, left)
            job._raw = reply.body
            if is_task or (request.endpoint.may_be_task and "task_id" in reply.fields):
                task_id = read_task_id(request, reply)
                if self.keeper is not None:
                    await self.keeper.accepted(job, task_id)
                if job.done():
                    logger.warning("%s ended before its answer came; the service has it as task %s", job.key, task_id)
                else:
                    self._accepted(job, task_id)
            else:
                self._answered(job, read_now(request, reply))
        except MusicError as error:
            repeat = Repeat.NEVER if request.endpoint.method == "POST" else Repeat.FREE
            self._not_taken(job, error, Repeat.FREE if request.answer is Answer.REPEAT else repeat)
        finally:
            self.posts.discard(job)
            self.quiet.set()
            self._shortage.give_up()

    async def _begin(self, keeper: Keeper, job: Job[Any], token: Token) -> bool:
        """Write down that the job is about to be sent; False when it is not to be sent."""
        begun = False
        try:
            begun = await keeper.begin(job)
        finally:
            if not begun or job._ending is not None:
                token.give_back()
        if job._ending is not None and not job.done():
            job._give_up(job._ending)  # before anything has left
        elif not begun and not job.done():
            job._move(JobState.QUEUED)  # another process has it
            if self.mailbox is not None:
                self.mailbox.forget(job)
        return begun and not job.done()

    def _accepted(self, job: Job[Any], task_id: str) -> None:
        assert job.request is not None
        self._went_well(job)
        self._shortage.paid(job.request.cost)
        job._take_id(task_id, cost=job.request.cost)
        if job._ending is not None:
            job._give_up(job._ending)
            logger.warning("%s was given up while it was sent; the service has it as task %s", job.key, task_id)
        elif not job.done():  # a listener may have cancelled it
            self._watch(job)
            if self.mailbox is not None:
                self.mailbox.answered(job)

    def _watch(self, job: Job[Any]) -> None:
        kind, interval, first = self._task_kind(job), self._interval(job), None
        if self.mailbox is not None and self.mailbox.expects(job):
            # The service will tell by itself: looks are for what it forgot to tell.
            interval = max(_RARELY, interval)
            first = max(self._schedule.durations.overdue(kind) + _GRACE, interval)
        now = self._clock.now()
        self._schedule.watch(job, kind, now=now, interval=interval, first=first, timeout=job.timeout)

    def _answered(self, job: Job[Any], result: object | None) -> None:
        assert job.request is not None
        self._went_well(job)
        job.credits = job.request.cost
        if result is not None:
            if isinstance(result, Credits):
                self._shortage.has(result.total)
            job._succeed(result)
            return
        job._start_timer()
        now = self._clock.now()
        waited = now - self._asked_since.setdefault(job, now)
        if waited > min(_READY_WITHIN, self._settings.stuck_after):
            job._give_up(JobTimeout(job, f"was still not ready after {waited:.0f} seconds"))
        else:
            self._requeue(job, max(_REPEAT_INTERVAL, waited / 10), "not ready yet")

    def _requeue(self, job: Job[Any], seconds: float, reason: str) -> None:
        if self.keeper is not None:
            self.keeper.sent_back(job, reason)
        if job._ending is not None:
            job._give_up(job._ending)
            return
        self._schedule.again(job, self._kinds[job], not_before=self._clock.now() + seconds)
        job._move(JobState.QUEUED)

    def _not_taken(self, job: Job[Any], error: MusicError, repeat: Repeat) -> None:
        """Decide what becomes of a job whose submit or call failed."""
        if job.done():
            return
        match self._verdict(job, error, repeat):
            case Again(delay=seconds):
                self._requeue(job, seconds, str(error))
            case Doubt():
                unknown = SubmissionUnknown(job, str(error))
                unknown.__cause__ = error
                if self.keeper is not None:
                    self.keeper.doubted(job, unknown.reason)
                if self.mailbox is None or not self.mailbox.doubted(job, unknown):
                    job._fail(unknown, JobState.UNKNOWN)
            case GiveUp() if job._ending is not None:
                job._give_up(job._ending)
            case GiveUp() if isinstance(error, InsufficientCredits) and self._kinds[job] is Kind.SUBMIT:
                self._requeue(job, 0.0, str(error))
                self._shortage.refused(job, error)
            case GiveUp():
                job._fail(error)
                if isinstance(error, AuthenticationError | SubscriptionRequired):
                    self._refuse_all(error)

    def _refuse_all(self, error: MusicError) -> None:
        """End what waits with the error of one: with this key, or without a subscription, all would be refused."""
        for job in tuple(self._kinds):
            if job.state is JobState.QUEUED:
                self._schedule.drop(job)
                job._fail(error)

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def taken(self, job: Job[Any], task_id: str) -> None:
        """See `Progressing.taken`."""
        if self.keeper is not None:
            self.keeper.taken(job, task_id)
        self._accepted(job, task_id)

    def told(self, job: Job[Any], progress: Progress[Any]) -> None:
        """See `Progressing.told`."""
        if progress.state is TaskState.RUNNING:
            self._runs(job, progress)
        else:
            self._looked(job, progress, just_now=True)

    def look_now(self, job: Job[Any]) -> None:
        """See `Progressing.look_now`."""
        self._schedule.look_now(job, self._clock.now())

    # --- polls -------------------------------------------------------------------------------------------------------

    async def poll(self, job: Job[Any], token: Token, left: asyncio.Event) -> None:
        """Look at a task; `left` is set when the request has left. Cancelling breaks the look off and costs nothing."""
        assert job.task_id is not None
        path = job.operation.endpoint.task_path(job.task_id)
        try:
            reply = await self._exchange(job, Purpose.POLL, partial(self._transport.look, path), token, left)
            if job.done():  # given up while we looked
                return
            progress = read_task(job.operation, job.task_id, reply)
        except MusicError as error:
            if not job.done():
                self._not_looked(job, error)
        else:
            self._looked(job, progress)

    def _runs(self, job: Job[Any], progress: Progress[Any]) -> None:
        job._raw, job._clips = progress.raw, progress.clips
        url = next((clip.audio_url for clip in progress.clips if clip.audio_url), None)
        if url is not None and job.streaming_url is None:
            job.streaming_url = url
            self._events.emit(JobStreaming(job, url))

    def _looked(self, job: Job[Any], progress: Progress[Any], *, just_now: bool = False) -> None:
        self._went_well(job)
        job._raw, job._clips = progress.raw, progress.clips
        now = self._clock.now()
        match progress.state:
            case TaskState.SUCCEEDED:
                self._schedule.finished(job, now, just_now=just_now)
                job._succeed(progress.result)
            case TaskState.FAILED:
                self._schedule.drop(job)
                if progress.refunded is not False:  # a failed task is refunded, whether that is told or not
                    job.credits = 0
                    self._shortage.over()
                job._fail(JobFailed(job, progress.reason, refunded=progress.refunded))
            case TaskState.RUNNING if self._schedule.age(job, now) > self._settings.stuck_after:
                self._schedule.drop(job)
                job._give_up(JobTimeout(job, f"still runs after {self._settings.stuck_after:g} seconds"))
            case TaskState.RUNNING:
                self._schedule.looked(job, now)
                self._runs(job, progress)

    def _not_looked(self, job: Job[Any], error: MusicError) -> None:
        now = self._clock.now()
        match self._verdict(job, error, Repeat.POLL):
            case Again(delay=seconds) if self._schedule.age(job, now) <= self._settings.stuck_after:
                self._schedule.not_looked(job, not_before=now + seconds)
            case _:
                self._schedule.drop(job)
                job._fail(error, JobState.DETACHED)

    # --- what requests have in common --------------------------------------------------------------------------------

    async def _exchange(self, job: Job[Any], purpose: Purpose, send: Send, token: Token, left: asyncio.Event) -> Reply:
        """Send, tell the listeners, and give the token back when nothing left."""
        started = self._clock.now()

        def on_sent() -> None:
            token.spent()
            left.set()
            self._events.emit(RequestSent(purpose, job))

        if not self._transport.tells_when_sent:
            on_sent()
        try:
            reply = await send(on_sent=on_sent)
        except NotSent:
            token.give_back()
            raise
        except TransportError:
            self._events.emit(RequestAnswered(purpose, job, None, self._clock.now() - started))
            raise
        self._events.emit(RequestAnswered(purpose, job, reply.status, self._clock.now() - started))
        return reply

    def _went_well(self, job: Job[Any]) -> None:
        self._tries.pop(job, None)
        self._refusals = 0
        self._outage = False
        job._trouble = None

    def _verdict(self, job: Job[Any], error: MusicError, repeat: Repeat) -> Again | Doubt | GiveUp:
        """Count the failure, pause after a refusal, and say whether to send again."""
        tries = self._tries.get(job, 0) + (not isinstance(error, RateLimited))  # which is no fault of the request
        self._tries[job] = tries
        verdict = after_failure(error, repeat, tries)
        if isinstance(error, RateLimited):
            self._pause(job, error)
        elif isinstance(verdict, Again):
            job._trouble = error
            if not self._outage:
                self._outage = True  # told once, until something goes well again
                logger.warning("%s: %s; it is tried again", job.key, error)
        return verdict

    def _pause(self, job: Job[Any], error: RateLimited) -> None:
        now = self._clock.now()
        new = now >= self._paused_until  # several refused at once are one incident
        self._refusals += new
        self._incidents += new
        seconds = pause(error.retry_after, self._refusals)
        self._paused_until = max(self._paused_until, now + seconds)
        for limiter in self._limiters:
            try:
                limiter.pause_until(self._clock.loop.time() + self._clock.real(seconds))
            except Exception as broken:  # noqa: BLE001 - a limiter of the user's own may raise anything
                logger.warning("the limiter failed: %r", broken)
        self._events.emit(RequestRefused(job, seconds))
        if new and self._incidents == _REPEATEDLY:
            logger.warning(
                "the service refused requests %d times for coming too fast: is the plan's limit lower than the "
                "limiter's, or does another program use the same key?",
                self._incidents,
            )
            self._events.emit(RefusedRepeatedly(self._incidents))

    def _task_kind(self, job: Job[Any]) -> TaskKind:
        model = getattr(job.request, "mv", None)
        name = f"{job.operation.operation} {canonical(model)}" if isinstance(model, str) else job.operation.operation
        return TaskKind(name, job.operation.endpoint.typical)

    def _interval(self, job: Job[Any]) -> float:
        platform = job.operation.endpoint.platform
        return self._settings.poll_interval or _RECOMMENDED_INTERVAL.get(platform, _OTHER_INTERVAL)
