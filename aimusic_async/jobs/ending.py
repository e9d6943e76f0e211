"""How a work ends, and the last steps of its record. Pure; the laws are those of `lifecycle`."""

from __future__ import annotations

import json

from ..errors import JobCancelled, JobFailed, MusicError, SubmissionUnknown
from ..events import JobState
from ..journal import steps
from ..journal.record import storable
from .happenings import Do, Effect, Put, Say
from .work import Where, Work


def give_up(work: Work, error: MusicError) -> list[Effect]:
    """End without a result, not in mid-POST: the service may have it all the same, if anything was paid for it."""
    state = JobState.DETACHED if work.task_id or work.credits else JobState.CANCELLED
    by_hand = state is JobState.CANCELLED and isinstance(error, JobCancelled) and not work.released
    return end(work, state, error, *let_go(work, error, cancelled=by_hand))


def let_go(work: Work, error: MusicError, *, cancelled: bool = False) -> list[steps.Step]:
    """Return the steps that release its record."""
    if work.id is None or work.where is Where.ELSEWHERE:
        return []
    back = [effect.step for effect in not_begun(work, str(error)) if isinstance(effect, Put)]
    return [*back, steps.Released(work.id, work.rules.owner, cancelled, storable(str(error)))]


def finished(work: Work, failure: JobFailed | None) -> steps.Step | None:
    """Return the step that keeps how it ended."""
    if work.id is None:
        return None
    try:
        answer = storable(json.dumps(work.raw))
    except (RecursionError, ValueError) as error:  # its task can be polled again, for nothing
        return steps.Released(work.id, work.rules.owner, error=f"the answer cannot be written down: {error!r}")
    if failure is None:
        return steps.Finished(work.id, answer, task_id=work.task_id)
    return steps.Finished(work.id, answer, storable(failure.reason), failure.refunded, work.task_id)


def succeed(work: Work) -> list[Effect]:
    """End with the result that it has."""
    return end(work, JobState.SUCCEEDED, None, finished(work, None))


def end(work: Work, state: JobState, error: MusicError | None, *last: steps.Step | None) -> list[Effect]:
    """End, once its last steps are written down."""
    puts = [Put(step) for step in last if step is not None]
    work.state, work.error, work.in_flight, work.awaiting = state, error, False, None
    return [*puts, Do.END]


def end_unknown(work: Work, error: MusicError, *last: steps.Step | None) -> list[Effect]:
    """End with an unknown outcome. Its record is nobody's then, also when the journal knows its task already."""
    released = steps.Released(work.id, work.rules.owner) if work.id is not None else None
    return end(work, JobState.UNKNOWN, error, *last, released)


def outcome_unknown(work: Work, error: MusicError) -> list[Effect]:
    """End as unknown, or wait for a webhook that may report what became of it."""
    unknown = SubmissionUnknown(work.job, str(error))
    unknown.__cause__ = error
    step = None
    work.begun = work.attempting = False
    if work.id is not None:
        step = steps.OutcomeUnknown(work.id, work.rules.owner, work.attempt, storable(unknown.reason))
    if not work.hooked or work.ending is not None:
        return end_unknown(work, unknown, step)
    work.awaiting = unknown
    text = f"{work.key}: the answer was lost; a webhook may still report what became of it"
    return [*([Put(step)] if step is not None else []), Say(text), Do.AWAIT]


def moved(work: Work, state: JobState) -> list[Effect]:
    """Go to an open state."""
    if work.state is state:
        return []
    work.state = state
    return [Do.CHANGED]


def not_begun(work: Work, why: str) -> list[Effect]:
    """Take back an attempt that may have been written down, and surely does not leave."""
    if work.id is None or not work.attempting:
        return []
    work.begun = work.attempting = False
    return [Put(steps.NotBegun(work.id, work.rules.owner, work.attempt, storable(why)))]


def refused(work: Work, why: object, *, final: bool = False) -> list[Effect]:
    """Write down that the attempt surely was not taken, or may be repeated."""
    work.begun = False
    if work.id is None or not work.attempting:
        return []
    work.attempting = False
    return [Put(steps.Refused(work.id, work.rules.owner, work.attempt, storable(str(why)), final))]
