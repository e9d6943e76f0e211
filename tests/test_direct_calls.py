"""Direct calls in an idle session: they go at once, and keep every rule that the others keep."""

import asyncio
import itertools

import aiohttp
import pytest

from aimusic_async import JobCancelled, JobState, MusicSession, TokenBucket, account, sonic

PERIOD = TokenBucket().period
TAGS = sonic.UpsampleTags(tags="pop")


async def idle(fake, music):
    """Make the session idle, with a token there."""
    fake.script("/get-credits", {"credits": 7})
    await music.credits()
    await asyncio.sleep(10)
    fake.asked.clear()


async def shows_its_tags(_request):
    return {"data": {"upsampled_tags": "bright pop"}}


@pytest.mark.looptime
async def test_calls_that_come_together_are_sent_a_period_apart_and_in_order(fake, song):
    fake.script("/sonic/upsample-tags", shows_its_tags)
    fake.script("/sonic/create", {"task_id": "t"})
    async with MusicSession("key", fake.url) as music:
        await idle(fake, music)
        asked = asyncio.get_running_loop().time()
        calls = asyncio.gather(*(music.run(account.GetCredits()) for _ in range(2)), music.run(TAGS))
        await asyncio.sleep(0)
        await asyncio.gather(calls, music.submit(song()).accepted())
        times = fake.times()
        assert times[0] == pytest.approx(asked, abs=0.01)
        assert all(later - sooner > PERIOD - 0.01 for sooner, later in itertools.pairwise(times))
        paths = [path for _, _, path, _ in fake.asked]
        assert paths == ["/get-credits", "/get-credits", "/sonic/upsample-tags", "/sonic/create"]


@pytest.mark.looptime
async def test_nothing_follows_a_call_that_is_still_connecting(fake, song, monkeypatch):
    connect = aiohttp.TCPConnector.connect

    async def slowly(self, *args, **kwargs):
        await asyncio.sleep(2 * PERIOD)
        return await connect(self, *args, **kwargs)

    fake.script("/sonic/upsample-tags", shows_its_tags)
    fake.script("/sonic/create", {"task_id": "t"})
    async with MusicSession("key", fake.url) as music:
        await idle(fake, music)
        monkeypatch.setattr(aiohttp.TCPConnector, "connect", slowly)
        call = asyncio.create_task(music.run(TAGS))
        await asyncio.sleep(1)
        monkeypatch.undo()
        music.submit(song())
        await call
        await asyncio.sleep(2 * PERIOD)
        first, second = fake.times("/sonic/upsample-tags"), fake.times("/sonic/create")
        assert second[0] - first[0] > PERIOD - 0.01


@pytest.mark.looptime
async def test_a_call_that_a_listener_cancels_as_it_comes_is_not_sent_and_costs_no_token(fake):
    fake.script("/sonic/upsample-tags", shows_its_tags)
    async with MusicSession("key", fake.url) as music:
        await idle(fake, music)
        stop = music.events.listen(
            lambda event: event.job.cancel() if getattr(event, "state", None) is JobState.QUEUED else None
        )
        with pytest.raises(JobCancelled):
            await music.run(TAGS)
        assert fake.asked == []
        stop()
        started = asyncio.get_running_loop().time()
        await music.run(TAGS)
        assert asyncio.get_running_loop().time() - started < 1


@pytest.mark.looptime
@pytest.mark.parametrize("ticks", range(8))
async def test_leaving_while_a_call_goes_waits_for_its_answer_or_never_sends_it(fake, ticks):
    async def slowly(_request):
        await asyncio.sleep(20)
        return {"data": {"upsampled_tags": "bright pop"}}

    fake.script("/sonic/upsample-tags", slowly)
    async with MusicSession("key", fake.url) as music:
        await idle(fake, music)
        call = asyncio.create_task(music.run(TAGS))
        for _ in range(ticks):
            await asyncio.sleep(0)
    (outcome,) = await asyncio.gather(call, return_exceptions=True)
    if fake.asked:
        assert outcome.upsampled_tags == "bright pop"
    else:
        assert not hasattr(outcome, "upsampled_tags")


@pytest.mark.looptime
@pytest.mark.parametrize("ticks", range(8))
async def test_a_call_cancelled_just_as_it_goes_is_finished_or_never_sent(fake, ticks):
    fake.script("/sonic/upsample-tags", shows_its_tags)
    async with MusicSession("key", fake.url) as music:
        await idle(fake, music)
        call = asyncio.create_task(music.run(TAGS))
        for _ in range(ticks):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        await asyncio.sleep(1)
        assert music.stats.calls == 1 + len(fake.asked)


@pytest.mark.looptime
async def test_a_limiter_that_cannot_tell_at_once_is_waited_for(fake):
    class Plain:
        def __init__(self):
            self.acquire = TokenBucket().acquire

        def pause_until(self, moment):
            """Never called."""

    fake.script("/sonic/upsample-tags", shows_its_tags)
    async with MusicSession("key", fake.url, limiter=Plain()) as music:
        await idle(fake, music)
        assert [(await music.run(TAGS)).upsampled_tags for _ in range(2)] == ["bright pop"] * 2
        first, second = fake.times()
        assert second - first > PERIOD - 0.01


@pytest.mark.looptime
async def test_a_limiter_that_breaks_lets_the_post_under_way_finish(fake, song):
    class Once:
        asked = 0

        async def acquire(self):
            self.asked += 1
            if self.asked > 1:
                raise ZeroDivisionError("no such limit")
            return await TokenBucket().acquire()

        def pause_until(self, moment):
            """Never called."""

    async def slowly(_request):
        await asyncio.sleep(20)
        return {"task_id": "t-1"}

    fake.script("/sonic/create", slowly)
    with pytest.raises(ExceptionGroup):
        async with MusicSession("key", fake.url, limiter=Once()) as music:
            first, second = music.submit(song()), music.submit(song())
            await asyncio.gather(first.wait(), second.wait())
    assert (first.task_id, first.state) == ("t-1", JobState.DETACHED)
    assert second.state is JobState.CANCELLED


@pytest.mark.looptime
async def test_a_call_may_be_the_first_thing_that_a_session_does(fake):
    limiter = TokenBucket()
    for _ in range(2):
        async with MusicSession("key", fake.url, limiter=limiter) as music:
            await idle(fake, music)
    async with MusicSession("key", fake.url, limiter=limiter) as music:
        assert (await music.credits()).total == 7
