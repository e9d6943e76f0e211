"""The steps that turn one `JobRecord` into the next: every rule of what may happen to a job. Pure.

A journal only has to read a record, ask the step, and keep the answer, as one atomic and durable act. So SQLite, or a
server shared by many machines, differ in how they store and in nothing else.

An attempt, one POST, is named by its sender and its number. Whatever is said of an attempt concerns that one alone:
after a process was cut off, a late word of it must not touch the attempt of another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeAlias

import attrs

from ..events import JobState
from .budget import Ledger, refusal
from .leases import LEASE, SENDING_LEASE
from .record import OPEN, JobRecord

_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED})
_SENT = frozenset({JobState.SENDING, JobState.UNKNOWN})
_DIED = "the process that sent it ended before the answer came"

Silence: TypeAlias = Callable[[str], float]
"""For how many seconds an owner was not heard of; infinite for one that has ended."""


@attrs.frozen
class Moment:
    """What a step may ask, as of the moment at which it is applied."""

    now: float
    """The journal's clock, in Unix seconds."""
    silence: Silence
    ledger: Callable[[str], Ledger]
    """The ledger of a scope of the record's account."""


class Step(Protocol):
    """One thing that happens to a job. It is applied by a journal, in one atomic act."""

    @property
    def id(self) -> str:
        """The record's id."""
        ...

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """Return the record as it is after this step; the very same object when nothing changes.

        `record` is None when there is none.
        """
        ...


@attrs.frozen
class Enter:
    """A session wants to work on a job: its record is made, or taken over from an owner that is no more.

    Unlike the other steps it finds the record by account, group and key, whatever its id is.
    """

    record: JobRecord
    """As it is to be when there is none yet; its `owner` is the session."""
    resend: Collection[JobState] = ()
    """Of `unknown` and `failed`: from which of them it is to be sent again, and perhaps paid again."""
    limits: Mapping[str, int] = attrs.field(factory=dict)
    """Budgets by their scopes, for whoever goes on with it."""

    @property
    def id(self) -> str:
        """See `Step.id`."""
        return self.record.id

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """See `Step.after`."""
        if record is None:
            return self.record.but(created=moment.now, updated=moment.now)
        if self.contradicts(record) or self._lives(record, moment):
            return record
        # Who enters a job works on it no more, or not yet: a session enters each only once at a time.
        mine: dict[str, Any] = {"owner": self.record.owner, "updated": moment.now}
        if record.state is JobState.SENDING:
            # Nearly always it was charged: what may be paid for is never sent again by itself.
            state = JobState.QUEUED if record.repeatable else JobState.UNKNOWN
            record = record.but(state=state, owner=None, error=_DIED, updated=moment.now)
        # What is not sent yet costs what the session that goes on with it knows of prices.
        mine_to_send = mine if self.record.request is None else {**mine, "cost": self.record.cost}
        if record.state in self.resend and record.state in (JobState.UNKNOWN, JobState.FAILED):
            return _as_new(record).but(**mine_to_send)
        if record.state is JobState.CANCELLED:
            return record.but(state=JobState.QUEUED, **mine_to_send)
        if record.state in OPEN and record.owner != self.record.owner:
            return record.but(**(mine_to_send if record.state is JobState.QUEUED else mine))
        return record

    def _lives(self, record: JobRecord, moment: Moment) -> bool:
        """Whether another owner is at work on it."""
        if record.state not in OPEN or record.owner in (None, self.record.owner):
            return False
        lease = SENDING_LEASE if record.state is JobState.SENDING else LEASE
        return moment.silence(record.owner or "") <= lease

    def contradicts(self, record: JobRecord) -> bool:
        """Whether the key belongs to another request already, or to another task."""
        mine, there = self.record.request, record.request
        same = self.record.task_id == record.task_id if mine is None else there in (None, mine)
        return not same or self.record.operation != record.operation


def _as_new(record: JobRecord) -> JobRecord:
    """Return a record that somebody decided to send again."""
    unknown = record.state is JobState.UNKNOWN
    return record.but(
        state=JobState.QUEUED,
        task_id=None,
        former=_with(record.former, record.task_id),
        credits=record.credits + record.cost * unknown,
        presumed=record.presumed + unknown,
        answer=None,
        refunded=None,
        accepted=None,
    )


