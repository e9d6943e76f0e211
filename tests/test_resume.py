"""A session with a journal: running a program again goes on where it stopped, and pays for nothing twice."""

import asyncio
import json
import sqlite3

import attrs
import pytest
from aiohttp import web

from aimusic_async import (
    ConfigurationError,
    JobCancelled,
    JobFailed,
    JobState,
    JobTimeout,
    JournalError,
    KeyConflict,
    MusicSession,
    NotFound,
    Settings,
    SubmissionUnknown,
    TokenBucket,
    ValidationError,
    lyrics,
    sonic,
    to_plain,
)
from aimusic_async.journal.memory import MemoryJournal
from aimusic_async.journal.record import as_text
from aimusic_async.journal.steps import Enter
from aimusic_async.sandbox import Options, Sandbox

KEY = "sk-secret-of-the-account"


def now():
    return asyncio.get_running_loop().time()


@pytest.fixture
def journal():
    """A journal that outlives the sessions of a test, on the virtual clock."""
    return MemoryJournal(clock=now)


def quick(url, **more):
    """A session with the scripted service, whose limiter never waits."""
    return MusicSession(KEY, url, limiter=TokenBucket(1000, margin=0), **more)


async def album(music, song, *, count=3, timeout=None, **submit):
    """One run of a program that makes an album."""
    async with music.group("album", timeout=timeout, on_failure="keep") as group:
        for number in range(count):
            group.submit(song(title=f"Song {number}"), key=f"track-{number}", **submit)
    return group


# --- the second run ------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_what_was_finished_has_its_result_again_and_nothing_is_sent(journal, song):
    async with Sandbox(Options(seed=1)) as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            first = await album(music, song)
        asked = len(box.books.requests)
        async with MusicSession.sandbox(box, journal=journal) as music:
            again = await album(music, song)
        assert len(box.books.requests) == asked
    assert again.results() == first.results()
    assert [job.credits for job in again.jobs] == [10, 10, 10]
    assert [job.clips for job in again.jobs] == [job.clips for job in first.jobs]
    assert again["track-1"].raw == first["track-1"].raw


@pytest.mark.looptime
async def test_what_was_submitted_is_polled_again_and_what_was_queued_is_sent(journal, song):
    async with Sandbox(Options(seed=1)) as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            with pytest.raises(RuntimeError, match="power cut"):
                async with music.group("album") as group:
                    for number in range(5):
                        group.submit(song(title=f"Song {number}"), key=f"track-{number}")
                    await group["track-1"].accepted()
                    raise RuntimeError("power cut")
        assert [job.state for job in group.jobs] == [JobState.DETACHED] * 2 + [JobState.CANCELLED] * 3
        async with MusicSession.sandbox(box, journal=journal) as music:
            again = await album(music, song, count=5)
        assert len(again.results()) == 5
        assert [again[f"track-{n}"].task_id for n in range(2)] == [group[f"track-{n}"].task_id for n in range(2)]
        assert len(box.books.taken()) == 5


@pytest.mark.looptime
async def test_a_timeout_leaves_the_task_to_the_next_run(journal, song):
    async with Sandbox(Options(seed=1, durations={"sonic": 300})) as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            first = await album(music, song, count=1, timeout=60)
        assert isinstance(first["track-0"].exception(), JobTimeout)
        async with MusicSession.sandbox(box, journal=journal) as music:
            again = await album(music, song, count=1)
        assert again["track-0"].state is JobState.SUCCEEDED
        assert len(box.books.taken()) == 1


@pytest.mark.looptime
async def test_an_unknown_outcome_is_reported_and_not_sent_again_unless_one_says_so(fake, journal, song):
    async def hang_up(request):
        request.transport.abort()
        return {}

    fake.script("/sonic/create", hang_up, {"task_id": "t1"})
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c1", "state": "succeeded"}] * 2})
    for _ in range(2):
        async with quick(fake.url, journal=journal) as music:
            group = await album(music, song, count=1)
            assert isinstance(group["track-0"].exception(), SubmissionUnknown)
            (record,) = await music.journal.jobs(state="unknown")
            assert (record.group, record.key, record.task_id) == ("album", "track-0", None)
    assert len(fake.asked) == 1
    async with quick(fake.url, journal=journal) as music:
        group = await album(music, song, count=1, resend_unknown=True)
    assert group["track-0"].state is JobState.SUCCEEDED
    assert len(fake.times("/sonic/create")) == 2


