"""Tasks whose time is nearly over: each is polled once more, whatever its interval, and however many there are."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async.scheduling.schedule import LAST_POLL, Kind, Schedule

from .test_watching import PERIOD, SONG, WEBHOOK, play, polls


@pytest.mark.parametrize("backlog", [0, 100])
@pytest.mark.parametrize("how", [WEBHOOK, {"interval": 15.0}, {"interval": 200.0}])
@pytest.mark.parametrize("timeout", [8.0, 14.0, 40.0, 100.0, 240.0, 299.0])
def test_a_task_is_polled_shortly_before_its_time_is_over(timeout, how, backlog):
    schedule = Schedule()
    schedule.watch("song", SONG, now=0, timeout=timeout, **how)
    for number in range(backlog):
        schedule.add(number, Kind.SUBMIT, now=0)
    last = timeout - min(LAST_POLL, timeout / 4)
    assert [at for at in polls(play(schedule, timeout)) if last <= at <= last + PERIOD]


def test_an_attached_task_is_polled_shortly_before_its_time_is_over():
    schedule = Schedule()
    schedule.attach("attached", SONG, now=0, interval=60, timeout=100)
    assert polls(play(schedule, 100)) == [0, 60, 90]


def test_a_task_is_polled_no_more_than_once_for_its_deadline():
    schedule = Schedule()
    schedule.watch("song", SONG, now=0, timeout=100, **WEBHOOK)
    early, last = polls(play(schedule, 300))[:2]
    assert early == pytest.approx(100 - LAST_POLL, abs=LAST_POLL + PERIOD)
    assert last == 90 or early == 90


def test_a_poll_that_is_under_way_when_the_end_comes_near_is_the_last_one():
    schedule = Schedule()
    schedule.watch("song", SONG, now=0, interval=15, timeout=100)
    assert schedule.take(89).job == "song"
    assert schedule.take(91) is None
    schedule.polled("song", 92)
    assert schedule.due_at(93) == 107


def test_a_poll_that_fails_when_the_end_is_near_is_repeated_while_there_is_time():
    schedule = Schedule()
    schedule.watch("song", SONG, now=0, interval=15, timeout=100)
    spent = play(schedule, 100, answer=lambda _, now: None if now > 80 else False, period=0.01)
    late = [at for at in polls(spent) if at > 80]
    assert late[0] == 90
    assert 100 - late[-1] < 1
    assert len(late) < 20


def test_a_poll_that_fails_early_does_not_put_the_last_one_off():
    schedule = Schedule()
    schedule.watch("song", SONG, now=0, interval=15, timeout=100)
    spent = play(schedule, 100, answer=lambda _, now: None if now < 60 else False)
    assert 90 <= polls(spent)[-1] <= 93


def test_a_poll_under_way_that_fails_when_the_end_is_near_is_repeated():
    schedule = Schedule()
    schedule.watch("song", SONG, now=0, interval=15, timeout=100)
    schedule.take(89)
    assert schedule.due_at(95) is None
    schedule.not_polled("song", not_before=150)
    assert 95 <= schedule.due_at(95) <= 96
    schedule.add("new", Kind.SUBMIT, now=95)
    assert schedule.take(96).job == "song"


@pytest.mark.parametrize("count", [3, 20, 40])
@pytest.mark.parametrize("backlog", [0, 100])
def test_all_tasks_of_one_deadline_are_polled_before_it(count, backlog):
    """A group's time ends for all at once; webhooks were expected, and never came."""
    schedule, deadline = Schedule(), 400.0
    for number in range(count):
        schedule.watch(number, SONG, now=0, timeout=deadline, first=900, interval=60)
    for number in range(backlog):
        schedule.add(f"song {number}", Kind.SUBMIT, now=0)
    spent = play(schedule, deadline, answer=lambda *_: True)
    assert len(polls(spent)) == count


