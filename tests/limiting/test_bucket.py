"""The token bucket: never two too close, first come first served, no token lost."""

import asyncio
import random

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async import ConfigurationError, TokenBucket

from .buckets import assert_within

PERIOD = 3.0


def exact(capacity=1, rate=1 / PERIOD):
    return TokenBucket(rate, capacity, margin=0)


def virtual(coroutine_function, *args):
    """Run on a fresh loop with virtual time, one for each example."""
    loop = looptime.new_event_loop(_enabled=True)
    try:
        return loop.run_until_complete(coroutine_function(*args))
    finally:
        loop.close()


@pytest.mark.looptime
async def test_the_first_token_is_there_at_once_and_the_next_after_a_period():
    bucket, clock = exact(), asyncio.get_running_loop().time
    for _ in range(4):
        await bucket.acquire()
    assert clock() == pytest.approx(9.0, abs=0.01)
    assert clock() >= 9.0


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("rate", "margin"),
    [(0.1, 0.2), (1 / 3, 0.06), (0.4, 0.05), (1, 0.05), (2, 0.025), (10, 0.005), (200, 0.00025)],
)
async def test_the_margin_is_two_percent_of_a_period_at_least_fifty_milliseconds_and_at_most_five_percent(rate, margin):
    bucket, clock = TokenBucket(rate), asyncio.get_running_loop().time
    assert bucket.margin == pytest.approx(margin)
    assert bucket.period == pytest.approx(1 / rate + margin)
    await bucket.acquire()
    started = clock()
    await bucket.acquire()
    assert bucket.period - 1e-9 <= clock() - started <= bucket.period + 0.002


@pytest.mark.looptime
async def test_a_margin_of_ones_own_is_taken_as_it_is():
    assert TokenBucket(1 / 3, margin=0.5).period == pytest.approx(3.5)
    assert TokenBucket(1 / 3, margin=0).period == pytest.approx(3.0)


@pytest.mark.looptime
async def test_after_a_quiet_time_capacity_tokens_go_at_once_and_no_more():
    bucket, clock = exact(capacity=3), asyncio.get_running_loop().time
    await asyncio.sleep(1000)
    started = clock()
    for _ in range(3):
        await bucket.acquire()
    assert clock() == started
    await bucket.acquire()
    assert clock() - started == pytest.approx(PERIOD, abs=0.002)


@pytest.mark.looptime
async def test_waiters_are_served_in_the_order_in_which_they_came_even_past_newcomers():
    bucket, served = exact(), []

    async def want(name, after):
        await asyncio.sleep(after)
        await bucket.acquire()
        served.append(name)

    await asyncio.gather(*(want(number, after=number * 0.7) for number in range(12)))
    assert served == list(range(12))


@pytest.mark.looptime
async def test_a_cancelled_waiter_gives_its_place_and_its_token_to_the_next():
    bucket, clock = exact(), asyncio.get_running_loop().time
    await bucket.acquire()
    first = asyncio.create_task(bucket.acquire())
    second = asyncio.create_task(bucket.acquire())
    await asyncio.sleep(1)
    first.cancel()
    await second
    assert clock() == pytest.approx(PERIOD, abs=0.01)
    assert first.cancelled()


@pytest.mark.looptime
async def test_nothing_is_granted_before_the_end_of_a_pause_and_a_shorter_pause_does_not_shorten_it():
    bucket, clock = exact(), asyncio.get_running_loop().time
    waiter = asyncio.create_task(bucket.acquire())
    bucket.pause_until(clock() + 30)
    bucket.pause_until(clock() + 5)
    await waiter
    assert clock() == pytest.approx(30, abs=0.01)
    await bucket.acquire()
    assert clock() == pytest.approx(33, abs=0.01)


@pytest.mark.looptime
async def test_a_token_that_was_given_back_goes_to_the_waiter_at_once():
    bucket, clock = exact(), asyncio.get_running_loop().time
    token = await bucket.acquire()
    waiter = asyncio.create_task(bucket.acquire())
    await asyncio.sleep(1)
    token.give_back()
    token.give_back()  # twice is once
    await waiter
    assert clock() == pytest.approx(1, abs=0.01)
    await bucket.acquire()
    assert clock() == pytest.approx(1 + PERIOD, abs=0.01)


@pytest.mark.looptime
async def test_a_late_returned_token_does_not_let_two_requests_follow_each_other_too_closely():
    bucket, clock = exact(), asyncio.get_running_loop().time
    held = await bucket.acquire()
    await bucket.acquire()
    used = clock()
    held.give_back()
    await bucket.acquire()
    assert clock() - used == pytest.approx(PERIOD, abs=0.01)


