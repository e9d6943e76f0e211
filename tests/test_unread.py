"""What nobody has read when a group or a session is left: paid songs are named, errors are logged, once."""

import asyncio
import logging

import pytest

from aimusic_async import JobCancelled, MemoryJournal, MusicSession, Settings, TokenBucket, sonic
from aimusic_async.jobs import unread
from aimusic_async.sandbox import Options, Sandbox

pytestmark = pytest.mark.looptime


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def errors(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


async def three_songs(music, song):
    jobs = [music.submit(song(), key=f"{number}") for number in range(3)]
    for job in jobs:
        await job.wait()
    return jobs


async def test_songs_that_nobody_read_are_named_in_one_warning_when_the_session_is_left(song, caplog):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        jobs = await three_songs(music, song)
        await jobs[0]
    (line,) = warnings(caplog)
    assert "2 finished, and nobody has read the result" in line
    assert [job.task_id in line for job in jobs] == [False, True, True]


@pytest.mark.parametrize(
    "read",
    [
        lambda job: job.value(),
        lambda job: job.clips,
        lambda job: job.raw,
    ],
    ids=["value", "clips", "raw"],
)
async def test_a_result_that_was_read_in_any_way_is_not_named(song, caplog, read):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        for job in await three_songs(music, song):
            read(job)
    assert warnings(caplog) == []


async def test_the_results_of_a_group_are_read_all_at_once(song, caplog):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        async with music.group() as group:
            group.submit(song())
            group.submit(song())
        assert len(group.results()) == 2
    assert warnings(caplog) == []


async def test_a_group_that_is_left_by_an_error_names_finished_and_unfinished_songs_and_the_session_does_not_again(
    song, caplog
):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        with pytest.raises(KeyError):
            async with music.group() as group:
                done = group.submit(song())
                await done.wait()
                left = group.submit(song())
                await left.accepted()
                raise KeyError
    (line,) = warnings(caplog)
    assert "the group was left" in line
    assert done.task_id in line
    assert left.task_id in line


async def test_a_task_that_its_caller_cancelled_is_named_unless_he_saw_it(song, caplog):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        seen, unseen = music.submit(song()), music.submit(song())
        for job in (seen, unseen):
            await job.accepted()
            job.cancel()
        with pytest.raises(JobCancelled):
            await seen
    (line,) = warnings(caplog)
    assert (seen.task_id in line, unseen.task_id in line) == (False, True)


def nobodys():
    return sonic.Remaster(continue_clip_id="nobody", mv="sonic-v5")


async def test_an_error_that_nobody_read_is_logged_once_when_the_session_is_left(caplog):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        job = music.submit(nobodys(), key="bad")
        await job.wait()
        assert errors(caplog) == []
    (line,) = errors(caplog)
    assert "nobody" in line


async def test_an_error_that_somebody_read_is_not_logged(caplog):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        one, two = music.submit(nobodys()), music.submit(nobodys())
        await one.wait()
        await two.wait()
        assert one.exception() is not None
        with pytest.raises(Exception, match="nobody"):
            await two
        with pytest.raises(ExceptionGroup):
            async with music.group() as group:
                group.submit(nobodys())
        async with music.group(on_failure="keep") as group:
            group.submit(nobodys())
        assert len(group.failures()) == 1
    assert errors(caplog) == []


async def test_a_group_that_keeps_failures_has_them_logged_when_the_session_is_left(caplog):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        async with music.group(on_failure="keep") as group:
            group.submit(nobodys())
        assert errors(caplog) == []
    assert len(errors(caplog)) == 1


async def test_songs_that_the_journal_keeps_are_named_only_when_the_session_ends_by_an_error(song, caplog):
    journal = MemoryJournal()
    async with Sandbox() as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            await music.submit(song(), key="a").wait()
        assert warnings(caplog) == []
        with pytest.raises(KeyError):
            async with MusicSession.sandbox(box, journal=journal) as music:
                await music.submit(song(), key="a").wait()  # an earlier run saw it end
                job = music.submit(song(), key="b")
                await job.wait()
                raise KeyError
    (line,) = warnings(caplog)
    assert "1 finished" in line
    assert job.task_id in line


async def test_however_long_a_program_fails_the_memory_is_bounded(caplog, monkeypatch):
    monkeypatch.setattr(unread, "_ERRORS_KEPT", 2)
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        for number in range(3):
            await music.submit(nobodys(), key=str(number)).wait()
        assert len(errors(caplog)) == 1
    assert len(errors(caplog)) == 3


# --- groups and their sessions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_failure", ["wait", "cancel"])
async def test_a_session_that_is_left_under_a_waiting_group_ends_it_with_an_error(song, on_failure):
    journal = MemoryJournal()
    async with Sandbox() as box:
        door = MusicSession.sandbox(box, journal=journal)
        music = await door.__aenter__()

        async def album():
            async with music.group("album", on_failure=on_failure) as group:
                for number in range(600):  # more than one slice
                    group.submit(song(), key=str(number))

        task = asyncio.create_task(album())
        await asyncio.sleep(5)
        await door.__aexit__(None, None, None)
        with pytest.raises(ExceptionGroup, match="600 of 600 jobs failed") as caught:
            await task
        assert {type(error) for error in caught.value.exceptions} == {JobCancelled}
        async with MusicSession.sandbox(box, journal=journal) as again:
            assert len(await again.resume("album")) == 600  # none of them counts as cancelled by hand
            raise_nothing = again.group("other")
            assert raise_nothing.jobs == ()


async def test_a_group_is_entered_once(song):
    from aimusic_async import MusicError

    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        group = music.group()
        async with group:
            group.submit(song())
            with pytest.raises(MusicError, match="entered once"):
                await group.__aenter__()
        with pytest.raises(MusicError, match="entered once"):
            await group.__aenter__()
        assert len(group.results()) == 1


async def test_every_waiter_gets_an_error_of_its_own():
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        job = music.submit(nobodys())
        got = await asyncio.gather(job.result(), job.result(), return_exceptions=True)
        assert got[0] is not got[1]
        assert str(got[0]) == str(got[1])
        for _ in range(50):
            with pytest.raises(type(got[0])):
                await job
        assert job.exception().__traceback__ is None


async def test_an_error_of_a_job_has_its_cause_whenever_it_is_raised(fake, song):
    fake.script("/sonic/create", (200, "no JSON"))
    settings = Settings(api_key="k", base_url=fake.url)
    async with MusicSession(settings=settings, limiter=TokenBucket(rate=100)) as music:
        job = music.submit(song())
        for _ in range(2):
            with pytest.raises(Exception, match="not sent again") as caught:
                await job
            assert caught.value.__cause__ is not None


async def test_every_task_that_may_be_paid_is_named_however_many_errors_there_are(song, caplog):
    async with Sandbox(Options(durations={"sonic": 10_000})) as box, MusicSession.sandbox(box) as music:
        jobs = [music.submit(song(), timeout=30) for _ in range(30)]
        await asyncio.gather(*(job.wait() for job in jobs))
    (line,) = warnings(caplog)
    assert all(job.task_id in line for job in jobs)
    assert len(errors(caplog)) == 21


async def test_of_very_many_songs_the_names_are_not_kept_but_counted(song, caplog, monkeypatch):
    monkeypatch.setattr(unread, "_NAMES_KEPT", 2)
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        jobs = await three_songs(music, song)
        jobs += [music.submit(song(), key="fourth")]
        await jobs[-1].wait()
        await jobs[0]
    (line,) = warnings(caplog)
    assert "3 finished, and nobody has read the result" in line
    assert jobs[0].task_id not in line
    assert 1 <= sum(job.task_id in line for job in jobs) <= 2
