"""Cancelling at every moment: nothing hangs, nothing is paid twice, no task id and no token is lost."""

import asyncio

import anyio
import pytest

from aimusic_async import JobCancelled, JobState, MemoryJournal, MusicSession, TokenBucket
from aimusic_async.journal.record import account_id
from aimusic_async.sandbox import Options, Sandbox


@pytest.fixture(params=["without a journal", "with a journal"])
def journal(request):
    """A journal, or none: a cancellation may hit each of the writings, too."""
    return MemoryJournal() if request.param == "with a journal" else None


async def agrees(journal, paid):
    """The journal knows the tasks that were paid for, nobody owns them any more, and no outcome is unknown."""
    if journal is not None:
        records = await journal.find(account_id("default", "127.0.0.1"))
        assert {record.task_id for record in records if record.task_id} == paid
        assert {record.owner for record in records} <= {None}
        assert not {record.state for record in records} & {JobState.SENDING, JobState.UNKNOWN}


MOMENTS = [0.0, 0.5, 2.9, 3.0, 3.1, 6.2, 9.5, 17.9, 18.1, 30.0, 61.3, 95.0, 120.0]


@pytest.mark.looptime
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", ["asyncio", "anyio"])
async def test_a_group_cancelled_at_any_moment_leaves_books_and_jobs_in_agreement(song, moment, how, journal):
    async with Sandbox(Options(seed=4)) as box, MusicSession.sandbox(box, journal=journal) as music:
        jobs = []

        async def album():
            async with music.group() as group:
                jobs.extend(group.submit(song()) for _ in range(6))

        if how == "asyncio":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(moment):
                    await album()
        else:
            with anyio.move_on_after(moment) as scope:
                await album()
            assert scope.cancelled_caught
        await asyncio.gather(*(job.wait() for job in jobs))
        paid = {entry.task_id for entry in box.books.taken()}
        assert {job.task_id for job in jobs if job.task_id} == paid
        assert all((job.state is JobState.CANCELLED) == (job.task_id is None) for job in jobs)
        await asyncio.sleep(0.01)
        await agrees(journal, paid)
        # The session goes on as if nothing had been.
        started = asyncio.get_running_loop().time()
        await music.credits()
        assert asyncio.get_running_loop().time() - started <= 2 * TokenBucket().period
        assert box.books.refusals == []


@pytest.mark.looptime
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_session_left_at_any_moment_leaves_no_task_and_no_job_open(song, moment, journal):
    before, jobs = asyncio.all_tasks(), []
    async with Sandbox(Options(seed=4)) as box:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(moment), MusicSession.sandbox(box, journal=journal) as music:
                jobs += [music.submit(song()) for _ in range(6)]
                await asyncio.gather(*jobs)
        assert all(job.done() for job in jobs)
        paid = {entry.task_id for entry in box.books.taken()}
        assert {job.task_id for job in jobs if job.task_id} == paid
        await agrees(journal, paid)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.looptime
async def test_cancelling_the_session_task_in_mid_post_still_learns_the_task_id(fake, song):
    async def slowly(_request):
        await asyncio.sleep(20)
        return {"task_id": "t-1"}

    fake.script("/sonic/create", slowly)
    jobs = []

    async def work():
        async with MusicSession("key", fake.url) as music:
            jobs.append(music.submit(song()))
            await jobs[0]

    task = asyncio.create_task(work())
    await asyncio.sleep(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (jobs[0].task_id, jobs[0].state) == ("t-1", JobState.DETACHED)


@pytest.mark.looptime
async def test_cancelling_the_closing_itself_breaks_the_post_off_and_says_that_its_fate_is_unknown(fake, song):
    async def stall(_request):
        await asyncio.sleep(10_000)

    fake.script("/sonic/create", stall)
    jobs = []

    async def work():
        async with MusicSession("key", fake.url) as music:
            jobs.append(music.submit(song()))
            await jobs[0]

    task = asyncio.create_task(work())
    await asyncio.sleep(5)
    for _ in range(2):  # the second does not wait for the POST any more
        task.cancel()
        await asyncio.sleep(1)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert jobs[0].state is JobState.UNKNOWN


@pytest.mark.looptime
async def test_a_waiter_that_is_cancelled_leaves_the_other_waiters_waiting(song):
    async with MusicSession.sandbox(speed=1) as music:
        job = music.submit(song())
        one, two = asyncio.create_task(job.result()), asyncio.create_task(job.result())
        await asyncio.sleep(1)
        one.cancel()
        assert (await two).clips
        assert one.cancelled()


@pytest.mark.looptime
async def test_a_job_cancelled_while_it_is_polled_ends_at_once(fake, song):
    async def slowly(_request):
        await asyncio.sleep(20)
        return {"data": [{"clip_id": "c", "state": "succeeded"}]}

    fake.script("/sonic/create", {"task_id": "t"})
    fake.script("/sonic/task/t", slowly)
    async with MusicSession("key", fake.url) as music:
        job = music.submit(song())
        await asyncio.sleep(20)
        job.cancel()
        with pytest.raises(JobCancelled):
            await job
        await asyncio.sleep(60)
        assert job.state is JobState.DETACHED


@pytest.mark.looptime
async def test_a_call_cancelled_in_mid_post_keeps_the_result_that_was_paid_for(fake):
    from aimusic_async import sonic

    async def slowly(_request):
        await asyncio.sleep(20)
        return {"data": {"upsampled_tags": "bright pop"}}

    fake.script("/sonic/upsample-tags", slowly)
    async with MusicSession("key", fake.url) as music:
        job = music.submit(sonic.UpsampleTags(tags="pop"))
        await asyncio.sleep(1)
        job.cancel()
        assert (await job).upsampled_tags == "bright pop"


@pytest.mark.looptime
async def test_a_request_refused_after_it_was_cancelled_is_not_sent_again(fake, song):
    async def slowly(_request):
        await asyncio.sleep(20)
        return 429, {"type": "rate_limit"}

    fake.script("/sonic/create", slowly)
    async with MusicSession("key", fake.url) as music:
        job = music.submit(song())
        await asyncio.sleep(1)
        job.cancel()
        with pytest.raises(JobCancelled, match="never sent"):
            await job
        await asyncio.sleep(100)
        assert job.state is JobState.CANCELLED
    assert len(fake.asked) == 1


def test_a_loop_that_is_torn_down_with_an_open_session_ends_quietly(song):
    async def work():
        async with MusicSession.sandbox(speed=60) as music:
            music.submit(song())
            await asyncio.sleep(0.2)
            raise KeyboardInterrupt

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(work())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.5))
        assert asyncio.all_tasks(loop) == set()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.mark.looptime
