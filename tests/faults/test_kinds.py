"""Kinds of faults that were found once, each by its smallest example: they must not come back."""

import asyncio
import json
import sqlite3
import time

import pytest
from aiohttp import web

from aimusic_async import (
    BudgetExceeded,
    ConfigurationError,
    JobState,
    JobTimeout,
    JournalError,
    MemoryJournal,
    MusicSession,
    SqliteJournal,
    SubmissionUnknown,
    TokenBucket,
    WebhookConfig,
    webhooks,
)

KEY = "sk-secret-of-the-account"
SECRET = "the-secret-of-the-webhooks"
HOOK = "https://example.org/hook"
HOUR = 3600


def now():
    return asyncio.get_running_loop().time()


def quick(url, key=KEY, **more):
    return MusicSession(key, url, limiter=TokenBucket(1000, margin=0), **more)


def finished(task="t1", **more):
    clips = [{"clip_id": f"{task}-{n}", "state": "succeeded", "audio_url": "https://x/1.mp3"} for n in (1, 2)]
    return {"code": 200, "data": clips, **more}


# --- money -----------------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_resume_sends_nothing_that_a_budget_refused_and_keeps_to_the_budget_of_the_group(fake, song):
    journal = MemoryJournal()
    fake.script("/sonic/create", *({"task_id": f"t{number}"} for number in range(9)))
    for number in range(9):
        fake.script(f"/sonic/task/t{number}", finished(f"t{number}"))
    async with quick(fake.url, journal=journal) as music:
        async with music.group("album", budget=10, on_failure="keep") as group:
            for number in range(3):
                group.submit(song(title=str(number)), key=str(number))
        assert [type(error) for error in group.failures().values()] == [BudgetExceeded] * 2
        assert await music.resume() == []
    async with quick(fake.url, journal=journal) as music:
        with pytest.raises(RuntimeError):
            async with music.group("album", budget=20) as group:
                for number in range(3, 6):
                    group.submit(song(title=str(number)), key=str(number))
                raise RuntimeError("the program breaks off")
    async with quick(fake.url, journal=journal) as music:
        jobs = await music.resume()
        await asyncio.gather(*(job.wait() for job in jobs))
        assert [type(job.exception()) for job in jobs].count(BudgetExceeded) == 2
    assert len(fake.times("/sonic/create")) == 2


@pytest.mark.looptime
async def test_a_session_s_budget_holds_for_what_it_resumes(fake, song):
    journal = MemoryJournal()
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", finished())
    async with quick(fake.url, journal=journal) as music:
        for number in range(3):
            music.submit(song(title=str(number)), key=str(number))
        await asyncio.sleep(0)
    sent = len(fake.times("/sonic/create"))
    async with quick(fake.url, journal=journal, budget=10) as music:
        await asyncio.gather(*(job.wait() for job in await music.resume()))
    assert len(fake.times("/sonic/create")) == sent + 1


@pytest.mark.looptime
async def test_nobody_settles_a_job_that_a_living_session_watches(fake, song):
    journal = MemoryJournal()
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", *[{"code": 200, "data": [{"clip_id": "c", "state": "running"}] * 2}] * 3, finished())
    async with quick(fake.url, journal=journal) as worker, quick(fake.url, journal=journal) as desk:
        job = worker.submit(song(), key="one")
        await job.accepted()
        with pytest.raises(ConfigurationError, match="a living session watches the task of 'one'"):
            await desk.journal.settle("one")
        await job
        assert (await desk.journal.job("one")).state is JobState.SUCCEEDED


@pytest.mark.looptime
async def test_an_answer_with_a_task_id_is_taken_whatever_else_it_says(fake, song):
    fake.script("/sonic/create", (500, {"code": 500, "error": "odd", "task_id": "t1"}))
    fake.script("/sonic/task/t1", finished())
    async with quick(fake.url) as music:
        await music.submit(song())
    assert len(fake.times("/sonic/create")) == 1


