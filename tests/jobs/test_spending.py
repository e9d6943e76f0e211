"""From the token to the wire: how many requests are on their way at once, and what becomes of tokens that wait."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import looptime
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async import JobState, MemoryJournal, MusicSession, TokenBucket, account, sonic
from aimusic_async.journal.steps import Begin

PERIOD = 3.0
RUNNING = {"code": 200, "data": [{"clip_id": "c1", "state": "running"}]}


def bucket(capacity=1, period=PERIOD):
    return TokenBucket(1 / period, capacity, margin=0)


def now():
    return asyncio.get_running_loop().time()


class Journal(MemoryJournal):
    """One that takes its time for each transaction: so many seconds, or as many as a function says."""

    def __init__(self, seconds=0.0):
        super().__init__()
        self.seconds = seconds
        self.begun = []
        """How many beginnings were in one transaction."""

    async def apply(self, steps):
        begins = sum(isinstance(step, Begin) for step in steps)
        if begins:
            self.begun.append(begins)
            await asyncio.sleep(self.seconds() if callable(self.seconds) else self.seconds)
        return await super().apply(steps)


class SlowConnector(aiohttp.TCPConnector):
    """One to whose connections somebody else adds seconds; it counts them."""

    def __init__(self, seconds=0.0, **options):
        super().__init__(**options)
        self.seconds = seconds
        self.connections = 0

    async def _create_connection(self, req, traces, timeout):
        self.connections += 1
        await asyncio.sleep(self.seconds() if callable(self.seconds) else self.seconds)
        return await super()._create_connection(req, traces, timeout)


def assert_never_more(times, capacity, period=PERIOD, early=0.02):
    """No window saw more than the limit; on the way to the server some milliseconds may get lost."""
    times = sorted(times)
    for first, start in enumerate(times):
        for count, end in enumerate(times[first:], 1):
            assert count <= capacity + (end - start + early) / period, (times, count)


@pytest.mark.looptime
async def test_all_tokens_that_are_there_are_spent_at_once_and_no_more(fake, song):
    fake.script("/sonic/create", {"task_id": "t"})
    async with MusicSession("key", fake.url, limiter=bucket(capacity=4), poll_interval=1000) as music:
        jobs = [music.submit(song(title=str(number))) for number in range(6)]
        await asyncio.gather(*(job.accepted() for job in jobs))
    first, *_, fourth, fifth, sixth = fake.times()
    assert fourth - first < 0.1
    assert PERIOD - 0.01 < fifth - first < PERIOD + 0.1
    assert 2 * PERIOD - 0.01 < sixth - first < 2 * PERIOD + 0.1


@pytest.mark.looptime
async def test_what_begins_together_shares_a_transaction(fake, song):
    journal = Journal(0.5)
    fake.script("/sonic/create", {"task_id": "t"})
    async with MusicSession("key", fake.url, limiter=bucket(capacity=4), journal=journal, poll_interval=1000) as music:
        jobs = [music.submit(song(title=str(number)), key=str(number)) for number in range(5)]
        await asyncio.gather(*(job.accepted() for job in jobs))
    assert journal.begun == [4, 1]
    assert_never_more(fake.times(), 4)


@pytest.mark.looptime
async def test_a_plan_of_fifty_a_second_is_used_though_each_commit_takes_ten_milliseconds(fake, song):
    journal, limiter = Journal(0.01), TokenBucket(50, 5)
    fake.script("/sonic/create", {"task_id": "t"})
    async with MusicSession("key", fake.url, limiter=limiter, journal=journal, poll_interval=1000) as music:
        jobs = [music.submit(song(title=str(number)), key=str(number)) for number in range(205)]
        await asyncio.gather(*(job.accepted() for job in jobs))
    times = fake.times()
    assert 200 * limiter.period <= (times[-1] - times[0]) * 1.0001 + 0.02 <= 200 * limiter.period / 0.97 + 0.04
    assert_never_more(times, 5, limiter.period)


@pytest.mark.looptime
async def test_calls_beside_a_batch_leave_together_too(fake, song):
    fake.script("/sonic/create", {"task_id": "t"})
    fake.script("/get-credits", {"credits": 7})
    async with MusicSession("key", fake.url, limiter=bucket(capacity=3), poll_interval=1000) as music:
        await asyncio.sleep(10)
        asked = now()
        await asyncio.gather(*(music.run(account.GetCredits()) for _ in range(4)))
    assert [at - asked < 0.1 for at in fake.times()] == [True] * 3 + [False]


@pytest.mark.looptime
@pytest.mark.parametrize("own", [False, True], ids=["our pool", "http="])
async def test_what_was_slow_to_connect_waits_for_another_token_on_its_connection(fake, song, own, monkeypatch):
    connector = SlowConnector(2.5 * PERIOD)
    fake.script("/sonic/create", {"task_id": "t"})
    fake.script("/get-credits", {"credits": 7})
    limiter = bucket()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector)) if own else None
        if not own:
            create = aiohttp.TCPConnector._create_connection

            async def slowly(self, *args):
                connector.connections += 1
                await asyncio.sleep(2.5 * PERIOD)
                return await create(self, *args)

            monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", slowly)
        slow = await stack.enter_async_context(MusicSession("key", fake.url, limiter=limiter, http=http))
        job = slow.submit(song())
        await asyncio.sleep(1)
        monkeypatch.undo()
        other = await stack.enter_async_context(MusicSession("key", fake.url, limiter=limiter))
        calls = [asyncio.create_task(other.credits()) for _ in range(5)]
        await job.accepted()
        await asyncio.gather(*calls)
    times = fake.times()
    assert connector.connections == 1
    assert fake.times("/sonic/create")[0] == pytest.approx(4 * PERIOD, abs=0.1)  # the other session waited before it
    assert_never_more(times, 1)
    assert len(times) == 6


@pytest.mark.looptime
async def test_a_poll_that_was_slow_to_connect_waits_for_another_token_too(fake, song):
    connector = SlowConnector(force_close=True)
    fake.script("/sonic/create", {"task_id": "t"})
    fake.script("/sonic/task/t", RUNNING)
    fake.script("/get-credits", {"credits": 7})
    limiter = bucket()
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        MusicSession("key", fake.url, limiter=limiter, http=http, poll_interval=5) as slow,
        MusicSession("key", fake.url, limiter=limiter) as other,
    ):
        await slow.submit(song()).accepted()
        connector.seconds = 2.3 * PERIOD
        await asyncio.sleep(5.5)
        calls = [asyncio.create_task(other.credits()) for _ in range(4)]
        await asyncio.gather(*calls)
        await asyncio.sleep(2 * PERIOD)
    assert fake.times("/sonic/task/t")
    assert_never_more(fake.times(), 1)


@pytest.mark.looptime
async def test_what_the_journal_was_slow_for_takes_the_next_token_before_all_others(fake, song):
    journal = Journal(2.5 * PERIOD)
    fake.script("/sonic/create", {"task_id": "t"})
    fake.script("/get-credits", {"credits": 7})
    limiter = bucket()
    async with MusicSession("key", fake.url, limiter=limiter, journal=journal, poll_interval=1000) as music:
        job = music.submit(song(), key="one")
        await asyncio.sleep(1)
        calls = [asyncio.create_task(music.credits()) for _ in range(6)]
        await job.accepted()
        assert [call.done() for call in calls].count(True) <= 3
        await asyncio.gather(*calls)
    assert journal.begun == [1]
    assert fake.times("/sonic/create")[0] == pytest.approx(3 * PERIOD, abs=0.1)
    assert_never_more(fake.times(), 1)


@pytest.mark.looptime
@pytest.mark.parametrize("how", ["cancelled", "left"])
async def test_a_request_that_is_given_up_while_it_waits_for_another_token_is_not_sent(fake, song, how):
    limiter = bucket()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=SlowConnector(2 * PERIOD)))
        session = MusicSession("key", fake.url, limiter=limiter, http=http)
        music = await session.__aenter__()
        job = music.submit(song())
        await asyncio.sleep(1)
        limiter.pause_until(now() + 20)
        await asyncio.sleep(2 * PERIOD)
        assert job.state is JobState.SENDING
        if how == "cancelled":
            job.cancel()
            await job.wait()
        await session.__aexit__(None, None, None)
        assert now() < (30 if how == "cancelled" else 10)
    assert job.state is JobState.CANCELLED
    assert fake.asked == []
    await asyncio.sleep(40)
    assert limiter.acquire_now() is not None  # its token is nobody's


@pytest.mark.looptime
async def test_a_middleware_that_reads_the_body_before_it_connects_counts_as_departing_then(fake, song):
    async def sign(request, handler):
        await asyncio.sleep(2 * PERIOD)
        assert await request.body.as_bytes()
        return await handler(request)

    fake.script("/sonic/create", {"task_id": "t"})
    fake.script("/get-credits", {"credits": 7})
    limiter = bucket()
    async with (
        aiohttp.ClientSession(middlewares=[sign]) as http,
        MusicSession("key", fake.url, limiter=limiter, http=http, poll_interval=1000) as slow,
        MusicSession("key", fake.url, limiter=limiter) as other,
    ):
        job = slow.submit(song())
        await asyncio.sleep(1)
        calls = [asyncio.create_task(other.credits()) for _ in range(4)]
        await job.accepted()
        await asyncio.gather(*calls)
    assert_never_more(fake.times(), 1)


@pytest.mark.looptime
async def test_a_reader_that_cannot_wait_takes_a_token_that_is_there_or_the_request_begins_anew(fake, song):
    delays = [2 * PERIOD, 2 * PERIOD, 0.0]

    async def sign(request, handler):
        if request.method == "POST":
            await asyncio.sleep(delays.pop(0))
            assert request.body.decode()
        return await handler(request)

    fake.script("/sonic/create", {"task_id": "t"})
    fake.script("/get-credits", {"credits": 7})
    limiter = bucket()
    async with (
        aiohttp.ClientSession(middlewares=[sign]) as http,
        MusicSession("key", fake.url, limiter=limiter, http=http, poll_interval=1000) as slow,
        MusicSession("key", fake.url, limiter=limiter) as other,
    ):
        await slow.submit(song()).accepted()
        assert delays == [2 * PERIOD, 0.0]  # one was there
        await asyncio.sleep(PERIOD)
        job = slow.submit(song())
        await asyncio.sleep(1)
        calls = [asyncio.create_task(other.credits()) for _ in range(5)]
        await job.accepted()
        await asyncio.gather(*calls)
    assert delays == []
    assert_never_more(fake.times(), 1)


@pytest.mark.looptime
async def test_a_limiter_without_a_capacity_has_one_request_on_its_way_at_once(fake, song):
    class Free:
        """Grants whatever is asked, at once."""

        out = most = 0

        async def acquire(self):
            self.out += 1
            self.most = max(self.most, self.out)
            return self

        def spent(self):
            self.out -= 1

        def give_back(self):
            self.out -= 1

        def pause_until(self, moment):
            """Never called."""

    limiter = Free()
    fake.script("/sonic/create", {"task_id": "t"})
    async with MusicSession("key", fake.url, limiter=limiter, poll_interval=1000) as music:
        await asyncio.gather(*(music.submit(song(title=str(number))).accepted() for number in range(20)))
        assert limiter.most == 1
        limiter.capacity = 7
        await asyncio.gather(*(music.submit(song(title=str(number))).accepted() for number in range(20)))
        assert limiter.most == 7


LATE = st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 9))  # a connection may take ten seconds


@settings(max_examples=40, deadline=None)
@given(
    capacity=st.integers(1, 4),
    sessions=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=3),
    delays=st.lists(LATE, min_size=1, max_size=12),
    jobs=st.integers(1, 5),
)
def test_however_late_journals_and_connections_are_no_window_sees_more_than_the_limit(capacity, sessions, delays, jobs):
    async def play():
        arrived, turn = [], 0

        def seconds():
            nonlocal turn
            turn += 1
            return delays[turn % len(delays)]

        async def answer(request):
            arrived.append(now())
            return web.json_response({"task_id": f"t{len(arrived)}"} if request.method == "POST" else RUNNING)

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", answer)
        limiter = bucket(capacity)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(TestServer(app))
            url, made = str(server.make_url("")).rstrip("/"), []
            for journalled, own in sessions:
                connector = SlowConnector(seconds)
                http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector)) if own else None
                journal = Journal(seconds) if journalled else None
                session = MusicSession("key", url, limiter=limiter, http=http, journal=journal, poll_interval=7)
                music = await stack.enter_async_context(session)
                for number in range(jobs):
                    request = sonic.CreateMusic(prompt="la", mv="sonic-v5", title=str(number))
                    made.append(music.submit(request, key=str(number)))
            await asyncio.gather(*(job.accepted() for job in made))
            await asyncio.sleep(30)
        return arrived

    loop = looptime.new_event_loop(_enabled=True)
    try:
        arrived = loop.run_until_complete(play())
    finally:
        loop.close()
    assert_never_more(arrived, capacity)
