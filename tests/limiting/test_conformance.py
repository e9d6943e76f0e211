"""What every limiter must do, whatever keeps its state. Another one is one more line in `LIMITERS`.

Each test gets several members that share one limit, as processes do, or sessions of one process. Where time is real a
period is either short, and waited for, or so long that whoever has to wait for it fails.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import attrs
import looptime
import pytest

from aimusic_async import TokenBucket
from aimusic_async.limiting.bucket import RateLimiter
from aimusic_async.limiting.shared import SharedTokenBucket

SHORT, LONG = 0.1, 1000.0
"""Seconds a period."""
AT_ONCE = 5.0
"""Seconds within which it surely happens on the slowest machine, when no period has to be waited for."""


@asynccontextmanager
async def token_bucket(_folder, period, members):
    yield [TokenBucket(1 / period, margin=0)] * members


@asynccontextmanager
async def shared_token_bucket(folder, period, members):
    async with AsyncExitStack() as stack:
        buckets = [
            SharedTokenBucket(folder / "line", rate=1 / period, margin=0, clock=time.monotonic) for _ in range(members)
        ]
        yield [await stack.enter_async_context(bucket) for bucket in buckets]


@attrs.frozen
class Kind:
    """How to open members that share a limit of one token a period: `open(folder, period, members)`."""

    open: Callable[[Path, float, int], AbstractAsyncContextManager[list[RateLimiter]]]
    virtual: bool = False
    """Whether it can run on virtual time: no threads, no servers."""


LIMITERS = {
    "TokenBucket": Kind(token_bucket, virtual=True),
    "SharedTokenBucket": Kind(shared_token_bucket),
}


@pytest.fixture(params=LIMITERS)
def play(request, tmp_path):
    """A function that runs `body(*members)` on a fresh loop."""
    kind = LIMITERS[request.param]

    def run(body, *, period, members=2):
        async def opened():
            async with kind.open(tmp_path, period, members) as limiters:
                return await body(*limiters)

        with asyncio.Runner(loop_factory=new_virtual_loop if kind.virtual else None) as runner:
            return runner.run(opened())

    return run


def new_virtual_loop():
    return looptime.new_event_loop(_enabled=True)


def clock():
    return asyncio.get_running_loop().time()


async def at_once(limiter):
    """Acquire, where nobody has to be waited for."""
    async with asyncio.timeout(AT_ONCE):
        return await limiter.acquire()


async def spend(limiter):
    """Acquire and spend; return when that was."""
    token = await limiter.acquire()
    moment = clock()
    token.spent()
    return moment


def assert_apart(moments, period):
    moments = sorted(moments)
    assert min(late - early for early, late in pairwise(moments)) >= period - 1e-6


def test_no_two_tokens_of_all_who_share_are_nearer_than_a_period(play):
    async def body(*members):
        return await asyncio.gather(*(spend(member) for _ in range(3) for member in members))

    assert_apart(play(body, period=SHORT, members=4), SHORT)


def test_quiet_time_saves_no_tokens(play):
    async def body(one, other):
        await spend(one)
        await asyncio.sleep(5 * SHORT)
        return [await spend(other), await spend(one), await spend(other)]

    assert_apart(play(body, period=SHORT), SHORT)


def test_waiters_of_one_member_are_served_in_the_order_in_which_they_came_whoever_leaves(play):
    async def body(one, other):
        served = []

        async def want(number):
            await spend(one)
            served.append(number)

        tasks = []
        for number in range(10):
            tasks.append(asyncio.create_task(want(number)))
            await asyncio.sleep(0)
        for leaver in (0, 4, 7, 9):
            tasks[leaver].cancel()
        await asyncio.gather(spend(other), *tasks, return_exceptions=True)
        return served

    served = play(body, period=SHORT / 2)
    assert served == sorted(served)
    assert set(served) >= {1, 2, 3, 5, 6, 8}


def test_members_are_served_in_turn(play):
    async def body(*members):
        served = []

        async def want(number):
            for _ in range(5):
                await spend(members[number])
                served.append(number)

        await asyncio.gather(*(want(number) for number in range(len(members))))
        return served

    served = play(body, period=SHORT, members=3)
    assert all(abs(served[:n].count(a) - served[:n].count(b)) <= 2 for n in (6, 9) for a in range(3) for b in range(3))


def test_a_cancelled_wait_takes_none_however_far_it_had_come(play):
    async def body(one, other):
        dice = random.Random(5)
        for attempt in range(40):
            waiter = asyncio.create_task(one.acquire())
            for _ in range(attempt % 10):
                await asyncio.sleep(0 if attempt < 20 else dice.random() * 0.0005)
            waiter.cancel()
            await asyncio.wait([waiter])
            if not waiter.cancelled():
                waiter.result().give_back()
        await asyncio.sleep(0.05)  # what was under way may have to be taken back
        await at_once(other)

    play(body, period=LONG)


def test_a_cancelled_wait_keeps_no_place_before_the_others(play):
    async def body(one, other):
        started = await spend(one)
        waiter = asyncio.create_task(one.acquire())
        await asyncio.sleep(SHORT)
        waiter.cancel()
        await asyncio.sleep(SHORT)
        return await spend(other) - started

    assert play(body, period=5 * SHORT) < 10 * SHORT


def test_a_cancelled_waiter_gives_its_place_to_the_next_of_its_member(play):
    async def body(one, other):
        started = await spend(one)
        first, second = (asyncio.create_task(spend(one)) for _ in range(2))
        await asyncio.sleep(SHORT)
        behind = asyncio.create_task(spend(other))
        await asyncio.sleep(SHORT)
        first.cancel()
        return [moment - started for moment in (await second, await behind)]

    second, behind = play(body, period=5 * SHORT)
    assert second < behind
    assert behind < 15 * SHORT


def test_nothing_is_granted_to_anybody_before_the_end_of_a_pause_and_a_shorter_one_does_not_shorten_it(play):
    async def body(*members):
        await spend(members[0])
        waiting = [asyncio.create_task(spend(member)) for member in members]
        await asyncio.sleep(SHORT / 4)
        end = clock() + 4 * SHORT
        members[0].pause_until(end)
        members[-1].pause_until(end - 2 * SHORT)
        return end, await asyncio.gather(*waiting)

    end, moments = play(body, period=SHORT, members=3)
    assert min(moments) >= end - 0.001
    assert_apart(moments, SHORT)


def test_a_pause_holds_for_whoever_asks_next(play):
    async def body(one):
        end = clock() + SHORT
        one.pause_until(end)
        return await spend(one) - end

    assert play(body, period=LONG, members=1) >= -0.001


def test_a_token_that_was_given_back_goes_to_the_waiter_of_its_member_at_once(play):
    async def body(one):
        token = await at_once(one)
        waiter = asyncio.create_task(at_once(one))
        await asyncio.sleep(0.1)
        assert not waiter.done()
        token.give_back()
        await waiter

    play(body, period=LONG, members=1)


def test_a_token_that_was_given_back_goes_to_whoever_comes_next_at_once(play):
    async def body(one, other):
        (await at_once(one)).give_back()
        await asyncio.sleep(0.1)
        await at_once(other)

    play(body, period=LONG)


def test_giving_back_twice_or_after_spending_gives_nothing_back(play):
    async def body(one):
        twice = await at_once(one)
        twice.give_back()
        twice.give_back()
        token = await at_once(one)
        token.spent()
        token.give_back()
        waiter = asyncio.create_task(one.acquire())
        await asyncio.wait([waiter], timeout=0.2)
        assert not waiter.done()
        waiter.cancel()

    play(body, period=LONG, members=1)


def test_a_late_returned_token_lets_no_two_requests_follow_each_other_too_closely(play):
    async def body(one, other):
        held = await one.acquire()
        used = await spend(other)
        held.give_back()
        return [used, await spend(one)]

    assert_apart(play(body, period=SHORT), SHORT)


def test_a_token_counts_from_when_it_is_spent_for_those_who_wait_already_too(play):
    async def body(one, other):
        token = await one.acquire()
        behind = [asyncio.create_task(spend(member)) for member in (other, one)]
        await asyncio.sleep(1.5 * SHORT)
        moment = clock()
        token.spent()
        return [moment, *await asyncio.gather(*behind)]

    assert_apart(play(body, period=2 * SHORT), 2 * SHORT)


def test_a_token_that_nobody_tells_of_counts_from_when_it_was_granted(play):
    async def body(one, other):
        moments = []
        for member in (one, other, one):
            await member.acquire()
            moments.append(clock())
        return moments

    first, _, third = play(body, period=SHORT)
    assert third - first >= 2 * SHORT - 0.02  # when it was granted, and not when we were told, is what counts


@pytest.mark.parametrize("seed", range(3))
def test_whoever_comes_and_goes_the_limit_holds_and_nobody_is_forgotten(play, seed):
    dice = random.Random(seed)
    period = SHORT / 2

    async def body(*members):
        spent = []

        async def want(member, after, patience, manner):
            await asyncio.sleep(after)
            try:
                async with asyncio.timeout(patience):
                    token = await member.acquire()
            except TimeoutError:
                return
            if manner == "give back":
                token.give_back()
                return
            if manner == "hold":
                await asyncio.sleep(period / 3)
            spent.append(clock())
            token.spent()

        wants = [
            want(
                dice.choice(members),
                dice.uniform(0, 12 * period),
                dice.choice([None, dice.uniform(0, 5 * period)]),
                dice.choice(["spend", "spend", "hold", "give back"]),
            )
            for _ in range(25)
        ]
        await asyncio.gather(*wants)
        await asyncio.sleep(4 * period)
        async with asyncio.timeout(AT_ONCE):
            return spent + [await spend(member) for member in members]

    assert_apart(play(body, period=period, members=3), period)