# --- one job's trouble is its own ------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", [None, "high", 1.5, True])
async def test_a_priority_that_is_none_is_refused_before_anything_changes(fake, song, priority):
    async with quick(fake.url, journal=MemoryJournal()) as music:
        with pytest.raises(ConfigurationError, match="priority must be a whole number"):
            music.submit(song(), priority=priority)
        async with music.group() as group:
            with pytest.raises(ConfigurationError, match="priority must be a whole number"):
                group.submit(song(), priority=priority)
        assert group.jobs == ()


async def test_a_task_id_that_no_file_takes_blocks_nobody(fake, song, tmp_path):
    fake.script("/sonic/create", {"task_id": "half \ud800"}, {"task_id": "t1"})
    fake.script("/sonic/task/half%20%3F", finished())
    fake.script("/sonic/task/half ?", finished())
    fake.script("/sonic/task/t1", finished())
    async with quick(fake.url, journal=tmp_path / "jobs.db", poll_interval=0.01) as music:
        first = music.submit(song(title="1"), key="1")
        await first.wait()
        assert (await music.submit(song(title="2"), key="2")).task_id == "t1"
        assert (await music.journal.job("1")).task_id == "half ?"


@pytest.mark.looptime
async def test_an_answer_that_nests_too_deeply_for_the_journal_wakes_who_waits_and_is_polled_again(fake, song):
    journal = MemoryJournal()
    fake.script("/sonic/create", {"task_id": "t1"})
    deep = finished()
    nested = deep
    for _ in range(100_000):  # more than any stack takes
        nested["more"] = {}
        nested = nested["more"]

    fake.script("/sonic/task/t1", finished())
    async with quick(fake.url, journal=journal) as music:
        job = music.submit(song(), key="one")
        await job.accepted()
        from aimusic_async.api.wire import Reply

        music._transport.look = lambda path, *, on_sent: _answer(on_sent, Reply(status=200, body=deep))
        made = await job
        assert made.clips[0].clip_id == "t1-1"
        record = await music.journal.job("one")
        assert (record.state, record.owner, record.task_id) == (JobState.SUBMITTED, None, "t1")
    async with quick(fake.url, journal=journal) as music:
        assert (await music.submit(song(), key="one")).task_id == "t1"
    assert len(fake.times("/sonic/create")) == 1


async def _answer(on_sent, reply):
    on_sent()
    return reply


# --- trouble that passes ---------------------------------------------------------------------------------------------


async def test_a_journal_that_another_program_holds_for_a_while_holds_jobs_and_ends_none(fake, song, tmp_path, caplog):
    fake.script("/sonic/create", *({"task_id": f"t{number}"} for number in range(5)))
    for number in range(5):
        fake.script(f"/sonic/task/t{number}", finished(f"t{number}"))
    async with (
        SqliteJournal(tmp_path / "jobs.db", patience=0.1) as journal,
        quick(fake.url, journal=journal, poll_interval=0.01) as music,
    ):
        other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        jobs = [music.submit(song(title=str(number)), key=str(number)) for number in range(5)]
        await asyncio.sleep(1.5)
        assert {job.state for job in jobs} == {JobState.QUEUED}
        other.execute("ROLLBACK")
        other.close()
        await asyncio.gather(*jobs)
    said = [record.message for record in caplog.records if "was locked by another process" in record.message]
    assert len(said) == 1


@pytest.mark.looptime
async def test_a_journal_that_hangs_is_named_within_seconds_and_a_group_s_time_out_is_kept(fake, song, caplog):
    class Hanging(MemoryJournal):
        hangs = False

        async def apply(self, steps):
            if self.hangs:
                await asyncio.Event().wait()
            return await super().apply(steps)

    journal = Hanging()
    async with quick(fake.url, journal=journal) as music:
        journal.hangs = True
        async with music.group(timeout=60, on_failure="keep") as group:
            group.submit(song(), key="one")
            await asyncio.sleep(6)
            assert "the journal does not answer" in caplog.text
        assert now() < 70
        assert isinstance(group["one"].exception(), JobTimeout)
    assert fake.asked == []


