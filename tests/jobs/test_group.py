"""Groups: await together, fail together or not, run out together, cancel together."""

import asyncio

import pytest

from aimusic_async import (
    ConfigurationError,
    JobCancelled,
    JobFailed,
    JobState,
    JobTimeout,
    MusicError,
    MusicSession,
    sonic,
)
from aimusic_async.sandbox import Options, Sandbox


def now():
    return asyncio.get_running_loop().time()


UNLUCKY = Options(task_failure_rate=1.0, failed_form="body", durations={"sonic": 30})
"""Every task fails with a refund."""


@pytest.mark.looptime
async def test_leaving_the_block_waits_for_every_job_and_results_keep_the_order(song):
    async with MusicSession.sandbox(speed=1) as music:
        async with music.group() as group:
            jobs = [group.submit(song(title=title)) for title in ("one", "two", "three")]
        assert [job.done() for job in jobs] == [True] * 3
        assert [result.clips[0].title for result in group.results()] == ["one", "two", "three"]
        assert group.failures() == {}
        assert group.jobs == tuple(jobs)


@pytest.mark.looptime
async def test_wait_lets_all_finish_then_raises_the_failures_as_one_group(song):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        with pytest.raises(ExceptionGroup, match="1 of 3 jobs failed") as caught:
            async with music.group() as group:
                good = group.submit(song(), key="good")
                bad = group.submit(sonic.Remaster(continue_clip_id="nobody", mv="sonic-v5"), key="bad")
                late = group.submit(song(), key="late")
        assert [good.state, bad.state, late.state] == [JobState.SUCCEEDED, JobState.FAILED, JobState.SUCCEEDED]
        assert list(caught.value.exceptions) == [bad.exception()]
        assert caught.value.exceptions[0].__notes__ == ["job bad"]
        assert len(group.results()) == 2
        assert group.failures() == {bad: bad.exception()}


@pytest.mark.looptime
async def test_a_task_that_the_service_failed_tells_its_refund(song):
    async with Sandbox(UNLUCKY) as box, MusicSession.sandbox(box) as music:
        with pytest.raises(ExceptionGroup) as caught:
            async with music.group() as group:
                job = group.submit(song())
    (error,) = caught.value.exceptions
    assert isinstance(error, JobFailed)
    assert error.job is job
    assert error.refunded is True
    assert job.credits == 0


@pytest.mark.looptime
async def test_cancel_gives_up_the_rest_at_the_first_failure(song):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        with pytest.raises(ExceptionGroup, match="1 of 4 jobs failed"):
            async with music.group(on_failure="cancel") as group:
                running = group.submit(song())
                group.submit(sonic.Remaster(continue_clip_id="nobody", mv="sonic-v5"))
                queued = [group.submit(song()) for _ in range(2)]
        assert running.state is JobState.DETACHED
        assert [job.state for job in queued] == [JobState.CANCELLED] * 2
        assert len(box.books.taken()) == 1


@pytest.mark.looptime
async def test_a_job_submitted_after_the_first_failure_is_cancelled_too(song):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        with pytest.raises(ExceptionGroup):
            async with music.group(on_failure="cancel") as group:
                bad = group.submit(sonic.Remaster(continue_clip_id="nobody", mv="sonic-v5"))
                await bad.wait()
                assert group.submit(song()).state is JobState.CANCELLED
        assert box.books.taken() == []


@pytest.mark.looptime
async def test_keep_never_raises(song):
    async with Sandbox(UNLUCKY) as box, MusicSession.sandbox(box) as music, music.group(on_failure="keep") as group:
        job = group.submit(song())
    assert group.results() == []
    assert isinstance(group.failures()[job], JobFailed)


@pytest.mark.looptime
async def test_a_job_that_the_user_cancelled_is_no_failure(song):
    async with MusicSession.sandbox(speed=1) as music:
        async with music.group() as group:
            kept, dropped = group.submit(song()), group.submit(song())
            dropped.cancel()
        assert kept.exception() is None
        assert isinstance(dropped.exception(), JobCancelled)


@pytest.mark.looptime
async def test_a_group_timeout_leaves_finished_results_readable_and_sends_nothing_more(song):
    durations = lambda _operation, number: 20.0 if number == 0 else 500.0  # noqa: E731
    async with Sandbox(Options(durations=durations)) as box, MusicSession.sandbox(box) as music:
        started = now()
        with pytest.raises(ExceptionGroup) as caught:
            async with music.group(timeout=150) as group:
                for _ in range(80):
                    group.submit(song())
        assert now() - started == pytest.approx(150, abs=0.1)
        assert len(group.results()) == 1
        assert all(isinstance(error, JobTimeout) for error in caught.value.exceptions)
        states = [job.state for job in group.jobs]
        assert states[0] is JobState.SUCCEEDED
        assert set(states[1:]) <= {JobState.DETACHED, JobState.CANCELLED}
        assert states[-1] is JobState.CANCELLED
        detached = [job.task_id for job in group.jobs if job.state is JobState.DETACHED]
        assert all(detached)
        assert len(box.books.taken()) == 1 + len(detached)