@pytest.mark.parametrize("ticks", range(24))
async def test_a_job_cancelled_just_as_its_token_comes_is_either_sent_and_known_or_not_sent(fake, song, ticks, journal):
    fake.script("/sonic/create", {"task_id": "t"})
    async with MusicSession("key", fake.url, journal=journal) as music:
        job = music.submit(song())
        for _ in range(ticks):
            await asyncio.sleep(0)
        job.cancel()
        await job.wait()
        await asyncio.sleep(10)
        assert len(fake.asked) == (1 if job.task_id else 0)
        assert job.state is (JobState.DETACHED if job.task_id else JobState.CANCELLED)
        await agrees(journal, {"t"} if job.task_id else set())


@pytest.mark.looptime
@pytest.mark.parametrize("ticks", range(24))
async def test_a_session_left_just_as_a_token_comes_leaves_no_job_open(fake, song, ticks, journal):
    fake.script("/sonic/create", {"task_id": "t"})
    async with MusicSession("key", fake.url, journal=journal) as music:
        job = music.submit(song())
        for _ in range(ticks):
            await asyncio.sleep(0)
    assert job.done()
    assert len(fake.asked) == (1 if job.task_id else 0)
    await agrees(journal, {"t"} if job.task_id else set())


@pytest.mark.looptime
async def test_leaving_under_a_cancelled_scope_waits_for_the_post_without_spinning(fake, song):
    async def slowly(_request):
        await asyncio.sleep(20)
        return {"task_id": "t-1"}

    fake.script("/sonic/create", slowly)
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(1)

    counter = asyncio.create_task(count())
    with anyio.move_on_after(5):
        async with MusicSession("key", fake.url) as music:
            job = music.submit(song())
            await job
    counter.cancel()
    assert (job.task_id, job.state) == ("t-1", JobState.DETACHED)
    assert turns < 30  # a spinning loop would not let virtual time pass


@pytest.mark.looptime
@pytest.mark.parametrize("ticks", range(12))
async def test_a_cancellation_while_the_session_closes_is_not_swallowed(fake, song, ticks):
    fake.script("/sonic/create", {"task_id": "t"})
    went_on = False

    async def work():
        nonlocal went_on
        async with MusicSession("key", fake.url) as music:
            await music.submit(song()).accepted()
            leaving.set()
        await asyncio.sleep(3600)
        went_on = True

    leaving = asyncio.Event()
    task = asyncio.create_task(work())
    await leaving.wait()
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not went_on


@pytest.mark.looptime
async def test_breaking_the_closing_off_does_not_wait_for_the_post(fake, song, caplog):
    async def stall(_request):
        await asyncio.sleep(10_000)

    fake.script("/sonic/create", stall)
    jobs = []

    async def work():
        async with MusicSession("key", fake.url) as music:
            jobs.append(music.submit(song()))
            await jobs[0]

    task = asyncio.create_task(work())
    await asyncio.sleep(5)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0.1)
    assert task.done()
    assert jobs[0].state is JobState.UNKNOWN
    assert "1 perhaps taken by the service" in caplog.text
    assert "never sent" not in caplog.text


@pytest.mark.looptime
async def test_a_listener_that_cancels_at_any_state_leaves_nothing_behind(fake, song):
    for moment in (JobState.QUEUED, JobState.SENDING, JobState.SUBMITTED):
        fake.asked.clear()
        fake.script("/sonic/create", {"task_id": "t"})
        async with MusicSession("key", fake.url) as music:
            music.events.listen(
                lambda event, at=moment: event.job.cancel() if getattr(event, "state", None) is at else None
            )
            job = music.submit(song(), timeout=5)
            await job.wait()
            await asyncio.sleep(60)
            assert isinstance(job.exception(), JobCancelled)
            assert len(fake.asked) == (1 if moment is JobState.SUBMITTED else 0)
