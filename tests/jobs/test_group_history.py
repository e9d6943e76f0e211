"""Groups that live long: without history a group lets go of what has ended, and still counts and reports it."""

import asyncio
import gc
import weakref

import pytest

from aimusic_async import ConfigurationError, JobState, KeyConflict, MemoryJournal, MusicSession, TokenBucket, sonic

TAGS = "/sonic/upsample-tags"
GOOD = {"code": 200, "message": "success", "data": {"upsampled_tags": "pop, bright"}}
BAD = (400, {"error": "bad", "message": "bad tags", "type": "validation_error"})


def opened(fake):
    return MusicSession("k" * 20, fake.url, limiter=TokenBucket(10_000, capacity=100, margin=0))


def request(number=0):
    return sonic.UpsampleTags(tags=f"pop {number}")


async def test_finished_jobs_are_let_go_of_and_open_ones_are_there(fake):
    fake.script(TAGS, GOOD)
    async with opened(fake) as music, music.group(history=False) as group:
        ended = [weakref.ref(group.submit(request(number))) for number in range(20)]
        for reference in ended:
            if (job := reference()) is not None:
                await job
        job = None
        gc.collect()
        assert [reference() for reference in ended[:-1]] == [None] * 19
        waits = group.submit(request())
        assert group.jobs == (waits,)
        assert group.results() == []
        await waits
        assert group.jobs == ()
        assert (await waits).upsampled_tags == "pop, bright"


async def test_a_key_is_free_again_when_its_job_has_ended_and_only_then(fake):
    fake.script(TAGS, GOOD, BAD, GOOD)
    async with opened(fake) as music, music.group(history=False, on_failure="keep") as group:
        first = group.submit(request(), key="tags")
        with pytest.raises(ConfigurationError, match="'tags' already"):
            group.submit(request(), key="tags")
        await first
        failing = group.submit(request(), key="tags")
        await failing.wait()
        assert failing.state is JobState.FAILED
        assert (await group.submit(request(), key="tags")).upsampled_tags == "pop, bright"


async def test_jobs_without_a_key_never_share_one(fake):
    fake.script(TAGS, GOOD)
    async with opened(fake) as music, music.group(history=False) as group:
        keys = []
        for number in range(5):
            job = group.submit(request(number))
            keys.append(job.key)
            await job
    assert len(set(keys)) == 5


async def test_what_was_spent_counts_also_for_jobs_that_are_gone(fake, song):
    fake.script("/sonic/create", {"task_id": "t1"}, {"task_id": "t2"})
    clip = {"clip_id": "c", "state": "succeeded", "audio_url": "https://x/1.mp3"}
    for task in ("t1", "t2"):
        fake.script(f"/sonic/task/{task}", {"code": 200, "data": [clip, {**clip, "clip_id": "d"}]})
    bucket = TokenBucket(1000, margin=0)
    async with (
        MusicSession("k" * 20, fake.url, limiter=bucket, poll_interval=0.01) as music,
        music.group(history=False) as group,
    ):
        jobs = [group.submit(song()), group.submit(song())]
        assert sorted([job.key async for job in group.as_completed()]) == sorted(job.key for job in jobs)
        assert group.jobs == ()
        assert group.spent == sum(job.credits for job in jobs) > 0


async def test_as_completed_yields_what_ends_from_then_on(fake):
    fake.script(TAGS, GOOD)
    async with opened(fake) as music, music.group(history=False) as group:
        await group.submit(request(), key="before")
        for number in range(3):
            group.submit(request(number), key=str(number))
        assert sorted([job.key async for job in group.as_completed()]) == ["0", "1", "2"]


async def test_two_who_follow_the_same_group_see_the_same(fake):
    fake.script(TAGS, GOOD)
    async with opened(fake) as music, music.group(history=False) as group:
        for number in range(10):
            group.submit(request(number), key=str(number))

        async def keys():
            return [job.key async for job in group.as_completed()]

        async def first():
            return await anext(group.as_completed())

        one, two, three = await asyncio.gather(keys(), keys(), first())
        assert one == two
        assert sorted(one) == [str(number) for number in range(10)]
        assert three.key == one[0]


async def test_the_first_hundred_failures_are_raised_at_the_end_and_all_are_counted(fake):
    fake.script(TAGS, *[BAD] * 120, GOOD)
    async with opened(fake) as music:
        with pytest.raises(ExceptionGroup, match="120 of 130 jobs failed; the first 100 are here") as caught:
            async with music.group(history=False) as group:
                for number in range(130):
                    await group.submit(request(number)).wait()
                assert len(group.jobs) == len(group.failures()) == 100
    assert len(caught.value.exceptions) == 100


async def test_a_submit_that_is_refused_leaves_no_trace_in_the_count(fake):
    async with opened(fake) as music:
        async with music.group() as group:
            with pytest.raises(ConfigurationError, match="priority"):
                group.submit(request(), priority="high")
        assert group.jobs == ()


async def test_a_failure_is_raised_though_its_key_was_used_again_with_success(fake):
    fake.script(TAGS, BAD, GOOD)
    async with opened(fake) as music:
        with pytest.raises(ExceptionGroup, match="1 of 2 jobs failed") as caught:
            async with music.group(history=False) as group:
                failed = group.submit(request(), key="tags")
                await failed.wait()
                await group.submit(request(), key="tags")
        assert group.failures() == {failed: failed.exception()}
    assert len(caught.value.exceptions) == 1


async def test_a_job_that_fails_as_it_is_submitted_is_raised_too(fake, song):
    fake.script("/sonic/create", {"message": "success", "task_id": "t"})
    clip = {"clip_id": "c", "state": "succeeded", "audio_url": "https://x/1.mp3"}
    fake.script("/sonic/task/t", {"code": 200, "data": [clip, {**clip, "clip_id": "d"}]})
    bucket = TokenBucket(1000, margin=0)
    async with (
        MusicSession("k" * 20, fake.url, limiter=bucket, poll_interval=0.01, journal=MemoryJournal()) as music,
        music.group("album") as one,
    ):
        one.submit(song(), key="track")
        with pytest.raises(ExceptionGroup, match="1 of 1 jobs failed") as caught:
            async with music.group("album", history=False) as two:
                two.submit(song(title="another"), key="track")
    assert isinstance(caught.value.exceptions[0], KeyConflict)
