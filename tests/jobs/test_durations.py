"""Durations: chances are chances, and grow with time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimusic_async.jobs.durations import Duration

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


def test_a_task_of_which_nothing_is_known_is_given_half_a_minute():
    assert Duration(0).running(30) == pytest.approx(0.5)