def test_polls_for_one_deadline_begin_no_earlier_than_their_number_needs():
    schedule, deadline = Schedule(), 400.0
    for number in range(20):
        schedule.watch(number, SONG, now=0, timeout=deadline, first=900, interval=60)
    first = min(polls(play(schedule, deadline, answer=lambda *_: True)))
    assert deadline - 3 * LAST_POLL - 20 * PERIOD < first < deadline - 20 * PERIOD + LAST_POLL


def test_tasks_that_ended_meanwhile_need_no_time_for_last_polls():
    schedule, deadline = Schedule(), 400.0
    for number in range(60):
        schedule.watch(number, SONG, now=0, timeout=deadline, first=900, interval=60)
    assert schedule.take(150) is None
    for number in range(58):
        schedule.finished(number, 150, just_now=True)
    assert min(polls(play(schedule, deadline, now=150, answer=lambda *_: True))) > deadline - 4 * LAST_POLL


def test_the_faster_tokens_come_the_later_polls_for_one_deadline_begin():
    firsts = []
    for period in (0.3, 3.0, 6.0):
        schedule, deadline = Schedule(), 1000.0
        for number in range(100):
            schedule.add(f"song {number}", Kind.SUBMIT, now=0)
        play(schedule, 650, period=period)
        for number in range(30):
            schedule.watch(number, SONG, now=650, timeout=deadline - 650, first=900, interval=60)
        firsts.append(min(polls(play(schedule, deadline, now=650, period=period, answer=lambda *_: True))))
    assert firsts == sorted(firsts, reverse=True)
    assert firsts[0] > firsts[1] + 50 > firsts[2] + 100


@pytest.mark.parametrize("period", [0.3, PERIOD])
def test_long_pauses_say_little_of_how_fast_tokens_come(period):
    """Of an hour's pause, say, after a refusal: it counts as four periods."""
    schedule, now = Schedule(), 0.0
    for number in range(400):
        schedule.add(number, Kind.SUBMIT, now=0)
    for _ in range(20):
        now = play(schedule, now + 20 * period - period / 2, now=now, period=period)[-1][0] + 3600
    deadline = now + 2000
    for number in range(400, 600):
        schedule.watch(number, SONG, now=now, timeout=2000, first=2500, interval=60)
    first = min(polls(play(schedule, deadline, now=now, period=period, answer=lambda *_: True)))
    assert deadline - 200 * 2 * period - 3 * LAST_POLL < first < deadline - 200 * period + LAST_POLL


@settings(deadline=None)
@given(data=st.data())
def test_no_task_with_a_deadline_ends_without_a_last_poll(data):
    """Whatever its interval, its first poll, what fails, and how many others there are, while tokens are plenty."""
    schedule = Schedule()
    count = data.draw(st.integers(1, 12))
    ends = {}
    for number in range(count):
        timeout = data.draw(st.floats(20, 100))
        ends[number] = timeout
        schedule.watch(
            number,
            SONG,
            now=0,
            interval=data.draw(st.sampled_from([5.0, 15.0, 60.0])),
            first=data.draw(st.none() | st.floats(0, 300)),
            timeout=timeout,
            age=data.draw(st.sampled_from([0.0, 50.0])),
        )
    for number in range(data.draw(st.integers(0, 100))):
        schedule.add(f"song {number}", Kind.SUBMIT, now=0)
    failing = data.draw(st.floats(0, 100))

    def answer(job, now):
        return True if now > ends[job] else None if now < failing else False

    last = dict.fromkeys(ends, -math.inf)
    for at, kind, job in play(schedule, 100, period=0.3, answer=answer):
        if kind is Kind.POLL and at <= ends[job]:
            last[job] = at
    assert all(ends[job] - at <= min(LAST_POLL, ends[job] / 4) + 1e-6 for job, at in last.items())


def test_while_polls_fail_each_task_gets_its_last_one_before_any_gets_another():
    schedule = Schedule()
    for number in range(11):
        schedule.watch(number, SONG, now=0, interval=5.0, timeout=20.0, age=50.0 if number % 2 else 0.0)
    last = dict.fromkeys(range(11), -math.inf)
    for at, _, job in play(schedule, 20, period=0.3, answer=lambda _job, _now: None):
        last[job] = at
    assert min(last.values()) >= 15