@pytest.mark.looptime
async def test_a_token_counts_from_when_it_is_spent():
    bucket, clock = exact(), asyncio.get_running_loop().time
    token = await bucket.acquire()
    await asyncio.sleep(2)
    token.spent()
    await bucket.acquire()
    assert clock() == pytest.approx(2 + PERIOD, abs=0.01)


@pytest.mark.parametrize("bad", [{"rate": 0}, {"rate": -1}, {"rate": float("nan")}, {"capacity": 0}, {"capacity": 1.5}])
def test_senseless_settings_are_refused(bad):
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        TokenBucket(**bad)


def test_a_negative_margin_is_refused():
    with pytest.raises(ConfigurationError, match="margin"):
        TokenBucket(1, margin=-0.1)


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 4),
    arrivals=st.lists(
        st.tuples(
            st.floats(0, 40),  # when somebody comes
            st.one_of(st.none(), st.floats(0, 25)),  # when they lose patience
            st.sampled_from(["spend", "give back", "hold and spend", "say nothing"]),
        ),
        min_size=1,
        max_size=25,
    ),
    pause=st.one_of(st.none(), st.tuples(st.floats(0, 30), st.floats(0, 20))),
)
def test_whoever_comes_and_goes_no_window_sees_more_than_the_rate_and_no_token_is_lost(capacity, arrivals, pause):
    async def play():
        bucket, clock = exact(capacity), asyncio.get_running_loop().time
        used, order = [], []

        async def want(number, after, patience, manner):
            await asyncio.sleep(after)
            order.append(number)
            try:
                async with asyncio.timeout(patience):
                    token = await bucket.acquire()
            except TimeoutError:
                return None
            if manner == "give back":
                token.give_back()
                return None
            if manner == "hold and spend":
                await asyncio.sleep(0.5)
                token.spent()
            elif manner == "spend":
                token.spent()
            used.append(clock())
            return number

        async def pauses():
            if pause is not None:
                await asyncio.sleep(pause[0])
                bucket.pause_until(clock() + pause[1])

        await asyncio.gather(pauses(), *(want(number, *arrival) for number, arrival in enumerate(arrivals)))
        idle = clock() + 1000
        await asyncio.sleep(1000)
        full = [await bucket.acquire() for _ in range(capacity)]
        return used, clock() - idle, len(full)

    used, waited, _ = virtual(play)
    used.sort()
    for early, late in zip(used, used[capacity:], strict=False):
        assert late - early >= PERIOD - 1e-6
    assert waited == pytest.approx(0, abs=0.002)  # after a quiet time the bucket is full again: nothing leaked


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 40))
def test_those_who_stay_are_served_first_come_first_served_whoever_leaves(seed, count):
    async def play():
        bucket, dice, served = exact(), random.Random(seed), []

        async def want(number):
            await bucket.acquire()
            served.append(number)

        tasks = []
        for number in range(count):
            tasks.append(asyncio.create_task(want(number)))
            await asyncio.sleep(dice.choice([0, 0, 0.1, 2.9]))
            if dice.random() < 0.3:
                dice.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return served

    served = virtual(play)
    assert served == sorted(served)


@pytest.mark.looptime
async def test_a_token_is_had_at_once_only_when_it_is_there_and_nobody_waits_for_it():
    bucket = exact(capacity=2)
    await bucket.acquire()
    assert bucket.acquire_now() is not None
    assert bucket.acquire_now() is None
    waiter = asyncio.create_task(bucket.acquire())
    await asyncio.sleep(PERIOD - 1)
    assert bucket.acquire_now() is None
    await waiter
    await asyncio.sleep(PERIOD - 1)
    assert bucket.acquire_now() is None
    await asyncio.sleep(1.1)
    bucket.pause_until(asyncio.get_running_loop().time() + 5)
    assert bucket.acquire_now() is None
    await asyncio.sleep(5)
    token = bucket.acquire_now()
    assert token is not None
    token.give_back()
    assert bucket.acquire_now() is not None


@pytest.mark.looptime
async def test_who_waits_for_a_token_is_not_overtaken_when_one_is_given_back():
    bucket = exact()
    held = await bucket.acquire()
    waiter = asyncio.create_task(bucket.acquire())
    await asyncio.sleep(1)
    held.give_back()
    assert bucket.acquire_now() is None
    await waiter


def test_without_numbers_it_is_the_standard_plans():
    bucket = TokenBucket()
    assert (bucket.rate, bucket.capacity, bucket.margin) == (1 / 3, 1, pytest.approx(0.06))


