"""What waits to be sent: a platform that refuses, a group's time, and jobs that are given up."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimusic_async.scheduling.durations import TaskKind
from aimusic_async.scheduling.schedule import Kind, Schedule, Terms

SONG = TaskKind("song", 90.0)
NURO, SONIC = Terms("nuro", SONG), Terms("sonic", SONG)
SENT = frozenset({Kind.CALL, Kind.SUBMIT})


class Job:
    """Something that can be seen to be let go of."""


# --- a platform that refuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.SUBMIT, Kind.CALL])
def test_a_platform_that_refuses_waits_and_the_others_go_on(kind):
    schedule = Schedule()
    schedule.add("nuro", kind, now=0, terms=NURO, priority=5)
    schedule.add("sonic", kind, now=0, terms=SONIC)
    schedule.pause("nuro", until=30)
    assert schedule.is_paused("nuro", 29.9)
    assert not schedule.is_paused("nuro", 30)
    assert not schedule.is_paused("sonic", -1000)  # a clock may begin anywhere
    assert schedule.due_at(0) == 0
    assert schedule.take(0).job == "sonic"
    assert schedule.due_at(1) == 30
    assert schedule.take(29.9) is None
    assert schedule.take(30).job == "nuro"


def test_what_a_platform_refused_goes_first_when_it_is_asked_again():
    schedule = Schedule()
    for name in "ab":
        schedule.add(name, Kind.SUBMIT, now=0, terms=NURO)
    schedule.add("sonic", Kind.SUBMIT, now=0, terms=SONIC)
    refused = schedule.take(0).job
    schedule.pause("nuro", until=30)
    schedule.again(refused, Kind.SUBMIT, not_before=0, terms=NURO)
    assert [schedule.take(at).job for at in (1, 30, 33)] == ["sonic", "a", "b"]


def test_a_pause_is_made_longer_and_never_shorter():
    schedule = Schedule()
    schedule.add("nuro", Kind.SUBMIT, now=0, terms=NURO)
    for until in (20, 40, 30):
        schedule.pause("nuro", until=until)
    assert schedule.due_at(0) == 40


def test_the_tasks_of_a_platform_that_takes_no_more_are_polled():
    schedule = Schedule()
    schedule.watch("task", SONG, now=0, interval=15, platform="nuro")
    schedule.pause("nuro", until=100)
    assert schedule.take(20).job == "task"


def test_a_platform_that_refuses_even_polls_is_left_alone_but_for_the_last_ones():
    schedule = Schedule()
    schedule.watch("task", SONG, now=0, interval=15, platform="nuro")
    schedule.watch("hasty", SONG, now=0, interval=15, timeout=60, platform="nuro")
    schedule.watch("other", SONG, now=0, interval=15, platform="sonic")
    schedule.pause("nuro", until=100, polls=True)
    schedule.pause("nuro", until=90, polls=True)
    assert schedule.take(20).job == "other"
    assert schedule.take(20) is None
    assert schedule.due_at(20) == 50
    assert schedule.take(50).job == "hasty"
    assert schedule.due_at(51) == 100
    assert schedule.take(100).job == "task"


def test_the_order_of_priorities_holds_across_platforms():
    schedule = Schedule()
    for name, priority, terms in (("a", 0, NURO), ("b", 1, SONIC), ("c", 1, NURO), ("d", 0, SONIC), ("e", 2, NURO)):
        schedule.add(name, Kind.SUBMIT, now=0, priority=priority, terms=terms)
    assert [schedule.take(0).job for _ in "abcde"] == ["e", "b", "c", "a", "d"]


def test_a_hold_of_all_submits_leaves_calls_and_polls_alone():
    schedule = Schedule()
    schedule.add("song", Kind.SUBMIT, now=0)
    schedule.holds.add("credits")
    assert schedule.due_at(0) is None
    schedule.watch("task", SONG, now=0, interval=15)
    assert schedule.due_at(0) == 15
    schedule.add("call", Kind.CALL, now=0)
    assert schedule.due_at(0) == 0
    assert schedule.take(20).job == "call"
    assert schedule.take(20).job == "task"
    assert schedule.take(20) is None
    schedule.holds.clear()
    assert schedule.take(20).job == "song"


# --- a group's time --------------------------------------------------------------------------------------------------


def until(deadline):
    return Terms("sonic", SONG, deadline)


def test_what_can_hardly_be_done_in_time_goes_behind_everything_else():
    schedule = Schedule()
    schedule.add("late", Kind.SUBMIT, now=0, priority=9, terms=until(30))
    schedule.add("usual", Kind.SUBMIT, now=0, terms=SONIC)
    schedule.watch("task", SONG, now=0, interval=15)
    assert schedule.take(20).job == "usual"
    assert schedule.take(20).job == "task"
    schedule.not_polled("task", not_before=99)
    assert schedule.take(20).job == "late"  # it is sent all the same: the guess may be wrong


def test_what_is_surely_done_in_time_goes_like_any_other():
    schedule = Schedule()
    schedule.add("timed", Kind.SUBMIT, now=0, terms=until(3600))
    schedule.add("usual", Kind.SUBMIT, now=0)
    schedule.watch("task", SONG, now=0, interval=15)
    assert [schedule.take(20).job for _ in range(2)] == ["timed", "usual"]


def test_a_submit_is_worth_less_the_less_likely_it_is_done_in_time():
    """A poll of little promise goes before one that may well come too late, and not before one that has time."""
    at = 90.0
    for left, first in ((1000.0, "song"), (100.0, "task")):
        schedule = Schedule()
        schedule.watch("task", SONG, now=at, age=108.0, interval=15, learn=False)
        schedule.add("song", Kind.SUBMIT, now=at, terms=until(at + left))
        assert schedule.take(at).job == first


def test_misses_give_no_token_to_what_can_hardly_be_done_in_time():
    schedule = Schedule()
    for number in range(5):
        schedule.watch(number, SONG, now=0, age=1000, interval=15)
    schedule.add("late", Kind.SUBMIT, now=0, terms=until(5))
    for _ in range(5):
        choice = schedule.take(0)
        assert choice.kind is Kind.POLL
        schedule.not_polled(choice.job, not_before=100)
    assert schedule.take(0).job == "late"


def test_polls_that_hit_give_a_token_to_the_first_submit_that_can_be_done_in_time():
    schedule = Schedule()
    for number in range(20):
        schedule.watch(number, SONG, now=0, age=1000, interval=15)
    schedule.add("late", Kind.SUBMIT, now=0, terms=until(5))
    for _ in range(12):
        schedule.finished(schedule.take(0).job, 0)
    schedule.add("usual", Kind.SUBMIT, now=0)
    assert schedule.take(0).job == "usual"


# --- giving up -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["low priority", "put off", "resting", "due", "expected", "attached"])
def test_what_is_given_up_is_let_go_of_at_once(where):
    schedule, seen = Schedule(), []
    schedule.add("first", Kind.SUBMIT, now=0)
    for _ in range(500):
        job = Job()
        seen.append(weakref.ref(job))
        match where:
            case "low priority":
                schedule.add(job, Kind.SUBMIT, now=0, priority=-1)
            case "put off":
                schedule.again(job, Kind.SUBMIT, not_before=1000)
            case "resting":
                schedule.watch(job, SONG, now=0, interval=1000, timeout=5000)
            case "due":
                schedule.watch(job, SONG, now=0, interval=15, timeout=5000)
            case "expected":
                schedule.watch(job, SONG, now=0, interval=60, first=9000, timeout=5000)
            case "attached":
                schedule.attach(job, SONG, now=0, interval=15)
        schedule.due_at(20)
        schedule.drop(job)
    del job
    gc.collect()
    assert [one() for one in seen] == [None] * 500
    assert schedule.take(20).job == "first"
    assert schedule.take(6000) is None
    assert schedule.due_at(6000) is None


class Counted(int):
    """A priority that counts how often it is compared."""

    comparisons = 0

    def __neg__(self):
        return Counted(-int(self))

    def __eq__(self, other):
        Counted.comparisons += 1
        return int(self) == int(other)

    def __lt__(self, other):
        Counted.comparisons += 1
        return int(self) < int(other)

    __hash__ = int.__hash__


def test_no_turn_does_much_work_while_a_hundred_thousand_jobs_are_given_up():
    schedule, most = Schedule(), 0
    for number in range(100_000):
        schedule.add(number, Kind.SUBMIT, now=0, priority=Counted(number % 7))
    for number in range(100_000):
        Counted.comparisons = 0
        schedule.drop(number)
        most = max(most, Counted.comparisons)
    Counted.comparisons = 0
    assert schedule.take(0) is None
    assert max(most, Counted.comparisons) < 1_000


def test_a_schedule_is_empty_only_when_nothing_waits_and_nothing_runs():
    schedule = Schedule()
    assert not schedule
    schedule.add("song", Kind.SUBMIT, now=0)
    assert schedule
    schedule.watch("task", SONG, now=0, interval=15)
    assert schedule
    schedule.drop("song")
    assert schedule
    schedule.drop("task")
    assert not schedule


def test_a_job_that_is_queued_again_stands_in_one_place():
    schedule = Schedule()
    schedule.add("job", Kind.SUBMIT, now=0)
    schedule.add("job", Kind.SUBMIT, now=0, priority=3)
    schedule.again("job", Kind.SUBMIT, not_before=0)
    assert schedule.take(0).job == "job"
    assert schedule.take(0) is None
    assert not schedule


@given(jobs=st.lists(st.tuples(st.integers(-3, 3), st.sampled_from(["nuro", "sonic", ""])), max_size=60))
def test_submits_go_by_priority_and_then_in_the_order_of_asking(jobs):
    schedule = Schedule()
    for number, (priority, platform) in enumerate(jobs):
        schedule.add(number, Kind.SUBMIT, now=0, priority=priority, terms=Terms(platform, SONG))
    order = [schedule.take(0).job for _ in jobs]
    assert order == sorted(range(len(jobs)), key=lambda number: (-jobs[number][0], number))
