"""The steps that turn one `JobRecord` into the next: every rule of what may happen to a job. Pure.

A journal only has to read a record, ask the step, and keep the answer, as one atomic and durable act. So SQLite, or a
server shared by many machines, differ in how they store and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeAlias

import attrs

from ..events import JobState
from .record import OPEN, JobRecord

Alive: TypeAlias = Callable[[str], bool]
"""Whether an owner's lease still runs."""

_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED})
_DIED = "the process that sent it ended before the answer came"


class Step(Protocol):
    """One thing that happens to a job. It is applied by a journal, in one atomic act."""

    @property
    def id(self) -> str:
        """The record's id."""
        ...

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:
        """Return the record as it is after this step; the very same object when nothing changes.

        `record` is None when there is none. `now` is the journal's clock.
        """
        ...


# --- the steps -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Enter:
    """A session wants to work on a job: its record is made, or taken over from an owner that is no more."""

    record: JobRecord
    """As it is to be when there is none yet; its `owner` is the session."""
    resend: Collection[JobState] = ()
    """Of `unknown` and `failed`: from which of them it is to be sent anew, and perhaps paid anew."""

    @property
    def id(self) -> str:
        """See `Step.id`."""
        return self.record.id

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:
        """See `Step.after`."""
        if record is None:
            return attrs.evolve(self.record, created=now, updated=now)
        if self.contradicts(record):
            return record

        others = record.owner is not None and record.owner != self.record.owner
        if record.state in OPEN and others and alive(record.owner or ""):
            return record
        # Who enters a job works on it no more, or not yet: a session enters each only once at a time.
        mine: dict[str, Any] = {"owner": self.record.owner, "updated": now}
        if record.state is JobState.SENDING:
            # Nearly always it was charged: what may be paid for is never sent again by itself.
            state = JobState.QUEUED if record.repeatable else JobState.UNKNOWN
            record = attrs.evolve(record, state=state, owner=None, error=_DIED, updated=now)
        if record.state in self.resend and record.state in (JobState.UNKNOWN, JobState.FAILED):
            in_doubt = record.state is JobState.UNKNOWN
            anew: dict[str, Any] = {
                "state": JobState.QUEUED,
                "task_id": None,
                "former": f"{record.former} {record.task_id}" if record.task_id else record.former,
                "credits": record.credits + record.cost * in_doubt,
                "answer": None,
                "refunded": None,
                "accepted": None,
            }
            return attrs.evolve(record, **anew, **mine)
        if record.state is JobState.CANCELLED:
            return attrs.evolve(record, state=JobState.QUEUED, **mine)
        if record.state in OPEN and record.owner != self.record.owner:
            return attrs.evolve(record, **mine)
        return record

    def contradicts(self, record: JobRecord) -> bool:
        """Whether the key belongs to another request already, or to another task."""
        mine, there = self.record.request, record.request
        same = self.record.task_id == record.task_id if mine is None else there in (None, mine)
        return not same or self.record.operation != record.operation


@attrs.frozen
class Begin:
    """The POST is about to leave. Who sees `changed` may send it; nobody else may."""

    id: str
    owner: str

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.state is not JobState.QUEUED or record.owner != self.owner:
            return record
        sending: dict[str, Any] = {"state": JobState.SENDING, "attempts": record.attempts + 1, "error": None}
        return attrs.evolve(record, **sending, updated=now)


@attrs.frozen
class Accepted:
    """The service has the job, under a task id; also when that was in doubt before.

    With an `owner`, that one goes on with it when nobody else does.
    """

    id: str
    task_id: str
    owner: str | None = None

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.state in _FINAL or record.task_id is not None:
            return record
        if self.task_id in record.former.split():
            return record
        return attrs.evolve(
            record,
            state=JobState.SUBMITTED,
            owner=record.owner or self.owner,
            task_id=self.task_id,
            credits=record.credits + record.cost,
            error=None,
            accepted=now,
            updated=now,
        )


@attrs.frozen
class Refused:
    """The service surely did not take the job. It may be sent again, by this owner or, if it is `left`, by any.

    With an `attempt`, a word that comes too late changes nothing: a later attempt may be in doubt by then.
    """

    id: str
    owner: str
    error: str
    left: bool = False
    attempt: int | None = None

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        sent = (JobState.SENDING, JobState.UNKNOWN)
        if record is None or record.state not in sent or record.owner not in (self.owner, None):
            return record
        if self.attempt not in (None, record.attempts):
            return record
        owner = None if self.left else self.owner
        return attrs.evolve(record, state=JobState.QUEUED, owner=owner, error=self.error, updated=now)


@attrs.frozen
class Doubted:
    """The answer to the POST was lost: the service may have the job."""

    id: str
    owner: str
    error: str

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.state is not JobState.SENDING or record.owner != self.owner:
            return record
        return attrs.evolve(record, state=JobState.UNKNOWN, owner=None, error=self.error, updated=now)


@attrs.frozen
class Finished:
    """The job has ended at the service, with a result or an `error`. With a `task_id`: only if that is its task."""

    id: str
    answer: str | None
    error: str | None = None
    refunded: bool | None = None
    task_id: str | None = None

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.state in _FINAL:
            return record
        if self.task_id is not None and record.task_id not in (None, self.task_id):
            return record
        if self.task_id is not None and self.task_id in record.former.split():
            return record
        paid = record.credits + record.cost * (record.task_id is None)
        if self.error is not None and self.refunded is not False:
            paid -= record.cost  # a task that failed is refunded, whether the service tells so or not
        return attrs.evolve(
            record,
            state=JobState.SUCCEEDED if self.error is None else JobState.FAILED,
            owner=None,
            task_id=record.task_id or self.task_id,
            answer=self.answer,
            credits=paid,
            error=self.error,
            refunded=self.refunded,
            updated=now,
        )


@attrs.frozen
class Released:
    """Its owner works on the job no more: whoever enters it goes on, unless it was `cancelled` before it was sent."""

    id: str
    owner: str
    cancelled: bool = False
    error: str | None = None

    def after(self, record: JobRecord | None, *, now: float, alive: Alive) -> JobRecord | None:  # noqa: ARG002
        """See `Step.after`."""
        if record is None or record.owner != self.owner or record.state is JobState.SENDING:
            return record
        state = JobState.CANCELLED if self.cancelled and record.state is JobState.QUEUED else record.state
        return attrs.evolve(record, state=state, owner=None, error=self.error or record.error, updated=now)
