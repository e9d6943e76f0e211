"""Durations: chances are chances, grow with time, and are learned from polls."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimusic_async.scheduling.durations import Duration, Durations, TaskKind

seconds = st.floats(0, 1e7)


def test_half_are_done_at_the_median():
    assert Duration(90).running(90) == pytest.approx(0.5)
    assert Duration(90).finished(since=0, age=90) == pytest.approx(0.5)


@given(median=st.floats(0.1, 1e4), since=seconds, more=seconds)
def test_a_chance_lies_between_never_and_surely(median, since, more):
    chance = Duration(median).finished(since=since, age=since + more)
    assert 0.0 <= chance <= 1.0


@given(since=st.floats(0, 500), first=st.floats(0, 500), more=st.floats(0, 500))
def test_waiting_longer_never_lowers_the_chance(since, first, more):
    usual = Duration(90)
    early = usual.finished(since=since, age=since + first)
    late = usual.finished(since=since, age=since + first + more)
    assert late >= early - 1e-12


def test_a_task_that_has_long_outlived_its_kind_is_not_expected_any_moment():
    usual = Duration(90)
    chances = [usual.finished(since=age, age=age + 15) for age in (300, 900, 1_800, 10_000, 10**6)]
    assert chances == sorted(chances, reverse=True)
    assert 0 < chances[-1] < chances[0] < 0.4


def test_the_far_end_joins_smoothly():
    usual = Duration(90)
    edge = 90 * 2.718281828 ** (5 * usual.sigma)
    below, above = (usual.finished(since=since, age=since + 60) for since in (edge * 0.999, edge * 1.001))
    assert below == pytest.approx(above, rel=0.05)


def test_a_kind_of_which_nothing_is_known_is_given_half_a_minute():
    assert Durations().of(TaskKind("new", 0)).median == pytest.approx(30, rel=0.01)


@given(since=st.floats(0, 500), chance=st.floats(0.01, 0.98))
def test_the_age_at_a_chance_has_that_chance(since, chance):
    usual = Duration(90, 0.5)
    age = usual.age_at(chance, since=since)
    assert age > since
    if usual.running(since) > 1e-3:
        assert usual.finished(since=since, age=age) == pytest.approx(chance, abs=0.01)


SONG = TaskKind("song", 75.0)


def watch(durations, seconds, *, interval=15.0, kind=SONG):
    """Poll one task, until it has finished."""
    since, age = 0.0, interval
    while age < seconds:
        durations.observe(kind, since=since, age=age, finished=False)
        since, age = age, age + interval
    durations.observe(kind, since=since, age=age, finished=True)


@pytest.mark.parametrize(("median", "sigma"), [(45, 0.3), (90, 0.35), (150, 0.5)])
def test_a_hundred_tasks_teach_how_long_their_kind_takes(median, sigma):
    dice, durations = random.Random(1), Durations()
    for _ in range(100):
        watch(durations, dice.lognormvariate(math.log(median), sigma))
    guess = durations.of(SONG)
    assert guess.median == pytest.approx(median, rel=0.15)
    assert guess.sigma == pytest.approx(sigma, abs=0.12)


def test_what_was_learned_is_forgotten_when_the_service_changes():
    durations = Durations()
    for _ in range(200):
        watch(durations, 120)
    slow = durations.of(SONG).median
    for _ in range(200):
        watch(durations, 40)
    assert slow > 100
    assert durations.of(SONG).median < 60


def test_kinds_are_learned_apart():
    durations, stems = Durations(), TaskKind("stems", 75.0)
    for _ in range(20):
        watch(durations, 30, kind=stems)
    assert durations.of(stems).median < durations.of(SONG).median
    assert durations.seen_any(stems)
    assert not durations.seen_any(SONG)


def test_one_odd_task_does_not_overturn_a_hundred():
    durations = Durations()
    for _ in range(100):
        watch(durations, 60)
    before = durations.of(SONG).median
    watch(durations, 3000)
    assert durations.of(SONG).median == pytest.approx(before, rel=0.5)


def test_what_was_learned_survives_as_plain_data():
    durations = Durations()
    for _ in range(10):
        watch(durations, 60)
    again = Durations.from_plain(json.loads(json.dumps(durations.to_plain())))
    assert again.of(SONG) == durations.of(SONG)
    assert again.seen_any(SONG)


@pytest.mark.parametrize("weights", [[], [1.0], [float("nan")] * 95])
def test_plain_data_that_does_not_fit_is_left_out(weights):
    durations = Durations.from_plain([{"kind": "song", "typical": 75.0, "finished": 9, "weights": weights}])
    assert not durations.seen_any(SONG)


@given(since=seconds, more=seconds, finished=st.booleans())
def test_no_poll_breaks_the_estimate(since, more, finished):
    durations = Durations()
    durations.observe(SONG, since=since, age=since + more, finished=finished)
    guess = durations.of(SONG)
    assert 15 < guess.median < 400
    assert 0.1 < guess.sigma < 1
