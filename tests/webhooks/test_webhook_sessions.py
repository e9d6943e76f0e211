"""A session with webhooks: the service tells, and a song costs one request."""

import asyncio
import json

import pytest
from aiohttp import web

from aimusic_async import (
    JobFailed,
    JobState,
    JobStreaming,
    MemoryJournal,
    MusicSession,
    SubmissionUnknown,
    TokenBucket,
    WebhookConfig,
    sonic,
    webhooks,
)
from aimusic_async.sandbox import Fate, Fault, Options, Sandbox, Script

CONFIG = WebhookConfig("https://example.org/hook", "the configured secret")


def options(**more):
    return Options(http_webhooks=True, **more)


def now():
    return asyncio.get_running_loop().time()


class Delivery:
    """What a door hands on, made by hand."""

    def __init__(self, body, *, task_id="t1", event="song.completed"):
        self.task_id = task_id
        self.event = event
        self.reply = webhooks.WebhookEvent(
            id="e1",
            event=event,
            task_id=task_id,
            platform="sonic",
            timestamp=0.0,
            signature="",
            body=body | {"task_id": task_id, "event": event},
        ).reply


def done(state="succeeded"):
    return {"code": 200, "data": [{"clip_id": "c1", "state": state, "audio_url": "https://x/c1.mp3"}] * 2}


def job_of(fake):
    """The job id in the callback address of the last POST."""
    body = json.loads([text for _, request, _, text in fake.asked if request.method == "POST"][-1])
    return body["webhook_url"].partition("job=")[2]


# --- over the sandbox ------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_every_song_of_a_batch_takes_one_request_and_ends_when_the_service_says_so(song, hooked):
    async with Sandbox(options(seed=1)) as box, hooked(box) as music:
        async with music.group() as group:
            for number in range(60):
                group.submit(song(title=str(number)))
        assert len(group.results()) == 60
        assert music.stats.requests == len(box.books.requests) == 60
        last = max(entry.at for entry in box.books.deliveries)
        assert now() - last < 1


@pytest.mark.looptime
async def test_deliveries_that_are_doubled_late_or_out_of_order_change_nothing(song, hooked):
    box_options = options(seed=2, webhook_doubled=0.3, webhook_disorder=0.3, webhook_delay=(0, 30))
    async with Sandbox(box_options) as box, hooked(box) as music:
        async with music.group() as group:
            for number in range(40):
                group.submit(song(title=str(number)))
        assert len(group.results()) == 40
        assert music.stats.requests == 40
        await asyncio.sleep(300)  # what comes after the end is answered, and does nothing
        assert {delivery.status for delivery in box.books.deliveries} == {200}


@pytest.mark.looptime
async def test_a_delivery_that_never_comes_costs_time_and_not_the_song(song, hooked):
    async with Sandbox(options(seed=3, webhook_lost=1)) as box, hooked(box) as music:
        await music.run(song())
        assert 1 <= music.stats.polls <= 2


@pytest.mark.looptime
async def test_a_failed_task_is_told_with_its_refund(song, hooked):
    failing = Script(("sonic.create_music", Fate.fails()))
    async with Sandbox(options(faults=failing, failed_form="body")) as box, hooked(box) as music:
        job = music.submit(song())
        await job.wait()
        error = job.exception()
        assert isinstance(error, JobFailed)
        assert (error.refunded, job.credits, music.stats.polls) == (True, 0, 0)


@pytest.mark.looptime
async def test_a_song_can_be_heard_before_it_is_finished(song, hooked):
    async with Sandbox(options(seed=1)) as box, hooked(box) as music:
        streams = []
        music.events.listen(lambda event: streams.append(event) if isinstance(event, JobStreaming) else None)
        job = music.submit(song())
        await job
        (event,) = streams
        assert (event.job, event.url) == (job, job.streaming_url)
        assert "/streaming/" in job.streaming_url