def _with(former: str, task_id: str | None) -> str:
    return former if task_id is None or task_id in former.split() else f"{former} {task_id}"


@attrs.frozen
class Begin:
    """An attempt is about to leave. It may leave only if `begun` says so of the record that comes back.

    Applying it twice changes nothing more, so a journal whose answer was lost can be asked again.
    """

    id: str
    owner: str
    attempt: int
    """Its number: one more than the attempts that the owner knows of."""
    limits: Mapping[str, int] = attrs.field(factory=dict)
    """Budgets by their scopes. What exceeds one ends as cancelled."""

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """See `Step.after`."""
        if record is None or record.state is not JobState.QUEUED or record.owner != self.owner:
            return record
        if record.attempts != self.attempt - 1:
            return record
        for scope, limit in self.limits.items():
            left = moment.ledger(scope).left(limit + record.at_risk)
            if record.cost > left:
                why = refusal(record.cost, left, limit)
                return record.but(state=JobState.CANCELLED, owner=None, error=why, updated=moment.now)
        return record.but(
            state=JobState.SENDING,
            attempts=self.attempt,
            sender=self.owner,
            error=None,
            updated=moment.now,
        )

    def begun(self, record: JobRecord | None) -> bool:
        """Whether the attempt may leave."""
        return record is not None and record.state is JobState.SENDING and _is_attempt(record, self.owner, self.attempt)


def _is_attempt(record: JobRecord, owner: str, attempt: int | None) -> bool:
    return record.sender == owner and record.attempts == attempt


def _back(record: JobRecord | None, owner: str, attempt: int, error: str, now: float) -> JobRecord | None:
    """Queue a record again whose latest attempt surely was not taken."""
    if record is None or record.state not in _SENT or not _is_attempt(record, owner, attempt):
        return record
    return record.but(state=JobState.QUEUED, owner=owner, error=error, updated=now)


@attrs.frozen
class NotBegun:
    """An attempt that may have been written down surely did not leave: its sender gave it up before."""

    id: str
    owner: str
    attempt: int
    error: str

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """See `Step.after`."""
        return _back(record, self.owner, self.attempt, self.error, moment.now)


@attrs.frozen
class Refused:
    """The service surely did not take an attempt: the job waits again, for its sender.

    `final`: for what it asks. It has ended then, and only who submits it again sends it again.
    """

    id: str
    owner: str
    attempt: int
    error: str
    final: bool = False

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """See `Step.after`."""
        after = _back(record, self.owner, self.attempt, self.error, moment.now)
        if after is None or after is record or not self.final:
            return after
        return after.but(state=JobState.CANCELLED, owner=None)


@attrs.frozen
class OutcomeUnknown:
    """The answer to an attempt was lost: the service may have the job."""

    id: str
    owner: str
    attempt: int
    error: str

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """See `Step.after`."""
        if record is None or record.state is not JobState.SENDING:
            return record
        if not _is_attempt(record, self.owner, self.attempt):
            return record
        return record.but(state=JobState.UNKNOWN, owner=None, error=self.error, updated=moment.now)


@attrs.frozen
class Settled:
    """Somebody checked, and says what became of an attempt: of one with an unknown outcome, or of a task that is lost.

    `task_id`: the service has it under this id; None: it does not have it. Nothing changes while an owner lives.
    """

    id: str
    attempt: int
    task_id: str | None = None

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """See `Step.after`."""
        if record is None or record.attempts != self.attempt:
            return record
        if record.state is JobState.UNKNOWN and self.task_id is not None:
            return Accepted(self.id, self.task_id).after(record, moment)
        if record.state is JobState.UNKNOWN:
            error = "settled by hand: it was not taken"
            return record.but(state=JobState.QUEUED, owner=None, error=error, updated=moment.now)
        lives = record.owner is not None and moment.silence(record.owner) <= LEASE
        if record.state is JobState.SUBMITTED and self.task_id is None and not lives:
            gone = "settled by hand: the service does not know its task any more"
            return Finished(self.id, None, gone, refunded=False, task_id=record.task_id).after(record, moment)
        return record


