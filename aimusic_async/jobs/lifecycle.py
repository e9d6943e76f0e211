"""`advance`: what an event makes of a `Work`, and which effects follow. Everything that can happen to a job. Pure.

The laws: nothing is sent without `begun`; each end has its step before it; an event on an ended work changes nothing; a
job of unknown outcome waits again only by somebody's decision or by the very attempt's own refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..api.request import Answer
from ..api.results import Credits
from ..api.wire import Reply, SongEvent, TaskState, find_task_id, read_now, read_task, read_task_id
from ..errors import (
    ApiError,
    AuthenticationError,
    BudgetExceeded,
    InsufficientCredits,
    JobTimeout,
    JournalError,
    MusicError,
    RateLimited,
    ServerError,
    SubscriptionRequired,
)
from ..events import JobState
from ..journal import steps
from ..journal.budget import OVER_BUDGET
from ..journal.protocol import Outcome
from ..journal.record import OPEN, JobRecord, storable
from ..scheduling.retry import Again, GiveUp, OutcomeUnknown, Repeat
from . import happenings as on
from .ending import end, end_unknown, give_up, let_go, moved, not_begun, outcome_unknown, refused, succeed
from .entering import as_recorded, conflict, entered, gone, heard, submitted
from .happenings import Credited, Delivery, Do, Effect, PollAt, Put, Queue, Report, Say, Sign, Watch
from .polling import judge, not_polled, polled, progressed
from .work import Where, Work

_REPEAT_INTERVAL = 6.0
"""Seconds between the first two requests of an operation that has to be asked again until it is ready."""
_READY_WITHIN = 600.0
"""Seconds after which it is given up: such things take a minute."""
_ENDS = frozenset({SongEvent.COMPLETED, SongEvent.FAILED})
_OF_THE_ACCOUNT = (AuthenticationError, InsufficientCredits, SubscriptionRequired, RateLimited, ServerError)


def advance(work: Work, event: on.Event, now: float) -> list[Effect]:
    """Let an event happen to a work; return what is to be done, in order. `now`: seconds of the service."""
    effects = _late(work, event) if work.done else _HANDLERS[type(event)](work, event, now)
    if work.order.budgets and (committed := work.committed) != work.counted:
        for budget in work.order.budgets:
            budget.committed += committed - work.counted
        work.counted = committed
    return effects


def _taken(work: Work, event: on.Taken) -> list[Effect]:
    if event.conflict is not None:
        return conflict(work, steps.Enter(work.new_record()), event.conflict)
    work.where, work.order = Where.ELSEWHERE, attrs.evolve(work.order, resend=())  # the other is sent again
    if not event.recorded or work.recorded:
        return []
    work.recorded = True
    return [Do.RECORDED]


def _stored(work: Work, event: on.Stored, now: float) -> list[Effect]:
    match event.step:
        case steps.Enter() as step:
            return entered(work, step, event.outcome, now)
        case steps.Begin() as step:
            return _begun(work, step, event.outcome, now)
    return []


def _signed(work: Work, event: Sign, now: float) -> list[Effect]:
    match event:
        case Sign.GRANTED:
            return _granted(work, now)
        case Sign.DEPARTED:
            work.departed = True
            return []
        case Sign.STALE:
            work.in_flight = False
            if work.state is not JobState.SENDING:  # a webhook was faster: the service has it
                return []
            return give_up(work, work.ending) if work.ending else [*moved(work, JobState.QUEUED), Queue(0.0)]


def _excluded(work: Work, event: on.Excluded) -> list[Effect]:
    if work.state is not JobState.QUEUED:
        return []
    return end(work, JobState.FAILED, event.error, *let_go(work, event.error))


# --- sending -------------------------------------------------------------------------------------------------------


def _granted(work: Work, now: float) -> list[Effect]:
    if work.state is not JobState.QUEUED:
        return []  # it was taken before
    for budget in work.order.budgets:
        if why := budget.refuses(work.cost - work.counted):
            over = BudgetExceeded(work.job, why)
            return end(work, JobState.FAILED, over, *let_go(work, over, cancelled=True))
    work.sent_here, work.departed = True, False
    effects = moved(work, JobState.SENDING)
    if work.id is None or work.may_leave(now):
        work.in_flight = True
        return [*effects, Do.SEND]
    effects += not_begun(work, "waited too long for its turn")
    work.attempt, work.attempting, work.asked_at = work.attempt + 1, True, now
    return [*effects, Put(steps.Begin(work.id, work.rules.owner, work.attempt, work.limits))]


def _begun(work: Work, step: steps.Begin, outcome: Outcome, now: float) -> list[Effect]:
    record = outcome.record
    if step.attempt != work.attempt or work.state is not JobState.SENDING:
        return []  # it is known by now what became of it
    if outcome.error is not None:
        not_sent = JournalError(f"{work.key} was not sent: {outcome.error}", passing=False)
        return end(work, JobState.FAILED, not_sent, *let_go(work, not_sent))
    if step.begun(record):
        work.begun = True
        if not work.may_leave(now):
            late = not_begun(work, "the journal took too long")
            return [*late, *moved(work, JobState.QUEUED), Queue(0.0)]
        work.in_flight = True
        return [Do.SEND]
    if record is None:
        return end(work, JobState.FAILED, gone(work))
    if record.state is JobState.CANCELLED and OVER_BUDGET in (record.error or ""):
        return end(work, JobState.FAILED, BudgetExceeded(work.job, record.error))
    if record.state is JobState.CANCELLED:
        return [*moved(work, JobState.QUEUED), Do.REENTER]
    return [*moved(work, JobState.QUEUED), *as_recorded(work, record, now)]  # another process has it


def _answered(work: Work, reply: Reply, now: float) -> list[Effect]:
    request = work.request
    assert request is not None
    work.in_flight = False
    if work.state is JobState.SUBMITTED:  # a webhook was faster
        return _late(work, on.Answered(reply))
    work.raw = reply.body
    try:
        if _makes_task(work) and (request.answer is Answer.TASK or find_task_id(reply) is not None):
            return _accepted(work, read_task_id(request, reply), now, attempt=work.attempt)
        return _has_answer(work, read_now(request, reply), now)
    except MusicError as error:
        return _failed(work, error)


def _makes_task(work: Work) -> bool:
    return work.request is not None and (work.request.answer is Answer.TASK or work.operation.endpoint.may_be_task)


def _accepted(work: Work, task_id: str, now: float, *, attempt: int | None) -> list[Effect]:
    """The service has it."""
    work.task_id = task_id = storable(task_id)
    work.credits, work.tries, work.trouble = work.cost, 0, None
    work.begun, work.attempting, work.awaiting, work.known = False, False, None, True
    effects: list[Effect] = [Do.WENT_WELL, Credited(work.cost)]
    if work.id is not None:
        effects.append(Put(steps.Accepted(work.id, task_id, work.rules.owner, attempt)))
    effects += [*moved(work, JobState.SUBMITTED), Do.KNOWN]
    if work.ending is not None:
        text = f"{work.key} was given up while it was sent; the service has it as task {task_id}"
        return [*effects, *give_up(work, work.ending), Say(text)]
    work.watched_since = now
    return [*effects, Do.START_TIMER, Watch(0.0)]


def _has_answer(work: Work, result: object | None, now: float) -> list[Effect]:
    """It was answered at once; None: it has to be asked again."""
    work.credits, work.tries, work.trouble = work.cost, 0, None
    if isinstance(result, Credits):
        work.result = result
        return [Do.WENT_WELL, Credited(result.total), *succeed(work)]
    if result is not None:
        work.result = result
        return [Do.WENT_WELL, *succeed(work)]
    work.asked_since = now if work.asked_since is None else work.asked_since
    waited = now - work.asked_since
    if waited > min(_READY_WITHIN, work.rules.stuck_after):
        late = JobTimeout(work.job, f"was still not ready after {waited:.0f} seconds")
        return [Do.WENT_WELL, *refused(work, late), *give_up(work, late)]
    again = _again(work, max(_REPEAT_INTERVAL, waited / 10), "not ready yet")
    return [Do.WENT_WELL, Do.START_TIMER, *again]


def _again(work: Work, seconds: float, why: object) -> list[Effect]:
    effects = refused(work, why)
    if work.ending is not None:
        return [*effects, *give_up(work, work.ending)]
    return [*effects, *moved(work, JobState.QUEUED), Queue(seconds)]


def _failed(work: Work, error: MusicError) -> list[Effect]:
    """Decide what becomes of a job whose submit or call failed."""
    request = work.request
    assert request is not None
    work.in_flight = False
    if work.state is JobState.SUBMITTED:  # a webhook was faster
        return [Report(error)] if isinstance(error, RateLimited) else []
    free = request.endpoint.method != "POST" or request.answer is Answer.REPEAT
    verdict, effects = judge(work, error, Repeat.FREE if free else Repeat.NEVER)
    match verdict:
        case Again(delay=seconds):
            return [*effects, *_again(work, seconds, error)]
        case OutcomeUnknown():
            return [*effects, *outcome_unknown(work, error), Report(error)]
        case GiveUp() if work.ending is not None:
            return [*effects, *refused(work, error), *give_up(work, work.ending)]
        case GiveUp() if isinstance(error, InsufficientCredits) and not work.order.direct:
            return [*effects, *_again(work, 0.0, error), Report(error)]
        case GiveUp():
            # What the service refused for what it asks is not resumed either.
            final = isinstance(error, ApiError) and not isinstance(error, _OF_THE_ACCOUNT)
            effects += refused(work, error, final=final)
            effects += end(work, JobState.FAILED, error, *let_go(work, error))
            if isinstance(error, AuthenticationError | SubscriptionRequired):
                effects.append(Report(error))
            return effects


# --- what the service says of a task -------------------------------------------------------------------------------


def _delivered(work: Work, delivery: Delivery, now: float) -> list[Effect]:
    task_id = storable(delivery.task_id or "")
    if not task_id:  # it is the job's all the same, and says that something became of one of its tasks
        return [PollAt(now) if work.task_id else Say(f"{work.key}: a webhook names no task, and none is known yet")]
    if work.task_id != task_id and task_id in work.former:
        return []
    effects: list[Effect] = []
    if work.task_id is None:
        # It may even wait to be sent again, after an attempt whose outcome was unknown: this is that outcome.
        if not work.in_flight:
            work.sent_here = work.sent_here and work.awaiting is not None
            effects += [Do.WITHDRAW, *not_begun(work, "a webhook says that it was taken before")]
        effects += _accepted(work, task_id, now, attempt=None)
    elif work.task_id != task_id:
        return _also(work, task_id)
    if work.done:
        return effects
    try:
        progress = read_task(work.operation, task_id, delivery.reply)
    except ApiError as error:
        return [*effects, Say(f"{work.key}: a webhook makes no sense, so its task is polled: {error}"), PollAt(now)]
    more_to_see = delivery.event in _ENDS and progress.state is TaskState.RUNNING
    return [*effects, *progressed(work, progress, now, just_now=True), *([PollAt(now)] if more_to_see else [])]


def _also(work: Work, task_id: str) -> list[Effect]:
    """Keep the id of another attempt's task: it was paid for, too."""
    if task_id == work.task_id or task_id in work.former:
        return []
    work.former |= {task_id}
    put = [Put(steps.Accepted(work.id, task_id))] if work.id is not None else []
    is_task = f"{work.key} is task {work.task_id}, and the" if work.task_id else f"{work.key} has ended, and the"
    return [*put, Say(f"{is_task} service has another attempt of it as task {task_id}")]


