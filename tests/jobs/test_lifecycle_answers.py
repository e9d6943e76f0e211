"""What answers make of a job: at once, when asked again, and of a task; and who is given up how."""

import asyncio

import attrs
import pytest

from aimusic_async import MusicSession, lyrics, sonic
from aimusic_async.api.account import GetCredits
from aimusic_async.api.wire import SongEvent
from aimusic_async.errors import (
    JobTimeout,
    MusicError,
)
from aimusic_async.events import JobChanged, JobState
from aimusic_async.jobs import happenings as on
from aimusic_async.jobs.happenings import Do, Put, Queue, Sign
from aimusic_async.jobs.lifecycle import advance
from aimusic_async.jobs.work import Where
from aimusic_async.journal import steps

from .lives import (
    DONE,
    EVENTS,
    FAILED,
    KEPT,
    LOST,
    RUNNING,
    START,
    STREAMS,
    accepted,
    delivery,
    given_up,
    life_in,
    refusal,
    reply,
    told,
)


def after(state, *events, **given):
    """Return a life in which events happened in a state; names stand for those of the table."""
    life = life_in(state, **given)
    for event in events:
        life.happen(EVENTS[event](life) if isinstance(event, str) else event)
    return life


# --- what is answered at once ----------------------------------------------------------------------------------------

TAGS = sonic.UpsampleTags(tags="pop")
WAV = sonic.GetWav(clip_id="5b0f7d1e-0000-4000-8000-000000000000")
NOT_READY = reply({"type": "not_ready"})


def test_what_is_answered_at_once_has_succeeded():
    life = after("sent", request=TAGS)
    effects = life.happen(on.Answered(reply({"upsampled_tags": "pop, bright"})))
    assert told(life, effects) == "succeeded: went-well Finished:None end"
    assert (life.work.result.upsampled_tags, life.work.credits, life.budget.committed) == ("pop, bright", 1, 1)


def test_what_is_answered_at_once_has_no_task_whatever_its_answer_names():
    life = after("sent", on.Answered(reply({"upsampled_tags": "pop", "task_id": "t1"})), request=TAGS)
    assert (life.work.state, life.work.task_id) == (JobState.SUCCEEDED, None)


def test_what_is_answered_in_the_end_is_kept_although_it_was_given_up():
    life = after("given-up", request=TAGS)
    life.happen(on.Answered(reply({"upsampled_tags": "pop, bright"})))
    assert life.work.state is JobState.SUCCEEDED


@pytest.mark.parametrize(("body", "state"), [({}, "unknown"), ({"code": 400, "error": "no"}, "failed")])
def test_an_answer_without_a_result_was_perhaps_paid(body, state):
    assert after("sent", on.Answered(reply(body)), request=TAGS).work.state == state


def test_what_is_free_is_tried_again():
    life = after("sent", request=lyrics.GenerateLyrics(description="rain"))
    life.happen(EVENTS["lost"](life))
    assert life.work.state is JobState.UNKNOWN  # a POST; nobody knows what it made
    life = after("leaving", request=GetCredits(), journal=False)
    assert told(life, life.happen(EVENTS["500"](life))) == "queued: report:ServerError changed queue+1"


def test_what_is_not_ready_is_asked_again_every_six_seconds_and_later_more_rarely():
    life = life_in("fresh", request=WAV, journal=False)
    for waited, delay in [(0, 6.0), (30, 6.0), (61, 6.1), (300, 30.0), (600, 60.0)]:
        life.now = START + waited
        life.happen(Sign.GRANTED)
        effects = life.happen(on.Answered(NOT_READY))
        assert effects == [Do.WENT_WELL, Do.START_TIMER, Do.CHANGED, Queue(delay)]
    life.now = START + 601
    life.happen(Sign.GRANTED)
    effects = life.happen(on.Answered(NOT_READY))
    assert effects == [Do.WENT_WELL, Do.END]
    assert (life.work.state, life.work.credits, life.budget.committed) == (JobState.DETACHED, 1, 1)
    assert str(life.work.error) == "one was still not ready after 601 seconds (1 credits were charged)"


