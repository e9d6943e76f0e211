"""How long things take: drawn from the seed, or as the options say."""

import statistics

import pytest

from aimusic_async.sandbox import Options
from aimusic_async.sandbox.timing import answer_seconds, task_seconds, timetable

CREATE = "sonic.create_music"


@pytest.mark.parametrize(
    ("operation", "median"),
    [(CREATE, 90), ("sonic.stems_full", 45), ("sonic.create_voice", 40), ("producer.create_music", 30)],
)
def test_durations_scatter_around_their_median(operation, median):
    drawn = [task_seconds(Options(), operation, number) for number in range(400)]
    assert statistics.median(drawn) == pytest.approx(median, rel=0.1)
    assert max(drawn) > 1.5 * median
    assert min(drawn) < median / 1.5


def test_upload_and_extend_answers_within_half_a_minute_and_a_minute():
    drawn = [answer_seconds(Options(), "sonic.upload_extend", number) for number in range(200)]
    assert 26 < min(drawn) < max(drawn) < 64


def test_most_requests_are_answered_at_once():
    assert answer_seconds(Options(), CREATE, 0) == 0


def test_a_duration_depends_on_seed_and_number_only():
    assert task_seconds(Options(seed=1), CREATE, 3) == task_seconds(Options(seed=1, failure_rate=1.0), CREATE, 3)
    assert task_seconds(Options(seed=1), CREATE, 3) != task_seconds(Options(seed=2), CREATE, 3)
    assert task_seconds(Options(seed=1), CREATE, 3) != task_seconds(Options(seed=1), CREATE, 4)


def test_the_most_specific_wish_wins():
    options = Options(durations={CREATE: 1, "sonic": 2, "*": 3})
    names = (CREATE, "sonic.remaster", "producer.create_music")
    assert [task_seconds(options, name, 0) for name in names] == [1, 2, 3]


def test_a_function_can_say_how_long_each_task_takes_or_leave_it_to_chance():
    options = Options(durations=lambda name, number: 5.0 + number if name == CREATE else None)
    assert [task_seconds(options, CREATE, number) for number in (0, 1)] == [5, 6]
    assert task_seconds(options, "sonic.remaster", 0) == task_seconds(Options(), "sonic.remaster", 0)


def test_the_last_clip_settles_at_the_duration_and_the_others_before():
    options = Options(durations={"sonic": 100}, speed=2, clip_spread=(0.5, 0.5), not_ready_share=(0.1, 0.1))
    times = timetable(options, CREATE, 0, at=1000.0, clips=2)
    assert (times.shown_at, times.settles_at, times.ends_at) == (1005.0, (1025.0, 1050.0), 1050.0)


def test_clips_can_all_settle_at_once():
    times = timetable(Options(clip_spread=(1, 1)), CREATE, 0, at=0.0, clips=12)
    assert len(set(times.settles_at)) == 1


def test_failures_have_their_share():
    clips = [timetable(Options(failure_rate=0.25), CREATE, number, 0.0, 2) for number in range(400)]
    assert sum(sum(times.fails) for times in clips) == pytest.approx(200, abs=40)
    tasks = [timetable(Options(task_failure_rate=0.25), CREATE, number, 0.0, 2) for number in range(400)]
    assert sum(times.failed for times in tasks) == pytest.approx(100, abs=30)
    assert all(len(set(times.fails)) == 1 for times in tasks)


def test_switching_failures_on_moves_no_time():
    calm, rough = (timetable(Options(failure_rate=rate), CREATE, 7, 0.0, 2) for rate in (0.0, 0.9))
    assert calm.settles_at == rough.settles_at


def test_a_task_that_times_out_ends_as_a_whole():
    times = timetable(Options(timeout_rate=1.0), CREATE, 0, 0.0, 2)
    assert times.timed_out
    assert times.failed
    assert len(set(times.settles_at)) == 1
