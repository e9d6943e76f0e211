"""Durations: guesses that are far off, tasks that hang, tasks of unknown age, and what earlier versions stored."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimusic_async.scheduling.durations import Duration, Durations, TaskKind

from .test_durations import SONG, watch


def many(durations, median, *, sigma=0.2, count=60, seed=1):
    dice = random.Random(seed)
    for _ in range(count):
        watch(durations, dice.lognormvariate(math.log(median), sigma))


def hang(durations, until, interval=15.0):
    """Poll one task that never finishes."""
    age = 0.0
    while age < until:
        durations.observe(SONG, since=age, age=age + interval, finished=False)
        age += interval


@pytest.mark.parametrize("until", [900.0, 3600.0, 86_400.0])
def test_one_task_that_hangs_does_not_outweigh_sixty_others(until):
    durations = Durations()
    many(durations, 60)
    before = durations.of(SONG)
    hang(durations, until)
    after = durations.of(SONG)
    assert after.median == pytest.approx(before.median, rel=0.05)
    assert after.age_at(0.94, since=0) == pytest.approx(before.age_at(0.94, since=0), rel=0.1)


def test_a_task_that_finished_at_last_after_it_hung_does_not_either():
    durations = Durations()
    many(durations, 60)
    before = durations.of(SONG)
    watch(durations, 5000.0)
    assert durations.of(SONG).age_at(0.94, since=0) == pytest.approx(before.age_at(0.94, since=0), rel=0.1)


@given(ages=st.lists(st.floats(1, 5000), min_size=1, max_size=40, unique=True), finished=st.booleans())
def test_however_often_one_task_is_polled_it_weighs_as_one(ages, finished):
    often, once = Durations(), Durations()
    since, last = 0.0, max(ages)
    for age in sorted(ages):
        often.observe(SONG, since=since, age=age, finished=False)
        since = age
    once.observe(SONG, since=0.0, age=last, finished=False)
    if finished:
        for durations in (often, once):
            durations.observe(SONG, since=last, age=last + 15, finished=True)
    assert often.of(SONG).median == pytest.approx(once.of(SONG).median)
    assert often.of(SONG).sigma == pytest.approx(once.of(SONG).sigma)


def test_every_third_task_that_hangs_still_leaves_the_others_known():
    durations, dice = Durations(), random.Random(2)
    for number in range(90):
        if number % 3:
            watch(durations, dice.lognormvariate(math.log(60), 0.2))
        else:
            hang(durations, 3600, interval=120)
    assert durations.of(SONG).median < 120


@pytest.mark.parametrize("times", [1 / 6.5, 1 / 4, 1 / 2, 2, 3, 6.5])
def test_a_guess_that_is_far_off_is_put_right_by_thirty_tasks(times):
    durations = Durations()
    many(durations, SONG.typical * times, count=30)
    interval = 15.0  # nothing shorter can be seen
    expected = max(SONG.typical * times, interval)
    assert durations.of(SONG).median == pytest.approx(expected, rel=0.35)


def test_a_guess_is_believed_as_long_as_little_contradicts_it():
    durations = Durations()
    assert durations.of(SONG).median == pytest.approx(SONG.typical)
    watch(durations, 80)
    assert durations.of(SONG).median == pytest.approx(80, rel=0.1)


def test_tasks_that_run_longer_make_the_guess_longer_and_tasks_that_finish_early_shorter():
    still, done = Durations(), Durations()
    still.observe(SONG, since=0, age=100, finished=False)
    done.observe(SONG, since=0, age=40, finished=True)
    assert done.of(SONG).median < SONG.typical < still.of(SONG).median


def test_two_finished_tasks_fade_no_faster_than_they_should():
    """After seventy finished tasks an old one counts for a third of a new one: it is not forgotten at once."""
    durations = Durations()
    many(durations, 150, count=100)
    long = durations.of(SONG).median
    for _ in range(5):
        watch(durations, 40)
    assert durations.of(SONG).median > 0.5 * long


# --- tasks of unknown age --------------------------------------------------------------------------------------------

seconds = st.floats(0, 3000)


@given(ran=st.none() | seconds, first=seconds, more=seconds, median=st.floats(5, 600), sigma=st.floats(0.2, 0.7))
def test_the_chance_of_a_task_of_unknown_age_is_one_and_waiting_longer_never_lowers_it(ran, first, more, median, sigma):
    guess = Duration(median, sigma)
    early, late = (guess.finished_unless_new(ran=ran, watched=(ran or 0) + wait) for wait in (first, first + more))
    assert 0.0 <= early <= late + 1e-9
    assert late <= 1.0


def integrated(guess, ran, watched):
    """Sum over all ages that it may have had: the same chance, the long way."""
    steps = [number * guess.median / 400 for number in range(20_000)]
    before = sum(guess.running(age + ran) for age in steps)
    return 1 - sum(guess.running(age + watched) for age in steps) / before


@pytest.mark.parametrize(("ran", "watched"), [(1, 30), (60, 90), (60, 240), (120, 180)])
@pytest.mark.parametrize("sigma", [0.2, 0.4])
def test_a_task_that_was_seen_to_run_is_as_old_as_tasks_that_run_are(ran, watched, sigma):
    guess = Duration(90, sigma)
    assert guess.finished_unless_new(ran=ran, watched=watched) == pytest.approx(
        integrated(guess, ran, watched), abs=0.01
    )


def test_a_task_that_was_never_polled_may_as_well_be_done_and_is_likelier_so_the_longer_nobody_looks():
    guess = Duration(90)
    assert guess.finished_unless_new(ran=None, watched=0) == pytest.approx(0.5)
    later = guess.finished_unless_new(ran=None, watched=90)
    assert later == pytest.approx(1 - (1 - integrated(guess, 0, 90)) / 2, abs=0.01)
    assert guess.finished_unless_new(ran=None, watched=1000) == pytest.approx(1, abs=0.001)


def test_a_poll_that_found_it_running_lowers_the_chance():
    guess = Duration(90)
    assert guess.finished_unless_new(ran=60, watched=75) < 0.5 * guess.finished_unless_new(ran=None, watched=75)


def test_its_age_matters_little_once_it_has_run_for_very_long():
    guess = Duration(90)
    edge = 90 * math.exp(4 * guess.sigma)
    below, above = (guess.finished_unless_new(ran=ran, watched=ran + 60) for ran in (edge * 0.999, edge * 1.001))
    assert below == pytest.approx(above, rel=0.3)
    assert above == guess.finished(since=edge * 1.001, age=edge * 1.001 + 60)


# --- what was stored -------------------------------------------------------------------------------------------------


def stored(weights, **fields):
    return {"kind": "song", "typical": 75.0, "finished": 30, "weights": weights} | fields


def former(median, sigma=0.3):
    """What version 0.1 stored of tasks of that median: a grid from a quarter to four times the guess."""
    grid = [(step * 0.15, width) for step in range(-9, 10) for width in (0.2, 0.3, 0.4, 0.5, 0.7)]
    off = math.log(median / 75.0)
    return [-40 * ((mu - off) ** 2 + (math.log(width / sigma)) ** 2) for mu, width in grid]


@pytest.mark.parametrize("median", [20, 75, 150, 290])
def test_what_an_earlier_version_stored_still_counts(median):
    durations = Durations.from_plain([stored(former(median))])
    assert durations.of(SONG).median == pytest.approx(median, rel=0.25)
    assert durations.seen_any(SONG)
    again = Durations.from_plain(json.loads(json.dumps(durations.to_plain())))
    assert again.of(SONG) == durations.of(SONG)


@pytest.mark.parametrize(
    "entry",
    [
        stored([0.0] * 94),
        stored([0.0] * 96),
        stored([0.0] * 85),
        stored([0.0] * 145),
        stored([0.0] * 134 + [math.inf]),
        stored(["x"] * 135),
        stored(None),
        stored([0.0] * 135, typical=math.nan),
        stored([0.0] * 135, typical=-1),
        stored([0.0] * 135, typical="soon"),
        stored([0.0] * 135, finished=None),
        stored([0.0] * 135, finished=-1),
        stored([0.0] * 135, finished=math.inf),
        {"kind": "song"},
        "song",
        None,
    ],
)
def test_an_entry_that_does_not_fit_spoils_no_other(entry):
    other = stored([0.0] * 135, kind="other")
    durations = Durations.from_plain([entry, other])
    assert durations.seen_any(TaskKind("other", 75.0))
    assert [one["kind"] for one in durations.to_plain()] == ["other"]


def test_a_kind_of_which_nothing_is_known_can_be_stored_and_restored():
    durations, new = Durations(), TaskKind("new", 0.0)
    durations.observe(new, since=0, age=20, finished=True)
    assert Durations.from_plain(durations.to_plain()).of(new) == durations.of(new)
    assert Durations.from_plain(durations.to_plain()).seen_any(new)


# --- when it is overdue ----------------------------------------------------------------------------------------------


def test_hardly_any_task_is_still_running_when_it_is_overdue():
    durations = Durations()
    many(durations, 60, count=100)
    guess, age = durations.of(SONG), durations.overdue(SONG)
    assert guess.running(age) == pytest.approx(0.01)


def test_the_first_guess_counts_too_as_long_as_only_the_quick_ones_have_finished():
    durations = Durations()
    first = Duration(SONG.typical).age_at(0.99, since=0)
    for number in range(20):
        assert durations.overdue(SONG) >= first, number
        durations.observe(SONG, since=0, age=20, finished=True)
    assert durations.overdue(SONG) < 0.5 * first


def test_a_kind_of_unknown_length_is_overdue_as_one_of_half_a_minute():
    assert Durations().overdue(TaskKind("new", 0.0)) == pytest.approx(Durations().overdue(TaskKind("x", 30.0)))


# --- how far a first guess is believed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("early", "late", "least", "most"),
    [
        (30, 40, 50, 60),  # half as long as guessed: some way is believed
        (140, 160, 93, 110),
        (15, 20, 28, 40),  # a quarter, or five times: the guess is far off
        (400, 420, 150, 200),
    ],
)
def test_the_farther_a_task_is_from_a_first_guess_the_less_that_is_believed(early, late, least, most):
    durations = Durations()
    assert durations.of(SONG).sigma == pytest.approx(0.425, abs=0.01)
    durations.observe(SONG, since=0, age=early, finished=False)
    durations.observe(SONG, since=early, age=late, finished=True)
    assert least < durations.of(SONG).median < most
    assert durations.of(SONG).sigma == pytest.approx(0.445, abs=0.025)
