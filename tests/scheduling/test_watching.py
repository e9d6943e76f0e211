"""Tasks that run: those of unknown age, those whose time is nearly over, and what is learned from each poll."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async.scheduling.durations import Durations, TaskKind
from aimusic_async.scheduling.schedule import CURIOUS, SURE, Kind, Schedule
from aimusic_async.scheduling.watching import ASK_AFTER, MANY

SONG = TaskKind("song", 90.0)
PERIOD = 3.0
POLLS = frozenset({Kind.POLL})
WEBHOOK = {"first": 300.0, "interval": 60.0}
"""How a task is watched of which a webhook should report: its first poll is far off."""


class Recorder(Durations):
    """Keeps what a schedule learns."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def observe(self, kind, *, since, age, finished):
        self.seen.append((since, age, finished))
        super().observe(kind, since=since, age=age, finished=finished)


def play(schedule, until, *, now=0.0, period=PERIOD, answer=None):
    """Spend tokens until a moment; return what each was spent on. `answer(job, now)`: whether a poll hits, or None."""
    spent, token = [], now
    while True:
        due = schedule.due_at(now)
        now = math.inf if due is None else max(due, token)
        if now > until:
            return spent
        choice = schedule.take(now)
        if choice is None:  # a moment at which something is to be looked at again
            now += 0.001
            continue
        spent.append((now, choice.kind, choice.job))
        token = now + period
        if choice.kind is Kind.POLL:
            hits = answer(choice.job, now) if answer is not None else False
            if hits is None:
                schedule.not_polled(choice.job, not_before=now + 60)
            elif hits:
                schedule.finished(choice.job, now)
            else:
                schedule.polled(choice.job, now)


def polls(spent, job=None):
    return [at for at, kind, its in spent if kind is Kind.POLL and job in (None, its)]


# --- what is learned -------------------------------------------------------------------------------------------------


def test_each_poll_teaches_from_when_it_was_last_known_to_run_until_now():
    schedule = Schedule(Recorder())
    schedule.watch("song", SONG, now=100, interval=15)
    for at in (120, 140):
        schedule.take(at)
        schedule.polled("song", at)
    schedule.take(170)
    schedule.finished("song", 170)
    assert schedule.durations.seen == [(0, 20, False), (20, 40, False), (40, 70, True)]


def test_what_has_just_finished_ran_five_seconds_before():
    schedule = Schedule(Recorder())
    schedule.watch("song", SONG, now=100, interval=15)
    schedule.finished("song", 160, just_now=True)
    assert schedule.durations.seen == [(0, 55, False), (55, 60, True)]


def test_what_has_just_finished_ran_when_a_poll_showed_it_a_moment_ago():
    schedule = Schedule(Recorder())
    schedule.watch("song", SONG, now=100, interval=15)
    schedule.take(158)
    schedule.polled("song", 158)
    schedule.finished("song", 160, just_now=True)
    assert schedule.durations.seen == [(0, 58, False), (58, 60, True)]


def test_a_poll_that_failed_teaches_nothing_and_the_next_one_the_whole_time():
    schedule = Schedule(Recorder())
    schedule.watch("song", SONG, now=100, interval=15)
    schedule.take(120)
    schedule.not_polled("song", not_before=121)
    schedule.take(130)
    schedule.finished("song", 130)
    assert schedule.durations.seen == [(0, 30, True)]


@pytest.mark.parametrize("age", [0.0, 40.0])
def test_a_task_whose_age_is_not_exact_teaches_nothing(age):
    schedule = Schedule(Recorder())
    schedule.watch("song", SONG, now=100, interval=15, age=age, learn=False)
    schedule.take(120)
    schedule.polled("song", 120)
    schedule.finished("song", 140)
    assert schedule.durations.seen == []


def test_a_task_that_was_accepted_before_it_is_watched_is_that_old():
    schedule = Schedule(Recorder())
    schedule.watch("song", SONG, now=100, interval=15, age=40.0)
    assert schedule.due_at(100) == 100
    schedule.take(100)
    schedule.polled("song", 100)
    assert schedule.durations.seen == [(0, 40, False)]