# --- ending --------------------------------------------------------------------------------------------------------


def _given_up(work: Work, error: MusicError, *, released: bool) -> list[Effect]:
    if isinstance(error, JobTimeout):
        error.__cause__ = work.trouble
    if work.awaiting is not None:
        return end_unknown(work, work.awaiting)
    if work.ending is None:
        work.released = released
    if work.in_flight and work.state is JobState.SENDING:  # what may be paid for is finished, and its id kept
        work.ending = work.ending or error
        return []
    return give_up(work, error)


def _broke(work: Work, error: MusicError) -> list[Effect]:
    """End it wherever it stands; in mid-POST its outcome is unknown, if it may have left."""
    if work.in_flight and work.departed and work.state is JobState.SENDING:
        work.ending = error
        lost = MusicError("broken off while it was sent")
        lost.__cause__ = error
        return outcome_unknown(work, lost)
    if work.awaiting is not None:
        return end_unknown(work, work.awaiting)
    work.released = True
    return give_up(work, error)


def _late(work: Work, event: on.Event) -> list[Effect]:
    """Keep what came too late to change anything: the id of a task, or a record that is to be released."""
    match event:
        case on.Answered(poll=False, reply=reply) if _makes_task(work) and (task_id := find_task_id(reply)) is not None:
            return _also(work, storable(task_id))
        case on.Stored(step=steps.Enter(), outcome=Outcome(record=JobRecord() as record)):
            untold = work.where is Where.ELSEWHERE or record.id != work.id
            if record.owner == work.rules.owner and record.state in OPEN and untold:
                cancelled = work.state is JobState.CANCELLED and not work.released
                return [Put(steps.Released(record.id, work.rules.owner, cancelled))]
            return []
        case on.Delivered(delivery=delivery) if delivery.task_id:
            return _also(work, storable(delivery.task_id))
        case _:
            return []


_HANDLERS: Mapping[type, Callable[[Work, Any, float], list[Effect]]] = {
    Sign: _signed,
    on.Submitted: lambda work, event, now: submitted(work, event.record, now),
    on.Taken: lambda work, event, _: _taken(work, event),
    on.Stored: _stored,
    on.Answered: lambda work, event, now: (polled if event.poll else _answered)(work, event.reply, now),
    on.Failed: lambda work, event, now: (
        not_polled(work, event.error, now) if event.poll else _failed(work, event.error)
    ),
    on.Delivered: lambda work, event, now: _delivered(work, event.delivery, now),
    on.Heard: lambda work, event, _: heard(work, event.record),
    on.GivenUp: lambda work, event, _: _given_up(work, event.error, released=event.released),
    on.Excluded: lambda work, event, _: _excluded(work, event),
    on.Broke: lambda work, event, _: _broke(work, event.error),
}
"""What an event makes of a work that has not ended."""