@pytest.mark.looptime
async def test_all_platforms_with_webhooks_and_stems_work_end_to_end(song, hooked):
    from aimusic_async import nuro, producer

    async with Sandbox(options(seed=1)) as box, hooked(box) as music:
        made = await music.run(song())
        stems = await music.run(sonic.StemsFull(clip_id=made.clips[0].clip_id))
        assert len(stems.parts) == 12
        replaced = await music.run(
            sonic.ReplaceSection(
                clip_id=made.clips[0].clip_id,
                mv="sonic-v5",
                infill_start_s=1,
                infill_end_s=3,
                infill_lyrics="la",
                prompt="la la",
            )
        )
        assert replaced.clips
        assert (await music.run(producer.CreateMusic(sound="slow strings"))).clips
        assert (await music.run(nuro.CreateInstrumental(version="v2.0", description="night drive", duration=60))).clips
        assert music.stats.polls == 0


@pytest.mark.looptime
async def test_an_answer_that_was_lost_is_found_again_by_the_delivery(song, hooked):
    lost = Script(("sonic.create_music", Fault.dropped(taken=True)))
    journal = MemoryJournal()
    async with Sandbox(options(faults=lost)) as box, hooked(box, journal=journal) as music:
        job = music.submit(song(), key="one")
        made = await job
        (entry,) = box.books.taken()
        assert (job.task_id, job.credits, job.state) == (entry.task_id, 10, JobState.SUCCEEDED)
        (record,) = await music.journal.jobs()
        assert (record.state, record.task_id, record.attempts) == (JobState.SUCCEEDED, entry.task_id, 1)
        assert made.clips


@pytest.mark.looptime
async def test_what_was_never_taken_ends_in_doubt_after_a_while(song, hooked):
    lost = Script(("sonic.create_music", Fault.dropped()))
    async with Sandbox(options(faults=lost)) as box, hooked(box) as music:
        started = now()
        with pytest.raises(SubmissionUnknown):
            await music.run(song())
        assert now() - started >= 600
        assert box.books.taken() == []


@pytest.mark.looptime
async def test_leaving_does_not_wait_for_a_delivery(song, hooked):
    lost = Script(("sonic.create_music", Fault.dropped(taken=True)))
    journal = MemoryJournal()
    async with Sandbox(options(faults=lost)) as box:
        async with hooked(box, journal=journal) as music:
            job = music.submit(song(), key="one")
            await asyncio.sleep(5)
            assert job.state is JobState.SENDING
        assert (job.state, now() < 60) == (JobState.UNKNOWN, True)


@pytest.mark.looptime
async def test_what_is_told_of_a_job_that_nobody_waits_for_is_there_for_whoever_asks_later(song, hooked):
    journal = MemoryJournal()
    async with Sandbox(options(seed=1)) as box, hooked(box, journal=journal) as door:
        # The session that submits names the door's address, and ends before the song does.
        config = door._callback
        async with MusicSession.sandbox(box, webhook=config, journal=journal) as music:
            job = music.submit(song(), key="one")
            await job.accepted()
        await asyncio.sleep(300)
        (record,) = await door.journal.jobs()
        assert (record.state, record.task_id) == (JobState.SUCCEEDED, job.task_id)
        async with MusicSession.sandbox(box, journal=journal) as music:
            by_key, by_task = music.submit(song(), key="one"), music.attach(sonic.CreateMusic, job.task_id)
            assert (await by_key) == (await by_task)
            assert music.stats.requests == 0


@pytest.mark.looptime
async def test_a_job_ends_when_another_process_is_told(song, hooked):
    journal = MemoryJournal(clock=now)
    async with (
        Sandbox(options(seed=1)) as box,
        hooked(box, journal=journal) as door,
        MusicSession.sandbox(box, webhook=door._callback, journal=journal) as music,
    ):
        async with music.group() as group:
            for number in range(10):
                group.submit(song(title=str(number)))
        assert len(group.results()) == 10
        assert music.stats.polls == 0
        assert door.stats.requests == 0
        assert now() - max(entry.at for entry in box.books.deliveries) < 3