@pytest.mark.looptime
async def test_a_job_of_unknown_outcome_is_settled_by_hand_either_way(fake, journal, song):
    async def hang_up(request):
        request.transport.abort()
        return {}

    fake.script("/sonic/create", hang_up, hang_up, {"task_id": "t2"})
    for task_id in ("t1", "t2"):
        finished = {"code": 200, "data": [{"clip_id": task_id, "state": "succeeded"}] * 2}
        fake.script(f"/sonic/task/{task_id}", finished)
    async with quick(fake.url, journal=journal) as music:
        await album(music, song, count=2)
        found = await music.journal.settle("track-0", group="album", task_id="t1")
        lost = await music.journal.settle("track-1", group="album")
        assert (found.state, found.credits, lost.state) == (JobState.SUBMITTED, 10, JobState.QUEUED)
        again = await album(music, song, count=2)
        with pytest.raises(ConfigurationError, match="no unknown job"):
            await music.journal.settle("track-0", group="album")
    assert [job.task_id for job in again.jobs] == ["t1", "t2"]
    assert all(job.state is JobState.SUCCEEDED for job in again.jobs)
    assert len(fake.times("/sonic/create")) == 3


@pytest.mark.looptime
async def test_a_failed_job_fails_again_and_is_sent_again_only_when_one_says_so(journal, song):
    async with Sandbox(Options(seed=1, task_failure_rate=1)) as box:
        for _ in range(2):
            async with MusicSession.sandbox(box, journal=journal) as music:
                group = await album(music, song, count=1)
            error = group["track-0"].exception()
            assert isinstance(error, JobFailed)
            assert (error.refunded, group["track-0"].credits) == (
                group["track-0"].exception().refunded,
                error.job.credits,
            )
        assert len(box.books.taken()) == 1
        async with MusicSession.sandbox(box, journal=journal) as music:
            await album(music, song, count=1, resend_failed=True)
        assert len(box.books.taken()) == 2


@pytest.mark.looptime
async def test_what_the_service_refused_is_sent_again_by_the_next_run(fake, journal, song):
    fake.script("/sonic/create", (400, {"type": "invalid_request", "error": "no"}), {"task_id": "t1"})
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c1", "state": "succeeded"}] * 2})
    async with quick(fake.url, journal=journal) as music:
        group = await album(music, song, count=1)
        assert isinstance(group["track-0"].exception(), ValidationError)
        (record,) = await music.journal.jobs()
        assert (record.state, record.attempts) == (JobState.CANCELLED, 1)
        assert await music.resume() == []
        assert "no (HTTP 400)" in record.error
        again = await album(music, song, count=1)
    assert again["track-0"].state is JobState.SUCCEEDED


@pytest.mark.looptime
async def test_a_key_with_another_request_is_an_error_that_shows_both(journal, song):
    async with Sandbox() as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            await album(music, song, count=1)
            async with music.group("album", on_failure="keep") as group:
                job = group.submit(song(title="Another"), key="track-0")
        error = job.exception()
        assert isinstance(error, KeyConflict)
        assert "Song 0" in str(error)
        assert "Another" in str(error)
        assert len(box.books.taken()) == 1


@pytest.mark.looptime
async def test_a_task_that_the_service_knows_no_more_is_given_up_by_hand_and_sent_again(fake, journal, song):
    fake.script("/sonic/create", {"task_id": "t1"}, {"task_id": "t2"})
    fake.script("/sonic/task/t1", (404, {"type": "not_found", "error": "task not found"}))
    fake.script("/sonic/task/t2", {"code": 200, "data": [{"clip_id": "c2", "state": "succeeded"}] * 2})
    async with quick(fake.url, journal=journal) as music:
        with pytest.raises(NotFound):
            await music.submit(song(), key="one")
        settled = await music.journal.settle("one")
        assert (settled.state, settled.credits, settled.task_id) == (JobState.FAILED, 10, "t1")
        made = await music.submit(song(), key="one", resend_failed=True)
        record = await music.journal.job("one")
    assert (made.clips[0].clip_id, record.task_id, record.credits) == ("c2", "t2", 20)


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_without_keys_the_same_requests_in_the_same_number_are_the_same_jobs(journal, song):
    async def run(music, *titles):
        async with music.group("album") as group:
            for title in titles:
                group.submit(song(title=title))
        return group

    async with Sandbox() as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            first = await run(music, "Rain", "Rain", "Sun")
        assert len({job.task_id for job in first.jobs}) == 3
        async with MusicSession.sandbox(box, journal=journal) as music:
            again = await run(music, "Sun", "Rain", "Rain", "Snow")
        assert [job.task_id for job in again.jobs[:3]] == [first.jobs[2].task_id] + [
            job.task_id for job in first.jobs[:2]
        ]
        assert len(box.books.taken()) == 4


