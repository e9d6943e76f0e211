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


def test_a_task_far_beyond_its_time_may_be_done_any_moment():
    assert Duration(90).finished(since=90_000, age=90_015) == 1.0


def test_a_task_of_which_nothing_is_known_may_be_done_at_once():
    assert Duration(0).finished(since=0, age=1) == 1.0