@pytest.mark.looptime
async def test_a_dispatch_of_many_jobs_begins_none_while_the_journal_does_not_answer(fake, song):
    class Slow(MemoryJournal):
        stuck = False

        async def apply(self, steps):
            while self.stuck:
                await asyncio.sleep(1)
            return await super().apply(steps)

    journal = Slow()
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", finished())
    async with MusicSession(KEY, fake.url, journal=journal, limiter=TokenBucket(1, margin=0)) as music:
        jobs = [music.submit(song(title=str(number)), key=str(number)) for number in range(50)]
        await asyncio.sleep(0.01)
        journal.stuck = True
        await asyncio.sleep(600)
        assert [job.state for job in jobs].count(JobState.SENDING) <= 1
        journal.stuck = False
        await asyncio.gather(*jobs)


# --- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize("step", [-6 * HOUR, 6 * HOUR, -400 * 24 * HOUR])
async def test_a_clock_that_is_set_costs_an_adopted_task_no_more_than_an_interval(fake, song, step):
    shift = 0.0
    journal = MemoryJournal(clock=lambda: 1_800_000_000 + now() + shift)
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", {"code": 200, "data": [{"clip_id": "c", "state": "running"}] * 2}, finished())
    async with quick(fake.url, journal=journal) as music:
        await music.submit(song(), key="one").accepted()
    await asyncio.sleep(10)
    shift = step
    async with quick(fake.url, journal=journal) as music:
        began = now()
        await music.submit(song(), key="one")
        assert now() - began < 300


@pytest.mark.looptime
async def test_a_clock_that_is_set_takes_no_job_from_a_living_session(fake, song):
    shift = 0.0
    journal = MemoryJournal(clock=lambda: 1_800_000_000 + now() + shift)

    async def slowly(_request):
        await asyncio.sleep(30)
        return web.json_response({"task_id": "t1"})

    fake.script("/sonic/create", slowly)
    fake.script("/sonic/task/t1", finished())
    async with quick(fake.url, journal=journal) as here, quick(fake.url, journal=journal) as there:
        first = here.submit(song(), key="one")
        await asyncio.sleep(5)
        for step in (10 * HOUR, -20 * HOUR):
            shift += step
            other = there.submit(song(), key="one")
            await asyncio.sleep(3)
            assert (first.state, other.state) == (JobState.SENDING, JobState.QUEUED)
        assert (await first) == (await other)
    assert len(fake.times("/sonic/create")) == 1


# --- keys, and who may know them -------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_after_a_new_key_the_same_program_pays_nothing_again_and_a_warning_says_so(fake, song, caplog):
    journal = MemoryJournal()
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", finished())
    for key in ("sk-the-old-one", "sk-the-new-one", "sk-the-new-one"):
        async with quick(fake.url, key, journal=journal) as music:
            await music.submit(song(), key="one")
    assert len(fake.times("/sonic/create")) == 1
    assert caplog.text.count("was used with another API key") == 1
    async with quick(fake.url, "sk-the-new-one", journal=journal), MusicSession(KEY, fake.url, account="b") as other:
        assert other is not None
        with pytest.raises(ConfigurationError, match="end it first, or give"):
            async with quick(fake.url, "sk-a-third", journal=journal):
                pass
        async with quick(fake.url, "sk-a-third", journal=journal, account="another") as music:
            assert await music.journal.jobs() == []


@pytest.mark.parametrize("name", ["", " ", "a@b", "line\nbreak", None, 3])
def test_an_account_is_a_name(name):
    with pytest.raises(ConfigurationError, match="account must be a name"):
        MusicSession(KEY, account=name)