@pytest.mark.looptime
async def test_without_a_name_and_a_key_every_run_makes_a_new_song(journal, song):
    async with Sandbox() as box:
        for _ in range(2):
            async with MusicSession.sandbox(box, journal=journal) as music:
                await music.run(song())
                async with music.group() as group:
                    group.submit(song())
        assert len(box.books.taken()) == 4
        async with MusicSession.sandbox(box, journal=journal) as music:
            records = await music.journal.jobs()
    assert len({record.key for record in records}) == len({record.id for record in records}) == 4


@pytest.mark.looptime
async def test_one_key_submitted_twice_is_one_job_for_both(journal, song):
    async with Sandbox() as box, MusicSession.sandbox(box, journal=journal) as music:
        one, two = music.submit(song(), key="order-17"), music.submit(song(), key="order-17")
        assert (await one) == (await two)
        assert len(box.books.taken()) == 1


@pytest.mark.looptime
async def test_two_sessions_that_run_the_same_program_share_the_work(journal, song):
    async with Sandbox(Options(count="posts", period=0.1)) as box:

        async def run():
            async with MusicSession.sandbox(box, journal=journal) as music:
                group = await album(music, song, count=8)
                return {job.key: job.task_id for job in group.jobs}, len(group.results())

        (first, made), (second, also_made) = await asyncio.gather(run(), run())
        assert first == second
        assert made == also_made == 8
        assert len(box.books.taken()) == 8


# --- going on -------------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_resume_goes_on_with_every_open_job_whatever_its_group(journal, song):
    async with Sandbox(Options(seed=3)) as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            running = music.submit(song(title="running"))
            await running.accepted()
            music.submit(song(title="queued"), key="mine")
            music.submit(song(title="given up")).cancel()
            group = music.group("album")
            async with asyncio.timeout(10), group:
                pass
        async with MusicSession.sandbox(box, journal=journal) as music:
            jobs = await music.resume()
            assert {job.key for job in jobs} == {running.key, "mine"}
            assert await music.resume() == []
            titles = [(await job).clips[0].title for job in jobs]
        assert sorted(titles) == ["queued", "running"]
        assert len(box.books.taken()) == 2


@pytest.mark.looptime
async def test_an_attached_task_that_the_journal_saw_end_takes_no_poll(journal, song):
    async with Sandbox() as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            job = music.submit(song(), key="one")
            made = await job
        asked = len(box.books.requests)
        async with MusicSession.sandbox(box, journal=journal) as music:
            assert await music.attach(sonic.CreateMusic, job.task_id) == made
        assert len(box.books.requests) == asked


@pytest.mark.looptime
async def test_a_task_attached_from_elsewhere_is_written_down_too(journal, song):
    async with Sandbox() as box:
        async with MusicSession.sandbox(box) as music:
            job = music.submit(song())
            await job.accepted()
        async with MusicSession.sandbox(box, journal=journal) as music:
            await music.attach(sonic.CreateMusic, job.task_id)
            (record,) = await music.journal.jobs()
    assert (record.state, record.task_id, record.request) == (JobState.SUCCEEDED, job.task_id, None)


@pytest.mark.looptime
async def test_a_job_cancelled_before_it_was_sent_is_not_resumed_but_may_be_submitted_again(journal, song):
    async with Sandbox() as box:
        async with MusicSession.sandbox(box, journal=journal) as music:
            music.submit(song(title="first"))
            job = music.submit(song(), key="one")
            job.cancel()
            with pytest.raises(JobCancelled):
                await job
        async with MusicSession.sandbox(box, journal=journal) as music:
            assert [record.key for record in await music.journal.jobs(state=["cancelled"])] == ["one"]
            assert len(await music.resume()) == 1
            await music.submit(song(), key="one")
        assert len(box.books.taken()) == 2


