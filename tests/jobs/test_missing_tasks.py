"""A task that the service does not know: for how long it is polled on, by who saw that the service had it."""

import pytest

from aimusic_async.api.wire import Reply
from aimusic_async.errors import JobTimeout, NotFound
from aimusic_async.events import JobState
from aimusic_async.jobs import happenings as on
from aimusic_async.jobs.happenings import Do, PollAt

from .lives import EVENTS, LOST, RUNNING, Life, delivery, life_in, refusal

UNKNOWN = on.Answered(refusal(404, "task not found"), poll=True)
UNKNOWN_400 = on.Answered(refusal(400, "Task not found."), poll=True)
GATEWAY = on.Answered(Reply(status=404, text="<html>nginx</html>"), poll=True)


def polled_until_the_end(life, event=UNKNOWN):
    """Poll whenever it is due; return after how many seconds, and polls, it ended."""
    began, polls = life.now, 0
    while not life.work.done:
        polls += 1
        assert polls < 50
        effects = life.happen(event)
        life.now = next((effect.moment for effect in effects if isinstance(effect, PollAt)), life.now)
    return life.now - began, polls


def attached(journal=False):
    life = Life(journal=journal, task_id="t9")
    life.happen(on.Submitted())
    if journal:
        life.happen(life.enters(life.record("submitted", task_id="t9", accepted=None)))
    return life


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("event", [UNKNOWN, UNKNOWN_400])
@pytest.mark.parametrize("state", ["submitted", "overtaken"])
def test_a_task_that_was_seen_accepted_is_polled_for_two_minutes(state, event, journal):
    life = life_in(state, journal=journal)
    seconds, polls = polled_until_the_end(life, event)
    assert 120 <= seconds <= 185
    assert 5 <= polls <= 12
    assert life.work.state is JobState.DETACHED
    assert isinstance(life.work.error, NotFound)


@pytest.mark.parametrize("journal", [True, False])
def test_an_attached_task_ends_after_three_polls(journal):
    life = attached(journal)
    seconds, polls = polled_until_the_end(life)
    assert (seconds, polls) == (3, 3)
    assert life.work.state is JobState.DETACHED


def test_an_attached_task_ends_after_three_polls_whatever_else_failed_before():
    life = attached()
    for event in (EVENTS["poll-lost"], EVENTS["poll-500"], EVENTS["poll-lost"], EVENTS["poll-429"]):
        life.happen(event(life))
    for _ in range(2):
        life.happen(UNKNOWN)
        life.happen(on.Failed(LOST, poll=True))
        assert not life.work.done
    life.happen(UNKNOWN)
    assert life.work.done


@pytest.mark.parametrize("seen", [on.Answered(RUNNING, poll=True), on.Delivered(delivery("t9"))])
def test_an_attached_task_that_was_seen_to_run_is_polled_for_two_minutes(seen):
    life = attached()
    for _ in range(2):
        life.happen(UNKNOWN)
    life.happen(seen)
    assert polled_until_the_end(life)[0] >= 120


def test_a_task_of_which_the_journal_says_when_it_was_accepted_is_polled_for_two_minutes():
    life = Life(task_id="t1")
    life.happen(on.Submitted(life.record("submitted")))
    life.happen(life.enters(life.record("submitted")))
    assert polled_until_the_end(life)[0] >= 120


def test_the_two_minutes_begin_anew_when_the_service_knew_it_meanwhile():
    life = life_in("submitted")
    life.happen(UNKNOWN)
    life.now += 110
    life.happen(UNKNOWN)
    life.happen(on.Answered(RUNNING, poll=True))
    assert polled_until_the_end(life)[0] >= 120


def test_the_two_minutes_count_from_the_first_poll_that_did_not_find_it():
    life = life_in("submitted")
    life.now += 1000
    life.happen(on.Answered(RUNNING, poll=True))
    life.now += 1000
    assert 120 <= polled_until_the_end(life)[0] <= 185


def test_what_failed_otherwise_meanwhile_does_not_put_the_end_off():
    life = life_in("submitted")
    life.happen(UNKNOWN)
    life.happen(on.Failed(LOST, poll=True))
    life.now += 119
    assert life.happen(UNKNOWN)[0] is not Do.END
    assert not life.work.done
    life.now += 1
    life.happen(UNKNOWN)
    assert life.work.done


def test_the_polls_of_a_missing_task_come_more_and_more_rarely():
    life, delays = life_in("submitted"), []
    while not life.work.done:
        for effect in life.happen(UNKNOWN):
            if isinstance(effect, PollAt):
                delays.append(effect.moment - life.now)
                life.now = effect.moment
    assert delays == [1, 2, 4, 8, 16, 32, 60]


@pytest.mark.parametrize("life", [life_in("submitted"), attached()], ids=["accepted", "attached"])
def test_a_page_of_a_gateway_says_nothing_of_a_task(life):
    for _ in range(20):
        life.happen(GATEWAY)
        life.now += 60
    assert not life.work.done


def test_a_deadline_ends_a_missing_task_and_says_why():
    life = life_in("submitted")
    life.happen(UNKNOWN)
    life.happen(on.GivenUp(JobTimeout(life.work.job)))
    assert life.work.state is JobState.DETACHED
    assert isinstance(life.work.error.__cause__, NotFound)


@pytest.mark.parametrize("first_word", ["poll-500", "poll-429"])
def test_hours_without_a_word_are_not_held_against_a_task_whatever_the_first_word_is(first_word):
    life = life_in("submitted", journal=False)
    life.happen(EVENTS["poll-lost"](life))
    life.now += 3 * 3600
    life.happen(EVENTS[first_word](life))
    assert life.work.state is JobState.SUBMITTED
    life.now += life.work.rules.stuck_after - 60
    life.happen(EVENTS["poll-500"](life))
    assert life.work.state is JobState.SUBMITTED
    life.now += 120
    life.happen(EVENTS["poll-500"](life))
    assert life.work.state is JobState.DETACHED


def test_an_answer_of_200_that_nobody_can_read_does_not_keep_a_task_for_ever():
    life = life_in("submitted", journal=False)
    garbled = on.Answered(Reply(status=200, text="{" * 5000), poll=True)
    life.happen(garbled)
    assert life.work.state is JobState.SUBMITTED
    life.now += life.work.rules.stuck_after + 1
    life.happen(garbled)
    assert life.work.state is JobState.DETACHED