@pytest.mark.parametrize("margin", [-0.1, float("inf"), float("nan")])
def test_a_margin_is_a_number_of_seconds(margin):
    with pytest.raises(ConfigurationError, match="margin"):
        TokenBucket(1, margin=margin)


@pytest.mark.looptime
@pytest.mark.parametrize(("rate", "seconds"), [(1 / PERIOD, PERIOD), (20, 0.25)])
async def test_a_token_says_until_when_its_request_may_depart(rate, seconds):
    await asyncio.sleep(1.5)
    assert (await exact(rate=rate).acquire()).fresh_until == pytest.approx(1.5 + seconds)


@pytest.mark.looptime
async def test_what_is_said_of_a_token_counts_once():
    bucket, clock = exact(capacity=3), asyncio.get_running_loop().time
    first, second = await bucket.acquire(), await bucket.acquire()
    first.spent()
    first.spent()
    second.give_back()
    second.spent()
    second.give_back()
    for _ in range(2):
        (await bucket.acquire()).spent()
    assert clock() == 0
    await bucket.acquire()
    assert clock() == pytest.approx(PERIOD, abs=0.002)


@pytest.mark.looptime
async def test_of_several_tokens_those_in_flight_keep_their_places():
    bucket, clock = exact(capacity=2), asyncio.get_running_loop().time
    await asyncio.sleep(100)
    started = clock()
    one, two = await bucket.acquire(), await bucket.acquire()
    waiter = asyncio.create_task(bucket.acquire())
    await asyncio.sleep(2)
    one.spent()
    await asyncio.sleep(0.5)
    assert not waiter.done()
    two.spent()
    third = await waiter
    assert clock() - started == pytest.approx(2 + PERIOD, abs=0.002)  # the first one began to drain when it departed
    third.spent()
    await bucket.acquire()
    assert clock() - started == pytest.approx(2 + 2 * PERIOD, abs=0.002)


@pytest.mark.looptime
async def test_who_waits_hears_at_once_that_a_token_in_flight_is_nobodys_any_more():
    bucket, clock = exact(rate=20), asyncio.get_running_loop().time
    token = await bucket.acquire()
    waiter = asyncio.create_task(bucket.acquire())
    await asyncio.sleep(0.08)
    assert not waiter.done()  # it may still depart
    del token
    await waiter
    assert clock() == pytest.approx(0.08, abs=0.002)  # it counts from when it was granted


@pytest.mark.looptime
async def test_a_token_that_is_kept_without_a_word_keeps_its_place_until_it_is_too_old():
    bucket, clock = exact(rate=20), asyncio.get_running_loop().time
    kept = await bucket.acquire()
    await bucket.acquire()
    assert clock() == pytest.approx(0.25, abs=0.002)
    kept.give_back()  # too late
    await bucket.acquire()
    assert clock() == pytest.approx(0.3, abs=0.002)


def test_it_serves_one_loop_at_a_time_and_another_when_that_is_closed():
    bucket = exact()

    async def use():
        (await bucket.acquire()).spent()

    async def use_in_two():
        assert bucket.acquire_now() is None  # the loop before has taken it
        await use()
        with pytest.raises(ConfigurationError, match="one event loop"):
            await asyncio.to_thread(asyncio.run, use())

    asyncio.run(use())
    virtual(use_in_two)


@settings(max_examples=100, deadline=None)
@given(
    capacity=st.integers(1, 5),
    rate=st.sampled_from([1 / PERIOD, 2.0, 30.0]),
    wants=st.lists(
        st.tuples(
            st.floats(0, 3),  # periods between two who come
            st.sampled_from(["spend", "spend", "give back", "drop"]),
            st.one_of(st.just(0.0), st.floats(0, 0.99)),  # when, as a share of the time for which it may be held
        ),
        min_size=1,
        max_size=40,
    ),
)
def test_however_late_requests_depart_no_window_sees_more_than_the_limit(capacity, rate, wants):
    async def play():
        bucket, clock, departed = exact(capacity, rate), asyncio.get_running_loop().time, []

        async def want(manner, share):
            token = await bucket.acquire()
            if manner == "drop":
                departed.append(clock())
                return
            await asyncio.sleep(share * (token.fresh_until - clock()))
            if manner == "spend":
                departed.append(clock())
                token.spent()
            else:
                token.give_back()

        tasks = []
        for think, manner, share in wants:
            await asyncio.sleep(think * bucket.period / capacity)
            tasks.append(asyncio.create_task(want(manner, share)))
        await asyncio.gather(*tasks)
        return departed

    assert_within(virtual(play), 1 / rate, capacity)