@pytest.mark.looptime
async def test_what_was_learned_about_durations_is_known_to_the_next_run(journal, song):
    looks = []
    async with Sandbox(Options(durations={"sonic": 240}, clip_spread=(1, 1))) as box:
        for _ in range(2):
            async with MusicSession.sandbox(box, journal=journal) as music:
                async with music.group() as group:
                    for _ in range(60):
                        group.submit(song())
                looks.append(music.stats.polls)
    assert looks[1] < looks[0]


@pytest.mark.looptime
async def test_what_has_to_be_asked_again_is_asked_again_after_a_crash_too(fake, journal):
    async def hang_up(request):
        request.transport.abort()
        return {}

    fake.script(
        "/sonic/wav", {"code": 200, "type": "not_ready"}, hang_up, {"code": 200, "data": {"wav_url": "http://x"}}
    )
    async with quick(fake.url, journal=journal) as music:
        job = music.submit(sonic.GetWav(clip_id="5b0f7d1e-0000-4000-8000-000000000000"), key="wav")
        while len(fake.asked) < 1:
            await asyncio.sleep(1)
    async with quick(fake.url, journal=journal) as music:
        made = await music.submit(sonic.GetWav(clip_id="5b0f7d1e-0000-4000-8000-000000000000"), key="wav")
    assert made.wav_url == "http://x"
    assert job.state is not JobState.UNKNOWN


@pytest.mark.looptime
async def test_an_answer_that_came_at_once_is_kept_as_well(journal):
    async with Sandbox() as box:
        texts = []
        for _ in range(2):
            async with MusicSession.sandbox(box, journal=journal) as music:
                texts.append(await music.submit(lyrics.GenerateLyrics(description="the sea"), key="words"))
        assert texts[0] == texts[1]
        assert len(box.books.taken()) == 1


# --- the journal itself ---------------------------------------------------------------------------------------------


class Broken(MemoryJournal):
    """A journal whose disk is full from some moment on."""

    full = False

    async def apply(self, steps):
        if self.full:
            raise JournalError("the disk is full")
        return await super().apply(steps)


@pytest.mark.looptime
async def test_what_cannot_be_written_down_waits_and_is_sent_once_the_journal_works(song):
    journal = Broken()
    async with Sandbox() as box, MusicSession.sandbox(box, journal=journal) as music:
        queued = [music.submit(song(title=str(number))) for number in range(3)]
        await asyncio.sleep(1)
        journal.full = True
        late = music.submit(song())
        await asyncio.sleep(600)
        assert len(box.books.taken()) == 1
        journal.full = False
        for job in (*queued, late):
            await job
        assert len(box.books.taken()) == 4


@pytest.mark.looptime
async def test_a_task_id_that_cannot_be_written_down_is_logged(fake, song, caplog):
    journal = Broken()

    async def slowly(request):
        journal.full = True
        return web.json_response({"task_id": "t1"})

    fake.script("/sonic/create", slowly)
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c1", "state": "succeeded"}] * 2})
    async with quick(fake.url, journal=journal) as music:
        await music.submit(song(), key="one")
    assert sum("the task id t1 could not be written down yet" in record.message for record in caplog.records) == 1


@pytest.mark.looptime
async def test_records_are_listed_filtered_and_pruned(journal, song):
    async with Sandbox() as box, MusicSession.sandbox(box, journal=journal) as music:
        await album(music, song)
        await music.run(song())
        assert len(await music.journal.jobs()) == 4
        assert [record.key for record in await music.journal.jobs(group="album")] == ["track-0", "track-1", "track-2"]
        assert len(await music.journal.jobs(group="")) == 1
        assert await music.journal.jobs(state=["queued", "unknown"]) == []
        assert len(await music.journal.jobs(limit=2)) == 2
        with pytest.raises(ConfigurationError, match=r"queued.*'done'"):
            await music.journal.jobs(state="done")
        assert await music.journal.prune() == 0
        await asyncio.sleep(1)
        assert await music.journal.prune(older_than=0) == 4
        assert await music.journal.jobs() == []