def test_what_is_not_ready_yet_answers_and_forgets_failures():
    life = life_in("leaving", request=WAV, journal=False)
    for event, delay in [("lost", 1.0), ("lost", 2.0), (None, 6.0), ("lost", 1.0)]:
        effects = life.happen(EVENTS[event](life) if event else on.Answered(NOT_READY))
        assert effects[-1] == Queue(delay)
        life.happen(Sign.GRANTED)


def test_what_is_not_ready_is_given_up_when_every_task_is():
    life = life_in("leaving", request=WAV, journal=False)
    life.work.rules = attrs.evolve(life.work.rules, stuck_after=60.0)
    life.happen(on.Answered(NOT_READY))
    life.happen(Sign.GRANTED)
    life.now += 60.5
    life.happen(on.Answered(NOT_READY))
    assert str(life.work.error) == "one was still not ready after 60 seconds (1 credits were charged)"


def test_what_is_not_ready_is_written_down_as_waiting_again():
    life = after("sent", on.Answered(NOT_READY), request=WAV)
    assert life.last(steps.Refused) == steps.Refused(life.work.id, "mine", 1, "not ready yet")
    assert life.last(steps.Enter).record.repeatable
    life = after("given-up", on.Answered(NOT_READY), request=WAV)
    assert life.work.state is JobState.DETACHED


def test_what_was_charged_once_and_waits_is_within_its_budget_already():
    life = life_in("leaving", request=WAV, journal=False, credits=1)
    life.happen(on.Answered(NOT_READY))
    assert life.budget.committed == 1
    assert life.happen(Sign.GRANTED) == [Do.CHANGED, Do.SEND]


@pytest.mark.parametrize("task", [True, False])
def test_an_upload_makes_a_task_when_it_is_asked_to_or_when_the_service_says_so(task):
    upload = sonic.UploadMusic(url="https://me.test/a.mp3", callback_url="https://me.test/hook" if task else None)
    life = after("sent", on.Answered(accepted("t1")), request=upload)
    assert (life.work.state, life.work.task_id) == (JobState.SUBMITTED, "t1")


# --- what is known of a task -----------------------------------------------------------------------------------------


def test_a_task_s_answer_its_clips_and_its_address_are_known_as_they_come():
    life = life_in("submitted")
    assert life.happen(on.Answered(STREAMS, poll=True)) == [Do.WENT_WELL, Do.RAN, Do.STREAMS]
    assert life.work.streaming_url == "https://files.test/a1"
    assert life.happen(on.Answered(STREAMS, poll=True)) == [Do.WENT_WELL, Do.RAN]
    assert [clip.clip_id for clip in life.work.clips] == ["c1", "c2"]
    life.happen(on.Answered(DONE, poll=True))
    assert life.work.raw == DONE.body
    assert life.work.result.task_id == "t1"
    assert life.last(steps.Finished) == steps.Finished(life.work.id, life.last(steps.Finished).answer, task_id="t1")


@pytest.mark.parametrize(("said", "refunded", "paid"), [(FAILED, True, 0), (KEPT, False, 10)])
def test_a_failed_task_is_paid_for_unless_it_was_refunded(said, refunded, paid):
    life = after("submitted", on.Answered(said, poll=True))
    step = life.last(steps.Finished)
    assert (step.error, step.refunded, step.task_id) == ("too loud", refunded, "t1")
    assert (life.work.credits, life.work.error.refunded) == (paid, refunded)


def test_a_failure_that_says_nothing_of_a_refund_was_refunded():
    quiet = reply({"code": 200, "data": [], "type": "failed", "error": "too loud"})
    life = after("submitted", on.Answered(quiet, poll=True))
    assert (life.work.credits, life.work.error.refunded, life.budget.committed) == (0, None, 0)
    assert on.Credited(None) in life_in("submitted").happen(on.Answered(quiet, poll=True))


def test_an_earlier_run_s_end_is_told_as_the_journal_has_it():
    life = after("entering")
    life.happen(life.enters(life.record("failed", None, refunded=False, credits=10)))
    assert (life.work.error.reason, life.work.error.refunded, life.work.credits) == ("too loud", False, 10)
    assert life.work.where is Where.ELSEWHERE
    life = after("entering")
    life.happen(life.enters(life.record("succeeded", None, credits=10, answer='{"a":1}')))
    assert (life.work.task_id, life.work.answer, life.work.error) == ("t1", '{"a":1}', None)


