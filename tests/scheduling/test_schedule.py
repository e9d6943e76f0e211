"""The schedule: what the next token is worth most for."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimusic_async.scheduling.durations import Durations, TaskKind
from aimusic_async.scheduling.schedule import CURIOUS, SURE, Kind, Schedule

SONG = TaskKind("song", 90.0)


def watched(schedule, job, *, accepted=0.0, interval=15.0, kind=SONG):
    schedule.watch(job, kind, now=accepted, interval=interval)


def taken(schedule, now):
    choice = schedule.take(now)
    return choice and (choice.kind, choice.job)


def test_an_empty_schedule_has_nothing_and_never_will():
    schedule = Schedule()
    assert schedule.take(0) is None
    assert schedule.due_at(0) is None


def test_a_direct_call_goes_before_submits_and_polls():
    schedule = Schedule()
    schedule.add("song", Kind.SUBMIT, now=0)
    watched(schedule, "old")
    schedule.add("call", Kind.CALL, now=18)
    assert taken(schedule, 18) == (Kind.CALL, "call")


def test_a_direct_call_goes_first_after_an_idle_time_too():
    schedule = Schedule()
    schedule.add("early", Kind.SUBMIT, now=0)
    assert taken(schedule, 0) == (Kind.SUBMIT, "early")
    schedule.add("song", Kind.SUBMIT, now=1000)
    schedule.add("call", Kind.CALL, now=1000)
    assert taken(schedule, 1000) == (Kind.CALL, "call")


def test_several_refused_requests_keep_their_order():
    schedule = Schedule()
    schedule.add("c", Kind.SUBMIT, now=0)
    for name in "ab":
        schedule.again(name, Kind.SUBMIT, not_before=1)
    assert [taken(schedule, 2)[1] for _ in "abc"] == ["a", "b", "c"]


def test_tasks_that_have_outlived_their_kind_do_not_starve_the_rest():
    schedule, now, spent = Schedule(), 3000.0, []
    for number in range(5):
        watched(schedule, f"stuck {number}", accepted=0)
        schedule.polled(f"stuck {number}", 2990)
    for number in range(40):
        schedule.add(f"song {number}", Kind.SUBMIT, now=now)
    for _ in range(30):
        choice = schedule.take(now)
        spent.append(choice.kind)
        if choice.kind is Kind.POLL:
            schedule.polled(choice.job, now)
        now += 3
    assert spent.count(Kind.SUBMIT) > 25


def test_submits_keep_their_order():
    schedule = Schedule()
    for name in "abc":
        schedule.add(name, Kind.SUBMIT, now=0)
    assert [taken(schedule, 0)[1] for _ in "abc"] == ["a", "b", "c"]


def test_a_submit_goes_before_an_unlikely_poll_and_after_a_likely_one():
    schedule = Schedule()
    watched(schedule, "running")
    schedule.add("song", Kind.SUBMIT, now=0)
    usual = schedule.durations.of(SONG)
    assert usual.finished(since=0, age=30) < 0.5
    assert usual.finished(since=0, age=250) > SURE
    assert taken(schedule, 30) == (Kind.SUBMIT, "song")
    schedule.add("song", Kind.SUBMIT, now=0)
    assert taken(schedule, 250) == (Kind.POLL, "running")


def test_a_higher_priority_goes_first_and_one_priority_keeps_its_order():
    schedule = Schedule()
    for name, priority in (("low", -1), ("a", 0), ("high", 5), ("b", 0)):
        schedule.add(name, Kind.SUBMIT, now=0, priority=priority)
    assert [taken(schedule, 0)[1] for _ in range(4)] == ["high", "a", "b", "low"]


def test_a_task_whose_time_is_nearly_over_is_polled_once_more_before_submits():
    schedule = Schedule()
    schedule.watch("hasty", SONG, now=0, interval=15, timeout=40)
    watched(schedule, "other")
    for number in range(3):
        schedule.add(f"song {number}", Kind.SUBMIT, now=0)
    assert taken(schedule, 25)[0] is Kind.SUBMIT
    assert taken(schedule, 31) == (Kind.POLL, "hasty")
    assert taken(schedule, 34)[0] is Kind.SUBMIT
    schedule.polled("hasty", 35)
    assert taken(schedule, 38)[0] is Kind.SUBMIT
    schedule.add("song", Kind.SUBMIT, now=38)
    schedule.drop("hasty")
    assert taken(schedule, 39) == (Kind.SUBMIT, "song")


def test_the_first_songs_of_a_kind_are_polled_earlier_than_the_others():
    for seen, first in ((0, Kind.POLL), (2, Kind.POLL), (3, Kind.SUBMIT)):
        schedule = Schedule()
        for _ in range(seen):
            schedule.durations.observe(SONG, since=80, age=100, finished=True)
        guess = schedule.durations.of(SONG)
        watched(schedule, "song")
        schedule.add("new", Kind.SUBMIT, now=0)
        between = (guess.age_at(CURIOUS, since=0) + guess.age_at(SURE, since=0)) / 2
        assert taken(schedule, between)[0] is first, seen
        assert taken(schedule, guess.age_at(SURE, since=0) + 60)[0] is not first


def test_it_can_be_asked_for_polls_alone_and_for_everything_else():
    schedule = Schedule()
    watched(schedule, "task")
    schedule.add("song", Kind.SUBMIT, now=0)
    polls, others = frozenset({Kind.POLL}), frozenset({Kind.CALL, Kind.SUBMIT})
    assert schedule.due_at(0, polls) == 15
    assert schedule.take(10, polls) is None
    assert schedule.take(500, others).job == "song"
    assert schedule.due_at(500, others) is None
    assert schedule.take(500, polls).job == "task"


def test_the_likeliest_of_the_polls_goes_first():
    schedule = Schedule()
    watched(schedule, "young", accepted=200)
    watched(schedule, "old", accepted=100)
    watched(schedule, "seen", accepted=90)
    assert taken(schedule, 240) == (Kind.POLL, "seen")
    schedule.polled("seen", 240)
    assert taken(schedule, 260) == (Kind.POLL, "old")


def test_a_task_is_not_polled_again_within_its_interval():
    schedule = Schedule()
    watched(schedule, "task", interval=15)
    assert schedule.take(14.9) is None
    assert schedule.due_at(3) == 15
    assert taken(schedule, 15) == (Kind.POLL, "task")
    assert schedule.take(16) is None  # it is being polled
    assert schedule.due_at(16) is None
    schedule.polled("task", 17)
    assert schedule.due_at(18) == 32


def test_without_a_backlog_no_token_waits_for_a_better_moment():
    schedule = Schedule()
    watched(schedule, "task", interval=15)
    assert schedule.due_at(0) == 15


def test_a_refused_request_goes_before_all_others_of_its_kind():
    schedule = Schedule()
    for name in "ab":
        schedule.add(name, Kind.SUBMIT, now=0)
    assert taken(schedule, 0)[1] == "a"
    schedule.again("a", Kind.SUBMIT, not_before=0)
    assert taken(schedule, 1)[1] == "a"


def test_a_delayed_request_waits_and_the_others_go_on():
    schedule = Schedule()
    schedule.again("late", Kind.SUBMIT, not_before=10)
    assert schedule.due_at(0) == 10
    schedule.add("now", Kind.SUBMIT, now=0)
    assert schedule.due_at(0) == 0
    assert taken(schedule, 0)[1] == "now"
    assert schedule.take(9) is None
    assert taken(schedule, 10)[1] == "late"


def test_a_failed_poll_is_repeated_when_it_is_due():
    schedule = Schedule()
    watched(schedule, "task")
    schedule.take(100)
    schedule.not_polled("task", not_before=101)
    assert schedule.due_at(100) == 101


def test_an_attached_task_may_be_polled_at_once():
    schedule = Schedule()
    schedule.attach("task", SONG, now=50, interval=15)
    assert taken(schedule, 50) == (Kind.POLL, "task")
    schedule.polled("task", 51)
    assert schedule.due_at(51) == 66


def test_nothing_is_learned_from_a_task_whose_age_nobody_knows():
    schedule = Schedule()
    before = schedule.durations.of(SONG)
    schedule.attach("task", SONG, now=50, interval=15)
    schedule.take(50)
    schedule.polled("task", 51)
    schedule.take(70)
    schedule.finished("task", 70)
    assert schedule.durations.of(SONG) == before
    assert not schedule.durations.seen_any(SONG)


@pytest.mark.parametrize("where", ["line", "later", "watched"])
def test_a_dropped_job_is_gone_wherever_it_stood(where):
    schedule = Schedule()
    match where:
        case "line":
            schedule.add("job", Kind.SUBMIT, now=0)
        case "later":
            schedule.again("job", Kind.CALL, not_before=5)
        case "watched":
            watched(schedule, "job")
    schedule.drop("job")
    assert schedule.due_at(0) is None
    assert schedule.take(1000) is None
    schedule.polled("job", 5)  # a poll that was under way comes back: nothing to say about it any more
    schedule.not_polled("job", not_before=5)
    assert schedule.due_at(0) is None


def test_a_stream_of_direct_calls_does_not_starve_a_batch():
    schedule, now, kinds = Schedule(), 0.0, []
    for number in range(50):
        schedule.add(f"song {number}", Kind.SUBMIT, now=0)
    for number in range(200):
        schedule.add(f"call {number}", Kind.CALL, now=0)
        kinds.append(schedule.take(now).kind)
        now += 3.0
    share = kinds.count(Kind.SUBMIT) / len(kinds)
    assert 0.05 < share < 0.25


@given(seed=st.integers(0, 10**6))
def test_nothing_is_lost_or_done_twice_whatever_happens(seed):
    dice, schedule, now = random.Random(seed), Schedule(), 0.0
    waiting, running, done = set(), set(), set()
    for number in range(60):
        now += dice.choice([0.0, 1.0, 3.0, 20.0])
        job = f"job {number}"
        schedule.add(job, dice.choice([Kind.SUBMIT, Kind.CALL]), now=now)
        waiting.add(job)
        if dice.random() < 0.2:
            gone = dice.choice(sorted(waiting | running))
            schedule.drop(gone)
            waiting.discard(gone)
            running.discard(gone)
        if (choice := schedule.take(now)) is None:
            continue
        if choice.kind is Kind.POLL:
            assert choice.job in running
            if dice.random() < 0.5:
                running.remove(choice.job)
                done.add(choice.job)
                schedule.finished(choice.job, now)
            else:
                schedule.polled(choice.job, now)
        else:
            waiting.remove(choice.job)
            if dice.random() < 0.2:
                schedule.again(choice.job, choice.kind, not_before=now + 5)
                waiting.add(choice.job)
            else:
                running.add(choice.job)
                watched(schedule, choice.job, accepted=now)
    while (due := schedule.due_at(now)) is not None:
        now = max(now, due) + 3.0
        choice = schedule.take(now)
        if choice.kind is Kind.POLL:
            running.remove(choice.job)
            schedule.drop(choice.job)
        else:
            waiting.remove(choice.job)
    assert not waiting
    assert not running


def test_a_decision_costs_about_the_same_with_a_hundred_times_the_jobs():
    def steps(count):
        """Comparisons and chances that a decision needs, counted instead of timed."""
        schedule, calls = Schedule(), 0
        for number in range(count):
            watched(schedule, number, accepted=number * 0.001)
            schedule.add(-1 - number, Kind.SUBMIT, now=0)
        schedule.take(200)
        known = schedule.durations.of(SONG).__class__.finished

        def counted(self, **ages):
            nonlocal calls
            calls += 1
            return known(self, **ages)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schedule.durations.of(SONG).__class__, "finished", counted)
            for _ in range(20):
                choice = schedule.take(201)
                if choice.kind is Kind.POLL:
                    schedule.not_polled(choice.job, not_before=300)
        return calls

    assert steps(20_000) == steps(200) > 0


def test_a_schedule_that_starts_with_what_another_learned_knows_it():
    first = Schedule()
    for number in range(30):
        watched(first, number, accepted=0)
        first.take(40)
        first.finished(number, 40)
    again = Schedule(Durations.from_plain(first.durations.to_plain()))
    assert again.durations.of(SONG) == first.durations.of(SONG)
    assert again.durations.of(SONG).median < 60