def _is_presumed(record: JobRecord) -> bool:
    """Whether a task that is heard of now was charged already, when its attempt was followed by another."""
    # An attempt in flight or of unknown outcome is not: its own task is charged as soon as it is heard of.
    return record.presumed > 0 and record.state not in _SENT


@attrs.frozen
class Accepted:
    """The service has the job, under a task id; also when its outcome was unknown before.

    `owner`: who goes on with it when nobody else does. `attempt`: whose answer it was; None when nobody knows, as for a
    webhook. An id is never dropped: one that is not the latest attempt's is kept in `former`.
    """

    id: str
    task_id: str
    owner: str | None = None
    attempt: int | None = None

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """See `Step.after`."""
        if record is None or record.task_id == self.task_id or self.task_id in record.former_ids:
            return record
        latest = self.owner is not None and _is_attempt(record, self.owner, self.attempt)
        if record.state in _FINAL or (record.task_id is not None and not latest):
            return record.but(former=_with(record.former, self.task_id), updated=moment.now)
        presumed = _is_presumed(record)
        return record.but(
            state=JobState.SUBMITTED,
            owner=record.owner or self.owner,
            task_id=self.task_id,
            former=_with(record.former, record.task_id),
            credits=record.credits + record.cost * (not presumed),
            presumed=record.presumed - presumed,
            error=None,
            accepted=moment.now,
            updated=moment.now,
        )


@attrs.frozen
class Finished:
    """The job has ended at the service, with a result or an `error`. With a `task_id`: only if that is its task."""

    id: str
    answer: str | None
    error: str | None = None
    refunded: bool | None = None
    task_id: str | None = None

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """See `Step.after`."""
        if record is None or record.state in _FINAL:
            return record
        if self.task_id is not None and record.task_id not in (None, self.task_id):
            return record
        if self.task_id is not None and self.task_id in record.former_ids:
            return record
        presumed = record.task_id is None and _is_presumed(record)
        paid = record.credits + record.cost * (record.task_id is None and not presumed)
        if self.error is not None and self.refunded is not False:
            paid -= record.cost  # a task that failed is refunded, whether the service says so or not
        return record.but(
            state=JobState.SUCCEEDED if self.error is None else JobState.FAILED,
            owner=None,
            task_id=record.task_id or self.task_id,
            answer=self.answer,
            credits=paid,
            presumed=record.presumed - presumed,
            error=self.error,
            refunded=self.refunded,
            updated=moment.now,
        )


@attrs.frozen
class Released:
    """Its owner works on the job no more: whoever enters it goes on, unless it was `cancelled` before it was sent."""

    id: str
    owner: str
    cancelled: bool = False
    error: str | None = None

    def after(self, record: JobRecord | None, moment: Moment) -> JobRecord | None:
        """See `Step.after`."""
        if record is None or record.owner != self.owner or record.state is JobState.SENDING:
            return record
        state = JobState.CANCELLED if self.cancelled and record.state is JobState.QUEUED else record.state
        return record.but(state=state, owner=None, error=self.error or record.error, updated=moment.now)


@attrs.frozen
class Change:
    """What a step makes of a record and of the ledgers of its scopes; both are to be kept in one atomic act."""

    record: JobRecord | None
    ledgers: Mapping[str, Ledger]


def apply(step: Step, record: JobRecord | None, moment: Moment, *, sequence: int) -> Change | None:
    """Carry out a step on the record as it is; None when nothing changes. `sequence`: the number of the change."""
    after = step.after(record, moment)
    if after is record:
        return None
    if after is not None:
        after = after.but(sequence=sequence)
    one = after or record
    limits = step.limits if isinstance(step, Begin | Enter) else {}
    ledgers = {}
    for scope in one.scopes if one is not None else ():
        before = moment.ledger(scope)
        moved = before.moved(record, after)
        if scope in limits and limits[scope] != moved.limit:
            moved = attrs.evolve(moved, limit=limits[scope])
        if moved != before:
            ledgers[scope] = moved
    return Change(after, ledgers)