@pytest.mark.looptime
async def test_as_completed_yields_each_job_as_it_ends_also_those_submitted_meanwhile(song):
    durations = lambda _operation, number: 100.0 - 30.0 * number  # noqa: E731
    async with Sandbox(Options(durations=durations)) as box, MusicSession.sandbox(box) as music:
        seen = []
        async with music.group() as group:
            for name in ("slow", "quick"):
                group.submit(song(), key=name)
            async for job in group.as_completed():
                seen.append(job.key)
                if job.key == "quick":
                    clip_id = job.clips[0].clip_id
                    group.submit(sonic.Remaster(continue_clip_id=clip_id, mv="sonic-v5"), key="remaster")
        assert seen[0] == "quick"
        assert sorted(seen) == ["quick", "remaster", "slow"]


@pytest.mark.looptime
async def test_as_completed_of_an_empty_group_ends_at_once():
    async with MusicSession.sandbox(speed=1) as music, music.group() as group:
        assert [job async for job in group.as_completed()] == []


@pytest.mark.looptime
async def test_leaving_by_an_exception_cancels_what_waits_and_detaches_what_runs(song):
    async with Sandbox(Options(durations={"sonic": 100})) as box, MusicSession.sandbox(box) as music:
        with pytest.raises(ZeroDivisionError):
            async with music.group() as group:
                running, *queued = [group.submit(song()) for _ in range(3)]
                await running.accepted()
                raise ZeroDivisionError
        assert running.state is JobState.DETACHED
        assert [job.state for job in queued] == [JobState.CANCELLED] * 2
        assert len(box.books.taken()) == 1


@pytest.mark.looptime
async def test_cancelling_the_wait_at_the_end_of_the_block_cancels_the_jobs(song):
    async with Sandbox(Options(durations={"sonic": 100})) as box, MusicSession.sandbox(box) as music:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10), music.group() as group:
                jobs = [group.submit(song()) for _ in range(20)]
        assert all(job.done() for job in jobs)
        assert len(box.books.taken()) < 6


@pytest.mark.looptime
async def test_cancel_counts_what_it_gave_up(song):
    async with MusicSession.sandbox(speed=1) as music, music.group() as group:
        for _ in range(5):
            group.submit(song())
        assert group.cancel() == 5
        assert group.cancel() == 0


@pytest.mark.looptime
async def test_a_key_names_a_job_once(song):
    async with MusicSession.sandbox(speed=1) as music, music.group(on_failure="keep") as group:
        job = group.submit(song(), key="track-01")
        assert group["track-01"] is job
        with pytest.raises(ConfigurationError, match="track-01"):
            group.submit(song(), key="track-01")
        group.cancel()


@pytest.mark.looptime
async def test_a_wrong_word_for_on_failure_is_refused():
    async with MusicSession.sandbox(speed=1) as music:
        with pytest.raises(ConfigurationError, match="'wait', 'cancel' or 'keep'"):
            music.group(on_failure="ignore")


@pytest.mark.looptime
async def test_two_groups_share_the_tokens_of_their_session(song):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:

        async def album():
            async with music.group() as group:
                for _ in range(5):
                    group.submit(song())
            return len(group.results())

        assert await asyncio.gather(album(), album()) == [5, 5]
        assert box.books.refusals == []


@pytest.mark.looptime
async def test_a_group_is_for_its_block_only(song):
    async with MusicSession.sandbox(speed=1) as music:
        group = music.group()
        with pytest.raises(MusicError, match="inside its block"):
            group.submit(song())
        async with group:
            pass
        with pytest.raises(MusicError, match="inside its block"):
            group.submit(song())


@pytest.mark.looptime
async def test_when_time_is_over_each_job_says_so_also_with_cancel(song):
    async with Sandbox(Options(durations={"sonic": 500})) as box, MusicSession.sandbox(box) as music:
        with pytest.raises(ExceptionGroup, match="5 of 5 jobs failed"):
            async with music.group(timeout=10, on_failure="cancel") as group:
                for _ in range(5):
                    group.submit(song())


@pytest.mark.looptime
async def test_an_automatic_key_gives_way_to_the_users_own(song):
    async with MusicSession.sandbox(speed=1) as music, music.group(on_failure="keep") as group:
        group.submit(song(), key="sonic.create_music#2")
        assert group.submit(song()).key == "sonic.create_music#3"
        group.cancel()


@pytest.mark.looptime
async def test_the_estimate_is_there_before_anything_is_sent(song):
    async with Sandbox() as box, MusicSession.sandbox(box) as music, music.group(on_failure="keep") as group:
        group.submit(song())
        group.submit(sonic.StemsFull(clip_id="c"))
        assert group.estimate() == 60
        assert group.cancel() == 2
        await asyncio.sleep(10)
        assert box.books.requests == []


@pytest.mark.looptime
@pytest.mark.parametrize("seconds", [0, -5, float("nan"), "600", True])
async def test_a_senseless_timeout_is_refused_before_anything_is_sent(song, seconds):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        for use in (lambda: music.group(timeout=seconds), lambda: music.submit(song(), timeout=seconds)):
            with pytest.raises(ConfigurationError, match="timeout must be"):
                use()
        await asyncio.sleep(10)
        assert box.books.requests == []
