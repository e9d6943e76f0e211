"""What ties the jobs of a session to its journal: each is entered before it is queued, and written down as it goes."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from itertools import islice
from typing import Any, Protocol

import anyio
import attrs

from ..api.plain import to_plain
from ..api.request import Answer
from ..api.wire import Progress
from ..errors import (
    ApiError,
    AuthenticationError,
    InsufficientCredits,
    JobFailed,
    JournalError,
    KeyConflict,
    RateLimited,
    ServerError,
    SubmissionUnknown,
    SubscriptionRequired,
)
from ..events import JobState, logger
from ..journal.leases import owner_name
from ..journal.protocol import JobJournal, Outcome
from ..journal.record import JobRecord, as_text, record_id
from ..journal.steps import Accepted, Begin, Doubted, Enter, Finished, Refused, Released, Step
from ..journal.writer import AT_ONCE, Line, as_journal_error
from ..scheduling.durations import Durations
from ..scheduling.schedule import Schedule
from .job import Job

LEASE = 200.0
"""Seconds for which a session is taken for alive after it last said so: longer than any POST may take."""
_HEARTBEAT = 15.0
_LOOK_AGAIN = 1.0
"""Seconds between two looks at jobs that another process works on. They cost no token."""
_LEARNED = "durations"
_SAVE_AFTER = 10
"""Finished jobs after which what was learned is saved."""
_FLUSH_WITHIN = 10.0
"""Seconds that closing waits for a journal that hangs."""

_ANSWER_WITHIN = 15.0
"""Seconds after which a job does not wait for the journal any more: longer than that waits for a locked file."""
_NOT_TAKEN = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.DETACHED})
_TOLD = frozenset({JobState.QUEUED, JobState.SUBMITTED, JobState.SUCCEEDED, JobState.FAILED})
_OF_THE_ACCOUNT = (AuthenticationError, InsufficientCredits, SubscriptionRequired, RateLimited, ServerError)
_OVERLAP = 1.0
"""Seconds that are looked at once more: what was written at the same time may not have been seen."""
_SETTLED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.UNKNOWN})


class Workbench(Protocol):
    """Where jobs go once the journal knows them; in practice the dispatcher."""

    def queue(self, job: Job[Any]) -> None:
        """Queue a job that is to be sent."""

    def take_up(self, job: Job[Any], record: JobRecord) -> None:
        """Watch a job that the service has already."""

    def recall(self, job: Job[Any], record: JobRecord) -> None:
        """End a job as its record says."""

    def follow(self, job: Job[Any], record: JobRecord) -> None:
        """Tell what is known of a job that another process works on."""

    def in_doubt(self, job: Job[Any]) -> bool:
        """Whether the answer to a job's POST was lost, and it waits for others to tell what became of it."""
        ...

    def give_up(self, job: Job[Any]) -> None:
        """End a job that waits in doubt."""


