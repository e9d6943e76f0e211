"""Slices: what concerns thousands of jobs leaves the event loop to others in between, and still reaches every one."""

import asyncio

import pytest

from aimusic_async import JobCancelled, JobChanged, JobState, JobTimeout, MusicSession, TokenBucket, sonic
from aimusic_async.slices import AT_ONCE, in_slices, see_through

JOBS = 2_000


class Never:
    """A limiter that grants nothing."""

    async def acquire(self):
        await asyncio.Event().wait()

    def pause_until(self, moment):
        pass


class Crowds:
    """Counts the job changes in each turn of the loop while it is entered."""

    def __init__(self, music):
        self.music = music
        self.largest = self.now = self.all = 0

    def __enter__(self):
        self.leave = self.music.events.listen(self._count, JobChanged)
        self.handle = asyncio.get_running_loop().call_soon(self._turn)
        return self

    def __exit__(self, *exc_info):
        self._turn()
        self.handle.cancel()
        self.leave()

    def _count(self, _event):
        self.now += 1
        self.all += 1

    def _turn(self):
        self.largest, self.now = max(self.largest, self.now), 0
        self.handle = asyncio.get_running_loop().call_soon(self._turn)


def request(number):
    return sonic.UpsampleTags(tags=f"pop {number}")


def opened(**more):
    return MusicSession("k" * 20, "http://127.0.0.1:9", limiter=Never(), **more)


def fill(submit, jobs=JOBS):
    return [submit(request(number)) for number in range(jobs)]


async def test_few_items_are_done_at_once():
    seen = []
    finished = in_slices(range(AT_ONCE), seen.append, lambda: seen.append("then"))
    assert finished.done()
    assert seen == [*range(AT_ONCE), "then"]


async def test_others_run_between_two_slices_and_all_items_come_in_order():
    seen = []
    asyncio.get_running_loop().call_soon(seen.append, "other")
    finished = in_slices(range(3 * AT_ONCE), seen.append, lambda: seen.append("then"))
    assert seen == [*range(AT_ONCE)]
    await finished
    assert seen == [*range(AT_ONCE), "other", *range(AT_ONCE, 3 * AT_ONCE), "then"]


async def test_nothing_to_do_ends_at_once_too():
    seen = []
    assert in_slices([], seen.append, lambda: seen.append("then")).done()
    assert seen == ["then"]


async def test_who_sees_it_through_is_cancelled_only_when_all_is_done():
    seen = []
    task = asyncio.create_task(see_through(in_slices(range(5 * AT_ONCE), seen.append)))
    await asyncio.sleep(0)
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(seen) == 5 * AT_ONCE


async def test_a_group_s_time_out_ends_all_jobs_a_few_in_each_turn():
    async with opened() as music, music.group(timeout=0.3, on_failure="keep") as group:
        jobs = fill(group.submit)
        await asyncio.sleep(0.1)
        with Crowds(music) as crowds:
            await asyncio.gather(*(job.wait() for job in jobs))
    assert all(isinstance(job.exception(), JobTimeout) for job in jobs)
    assert crowds.all == JOBS
    assert crowds.largest <= AT_ONCE


@pytest.mark.looptime
async def test_a_job_that_is_submitted_while_the_time_out_is_at_work_times_out_too():
    async with opened() as music, music.group(timeout=5, on_failure="keep") as group:
        jobs = fill(group.submit)
        await jobs[0].wait()
        assert not jobs[-1].done()
        late = group.submit(request(JOBS))
        await late.wait()
    assert isinstance(late.exception(), JobTimeout)


async def test_leaving_a_group_by_an_exception_releases_its_jobs_a_few_in_each_turn(caplog):
    async with opened() as music:
        with pytest.raises(ZeroDivisionError):
            async with music.group() as group:
                jobs = fill(group.submit)
                crowds = Crowds(music)
                crowds.__enter__()
                raise ZeroDivisionError
        crowds.__exit__()
        assert all(isinstance(job.exception(), JobCancelled) for job in jobs)
        assert crowds.largest <= AT_ONCE
    assert caplog.messages == [
        f"the group was left with unfinished jobs: {JOBS} never sent ({', '.join(job.key for job in jobs[:5])}, …)"
    ]


async def test_leaving_a_group_under_repeated_cancellation_still_releases_every_job():
    async with opened() as music:
        jobs = []

        async def work():
            async with music.group() as group:
                jobs.extend(fill(group.submit))

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()
        assert {job.state for job in jobs} == {JobState.CANCELLED}


async def test_closing_ends_all_jobs_a_few_in_each_turn(caplog):
    async with opened() as music:
        jobs = fill(music.submit)
        crowds = Crowds(music)
        crowds.__enter__()
    crowds.__exit__()
    assert {job.state for job in jobs} == {JobState.CANCELLED}
    assert crowds.all == JOBS
    assert crowds.largest <= AT_ONCE
    assert len(caplog.messages) == 1


async def test_the_first_failure_cancels_the_rest_a_few_in_each_turn(fake):
    fake.script("/sonic/upsample-tags", (400, {"error": "bad", "message": "bad tags", "type": "validation_error"}))
    async with MusicSession("k" * 20, fake.url, limiter=TokenBucket(1000, margin=0)) as music:
        with Crowds(music) as crowds, pytest.raises(ExceptionGroup):
            async with music.group(on_failure="cancel") as group:
                jobs = fill(group.submit)
                await asyncio.sleep(0)
                crowds.largest = 0
    assert all(job.done() for job in jobs)
    assert sum(job.state is JobState.CANCELLED for job in jobs) > JOBS / 2
    assert crowds.largest <= AT_ONCE + 1


async def test_a_wrong_key_ends_all_that_waits_a_few_in_each_turn_and_sends_nothing_meanwhile(fake):
    fake.script("/sonic/upsample-tags", (401, {"type": "unauthorized", "error": "Invalid API key"}))
    async with MusicSession("k" * 20, fake.url, limiter=TokenBucket(1000, capacity=5, margin=0)) as music:
        jobs = fill(music.submit)
        await asyncio.sleep(0)
        with Crowds(music) as crowds:
            await asyncio.gather(*(job.wait() for job in jobs))
    assert {job.state for job in jobs} == {JobState.FAILED}
    assert crowds.largest <= AT_ONCE + 20
    assert len(fake.asked) <= 10


async def test_resuming_leaves_the_loop_to_others_in_between(tmp_path, song):
    journal = tmp_path / "jobs.db"
    async with opened(journal=journal) as music:
        for number in range(JOBS):
            music.submit(song(title=str(number)), key=str(number))
        await music.journal.jobs(limit=1)
    async with opened(journal=journal) as music:
        with Crowds(music) as crowds:
            jobs = await music.resume()
    assert len(jobs) == JOBS
    assert crowds.largest <= AT_ONCE


async def test_a_lack_of_credits_is_counted_a_few_jobs_in_each_turn_and_said_once(fake, song, caplog):
    fake.script("/sonic/create", (403, {"type": "forbidden", "error": "Insufficient credits"}))
    async with MusicSession("k" * 20, fake.url, limiter=TokenBucket(1000, margin=0)) as music:
        jobs = [music.submit(song(title=str(number))) for number in range(JOBS)]
        await asyncio.gather(*(job.wait() for job in jobs))
    assert {job.state for job in jobs} == {JobState.FAILED}
    assert f"the account has too few credits: {JOBS} jobs" in caplog.text
    assert len({job.exception() for job in jobs}) == 1