async def test_without_a_journal_the_error_says_how_to_have_one(fake):
    async with quick(fake.url) as music:
        with pytest.raises(ConfigurationError, match="journal="):
            await music.journal.jobs()
        with pytest.raises(ConfigurationError, match="journal="):
            await music.resume()


async def test_a_file_is_journal_enough_and_holds_neither_the_key_nor_a_secret(fake, song, tmp_path):
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c1", "state": "succeeded"}] * 2})
    path = tmp_path / "jobs.db"
    settings = Settings(api_key=KEY, base_url=fake.url, speed=100)
    request = song(webhook_url="https://example.org/hook", webhook_secret="my-little-secret")
    for _ in range(2):
        async with MusicSession(settings=settings, journal=path) as music:
            await music.submit(request, key="one", timeout=60)
    assert len(fake.times("/sonic/create")) == 1
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()
        assert b"my-little-secret" not in file.read_bytes()
        assert file.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


async def test_a_journal_that_cannot_be_opened_is_an_error_before_anything_is_sent(fake, tmp_path):
    for path in (tmp_path / "missing" / "jobs.db", tmp_path):
        with pytest.raises(JournalError, match=str(path)):
            async with quick(fake.url, journal=path):
                pass
    assert fake.asked == []


def test_a_request_in_the_journal_reads_as_json(song):
    assert json.loads(as_text(to_plain(song(title="é"))))["title"] == "é"


# --- journals that fail ----------------------------------------------------------------------------------------------


class Failing(MemoryJournal):
    """A journal that raises `error`, or hangs, at one kind of step for as long as a test wants."""

    error = None
    at = ()
    hangs = False

    async def apply(self, steps):
        if any(type(step).__name__ in self.at for step in steps):
            if self.hangs:
                await asyncio.Event().wait()
            raise self.error
        return await super().apply(steps)


@pytest.mark.looptime
@pytest.mark.parametrize("lost", ["Refused", "Accepted", "Finished", "Released"])
async def test_what_happened_is_written_down_once_the_journal_works_again(fake, song, lost):
    journal = Failing(clock=now)
    journal.error, journal.at = JournalError("the disk is full"), (lost,)
    fake.script("/sonic/create", (429, {"type": "rate_limit"}, {"Retry-After": "1"}), {"task_id": "t1"})
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c1", "state": "succeeded"}] * 2})
    async with quick(fake.url, journal=journal) as music:
        job = music.submit(song(), key="one")
        await asyncio.sleep(5)
        if lost == "Released":
            job.cancel()
        await asyncio.sleep(60)
        journal.at = ()
        await asyncio.sleep(30)
        again = music.submit(song(), key="one")
        made = await again
        record = await music.journal.job("one")
    assert (record.state, record.task_id, made.clips[0].clip_id) == (JobState.SUCCEEDED, "t1", "c1")
    assert len(fake.times("/sonic/create")) <= 2 + (lost == "Refused")


@pytest.mark.looptime
@pytest.mark.parametrize("step", ["Enter", "Begin", "Accepted"])
async def test_a_journal_that_hangs_does_not_hold_the_session(fake, song, step, caplog):
    journal = Failing(clock=now)
    journal.at, journal.hangs = (step,), True
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c1", "state": "running"}] * 2})
    async with asyncio.timeout(120):
        async with quick(fake.url, journal=journal) as music:
            music.submit(song(), key="one")
            await asyncio.sleep(5)
    assert "the journal does not answer" in caplog.text
    assert ("t1" in caplog.text) == (step == "Accepted")


@pytest.mark.looptime
@pytest.mark.parametrize("error", [OSError("connection reset"), KeyError("a mistake")])
async def test_whatever_a_journal_of_the_user_s_own_raises_costs_nobody_but_its_own_job(fake, song, error):
    journal = Failing(clock=now)

    async def slowly(_request):
        await asyncio.sleep(20)
        return web.json_response({"task_id": "t1"})

    fake.script("/sonic/create", slowly)
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c1", "state": "succeeded"}] * 2})
    async with quick(fake.url, journal=journal) as music:
        first = music.submit(song(), key="one")
        await asyncio.sleep(1)
        journal.error, journal.at = error, ("Enter",)
        second = music.submit(song(), key="two")
        assert (await first).clips
        if isinstance(error, OSError):  # that passes, and is waited for
            await asyncio.sleep(60)
            assert not second.done()
            journal.at = ()
            assert (await second).clips
        else:
            with pytest.raises(JournalError, match="a mistake"):
                await second


