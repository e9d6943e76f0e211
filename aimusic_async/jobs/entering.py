"""How a work enters the journal, and follows what that says of it. Pure; the laws are those of `lifecycle`."""

from __future__ import annotations

import attrs

from ..errors import JobFailed, JournalError, KeyConflict, MusicError, SubmissionUnknown
from ..events import JobState
from ..journal import steps
from ..journal.protocol import Outcome
from ..journal.record import JobRecord
from .ending import end, end_unknown, give_up, moved
from .happenings import Do, Effect, Put, Queue, Watch
from .work import Where, Work

_REMEMBERED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.UNKNOWN})
"""States of a record with which a job ends at once."""


def submitted(work: Work, record: JobRecord | None, now: float) -> list[Effect]:
    """Queue or watch it; with a journal, ask that first. The time of a direct call counts from here."""
    started: list[Effect] = [Do.START_TIMER] if work.order.direct else []
    if work.id is None and work.task_id is None:
        return [*started, Queue()]
    work.watched_since = now
    if work.id is None:
        return [Do.START_TIMER, Do.KNOWN, Watch(None)]
    if record is not None:
        return [*started, *_enter(work, record)]
    work.where = Where.ENTERING
    return [*started, Put(steps.Enter(work.new_record(), work.order.resend, work.limits))]


def _enter(work: Work, record: JobRecord) -> list[Effect]:
    """Ask for what the journal has a record of."""
    work.id, work.where = record.id, Where.ENTERING
    cost = record.cost if work.request is None else work.cost  # as priced now
    return [Put(steps.Enter(attrs.evolve(record, owner=work.rules.owner, cost=cost)))]


def entered(work: Work, step: steps.Enter, outcome: Outcome, now: float) -> list[Effect]:
    """Go on as the journal's answer says."""
    if work.where is not Where.ENTERING:
        return []
    if work.awaiting is not None and (outcome.error is not None or outcome.record is None):
        return end_unknown(work, work.awaiting)
    if outcome.error is not None:
        return end(work, JobState.FAILED, outcome.error, steps.Released(step.id, work.rules.owner))
    if outcome.record is None:
        return end(work, JobState.FAILED, gone(work))
    if step.contradicts(outcome.record):
        known = outcome.record
        return conflict(work, step, known.request or f"{known.operation}, task {known.task_id}")
    return as_recorded(work, outcome.record, now)


def conflict(work: Work, step: steps.Enter, kept: str) -> list[Effect]:
    """End it: its key belongs to another request."""
    mine = step.record
    given = mine.request or f"{mine.operation}, task {mine.task_id}"
    work.where = Where.ELSEWHERE
    return end(work, JobState.FAILED, KeyConflict(work.job, kept, given))


def gone(work: Work) -> JournalError:
    """Say that somebody removed its record."""
    return JournalError(f"{work.key}: its record is gone from the journal; submit it again", passing=False)


def as_recorded(work: Work, record: JobRecord, now: float) -> list[Effect]:
    """Go on as the record says."""
    work.id, work.attempt, work.former = record.id, record.attempts, record.former_ids
    work.begun = work.attempting = False
    work.sent_here = work.sent_here and work.awaiting is not None
    effects: list[Effect] = [] if work.recorded else [Do.RECORDED]
    work.recorded = True
    work.order = attrs.evolve(work.order, resend=()) if work.order.resend else work.order
    mine = record.owner == work.rules.owner
    if record.state is JobState.QUEUED and mine:
        work.where = Where.HERE
        if work.awaiting is not None:  # somebody found out that it was not taken, and may submit it again
            return end_unknown(work, work.awaiting)
        if work.request is None:
            unknown = JournalError(f"{work.key}: its task is unknown by now; submit its request again", passing=False)
            return [*effects, *give_up(work, unknown)]
        work.task_id, work.credits = None, record.credits
        return [*effects, *moved(work, JobState.QUEUED), Queue()]
    if record.state in _REMEMBERED:
        return [*effects, *_restore(work, record)]
    work.where = Where.HERE if mine else Where.ELSEWHERE
    effects += _take_id(work, record)
    if mine and record.state is JobState.SUBMITTED:
        work.watched_since, work.known = now, work.known or record.accepted is not None
        age = None if record.accepted is None else max((record.updated - record.accepted) * work.rules.speed, 0.0)
        effects += [Do.START_TIMER, Watch(age, exact=False)]
    return effects


def _take_id(work: Work, record: JobRecord) -> list[Effect]:
    """Know what the journal knows of a task."""
    work.credits = record.credits
    if record.task_id is None or record.state is not JobState.SUBMITTED:
        return []
    work.awaiting = None
    work.task_id = record.task_id
    return [*moved(work, JobState.SUBMITTED), Do.KNOWN]


def _restore(work: Work, record: JobRecord) -> list[Effect]:
    """End as an earlier run, or another process, saw it end."""
    work.where = Where.ELSEWHERE  # nothing is to be written down
    work.task_id, work.credits, work.answer = record.task_id, record.credits, record.answer
    why = record.error or "the journal does not say why"
    error: MusicError | None = None
    if record.state is JobState.FAILED:
        error = JobFailed(work.job, why, refunded=record.refunded)
    elif record.state is JobState.UNKNOWN:
        error = SubmissionUnknown(work.job, why)
    return end(work, record.state, error)


def heard(work: Work, record: JobRecord) -> list[Effect]:
    """Follow what others found out, by a webhook, by hand, or by working on the job."""
    known = record.task_id is not None and record.task_id == work.task_id
    if work.where is Where.ELSEWHERE:
        if record.owner is None:
            return [Do.REENTER]
        return _take_id(work, record)
    if work.where is not Where.HERE or work.in_flight:
        return []  # what is under way finds out by itself
    if work.awaiting is not None and record.state is JobState.QUEUED:  # somebody found out that it was not taken
        return end_unknown(work, work.awaiting)
    if record.state in (JobState.SUCCEEDED, JobState.FAILED) and (work.awaiting is not None or known):
        return [Do.WITHDRAW, *_restore(work, record)]
    waits = work.state is JobState.QUEUED or work.awaiting is not None
    if record.state is JobState.SUBMITTED and waits and record.task_id not in work.former:
        return [Do.WITHDRAW, *_enter(work, record)]
    return []