async def test_neither_key_nor_secret_stands_in_the_locals_that_an_error_carries(fake, song):
    async def hang_up(request):
        request.transport.abort()
        return {}

    fake.script("/sonic/create", hang_up)
    async with quick(fake.url, webhook=WebhookConfig(HOOK, SECRET)) as music:
        job = music.submit(song(webhook_url=HOOK, webhook_secret=SECRET))
        with pytest.raises(SubmissionUnknown) as caught:
            await job
    error, shown = caught.value, []
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            # The test's own frame holds the secret by its own doing.
            if "aimusic_async" in trace.tb_frame.f_code.co_filename:
                shown += map(repr, trace.tb_frame.f_locals.values())
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    assert shown
    assert not [text for text in shown if KEY in text or SECRET in text]


# --- what is acknowledged is durable ---------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_webhook_is_put_off_until_the_journal_has_what_it_says(fake, song):
    class Gated(MemoryJournal):
        def __init__(self):
            super().__init__()
            self.open = asyncio.Event()
            self.open.set()

        async def apply(self, steps):
            await self.open.wait()
            return await super().apply(steps)

    async def hang_up(request):
        request.transport.abort()
        return {}

    fake.script("/sonic/create", hang_up)
    journal = Gated()
    async with quick(fake.url, journal=journal, webhook=WebhookConfig(HOOK, SECRET)) as music:
        job = music.submit(song(), key="one")
        while not fake.asked:
            await asyncio.sleep(0.01)
        record = await music.journal.job("one")
        door = webhooks.aiohttp_handler(music)
        body = json.dumps(finished(event="song.completed", task_id="t1", platform="sonic")).encode()
        stamp = str(int(time.time()))
        signature = webhooks.sign(body, music.webhook_secret(record.id), stamp)
        headers = {"X-Webhook-Id": "1", "X-Webhook-Timestamp": stamp, "X-Webhook-Signature": signature}
        app = web.Application()
        app.router.add_post("/hook", door)
        from aiohttp.test_utils import TestClient, TestServer

        async with TestClient(TestServer(app)) as client:

            async def post():
                async with client.post(f"/hook?job={record.id}", data=body, headers=headers) as answer:
                    return answer.status

            journal.open.clear()
            began = now()
            first, second = asyncio.create_task(post()), asyncio.create_task(post())
            assert await second == 503  # it is not durable yet
            assert await first == 503
            assert 4 < now() - began < 15
            journal.open.set()
            assert await post() == 200
        assert (await music.journal.job("one")).state is JobState.SUCCEEDED
        assert (await job).task_id == "t1"


@pytest.mark.looptime
async def test_recorded_returns_once_the_journal_has_the_job(fake, song):
    class Slow(MemoryJournal):
        async def apply(self, steps):
            await asyncio.sleep(5)
            return await super().apply(steps)

    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", finished())
    journal = Slow()
    async with quick(fake.url, journal=journal) as music:
        job = music.submit(song(), key="one")
        await job.recorded()
        assert 5 <= now() < 6
        assert (await journal.find("default@127.0.0.1"))[0].key == "one"
        await job.recorded()
        await job
    async with quick(fake.url) as music:
        job = music.submit(song())
        with pytest.raises(ConfigurationError, match="has no journal"):
            await job.recorded()


@pytest.mark.looptime
async def test_recorded_raises_what_kept_the_job_out_of_the_journal(fake, song):
    class Picky(MemoryJournal):
        async def apply(self, steps):
            raise JournalError("it is damaged", passing=False)

    async with quick(fake.url, journal=Picky()) as music:
        with pytest.raises(JournalError, match="it is damaged"):
            await music.submit(song(), key="one").recorded()
    assert fake.asked == []


async def test_a_journal_of_an_earlier_version_goes_on_whoever_opened_its_file(fake, song, tmp_path):
    from aimusic_async.journal.record import key_hash

    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", finished())
    path = tmp_path / "jobs.db"
    async with quick(fake.url, journal=path, poll_interval=0.01) as music:
        await music.submit(song(), key="one")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE records SET account = ?", (key_hash(KEY),))
    db.close()
    async with SqliteJournal(path) as journal, quick(fake.url, journal=journal, poll_interval=0.01) as music:
        assert (await music.submit(song(), key="one")).task_id == "t1"
    assert len(fake.times("/sonic/create")) == 1