# --- by hand ---------------------------------------------------------------------------------------------------------


def quick(url, **more):
    return MusicSession("key", url, limiter=TokenBucket(1000, margin=0), webhook=CONFIG, **more)


@pytest.mark.looptime
async def test_a_delivery_before_the_answer_ends_the_job_and_the_answer_changes_nothing(fake, song):
    async def slowly(_request):
        await asyncio.sleep(20)
        return web.json_response({"task_id": "t1"})

    fake.script("/sonic/create", slowly)
    async with quick(fake.url) as music:
        job = music.submit(song())
        await asyncio.sleep(5)
        assert await music.deliver(Delivery(done()), job_of(fake))
        assert (job.state, job.task_id) == (JobState.SUCCEEDED, "t1")
        await asyncio.sleep(20)
        assert len(fake.asked) == 1


@pytest.mark.looptime
async def test_a_secret_opens_its_own_job_only(fake, song):
    fake.script("/sonic/create", {"task_id": "t1"}, {"task_id": "t2"})
    async with quick(fake.url) as music:
        first = music.submit(song())
        await first.accepted()
        other = job_of(fake)
        second = music.submit(song())
        await second.accepted()
        await music.deliver(Delivery(done(), task_id="t2"), other)  # signed by the first one's secret
        await asyncio.sleep(1)
        assert (first.state, second.state) == (JobState.SUBMITTED, JobState.SUBMITTED)


@pytest.mark.looptime
async def test_a_delivery_that_makes_no_sense_leads_to_a_look(fake, song, caplog):
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", done())
    async with quick(fake.url) as music:
        job = music.submit(song())
        await job.accepted()
        await music.deliver(Delivery({"data": [{"what": "ever"}]}), job_of(fake))
        started = now()
        await job
        assert now() - started < 5
        assert len(fake.times("/sonic/task/t1")) == 1


@pytest.mark.looptime
async def test_an_address_of_the_caller_s_own_is_left_alone(fake, song):
    fake.script("/sonic/create", {"task_id": "t1"})
    fake.script("/sonic/task/t1", done())
    async with quick(fake.url) as music:
        await music.run(song(webhook_url="https://mine.example/hook", webhook_secret="mine"))
        sent = json.loads(fake.asked[0][3])
        assert (sent["webhook_url"], sent["webhook_secret"]) == ("https://mine.example/hook", "mine")
        assert len(fake.times("/sonic/task/t1")) >= 1


@pytest.mark.looptime
async def test_an_upload_that_names_the_configured_address_is_told_like_a_task(fake):
    fake.script("/sonic/upload", {"code": 200, "task_id": "t1"})
    async with quick(fake.url) as music:
        job = music.submit(sonic.UploadMusic(url="https://files.example/a.mp3", callback_url=CONFIG.url))
        await job.accepted()
        sent = json.loads(fake.asked[0][3])
        job_id = sent["callback_url"].partition("job=")[2]
        assert sent["webhook_secret"] == CONFIG.secret_for(job_id)
        await music.deliver(Delivery({"code": 200, "clip_id": "up-1"}, event=None), job_id)
        assert (await job).clip_id == "up-1"


async def test_secrets_are_the_configuration_s_and_a_closed_session_takes_nothing():
    music = MusicSession("key", "http://127.0.0.1:1", webhook=CONFIG)
    assert music.webhook_secret(None) == CONFIG.secret
    assert music.webhook_secret("ab" * 16) == CONFIG.secret_for("ab" * 16)
    assert not await music.deliver(Delivery(done()), None)
    assert MusicSession("key", "http://127.0.0.1:1").webhook_secret(None) is None
    assert CONFIG.secret not in repr(music)