def test_too_few_credits_end_a_direct_call_and_hold_what_waits():
    life = life_in("sent")
    life.work.order = attrs.evolve(life.work.order, direct=True)
    assert told(life, life.happen(EVENTS["402"](life))) == "failed: Refused#1 Released end"


def test_a_mistake_of_ours_ends_what_others_may_go_on_with():
    life = after("fresh", "broke")
    assert (life.work.state, life.work.released) == (JobState.CANCELLED, True)
    assert str(life.work.error) == "one: the session broke: KeyError('x')"
    assert not life.last(steps.Released).cancelled
    assert isinstance(life.work.error, MusicError)


def test_what_is_given_up_twice_in_mid_post_ends_with_the_first():
    life = life_in("sent")
    first = given_up(life.work)
    life.happen(first)
    life.happen(on.GivenUp(JobTimeout(life.work.job), released=True))
    life.happen(on.Answered(refusal(400, "no")))
    assert (life.work.error, life.work.released) == (first.error, False)
    assert life.last(steps.Released).cancelled


def test_a_follower_that_is_given_up_while_the_journal_answers_lets_go_of_what_it_got():
    life = after("follows")
    kept = life.last(steps.Enter)
    life.happen(given_up(life.work))
    assert life.happen(on.Stored(kept, life.enters(life.record("queued")).outcome)) == [
        Put(steps.Released(life.work.id, "mine", True))
    ]
    life = after("follows", "released")
    assert life.happen(life.enters(life.record("submitted"))) == [Put(steps.Released(life.work.id, "mine", False))]
    assert life.happen(life.enters(life.record("submitted", "other"))) == []
    assert life.happen(life.enters(life.record("succeeded", "mine"))) == []


def test_what_ended_while_it_entered_lets_go_of_a_record_with_another_id():
    life = after("entering", "cancel")
    assert life.happen(life.enters(life.record("queued"))) == []
    older = life.record("queued", id="made by an older version")
    assert life.happen(life.enters(older)) == [Put(steps.Released("made by an older version", "mine", True))]


# --- what the dispatcher makes of it ---------------------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize(("said", "event"), [(DONE, SongEvent.COMPLETED), (STREAMS, SongEvent.STREAMING)])
async def test_listeners_hear_of_each_state_once(fake, song, said, event):
    fake.script("/sonic/task/t1", said.body)
    async with MusicSession("sk", fake.url) as music:
        heard = []
        music.events.listen(lambda event: heard.append(event.state) if isinstance(event, JobChanged) else None)
        job = music.submit(song())
        music._dispatcher.happen(job._work, on.Delivered(delivery("t1", said, event)))
        assert heard[-1] is job.state
        assert len(heard) == len(set(heard)), heard


@pytest.mark.looptime
async def test_a_task_that_a_webhook_reported_in_time_has_all_the_time_that_it_needs(fake, song):
    """The wait for the webhook is over then, and its end ends nothing."""
    fake.script("/sonic/task/t1", RUNNING.body)
    async with MusicSession("sk", fake.url) as music:
        job = music.submit(song())
        work, dispatcher = job._work, music._dispatcher
        dispatcher._schedule.drop(work)
        work.hooked, work.state, work.in_flight = True, JobState.SENDING, True
        dispatcher.happen(work, on.Failed(LOST))
        assert job.state is JobState.SENDING
        dispatcher.happen(work, on.Delivered(delivery("t1")))
        await asyncio.sleep(900)
        assert job.state is JobState.SUBMITTED, job.exception()


def test_an_attempt_whose_beginning_is_read_too_late_does_not_leave():
    """The process slept between the question and the answer: others may have declared the outcome unknown."""
    life = life_in("asked")
    late = life.begins(life.record("sending", attempts=1))
    effects = advance(life.work, late, life.now + 61.0)
    assert [type(step) for step in (effect.step for effect in effects if isinstance(effect, Put))] == [steps.NotBegun]
    assert Do.SEND not in effects
    assert (life.work.state, effects[-1]) == (JobState.QUEUED, Queue(0.0))
    assert (life.work.begun, life.work.in_flight) == (False, False)
