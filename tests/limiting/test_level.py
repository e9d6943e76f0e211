"""How many tokens are there: the law on departures, and that nothing is wasted. Without a clock."""

import heapq
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async.limiting.level import Level, fresh_for, standard_margin

from .buckets import assert_within


def play(level, holds):
    """Take each token as soon as it is there, and settle it as `holds` says: (how, share of `fresh`). No mercy.

    Return when requests departed.
    """
    departed, settled, order, now = [], [], itertools.count(), 0.0
    for manner, share in holds:
        while (wait := level.wait(now)) > 0:
            until = min(now + wait, settled[0][0] if settled else math.inf)
            now = until if until > now else math.nextafter(now, math.inf)
            while settled and settled[0][0] <= now:
                at, _, how, number = heapq.heappop(settled)
                settle(level, how, number, at, departed)
        number = level.take(now)
        heapq.heappush(settled, (now + share * level.fresh * 0.9999, next(order), manner, number))
    while settled:
        at, _, how, number = heapq.heappop(settled)
        settle(level, how, number, at, departed)
    return departed


def settle(level, manner, number, at, departed):
    if manner == "spend":
        departed.append(at)
        level.spent(number, at)
    elif manner == "give back":
        level.put_back(number)
    else:  # whoever drops it without a word used it at once, for all we know
        departed.append(level.out[number])
        level.drop(number)


HOLDS = st.lists(
    st.tuples(st.sampled_from(["spend", "spend", "give back", "drop"]), st.one_of(st.just(0.0), st.floats(0, 1))),
    min_size=1,
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(period=st.floats(0.001, 100), capacity=st.integers(1, 8), holds=HOLDS)
def test_whatever_is_held_given_back_or_dropped_no_window_sees_more_departures_than_the_limit(period, capacity, holds):
    assert_within(play(Level(period, capacity), holds), period, capacity)


@settings(max_examples=100, deadline=None)
@given(period=st.floats(0.3, 100), capacity=st.integers(1, 8), late=st.floats(0, 1), count=st.integers(1, 60))
def test_as_long_as_fewer_are_in_flight_than_there_is_room_for_nothing_is_wasted(period, capacity, late, count):
    share = min(late * (capacity - 1), 1.0)
    departed = play(Level(period, capacity), [("spend", share)] * count)
    assert departed[-1] <= max(count - capacity, 0) * period * 1.0001 + 2 * share * period + 1e-6 * count


def test_a_token_in_flight_keeps_its_place_until_it_departs_and_drains_from_then_on():
    level = Level(3.0, 2)
    one, two = level.take(0.0), level.take(0.0)
    assert level.wait(0.0) == 3.0
    assert level.wait(1.0) == 2.0  # when they are too old to depart
    level.spent(one, 2.0)
    assert level.wait(2.0) == 1.0
    level.put_back(two)
    assert level.wait(2.0) == 0.0
    level.spent(level.take(2.0), 2.0)
    assert level.wait(2.0) == 3.0
    assert level.wait(4.5) == 0.5
    assert level.wait(5.0) == 0.0


def test_a_token_that_is_too_old_counts_as_if_it_had_departed_when_it_was_granted():
    level = Level(0.1, 1)
    number = level.take(0.0)
    assert level.wait(0.0) == pytest.approx(0.1)
    assert level.wait(0.2) == pytest.approx(0.05)  # and is looked after when it is
    assert level.wait(0.24) > 0
    assert level.wait(0.25) == 0.0
    assert level.full_at == pytest.approx(0.1)
    level.put_back(number)
    assert level.wait(0.0) > 0  # what comes back too late is lost


def test_what_departs_although_it_was_too_old_counts_once_more():
    level = Level(1.0, 1)
    number = level.take(0.0)
    assert level.wait(1.0) == 0.0
    level.spent(number, 1.5)
    assert level.wait(1.5) == 1.0


def test_who_is_heard_late_has_its_token_for_longer():
    level = Level(1.0, 1, slack=0.5)
    level.take(0.0)
    assert level.wait(1.25) == 0.25
    assert level.wait(1.5) == 0.0


def test_nothing_is_there_before_the_end_of_a_pause():
    level = Level(1.0, 3, paused_until=10.0)
    assert level.wait(4.0) == 6.0
    assert level.wait(10.0) == 0.0
    level.take(10.0)
    assert level.wait(8.0, before=1) == 3.0  # those who come before need a period


def test_those_before_are_left_a_token_each_for_a_period_each():
    level = Level(1.0, 2)
    level.spent(level.take(0.0), 0.0)
    assert level.wait(0.0) == 0.0
    assert level.wait(0.0, before=1) == 1.0
    assert level.wait(0.0, before=2) == 2.0
    level.take(0.0)  # one of them came
    assert level.wait(0.0, before=1) == 2.0
    assert level.wait(1.0, before=1) == 1.0


def test_a_clock_that_is_set_moves_all_that_lies_ahead():
    level = Level(1.0, 1, paused_until=5.0)
    level.spent(level.take(0.0), 0.0)
    level.take(2.0)
    level.shift(-100.0)
    assert (level.full_at, level.paused_until, list(level.out.values())) == (-99.0, -95.0, [-98.0])


@pytest.mark.parametrize(("period", "seconds"), [(0.005, 0.25), (0.25, 0.25), (3.06, 3.06)])
def test_a_token_may_be_held_for_a_period_and_at_least_a_quarter_of_a_second(period, seconds):
    assert fresh_for(period) == Level(period).fresh == seconds


@pytest.mark.parametrize(
    ("rate", "margin"),
    [(0.1, 0.2), (1 / 3, 0.06), (0.4, 0.05), (1, 0.05), (2, 0.025), (10, 0.005), (200, 0.00025)],
)
def test_the_margin_is_two_percent_of_a_period_at_least_fifty_milliseconds_and_at_most_five_percent(rate, margin):
    assert standard_margin(rate) == pytest.approx(margin)
