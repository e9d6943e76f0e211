"""What a poll of a task shows, or that it failed, makes of a `Work`. Pure; the laws are those of `lifecycle`."""

from __future__ import annotations

from ..api.wire import Progress, Reply, TaskState, read_task
from ..errors import GatewayError, JobFailed, JobTimeout, MusicError, NotFound, RateLimited, TransportError
from ..events import JobState
from ..scheduling.retry import Again, GiveUp, OutcomeUnknown, Repeat, after_failure, delay
from .ending import end, finished, give_up, let_go, succeed
from .happenings import Credited, Do, Effect, PollAt, Report
from .work import Work

_MISSING_FOR = 120.0
"""Seconds for which a task that the service took, and does not know any more, is polled on."""
_MISSING_POLLS = 3
"""Polls after which a task ends that nobody here saw accepted, and that the service does not know."""


def judge(work: Work, error: MusicError, repeat: Repeat) -> tuple[Again | GiveUp | OutcomeUnknown, list[Effect]]:
    """Count a failure, and say whether to send again."""
    work.tries += not isinstance(error, RateLimited)  # which is no fault of the request
    verdict = after_failure(error, repeat, work.tries)
    if isinstance(error, RateLimited):
        return verdict, [Report(error)]
    if isinstance(verdict, Again):
        work.trouble = error
        return verdict, [Report(error)]
    return verdict, []


def progressed(work: Work, progress: Progress[object], now: float, *, just_now: bool = False) -> list[Effect]:
    """Go on with what a poll or a webhook shows of a task."""
    work.raw, work.clips, work.tries, work.trouble = progress.raw, progress.clips, 0, None
    work.known, work.missing, work.missing_since = True, 0, None
    _spoken(work, now)
    effects: list[Effect] = [Do.WENT_WELL]
    match progress.state:
        case TaskState.SUCCEEDED:
            work.result = progress.result
            return [*effects, Do.FINISHED_NOW if just_now else Do.FINISHED, *succeed(work)]
        case TaskState.FAILED:
            refunded = progress.refunded is not False  # a failed task is refunded, whether the service says so or not
            if refunded:
                work.credits = 0
                effects.append(Credited(None))
            error = JobFailed(work.job, progress.reason, refunded=progress.refunded)
            return [*effects, *end(work, JobState.FAILED, error, finished(work, error))]
        case TaskState.RUNNING if not just_now and now - work.watched_since > work.rules.stuck_after:
            late = JobTimeout(work.job, f"still runs after {work.rules.stuck_after:g} seconds")
            return [*effects, *give_up(work, late)]
        case TaskState.RUNNING:
            effects += [] if just_now else [Do.RAN]
            url = next((clip.audio_url for clip in progress.clips if clip.audio_url), None)
            if url is not None and work.streaming_url is None:
                work.streaming_url = url
                effects.append(Do.STREAMS)
            return effects


def polled(work: Work, reply: Reply, now: float) -> list[Effect]:
    """Go on with what the answer to a poll shows."""
    assert work.task_id is not None
    try:
        progress = read_task(work.operation, work.task_id, reply)
    except MusicError as error:
        return not_polled(work, error, now)
    return progressed(work, progress, now)


def not_polled(work: Work, error: MusicError, now: float) -> list[Effect]:
    """Poll again later, unless the failure is a verdict on the task."""
    verdict: Again | GiveUp | OutcomeUnknown
    if isinstance(error, NotFound):
        verdict, effects = _missing(work, error, now)
    else:
        verdict, effects = judge(work, error, Repeat.POLL)
    # Who answers with 200, and with nothing that can be read, does so for ever: that is no outage.
    silent = isinstance(error, TransportError) or (isinstance(error, GatewayError) and error.status >= 300)
    if not silent:
        _spoken(work, now)
    elif work.silent_since is None:
        work.silent_since = now
    if isinstance(verdict, Again) and (silent or now - work.watched_since <= work.rules.stuck_after):
        return [*effects, PollAt(now + verdict.delay)]
    return [*effects, *end(work, JobState.DETACHED, error, *let_go(work, error))]


def _spoken(work: Work, now: float) -> None:
    """Note that the service speaks: the time in which nobody could see a task is not held against it."""
    if work.silent_since is not None:
        work.watched_since += now - work.silent_since
        work.silent_since = None


def _missing(work: Work, error: NotFound, now: float) -> tuple[Again | GiveUp, list[Effect]]:
    """Decide what becomes of a task that the service does not know: it may need a moment to be known everywhere."""
    work.missing_since = now if work.missing_since is None else work.missing_since
    work.missing += 1
    held = now - work.missing_since < _MISSING_FOR if work.known else work.missing < _MISSING_POLLS
    if not held:
        return GiveUp(), []
    work.tries, work.trouble = work.tries + 1, error
    return Again(delay(work.tries)), [Report(error)]