def test_what_has_ended_teaches_nothing_more():
    schedule = Schedule(Recorder())
    schedule.watch("song", SONG, now=0, interval=15)
    schedule.drop("song")
    schedule.finished("song", 50)
    schedule.polled("song", 50)
    assert schedule.durations.seen == []
    assert schedule.watching == 0
    assert not schedule


# --- tasks of unknown age --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 300])
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("after", [0.0, 200.0, 2000.0])
def test_attached_tasks_do_not_starve_submits(count, finished, after):
    schedule = Schedule()
    for number in range(count):
        schedule.attach(f"attached {number}", SONG, now=0, interval=15)
    play(schedule, after, answer=lambda *_: False)
    schedule.add("new", Kind.SUBMIT, now=after)
    spent = play(schedule, after + 60, now=after, answer=lambda *_: finished)
    assert Kind.SUBMIT in [kind for _, kind, _ in spent]


@given(count=st.integers(1, 60), attached=st.booleans(), age=st.floats(0, 5000))
def test_polls_that_miss_leave_every_second_token_to_submits(count, attached, age):
    schedule = Schedule()
    for number in range(count):
        if attached:
            schedule.attach(number, SONG, now=0, interval=15)
        else:
            schedule.watch(number, SONG, now=0, interval=15, age=age)
    for number in range(60):
        schedule.add(f"song {number}", Kind.SUBMIT, now=0)
    kinds = [kind for _, kind, _ in play(schedule, 100 * PERIOD, answer=lambda *_: False)][:100]
    assert all(kinds[:size].count(Kind.SUBMIT) >= size // 2 - 1 for size in range(1, 100) if size < 2 * 60)


def test_polls_that_hit_leave_every_eleventh_token_to_submits():
    schedule = Schedule()
    for number in range(300):
        schedule.watch(number, SONG, now=0, interval=15, age=1000)
    for number in range(60):
        schedule.add(f"song {number}", Kind.SUBMIT, now=0)
    kinds = [kind for _, kind, _ in play(schedule, 110 * PERIOD, answer=lambda *_: True)]
    assert kinds[:110].count(Kind.SUBMIT) == 10


def test_a_debt_to_submits_that_no_longer_wait_is_forgotten():
    schedule, now = Schedule(), 0.0
    for number in range(20):
        schedule.watch(number, SONG, now=0, interval=15, age=1000)
    schedule.add("first", Kind.SUBMIT, now=now)
    for _ in range(2):  # one that misses, and the submit that is owed
        choice = schedule.take(now)
        if choice.kind is Kind.POLL:
            schedule.not_polled(choice.job, not_before=500)
    for _ in range(3):
        choice = schedule.take(now)
        schedule.not_polled(choice.job, not_before=500)
    schedule.add("second", Kind.SUBMIT, now=now)
    assert schedule.take(now).kind is Kind.POLL


def test_a_poll_is_counted_once_although_a_webhook_asks_for_another():
    schedule = Schedule()
    for number in range(3):
        schedule.watch(number, SONG, now=0, interval=15, age=1000)
    for number in range(5):
        schedule.add(f"song {number}", Kind.SUBMIT, now=0)
    missed = schedule.take(0).job
    schedule.polled(missed, 0)
    assert schedule.take(0).kind is Kind.SUBMIT
    schedule.not_polled(missed, not_before=500)
    assert schedule.take(0).kind is Kind.POLL


def test_no_more_than_three_tokens_are_owed():
    schedule = Schedule()
    for number in range(20):
        schedule.watch(number, SONG, now=0, interval=15, age=1000)
    for number in range(20):
        schedule.add(f"song {number}", Kind.SUBMIT, now=0)
    under_way = [schedule.take(0).job for _ in range(8)]  # none of them has answered yet
    for job in under_way:
        schedule.not_polled(job, not_before=500)
    kinds = [schedule.take(0).kind for _ in range(4)]
    assert kinds == [Kind.SUBMIT] * 3 + [Kind.POLL]


def test_an_attached_task_waits_for_a_backlog_until_it_is_likely_done():
    schedule = Schedule()
    schedule.attach("attached", SONG, now=0, interval=15)
    for number in range(200):
        schedule.add(f"song {number}", Kind.SUBMIT, now=0)
    spent = play(schedule, 600, answer=lambda *_: True)
    [at] = polls(spent)
    guess = schedule.durations.of(SONG)
    assert guess.finished_unless_new(ran=None, watched=at) >= SURE
    assert guess.finished_unless_new(ran=None, watched=at - 2 * PERIOD) < SURE


def test_an_attached_task_that_runs_is_polled_at_its_interval_while_nothing_waits():
    schedule = Schedule()
    schedule.attach("attached", SONG, now=50, interval=15)
    assert polls(play(schedule, 120, now=50)) == [50, 65, 80, 95, 110]


def test_of_attached_tasks_that_run_the_one_that_was_polled_first_is_polled_next():
    schedule = Schedule()
    for name in "abc":
        schedule.attach(name, SONG, now=0, interval=15)
    assert [job for *_, job in play(schedule, 26)] == ["a", "b", "c", "a", "b", "c"]


@settings(deadline=None)
@given(data=st.data())
def test_it_never_promises_a_turn_that_it_does_not_have(data):
    """Who waits until `due_at` gets something, or a later moment: else the loop that spends tokens would spin."""
    schedule, now, names = Schedule(), 0.0, itertools.count()
    for _ in range(data.draw(st.integers(1, 40))):
        job = next(names)
        match data.draw(st.sampled_from(["submit", "watch", "attach", "pause", "call", "again"])):
            case "submit" | "call" as kind:
                schedule.add(job, Kind(kind), now=now)
            case "again":
                schedule.again(job, Kind.SUBMIT, not_before=now + data.draw(st.floats(0, 20)))
            case "watch":
                timeout = data.draw(st.none() | st.floats(1, 60))
                schedule.watch(job, SONG, now=now, interval=15, timeout=timeout, platform="nuro")
            case "attach":
                schedule.attach(job, SONG, now=now, interval=15, timeout=data.draw(st.none() | st.floats(1, 60)))
            case "pause":
                schedule.pause("nuro", until=now + data.draw(st.floats(0, 30)), polls=data.draw(st.booleans()))
        for _ in range(3):
            due = schedule.due_at(now)
            if due is None:
                break
            assert due >= now
            now = due
            choice = schedule.take(now)
            if choice is None:
                assert (schedule.due_at(now) or math.inf) > now
            elif choice.kind is Kind.POLL and data.draw(st.booleans()):
                schedule.polled(choice.job, now)


# --- which poll ------------------------------------------------------------------------------------------------------


def test_of_tasks_whose_time_is_over_the_likeliest_is_polled_first():
    schedule = Schedule()
    for job, age in (("young", 10.0), ("old", 80.0), ("middle", 40.0)):
        schedule.watch(job, SONG, now=0, age=age, interval=300, timeout=100)
    spent = play(schedule, 100, now=91)
    assert [job for *_, job in spent] == ["old", "middle", "young"]


def test_a_last_poll_goes_before_a_likelier_one_that_can_wait():
    schedule = Schedule()
    schedule.watch("hasty", SONG, now=0, interval=15, timeout=30)
    schedule.watch("old", SONG, now=0, age=1000, interval=15)
    assert schedule.take(22.6).job == "hasty"
    assert schedule.take(22.6).job == "old"


@pytest.mark.parametrize(
    ("tasks", "order"),
    [
        ([("sooner", 0.0, 60.0), ("later", 50.0, 55.0)], ["sooner", "later"]),
        ([("later", 0.0, 200.0), ("sooner", 100.0, 115.0)], ["sooner", "later"]),
        ([("later", 100.0, 180.0), ("sooner", 0.0, 70.0)], ["sooner", "later"]),
    ],
)
def test_of_tasks_that_were_polled_the_one_that_is_as_likely_done_as_not_the_soonest_is_polled_first(tasks, order):
    schedule = Schedule()
    for job, accepted, seen in tasks:
        schedule.watch(job, SONG, now=accepted, interval=15, learn=False)
        schedule.take(seen, POLLS)
        schedule.polled(job, seen)
    assert [schedule.take(300).job for _ in order] == order


def test_a_direct_call_goes_before_a_last_poll():
    schedule = Schedule()
    schedule.watch("hasty", SONG, now=0, interval=15, timeout=100)
    schedule.take(85)
    schedule.polled("hasty", 85)
    schedule.add("call", Kind.CALL, now=91)
    assert schedule.take(91).job == "call"
    assert schedule.take(91).job == "hasty"


LONG = TaskKind("long", 600.0)


def asked(schedule, at):
    """Return whether a poll goes before a submit, as nothing else would explain."""
    schedule.add("new", Kind.SUBMIT, now=at)
    choice = schedule.take(at)
    schedule.drop("new")
    if choice.kind is Kind.POLL:
        schedule.polled(choice.job, at)
    return choice.kind is Kind.POLL


@pytest.mark.parametrize(("count", "asks"), [(MANY - 1, False), (MANY, True)])
def test_when_many_tasks_run_of_a_kind_that_was_never_seen_to_finish_one_is_polled_early(count, asks):
    schedule = Schedule()
    for number in range(count):
        schedule.watch(number, LONG, now=0, interval=15)
    assert not asked(schedule, ASK_AFTER - 1)
    assert asked(schedule, ASK_AFTER) is asks
    assert not asked(schedule, 2 * ASK_AFTER - 1)
    assert asked(schedule, 2 * ASK_AFTER) is (asks and count - 1 >= MANY)


def test_the_next_one_is_polled_early_when_its_age_has_doubled():
    schedule = Schedule()
    for number in range(2 * MANY):
        schedule.watch(number, LONG, now=0, interval=15)
    moments = range(0, 500, 10)
    assert [at for at in moments if asked(schedule, at)] == [ASK_AFTER, 2 * ASK_AFTER, 4 * ASK_AFTER]


def test_none_is_polled_early_once_one_was_seen_to_finish():
    schedule = Schedule()
    for number in range(2 * MANY):
        schedule.watch(number, LONG, now=0, interval=15)
    assert asked(schedule, ASK_AFTER)
    schedule.finished(0, ASK_AFTER)
    assert not asked(schedule, 2 * ASK_AFTER)


def test_tasks_that_teach_nothing_are_not_polled_early():
    schedule = Schedule()
    for number in range(2 * MANY):
        schedule.watch(number, LONG, now=0, interval=15, learn=False)
    assert not asked(schedule, 2 * ASK_AFTER)


def test_only_a_task_that_teaches_is_polled_early():
    guess = Schedule().durations.of(SONG)
    at = (guess.age_at(CURIOUS, since=0) + guess.age_at(SURE, since=0)) / 2
    for learn, kind in ((True, Kind.POLL), (False, Kind.SUBMIT)):
        schedule = Schedule()
        schedule.watch("song", SONG, now=0, interval=15, learn=learn)
        schedule.add("new", Kind.SUBMIT, now=at)
        assert schedule.take(at).kind is kind


def test_many_tasks_that_are_due_at_once_are_moved_in_turns_and_none_is_lost():
    schedule = Schedule()
    for number in range(2500):
        schedule.watch(number, SONG, now=0, interval=15, timeout=5000)
    taken = [schedule.take(4995) for _ in range(2500)]
    assert {choice.job for choice in taken} == set(range(2500))
    assert schedule.take(4995) is None


def test_many_tasks_of_one_deadline_are_pulled_forward_in_turns_and_none_is_lost():
    schedule = Schedule()
    for number in range(1200):
        schedule.watch(number, SONG, now=0, interval=15, first=9000, timeout=5000)
    now, taken = schedule.due_at(0), set()
    assert now < 5000 - 1000 * PERIOD
    while schedule.due_at(now) == now:
        taken.add(schedule.take(now).job)
    assert taken == set(range(1200))
