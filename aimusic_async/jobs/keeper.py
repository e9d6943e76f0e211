"""What ties the jobs of a session to its journal: each is entered before it is queued, and written down as it goes."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol, TypeAlias

import anyio
import attrs

from ..api.plain import to_plain
from ..api.request import Answer
from ..api.wire import Progress
from ..errors import JobFailed, JournalError, KeyConflict
from ..events import JobState, logger
from .durations import Durations
from .job import Job
from .journal import (
    Accepted,
    Begin,
    Doubted,
    Enter,
    Finished,
    JobJournal,
    JobRecord,
    Outcome,
    Refused,
    Released,
    Step,
    as_text,
    record_id,
)
from .owner import owner_name
from .schedule import Schedule

LEASE = 200.0
"""Seconds for which a session is taken for alive after it last said so: longer than any POST may take."""
_HEARTBEAT = 15.0
_LOOK_AGAIN = 1.0
"""Seconds between two looks at jobs that another process works on. They cost no token."""
_AT_ONCE = 500
"""Steps that are handed over together: enough to share a sync, few enough to leave the loop to others."""
_LEARNED = "durations"
_SAVE_AFTER = 10
"""Finished jobs after which what was learned is saved."""
_FLUSH_WITHIN = 10.0
"""Seconds that closing waits for a journal that hangs."""

_NOT_TAKEN = frozenset({JobState.FAILED, JobState.CANCELLED})
_OVERLAP = 1.0
"""Seconds that are looked at once more: what was written at the same time may not have been seen."""
_SETTLED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.UNKNOWN})

Then: TypeAlias = Callable[[Outcome | JournalError], None]


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
        self._line: deque[tuple[Step, Then | None]] = deque()
        self._news = asyncio.Event()
        self._quiet = asyncio.Event()  # set while nothing is to be written
        self._quiet.set()
        self._ended: JournalError | None = None
        self._attached: deque[Job[Any]] = deque()  # to be looked up
        self._ids: dict[Job[Any], str] = {}  # the records of the jobs that have not ended
        self._begun: dict[Job[Any], int] = {}  # written down as about to be sent, for the how manieth time
        self._working: dict[str, Job[Any]] = {}  # by the ids of their records, which are this session's
        self._elsewhere: dict[Job[Any], Enter] = {}  # others work on them: other processes, or other jobs here
        self.others_tell: bool = False
        """Whether other processes may learn, by webhooks, what becomes of the jobs of this one."""
        self._heard = 0.0  # by when, on the journal's clock, what others told is known
        self._finished = 0  # since what was learned was saved last

    # --- opening and closing -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Say that this session lives, and know again what earlier ones learned. Raises `JournalError`."""
        await self._journal.lease(self.owner, LEASE)
        if text := await self._journal.load(self.account, _LEARNED):
            self._schedule.durations = Durations.from_plain(json.loads(text))

    async def run(self) -> None:
        """Write down what comes, until cancelled."""
        try:
            async with anyio.create_task_group() as work:
                work.start_soon(self._write)
                work.start_soon(self._every, _LOOK_AGAIN, self._look_again)
                work.start_soon(self._every, _HEARTBEAT, self._beat)
        finally:
            self._ended = JournalError("the session has ended; nothing more is written down")
            while self._line:
                _answer([self._line.popleft()], [self._ended])
            self._quiet.set()

    async def close(self) -> None:
        """Write down what is in the line, and leave the open records to others. Call it while `run` runs."""
        with anyio.move_on_after(_FLUSH_WITHIN, shield=True) as limit:
            await self.written()
            try:
                await self._save_learned()
                await self._journal.lease(self.owner, 0)
            except JournalError as error:
                logger.warning("the journal could not be closed well: %s", error)
        if limit.cancelled_caught:
            logger.warning("the journal does not answer; it was left after %g seconds", _FLUSH_WITHIN)

    async def written(self) -> None:
        """Wait until everything that happened so far is written down, or could not be."""
        await self._quiet.wait()

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

    async def _attach(self, job: Job[Any]) -> None:
        try:
            found = await self._journal.find(self.account, task_id=job.task_id, limit=1)
        except JournalError as error:
            if not job.done():
                job._fail(error)
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

    def works_on(self, record: JobRecord) -> bool:
        """Whether a job of this session has that record."""
        return record.id in self._working

    async def begin(self, job: Job[Any]) -> bool:
        """Write down that a job is about to be sent; only on True may it be. Raises `JournalError`.

        False: another process has taken it over; what that makes of it is followed from here on.
        """
        if (job_id := self._ids.get(job)) is None:
            return True  # a free request, of which nothing is kept
        outcome = await self._put_and_wait(Begin(job_id, self.owner))
        if outcome.changed and outcome.record is not None:
            self._begun[job] = outcome.record.attempts
        elif outcome.record is not None and self._working.pop(job_id, None) is job:
            self.resume(job, outcome.record)
        return outcome.changed

    async def accepted(self, job: Job[Any], task_id: str) -> None:
        """Write down the task id of a job; if that fails, it is told in the log."""
        if job not in self._ids:
            return
        self._begun.pop(job, None)
        try:
            outcome = await self._put_and_wait(Accepted(self._ids[job], task_id, self.owner))
        except JournalError as error:
            logger.error("%s: its task id %s could not be written down: %s", job.key, task_id, error)
            return
        if outcome.record is not None and outcome.record.task_id != task_id:
            logger.error("%s is task %s, and was task %s before", job.key, task_id, outcome.record.task_id)

    def doubted(self, job: Job[Any], reason: str) -> None:
        """Note that the answer to a job's POST was lost."""
        self._begun.pop(job, None)
        self._put(Doubted(self._ids[job], self.owner, reason))

    def taken(self, job: Job[Any], task_id: str) -> None:
        """Note the task id of a job that was in doubt."""
        self._put(Accepted(self._ids[job], task_id, self.owner))

    def told(self, job_id: str, task_id: str, answer: str | None = None, failure: Progress[Any] | None = None) -> None:
        """Note what the service said of a job that nobody here works on; with an `answer` it has ended."""
        if answer is None:
            self._put(Accepted(job_id, task_id))
        elif failure is None:
            self._put(Finished(job_id, answer, task_id=task_id))
        else:
            self._put(Finished(job_id, answer, failure.reason, failure.refunded, task_id=task_id))

    def sent_back(self, job: Job[Any], reason: str) -> None:
        """Note that a job that was begun was surely not taken, and waits again."""
        attempt = self._begun.pop(job, None)
        if job_id := self._ids.get(job):
            self._put(Refused(job_id, self.owner, reason, attempt=attempt))

    def ended(self, job: Job[Any]) -> None:
        """Note how a job ended; one that was left may be gone on with by others."""
        if (job_id := self._ids.get(job)) is None:
            return
        if self._working.get(job_id) is job:
            if job in self._begun and job.state in _NOT_TAKEN and not isinstance(job.exception(), JobFailed):
                self.sent_back(job, str(job.exception()))
            self._put(self._last_step(job, job_id))
            self._finished += job.state is JobState.SUCCEEDED
        self._forget(job)

    def _last_step(self, job: Job[Any], job_id: str) -> Step:
        error = job.exception()
        told = None if error is None else str(error)
        match job.state:
            case JobState.SUCCEEDED:
                return Finished(job_id, json.dumps(job.raw), task_id=job.task_id)
            case JobState.FAILED if isinstance(error, JobFailed):
                answer = json.dumps(job.raw)
                return Finished(job_id, answer, error.reason, error.refunded, job.task_id)
            case JobState.UNKNOWN:
                return Doubted(job_id, self.owner, told or "")
            case state:
                cancelled = state is JobState.CANCELLED and not job._left
                return Released(job_id, self.owner, cancelled=cancelled, error=told)

    # --- entering ----------------------------------------------------------------------------------------------------

    def _enter(self, job: Job[Any], step: Enter) -> None:
        if self._working.setdefault(step.id, job) is job:
            self._put(step, lambda outcome: self._entered(job, step, outcome))
        else:
            self._elsewhere[job] = step

    def _entered(self, job: Job[Any], step: Enter, outcome: Outcome | JournalError) -> None:
        if job.done():  # given up meanwhile; what became of its record is in the line already
            return
        if isinstance(outcome, JournalError):
            self._forget(job)
            job._fail(outcome)
            return
        record = outcome.record
        assert record is not None
        mine = record.owner == self.owner
        if step.contradicts(record):
            self._forget(job)
            job._fail(KeyConflict(job, record.request or record.operation, step.record.request or record.operation))
        elif record.state is JobState.QUEUED and mine:
            self._elsewhere.pop(job, None)
            self._bench.queue(job)
        elif record.state is JobState.SUBMITTED and mine:
            self._elsewhere.pop(job, None)
            self._bench.take_up(job, record)
        elif record.state in _SETTLED:
            self._forget(job)
            self._bench.recall(job, record)
        else:
            self._working.pop(step.id, None)
            self._elsewhere[job] = step
            self._bench.follow(job, record)

    def _forget(self, job: Job[Any]) -> None:
        job_id = self._ids.pop(job)
        if self._working.get(job_id) is job:
            del self._working[job_id]
        self._elsewhere.pop(job, None)
        self._begun.pop(job, None)

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
        for job, step in tuple(self._elsewhere.items()):
            self._enter(job, step)
        if self._finished >= _SAVE_AFTER:
            await self._save_learned()
        if self.others_tell:
            await self._hear_others()

    async def _hear_others(self) -> None:
        """End the jobs of which another process was told, by a webhook, how they ended."""
        states = (JobState.SUCCEEDED, JobState.FAILED)
        for record in await self._journal.find(self.account, states=states, changed_since=self._heard):
            self._heard = max(self._heard, record.updated - _OVERLAP)
            if (job := self._working.get(record.id)) is not None and not job.done():
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
            except JournalError as error:
                logger.warning("the journal does not answer: %s", error)

    # --- writing -----------------------------------------------------------------------------------------------------

    def _put(self, step: Step, then: Then | None = None) -> None:
        if self._ended is not None:
            _answer([(step, then)], [self._ended])
            return
        self._line.append((step, then))
        self._quiet.clear()
        self._news.set()

    async def _put_and_wait(self, step: Step) -> Outcome:
        done: asyncio.Future[Outcome | JournalError] = asyncio.get_running_loop().create_future()
        self._put(step, lambda outcome: None if done.done() else done.set_result(outcome))
        outcome = await done
        if isinstance(outcome, JournalError):
            raise outcome
        return outcome

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._attached:
                await self._attach(self._attached.popleft())
            while batch := [self._line.popleft() for _ in range(min(len(self._line), _AT_ONCE))]:
                await self._write_together(batch)
            self._quiet.set()

    async def _write_together(self, batch: list[tuple[Step, Then | None]]) -> None:
        outcomes: Sequence[Outcome | JournalError] = [JournalError("the session ended meanwhile")] * len(batch)
        try:
            outcomes = await self._journal.apply([step for step, _ in batch])
        except JournalError as error:
            outcomes = [error] * len(batch)
            logger.warning("%s", error)
        finally:
            _answer(batch, outcomes)


def _answer(batch: Sequence[tuple[Step, Then | None]], outcomes: Sequence[Outcome | JournalError]) -> None:
    for (_, then), outcome in zip(batch, outcomes, strict=True):
        if then is not None:
            then(outcome)