class Keeper:
    """Writes down what happens to the jobs of one session. Everything goes through one line, in order.

    `run` does the writing; the other methods only put something into the line, unless they are awaited.
    """

    def __init__(self, journal: JobJournal, account: str, bench: Workbench, schedule: Schedule[Job[Any]]) -> None:
        self.account = account
        self.owner: str = owner_name()
        self._journal = journal
        self._bench = bench
        self._schedule = schedule  # what it learned is kept, too
        self._line = Line(journal)
        self._attached: deque[Job[Any]] = deque()  # to be looked up
        self._news = asyncio.Event()  # of those
        self._ids: dict[Job[Any], str] = {}  # the records of the jobs that have not ended
        self._former: dict[Job[Any], str] = {}  # tasks of earlier attempts, of jobs that had any
        self._begun: dict[Job[Any], int] = {}  # written down as about to be sent, for the how manieth time
        self._working: dict[str, Job[Any]] = {}  # by the ids of their records, which are this session's
        self._elsewhere: dict[Job[Any], Enter] = {}  # others work on them: other processes, or other jobs here
        self.others_tell: bool = False
        """Whether other processes may learn, by webhooks, what becomes of the jobs of this one."""
        self._heard: float | None = None  # by when, on the journal's clock, what others told is known
        self._finished = 0  # since what was learned was saved last

    # --- opening and closing -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Say that this session lives, and know again what earlier ones learned. Raises `JournalError`."""
        await self._journal.lease(self.owner, LEASE)
        if text := await self._journal.load(self.account, _LEARNED):
            try:
                self._schedule.durations = Durations.from_plain(json.loads(text))
            except (ValueError, TypeError, KeyError, AttributeError) as error:  # another version's; it is learned anew
                logger.warning("what was learned about durations cannot be read: %r", error)

    async def run(self) -> None:
        """Write down what comes, until cancelled."""
        async with anyio.create_task_group() as work:
            work.start_soon(self._line.write)
            work.start_soon(self._look_up)
            work.start_soon(self._every, _LOOK_AGAIN, self._look_again)
            work.start_soon(self._every, _HEARTBEAT, self._beat)

    async def close(self) -> None:
        """Write down what is in the line, and leave the open records to others. Call it while `run` runs."""
        with anyio.move_on_after(_FLUSH_WITHIN, shield=True) as limit:
            await self.written()
            try:
                await self._save_learned()
                await self._journal.lease(self.owner, 0)
            except Exception as error:  # noqa: BLE001 - a journal of the user's own may raise anything
                logger.warning("the journal could not be closed well: %r", error)
        if limit.cancelled_caught or self._line.steps():
            steps = self._line.steps()
            # What must not be forgotten of them are the tasks that were paid for.
            tasks = ", ".join(step.task_id for step in steps if isinstance(step, Accepted)) or "no new task among them"
            logger.error("the journal does not answer: %d steps are not written down: %s", len(steps), tasks)

    async def written(self) -> None:
        """Wait until everything that happened so far is written down, or could not be."""
        await self._line.written()

    # --- what happens to jobs ----------------------------------------------------------------------------------------

    def enter(self, job: Job[Any], group: str, resend: Collection[JobState] = ()) -> None:
        """Enter a job, and hand it to the workbench as its record says: to be queued, watched, or ended."""
        record = self._new_record(job, group)
        self._ids[job] = record.id
        self._enter(job, Enter(record, resend))

    def resume(self, job: Job[Any], record: JobRecord) -> None:
        """Go on with a job of which there is a record."""
        self._ids[job] = record.id
        self._enter(job, Enter(attrs.evolve(record, owner=self.owner)))

    def attach(self, job: Job[Any]) -> None:
        """Enter a job that has a task id: under the record of that task when there is one, whatever its key is."""
        self._attached.append(job)
        self._news.set()

    async def _look_up(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._attached:
                await self._attach(self._attached.popleft())

    async def _attach(self, job: Job[Any]) -> None:
        try:
            found = await self._journal.find(self.account, task_id=job.task_id, limit=1)
        except Exception as error:  # noqa: BLE001 - a journal of the user's own may raise anything
            if not job.done():
                job._fail(as_journal_error(error))
            return
        if job.done():
            return
        if found:
            self.resume(job, found[0])
        else:
            self.enter(job, "")

    def owns(self, job: Job[Any]) -> bool:
        """Whether the record of a job is this session's, so that it says how the job goes on."""
        job_id = self._ids.get(job)
        return job_id is not None and self._working.get(job_id) is job

    def id_of(self, job: Job[Any]) -> str:
        """Return the id of a job's record; the job has been entered and has not ended."""
        return self._ids[job]

    def known(self) -> set[str]:
        """Return the ids of the records of all jobs of this session that have not ended."""
        return set(self._ids.values())

    def is_former(self, job: Job[Any], task_id: str) -> bool:
        """Whether a task is that of an earlier attempt of a job."""
        return task_id in self._former.get(job, "").split()

    async def begin(self, job: Job[Any]) -> bool:
        """Write down that a job is about to be sent; only on True may it be. Raises `JournalError`.

        False: another process has taken it over; what that makes of it is followed from here on.
        """
        if (job_id := self._ids.get(job)) is None:
            return True  # a free request, of which nothing is kept
        outcome, why = None, f"the journal did not answer within {_ANSWER_WITHIN:g} seconds"
        with anyio.move_on_after(_ANSWER_WITHIN):
            try:
                outcome = await self._line.put_and_wait(Begin(job_id, self.owner))
                why = "its record is gone from the journal; submit it again"
            except JournalError as error:
                why = str(error)
        if outcome is not None and outcome.record is not None:
            if outcome.changed:
                self._begun[job] = outcome.record.attempts
            elif self._working.pop(job_id, None) is job:
                self.resume(job, outcome.record)
            return outcome.changed
        self._line.put(Refused(job_id, self.owner, f"not sent: {why}"))  # it may have been carried out, or still be
        raise JournalError(f"{job.key} was not sent: {why}")

    async def accepted(self, job: Job[Any], task_id: str) -> None:
        """Write down the task id of a job. If that fails it is told in the log, and tried again."""
        if job not in self._ids:
            return
        self._begun.pop(job, None)
        step = Accepted(self._ids[job], task_id, self.owner)
        with anyio.move_on_after(_ANSWER_WITHIN) as limit:
            try:
                outcome = await self._line.put_and_wait(step)
            except JournalError as error:
                logger.error("%s: its task id %s could not be written down yet: %s", job.key, task_id, error)
                self._line.put(step)
                return
            if outcome.record is not None and outcome.record.task_id != task_id:
                logger.error("%s is task %s, and was task %s before", job.key, task_id, outcome.record.task_id)
        if limit.cancelled_caught:
            logger.error("%s: its task id %s is not written down: the journal does not answer", job.key, task_id)

    def doubted(self, job: Job[Any], reason: str) -> None:
        """Note that the answer to a job's POST was lost."""
        if job not in self._ids:
            return
        self._begun.pop(job, None)
        self._line.put(Doubted(self._ids[job], self.owner, _writable(reason)))

    def taken(self, job: Job[Any], task_id: str) -> None:
        """Note the task id of a job that was in doubt."""
        self._line.put(Accepted(self._ids[job], task_id, self.owner))

    def told(self, job_id: str, task_id: str, answer: str | None = None, failure: Progress[Any] | None = None) -> None:
        """Note what the service said of a job that nobody here works on; with an `answer` it has ended."""
        if answer is None:
            self._line.put(Accepted(job_id, task_id))
        elif failure is None:
            self._line.put(Finished(job_id, answer, task_id=task_id))
        else:
            self._line.put(Finished(job_id, answer, failure.reason, failure.refunded, task_id=task_id))

    def sent_back(self, job: Job[Any], reason: str) -> None:
        """Note that a job that was begun was surely not taken, and waits again."""
        attempt = self._begun.pop(job, None)
        if job_id := self._ids.get(job):
            self._line.put(Refused(job_id, self.owner, _writable(reason), attempt=attempt))

    def ended(self, job: Job[Any]) -> None:
        """Note how a job ended; one that was left may be gone on with by others."""
        if (job_id := self._ids.get(job)) is None:
            return
        if self._working.get(job_id) is job:
            if job in self._begun and job.state in _NOT_TAKEN:
                self.sent_back(job, str(job.exception()))
            self._line.put(self._last_step(job, job_id))
            self._finished += job.state is JobState.SUCCEEDED
        self._forget(job)

    def _last_step(self, job: Job[Any], job_id: str) -> Step:
        error = job.exception()
        told = None if error is None else _writable(str(error))
        match job.state:
            case JobState.SUCCEEDED:
                return Finished(job_id, json.dumps(job.raw), task_id=job.task_id)
            case JobState.FAILED if isinstance(error, JobFailed):
                answer = json.dumps(job.raw)
                return Finished(job_id, answer, _writable(error.reason), error.refunded, job.task_id)
            case JobState.UNKNOWN:
                reason = error.reason if isinstance(error, SubmissionUnknown) else str(error)
                return Doubted(job_id, self.owner, _writable(reason))
            case state:
                # What the service refused for what it is, and not for the account's sake, is not resumed either.
                refused = isinstance(error, ApiError) and not isinstance(error, _OF_THE_ACCOUNT)
                cancelled = (state is JobState.CANCELLED and not job._left) or (state is JobState.FAILED and refused)
                return Released(job_id, self.owner, cancelled=cancelled, error=told)

    # --- entering ----------------------------------------------------------------------------------------------------

    def _enter(self, job: Job[Any], step: Enter) -> None:
        other = self._working.setdefault(step.id, job)
        self._elsewhere.pop(job, None)
        if other is job:
            self._line.put(step, lambda outcome: self._entered(job, step, outcome))
        elif None not in (job.request, other.request) and job.request != other.request:
            self._conflict(job, step, as_text(to_plain(other.request)) if other.request is not None else "")
        else:
            self._elsewhere[job] = attrs.evolve(step, resend=())  # what it is to be sent anew from is being done

    def _entered(self, job: Job[Any], step: Enter, outcome: Outcome | JournalError) -> None:
        if isinstance(outcome, JournalError):
            self._line.put(Released(step.id, self.owner))  # it may have been carried out all the same
            if not job.done():
                self._forget(job)
                job._fail(outcome)
            return
        record = outcome.record
        if job.done() or record is None:  # given up meanwhile; what became of its record is in the line already
            return
        mine = record.owner == self.owner
        if mine and self._heard is None:
            self._heard = record.updated
        if record.former:
            self._former[job] = record.former
        if step.contradicts(record):
            self._conflict(job, step, record.request or f"{record.operation}, task {record.task_id}")
        elif record.state is JobState.QUEUED and mine:
            self._bench.queue(job)
        elif record.state is JobState.SUBMITTED and mine:
            self._bench.take_up(job, record)
        elif record.state in _SETTLED:
            self._forget(job)
            self._bench.recall(job, record)
        else:
            self._working.pop(step.id, None)
            self._elsewhere[job] = attrs.evolve(step, resend=())
            self._bench.follow(job, record)

    def _conflict(self, job: Job[Any], step: Enter, kept: str) -> None:
        self._forget(job)
        given = step.record.request or f"{step.record.operation}, task {step.record.task_id}"
        job._fail(KeyConflict(job, kept, given))

    def _forget(self, job: Job[Any]) -> None:
        job_id = self._ids.pop(job)
        if self._working.get(job_id) is job:
            del self._working[job_id]
        self._elsewhere.pop(job, None)
        self._begun.pop(job, None)
        self._former.pop(job, None)

    def _new_record(self, job: Job[Any], group: str) -> JobRecord:
        request = job.request
        return JobRecord(
            id=record_id(self.account, group, job.key),
            account=self.account,
            group=group,
            key=job.key,
            operation=job.operation.operation,
            request=as_text(to_plain(request)) if request is not None else None,
            cost=request.cost if request is not None else 0,
            repeatable=request is not None and request.answer is Answer.REPEAT,
            state=job.state,
            task_id=job.task_id,
            owner=self.owner,
        )

    async def _look_again(self) -> None:
        for job, step in tuple(islice(self._elsewhere.items(), AT_ONCE)):  # who is looked at goes to the end
            self._enter(job, step)
        if self._finished >= _SAVE_AFTER:
            await self._save_learned()
        if self.others_tell and self._heard is not None:
            await self._hear_others(self._heard)

    async def _hear_others(self, since: float) -> None:
        """Tell the jobs of which another process knows more, by a webhook or by hand."""
        for record in await self._journal.find(self.account, states=_TOLD, changed_since=since):
            self._heard = max(self._heard or 0.0, record.updated - _OVERLAP)
            if (job := self._working.get(record.id)) is not None and not job.done():
                self._hear(job, record)

    def _hear(self, job: Job[Any], record: JobRecord) -> None:
        in_doubt = self._bench.in_doubt(job)
        match record.state:
            case JobState.QUEUED if in_doubt:  # somebody found out that it was not taken
                self._bench.give_up(job)
            case JobState.SUBMITTED if in_doubt:
                self.resume(job, record)
            case JobState.SUCCEEDED | JobState.FAILED if in_doubt or (job.task_id and job.task_id == record.task_id):
                self._forget(job)
                self._bench.recall(job, record)

    async def _save_learned(self) -> None:
        self._finished = 0
        await self._journal.save(self.account, _LEARNED, json.dumps(self._schedule.durations.to_plain()))

    async def _beat(self) -> None:
        await self._journal.lease(self.owner, LEASE)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await anyio.sleep(seconds)
            try:
                await act()
            except Exception as error:  # noqa: BLE001 - a journal of the user's own may raise anything
                logger.warning("the journal does not answer: %r", error)


def _writable(text: str) -> str:
    """Return a text without half characters, which an answer may hold and no file takes."""
    return text.encode(errors="replace").decode()