@pytest.mark.looptime
async def test_one_step_that_no_journal_takes_does_not_take_the_others_along(fake, song, caplog):
    class Picky(MemoryJournal):
        async def apply(self, steps):
            if any(isinstance(step, Enter) and step.record.key == "poison" for step in steps):
                raise ValueError("cannot be spelled")
            return await super().apply(steps)

    fake.script("/sonic/create", *({"task_id": f"t{number}"} for number in range(4)))
    for number in range(4):
        done = {"code": 200, "data": [{"clip_id": f"c{number}", "state": "succeeded"}] * 2}
        fake.script(f"/sonic/task/t{number}", done)
    async with quick(fake.url, journal=Picky(clock=now)) as music:
        jobs = [music.submit(song(title=key), key=key) for key in ("a", "b", "poison", "c", "d")]
        await asyncio.gather(*(job.wait() for job in jobs))
        assert [job.state for job in jobs].count(JobState.SUCCEEDED) == 4
        assert isinstance(jobs[2].exception(), JournalError)
        assert {record.state for record in await music.journal.jobs()} == {JobState.SUCCEEDED}


@pytest.mark.looptime
async def test_what_cannot_be_asked_for_ever_is_not_left_as_being_sent(fake, journal):
    fake.script("/sonic/wav", {"code": 200, "type": "not_ready"})
    request = sonic.GetWav(clip_id="5b0f7d1e-0000-4000-8000-000000000000")
    async with quick(fake.url, journal=journal) as music:
        with pytest.raises(JobTimeout, match="still not ready"):
            await music.submit(request, key="wav")
        assert (await music.journal.job("wav")).state is JobState.QUEUED
        fake.script("/sonic/wav", {"code": 200, "data": {"wav_url": "http://x"}})
        assert (await music.submit(request, key="wav")).wav_url == "http://x"


@pytest.mark.looptime
async def test_what_is_to_be_sent_again_is_sent_once_whoever_asks(fake, journal, song):
    async def hang_up(request):
        request.transport.abort()
        return {}

    fake.script("/sonic/create", hang_up)
    async with quick(fake.url, journal=journal) as music:
        await music.submit(song(), key="one").wait()
    async with quick(fake.url, journal=journal) as here, quick(fake.url, journal=journal) as there:
        asked = (here, here, there)
        await asyncio.gather(*(music.submit(song(), key="one", resend_unknown=True).wait() for music in asked))
    assert len(fake.times("/sonic/create")) == 2


@pytest.mark.looptime
async def test_an_attached_task_under_the_key_of_another_is_a_conflict(fake, journal, song):
    fake.script("/sonic/create", {"task_id": "t0"})
    fake.script("/sonic/task/t0", {"code": 200, "data": [{"clip_id": "c0", "state": "succeeded"}] * 2})
    async with quick(fake.url, journal=journal) as music:
        await music.submit(song(), key="one")
        with pytest.raises(KeyConflict, match="task t1"):
            await music.attach(sonic.CreateMusic, "t1", key="one")


@pytest.mark.looptime
async def test_what_another_version_wrote_is_left_and_the_rest_resumed(fake, song, caplog):
    journal = MemoryJournal(clock=now)
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c1", "state": "running"}] * 2})
    async with quick(fake.url, journal=journal) as music:
        for key in ("strange", "usual"):
            await music.submit(song(title=key), key=key).accepted()
    (strange,) = (record for record in journal._records.values() if record.key == "strange")
    journal._records[strange.id] = attrs.evolve(strange, operation="sonic.hum", request='{"op":"sonic.hum"}')
    await journal.save(strange.account, "durations", "{no json")
    async with quick(fake.url, journal=journal) as music:
        assert [job.key for job in await music.resume()] == ["usual"]
    assert "strange cannot be resumed" in caplog.text
    assert "durations cannot be read" in caplog.text
