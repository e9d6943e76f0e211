"""The session: one door, one limiter, nothing lost on the way out."""

import asyncio
import itertools
import logging
import traceback

import pytest

from aimusic_async import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequest,
    JobState,
    JobTimeout,
    MusicError,
    MusicSession,
    NotSent,
    RefusedRepeatedly,
    Settings,
    Song,
    SubmissionUnknown,
    TokenBucket,
    account,
    sonic,
)
from aimusic_async.sandbox import Options, Sandbox

PERIOD = TokenBucket().period
FINISHED = {
    "code": 200,
    "data": [{"clip_id": "c1", "state": "succeeded"}, {"clip_id": "c2", "state": "succeeded"}],
}
RUNNING = {"code": 200, "data": [{"clip_id": "c1", "state": "running"}]}


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_a_hundred_songs_finish_without_a_refusal_and_a_direct_call_waits_two_periods_at_most(song):
    async with Sandbox(Options(seed=5)) as box, MusicSession.sandbox(box) as music:
        async with music.group() as group:
            for number in range(100):
                group.submit(song(title=f"Song {number}"))
            await asyncio.sleep(250)
            asked = now()
            suggestion = await music.run(sonic.UpsampleTags(tags="pop"))
            waited = now() - asked
        assert waited <= 2 * PERIOD
        assert suggestion.upsampled_tags
        assert len(group.results()) == 100
        assert all(job.state is JobState.SUCCEEDED and len(job.clips) == 2 for job in group.jobs)
        assert box.books.refusals == []
        assert len(box.books.taken("sonic.create_music")) == 100
        assert music.stats.refusals == 0
        assert music.stats.requests == len(box.books.requests)


@pytest.mark.looptime
async def test_run_gives_the_result_with_its_type_and_the_charge_is_the_books():
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        before = await music.credits()
        made = await music.run(sonic.CreateMusic(gpt_description_prompt="rain on a tin roof", mv="sonic-v5"))
        after = await music.credits()
        assert isinstance(made, Song)
        assert [clip.duration is not None and clip.duration > 1 for clip in made.clips] == [True, True]
        assert all(clip.created_at is not None and clip.created_at.tzinfo for clip in made.clips)
        assert before.total - after.total == box.books.charged == sonic.CreateMusic.cost


@pytest.mark.looptime
async def test_every_kind_of_sonic_operation_works_end_to_end(song):
    async with Sandbox(Options(seed=2)) as box, MusicSession.sandbox(box) as music:
        first = await music.run(song())
        clip_id, other_id = (clip.clip_id for clip in first.clips)
        source = {"continue_clip_id": clip_id, "mv": "sonic-v5"}
        persona = await music.run(sonic.CreatePersona(name="Alto", clip_id=clip_id))
        tasks = [
            sonic.ExtendMusic(**source, prompt="more", continue_at=5),
            sonic.CoverMusic(**source, prompt="again", audio_weight=0.5),
            sonic.PersonaMusic(persona_id=persona.persona_id, mv="sonic-v5", prompt="low"),
            sonic.Remaster(**source, variation_category="high"),
            sonic.Sample(
                sample_clip_id=clip_id,
                chop_sample_start_s=1,
                chop_sample_end_s=4,
                mv="sonic-v5",
                gpt_description_prompt="lo-fi",
            ),
            sonic.Mashup(mashup_clip_ids=[clip_id, other_id], mv="sonic-v5", gpt_description_prompt="dance"),
            sonic.ReplaceSection(
                clip_id=clip_id, mv="sonic-v5", infill_start_s=1, infill_end_s=3, infill_lyrics="la", prompt="la la"
            ),
            sonic.StemsBasic(clip_id=clip_id),
            sonic.StemsFull(clip_id=clip_id),
        ]
        async with music.group() as group:
            for request in tasks:
                group.submit(request)
        assert len(group.results()) == len(tasks)
        stems = group.results()[-2:]
        assert sorted(stems[0].parts) == ["Instrumental", "Vocals"]
        assert len(stems[1].parts) == 12
        extension = group.results()[0]
        joined = await music.run(sonic.ConcatMusic(continue_clip_id=extension.clips[0].clip_id))
        assert len(joined.clips) == 1
        assert (await music.run(sonic.GetBpm(clip_id=clip_id))).avg_bpm > 20
        assert (await music.run(sonic.GetVox(clip_id=clip_id, vocal_start_s=0, vocal_end_s=10))).vox_audio_id
        assert (await music.run(sonic.GetWav(clip_id=clip_id))).wav_url.endswith(".wav")
        assert (await music.run(sonic.GetMidi(clip_id=clip_id))).instruments[0].notes[0].pitch in range(128)
        timeline = await music.run(sonic.GetLyricsTimeline(clip_id=clip_id))
        assert "".join(word.word for word in timeline.alignment) == "[Verse]\nHere we go"
        assert box.books.refusals == []


async def test_without_a_key_the_error_says_how_to_set_one():
    with pytest.raises(ConfigurationError, match=r"AIMUSIC_API_KEY.*api_key="):
        MusicSession()


async def test_plain_http_to_a_public_host_is_refused():
    with pytest.raises(ConfigurationError, match=r"plain http to music\.example"):
        MusicSession("key", "http://music.example")


async def test_a_wrong_key_raises_an_error_that_does_not_show_it(fake):
    fake.script("/get-credits", (401, {"type": "unauthorized", "error": "Invalid API key."}))
    secret = "s3cr3t-k3y"
    async with MusicSession(secret, fake.url) as music:
        with pytest.raises(AuthenticationError) as caught:
            await music.credits()
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(vars(caught.value))
        assert secret not in shown
        assert secret not in repr(music)
        assert secret not in repr(music._settings)
    assert fake.asked[0][1].headers["Authorization"] == f"Bearer {secret}"


@pytest.mark.looptime
async def test_bad_input_never_reaches_the_service(fake, song):
    async with MusicSession("key", fake.url) as music:
        with pytest.raises(InvalidRequest):
            await music.run(song(title="x" * 81))
    assert fake.asked == []


@pytest.mark.looptime
async def test_cancelling_a_queued_job_sends_nothing(song):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        first, second = music.submit(song()), music.submit(song())
        await first.accepted()
        assert second.cancel()
        with pytest.raises(MusicError, match="never sent"):
            await second
        await first
        assert second.state is JobState.CANCELLED
        assert not second.cancel()
        assert len(box.books.taken()) == 1


@pytest.mark.looptime
async def test_cancelling_in_mid_post_still_learns_the_task_id(fake, song):
    async def slowly(_request):
        await asyncio.sleep(20)
        return {"message": "success", "task_id": "t-1"}

    fake.script("/sonic/create", slowly)
    async with MusicSession("key", fake.url) as music:
        job = music.submit(song())
        await asyncio.sleep(5)
        assert job.state is JobState.SENDING
        job.cancel()
        assert await job.accepted() == "t-1"
        with pytest.raises(MusicError, match="t-1 can be attached again"):
            await job
        assert job.state is JobState.DETACHED
        assert job.credits == 10
        await asyncio.sleep(100)
    assert len(fake.asked) == 1  # nobody asks about it any more


@pytest.mark.looptime
async def test_a_timed_out_job_can_be_attached_again(song):
    async with Sandbox(Options(durations={"sonic": 120})) as box, MusicSession.sandbox(box) as music:
        job = music.submit(song(), timeout=30)
        await job.accepted()
        accepted = now()
        with pytest.raises(JobTimeout) as caught:
            await job
        assert now() - accepted == pytest.approx(30, abs=0.1)
        assert job.state is JobState.DETACHED
        again = music.attach(sonic.CreateMusic, caught.value.job.task_id)
        assert len((await again).clips) == 2
        assert len(box.books.taken()) == 1


@pytest.mark.looptime
async def test_a_timeout_counts_from_acceptance_not_from_queueing(song):
    async with Sandbox(Options(durations={"sonic": 20})) as box, MusicSession.sandbox(box) as music:
        for _ in range(40):
            music.submit(song())
        await music.submit(song(), timeout=60)  # it waits two minutes for its token
        assert box.books.refusals == []


@pytest.mark.looptime
async def test_cancelling_the_wait_leaves_the_job_alone(song):
    async with MusicSession.sandbox(speed=1) as music:
        job = music.submit(song())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await job
        assert isinstance(await job, Song)


@pytest.mark.looptime
async def test_cancelling_run_gives_its_job_up(song):
    async with Sandbox(Options(durations={"sonic": 100})) as box, MusicSession.sandbox(box) as music:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await music.run(song())
        seen = len(box.books.requests)
        await asyncio.sleep(200)
        assert len(box.books.requests) == seen


@pytest.mark.looptime
async def test_an_answer_lost_after_sending_is_never_sent_again(fake, song):
    async def drop(request):
        request.transport.close()
        await asyncio.sleep(1)

    fake.script("/sonic/create", drop)
    async with MusicSession("key", fake.url) as music:
        job = music.submit(song())
        with pytest.raises(SubmissionUnknown) as caught:
            await job
        assert caught.value.job is job
        assert job.state is JobState.UNKNOWN
        await asyncio.sleep(300)
    assert len(fake.times("/sonic/create")) == 1


@pytest.mark.looptime
@pytest.mark.parametrize(
    "answer", [(500, {"error": "Internal Server Error."}), (502, "<html>Bad gateway</html>"), {"message": "success"}]
)
async def test_an_answer_that_does_not_say_whether_it_was_taken_is_never_sent_again(fake, song, answer):
    fake.script("/sonic/create", answer)
    async with MusicSession("key", fake.url) as music:
        with pytest.raises(SubmissionUnknown):
            await music.run(song())
    assert len(fake.times("/sonic/create")) == 1


@pytest.mark.looptime
async def test_a_refused_request_waits_and_goes_first_again(fake, song):
    fake.script(
        "/sonic/create", (429, {"type": "rate_limit", "error": "slow down"}, {"Retry-After": "40"}), {"task_id": "t"}
    )
    fake.script("/sonic/task/t", FINISHED)
    async with MusicSession("key", fake.url) as music:
        first, second = music.submit(song(title="first")), music.submit(song(title="second"))
        await asyncio.gather(first, second)
        assert music.stats.refusals == 1
    sent = [(at, text) for at, _, path, text in fake.asked if path == "/sonic/create"]
    assert sent[1][0] - sent[0][0] >= 40
    assert ["first" in text for _, text in sent] == [True, True, False]


@pytest.mark.looptime
async def test_refusals_without_a_word_make_the_pauses_grow(fake):
    fake.script("/get-credits", *[(429, {"type": "rate_limited"})] * 4, {"credits": 1})
    async with MusicSession("key", fake.url) as music:
        assert (await music.credits()).total == 1
    times = fake.times()
    gaps = [late - early for early, late in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 3 * gaps[0]


@pytest.mark.looptime
async def test_polls_survive_faults_of_the_service(fake, song):
    fake.script("/sonic/create", {"task_id": "t"})
    fake.script(
        "/sonic/task/t",
        (202, {"type": "not_ready", "error": "Task is still processing."}),
        (500, "<html>oops</html>"),
        (429, {"type": "rate_limit"}),
        RUNNING,
        (400, {"type": "validation_error", "error": "task not found."}),
        FINISHED,
    )
    async with MusicSession("key", fake.url) as music:
        assert len((await music.run(song())).clips) == 2
    assert len(fake.times("/sonic/create")) == 1


@pytest.mark.looptime
async def test_a_session_that_never_had_an_answer_gives_up_soon(song):
    async with MusicSession("key", "http://127.0.0.1:9") as music:
        started = now()
        waiting = [music.submit(song()), music.attach(sonic.CreateMusic, "t")]
        with pytest.raises(NotSent, match="no connection"):
            await music.run(song())
        assert now() - started < 15
        for job in waiting:
            with pytest.raises(NotSent, match="no connection"):
                await job
        assert [job.state for job in waiting] == [JobState.FAILED, JobState.DETACHED]


@pytest.mark.looptime
async def test_a_task_that_never_ends_is_given_up_after_an_hour(fake, song):
    fake.script("/sonic/create", {"task_id": "t"})
    fake.script("/sonic/task/t", RUNNING)
    async with MusicSession("key", fake.url) as music:
        with pytest.raises(JobTimeout, match="still runs after 3600 seconds"):
            await music.run(song())


@pytest.mark.looptime
async def test_leaving_the_session_detaches_what_runs_cancels_what_waits_and_warns_once(song, caplog):
    async with Sandbox(Options(durations={"sonic": 100})) as box:
        async with MusicSession.sandbox(box) as music:
            sent, waiting, also_waiting = (music.submit(song()) for _ in range(3))
            await sent.accepted()
        assert [job.state for job in (sent, waiting, also_waiting)] == [JobState.DETACHED, *[JobState.CANCELLED] * 2]
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert sent.task_id in warnings[0].getMessage()
        assert "2 never sent" in warnings[0].getMessage()
        assert len(box.books.taken()) == 1
        with pytest.raises(MusicError, match="not open"):
            music.submit(song())


@pytest.mark.looptime
async def test_leaving_in_mid_post_waits_for_the_task_id(fake, song):
    async def slowly(_request):
        await asyncio.sleep(20)
        return {"task_id": "t-9"}

    fake.script("/sonic/create", slowly)
    async with MusicSession("key", fake.url) as music:
        job = music.submit(song())
        await asyncio.sleep(1)
    assert (job.task_id, job.state) == ("t-9", JobState.DETACHED)


@pytest.mark.looptime
async def test_a_session_may_be_entered_and_left_in_different_tasks(song):
    async with Sandbox() as box:
        manager = MusicSession.sandbox(box)
        music = await asyncio.create_task(manager.__aenter__())
        assert isinstance(await music.run(song()), Song)
        await asyncio.create_task(manager.__aexit__(None, None, None))


@pytest.mark.looptime
async def test_a_session_cannot_be_opened_twice_at_once():
    async with MusicSession("key") as music:
        with pytest.raises(MusicError, match="open already"):
            await music.__aenter__()


async def test_a_closed_session_says_how_to_open_it(song):
    with pytest.raises(MusicError, match="async with"):
        MusicSession("key").submit(song())


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("operation", "task_id", "field"),
    [(sonic.GetBpm, "t", "operation"), (sonic.CreateMusic, " ", "task_id"), (sonic.CreateMusic, "../x", "task_id")],
)
async def test_attaching_nonsense_is_refused_before_anything_is_sent(fake, operation, task_id, field):
    async with MusicSession("key", fake.url) as music:
        with pytest.raises(InvalidRequest) as caught:
            music.attach(operation, task_id)
        assert caught.value.field == field
    assert fake.asked == []


@pytest.mark.looptime
async def test_attaching_an_unknown_task_ends_as_not_found():
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        with pytest.raises(MusicError, match="task not found"):
            await music.attach(sonic.StemsFull, "no-such-task")


@pytest.mark.looptime
async def test_the_poll_interval_is_the_services_unless_the_user_says_otherwise(fake, song):
    fake.script("/sonic/create", {"task_id": "t"})
    fake.script("/sonic/task/t", RUNNING, RUNNING, FINISHED)
    for given, least in ((None, 15), (4.0, 4)):
        fake.asked.clear()
        fake.script("/sonic/task/t", RUNNING, RUNNING, FINISHED)
        async with MusicSession("key", fake.url, poll_interval=given) as music:
            await music.run(song())
        times = fake.times()
        gaps = [late - early for early, late in itertools.pairwise(times)]
        assert all(least <= gap < least + 2 for gap in gaps)


@pytest.mark.looptime
async def test_seconds_of_a_fast_sandbox_are_the_services(song):
    async with Sandbox(Options(speed=60, durations={"sonic": 300})) as box, MusicSession.sandbox(box) as music:
        job = music.submit(song(), timeout=120)
        await job.accepted()
        accepted = now()
        with pytest.raises(JobTimeout):
            await job
        assert now() - accepted == pytest.approx(2, abs=0.1)


@pytest.mark.looptime
async def test_two_sessions_that_share_a_limiter_share_the_limit(song):
    async with Sandbox() as box:
        limiter = TokenBucket()
        async with (
            MusicSession(box.key, box.url, limiter=limiter) as one,
            MusicSession(box.key, box.url, limiter=limiter) as two,
        ):
            await asyncio.gather(*(music.run(song()) for music in (one, two) for _ in range(5)))
        assert box.books.refusals == []


@pytest.mark.looptime
async def test_a_users_own_http_session_is_used_and_left_open(fake):
    import aiohttp

    fake.script("/get-credits", {"credits": 7, "extra_credits": 1})
    async with aiohttp.ClientSession() as http:
        async with MusicSession("key", fake.url, http=http) as music:
            assert (await music.run(account.GetCredits())).total == 8
        assert not http.closed


@pytest.mark.looptime
async def test_a_paid_call_that_says_not_ready_is_not_made_again(fake):
    fake.script("/sonic/vox", (202, {"type": "not_ready", "error": "wait"}))
    async with MusicSession("key", fake.url) as music:
        with pytest.raises(SubmissionUnknown):
            await music.run(sonic.GetVox(clip_id="c"))
    assert len(fake.asked) == 1


@pytest.mark.looptime
async def test_what_is_prepared_is_asked_for_again_ever_more_seldom_and_not_for_ever(fake):
    fake.script("/sonic/midi", {"code": 200, "data": {"midi_url": None}})
    async with MusicSession("key", fake.url) as music:
        job = music.submit(sonic.GetMidi(clip_id="c"))
        with pytest.raises(JobTimeout, match=r"still not ready after 6\d\d seconds .1 credits were charged"):
            await job
        assert job.state is JobState.DETACHED
    times = fake.times()
    assert len(times) < 40
    assert times[-1] - times[-2] > 4 * (times[1] - times[0])


@pytest.mark.looptime
async def test_what_was_refused_to_be_prepared_is_not_asked_for_again(fake):
    fake.script("/sonic/midi", (403, {"type": "forbidden", "error": "no"}))
    async with MusicSession("key", fake.url) as music:
        with pytest.raises(MusicError):
            await music.run(sonic.GetMidi(clip_id="c"))
    assert len(fake.asked) == 1


@pytest.mark.looptime
async def test_a_passing_outage_does_not_end_a_paid_task(fake, song):
    fake.script("/sonic/create", {"task_id": "t"})
    outage = [(502, {"status": "error", "message": "Bad gateway"}), (503, ""), (403, "<html>blocked</html>")] * 5
    fake.script("/sonic/task/t", *outage, FINISHED)
    async with MusicSession("key", fake.url) as music:
        assert len((await music.run(song())).clips) == 2


@pytest.mark.looptime
async def test_several_refusals_at_once_are_one_incident(fake):
    async def refuse(_request):
        await asyncio.sleep(1)
        return (429, {"type": "rate_limit"}) if len(fake.asked) <= 10 else {"credits": 1}

    fake.script("/get-credits", refuse)
    async with MusicSession("key", fake.url, limiter=TokenBucket(10, capacity=10)) as music:
        started = now()
        await asyncio.gather(*(music.credits() for _ in range(10)))
        assert now() - started < 10


@pytest.mark.looptime
async def test_a_limiter_that_breaks_ends_every_job_with_its_error(song):
    class Broken:
        async def acquire(self):
            raise ZeroDivisionError("no such limit")

        def pause_until(self, moment):
            """Never called."""

    with pytest.raises(ExceptionGroup) as caught:
        async with MusicSession("key", limiter=Broken()) as music:
            async with music.group(on_failure="keep") as group:
                job = group.submit(song())
            assert "no such limit" in str(group.failures()[job])
            with pytest.raises(MusicError, match="broke"):
                music.submit(song())
    assert caught.group_contains(ZeroDivisionError)


def test_one_limiter_serves_one_program_after_the_other():
    limiter = TokenBucket(20)

    async def program():
        async with Sandbox(Options(speed=600)) as box, MusicSession(box.key, box.url, limiter=limiter) as music:
            await asyncio.gather(music.credits(), music.credits())

    for _ in range(2):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(program())
        loop.close()


@pytest.mark.looptime
async def test_an_upload_that_becomes_a_task_by_itself_is_followed(fake):
    fake.script("/sonic/upload", {"code": 200, "message": "success", "task_id": "t"})
    fake.script("/sonic/task/t", {"data": [{"clip_id": "u", "state": "succeeded"}]})
    async with MusicSession("key", fake.url) as music:
        assert (await music.run(sonic.UploadMusic(url="https://h.example/a.mp3"))).clip_id == "u"


@pytest.mark.looptime
async def test_the_key_is_in_no_error_not_even_behind_it(fake):
    async def garbage(request):
        request.transport.write(b"HTTP/1.1 banana\r\n\r\n")
        request.transport.close()
        await asyncio.sleep(1)

    fake.script("/sonic/create", garbage)
    secret = "s3cr3t-k3y"
    async with MusicSession(secret, fake.url) as music:
        with pytest.raises(SubmissionUnknown) as caught:
            await music.run(sonic.CreateMusic(prompt="la", mv="sonic-v5"))
    error = caught.value
    while error is not None:
        assert secret not in repr(error) + str(error) + repr(vars(error))
        error = error.__cause__ or error.__context__


@pytest.mark.looptime
async def test_a_users_strict_http_session_does_not_turn_refusals_into_doubt(fake, song):
    import aiohttp

    fake.script("/sonic/create", (400, {"type": "validation_error", "error": "no"}))
    async with aiohttp.ClientSession(raise_for_status=True) as http, MusicSession("k", fake.url, http=http) as music:
        with pytest.raises(MusicError) as caught:
            await music.run(song())
        assert type(caught.value).__name__ == "ValidationError"


@pytest.mark.looptime
async def test_a_users_closed_http_session_is_surely_not_sent(fake, song):
    import aiohttp

    http = aiohttp.ClientSession()
    await http.close()
    async with MusicSession("k", fake.url, http=http) as music:
        with pytest.raises(NotSent, match="closed"):
            await music.run(song())


@pytest.mark.looptime
async def test_a_session_that_is_busy_keeps_its_connection(fake, song):
    ports = set()

    async def remember(request):
        ports.add(request.transport.get_extra_info("peername")[1])
        return {"task_id": "t"}

    fake.script("/sonic/create", remember)
    fake.script("/sonic/task/t", FINISHED)
    async with MusicSession("k", fake.url) as music:
        await asyncio.gather(*(music.submit(song()) for _ in range(5)))
    assert len(ports) == 1


@pytest.mark.looptime
async def test_a_closed_session_cannot_download(tmp_path):
    async with MusicSession.sandbox(speed=1) as music:
        pass
    with pytest.raises(MusicError, match="not open"):
        await music.download(Song(task_id="t", clips=()), tmp_path)


@pytest.mark.looptime
async def test_a_higher_priority_is_sent_first(song):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        async with music.group(on_failure="keep") as group:
            for title, priority in (("last", -1), ("middle", 0), ("first", 1)):
                group.submit(song(title=title), priority=priority)
        assert [entry.body["title"] for entry in box.books.taken()] == ["first", "middle", "last"]


@pytest.mark.looptime
async def test_on_a_plan_that_counts_submits_only_polls_have_a_limiter_of_their_own(song):
    async with Sandbox(Options(count="posts", durations={"sonic": 30})) as box:
        for polls in (None, TokenBucket(1.0)):
            started = now()
            async with MusicSession(box.key, box.url, poll_limiter=polls) as music, music.group() as group:
                for _ in range(40):
                    group.submit(song())
            if polls is None:
                shared = now() - started
        assert now() - started < 0.8 * shared
        assert box.books.refusals == []


@pytest.mark.looptime
async def test_a_limit_that_does_not_fit_is_reported_once(fake, caplog):
    fake.script("/get-credits", *[(429, {"type": "rate_limit"})] * 6, {"credits": 1})
    reported = []
    async with MusicSession("key", fake.url) as music:
        music.events.listen(lambda event: reported.append(event) if isinstance(event, RefusedRepeatedly) else None)
        await music.credits()
    assert reported == [RefusedRepeatedly(3)]
    assert caplog.text.count("does another program use the same key?") == 1


@pytest.mark.looptime
async def test_every_task_that_was_paid_for_is_named_when_its_group_is_left(song, caplog):
    async with Sandbox(Options(durations={"sonic": 500})) as box, MusicSession.sandbox(box) as music:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30), music.group() as group:
                for _ in range(20):
                    group.submit(song())
        paid = [entry.task_id for entry in box.books.taken()]
        assert len(paid) > 8
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert all(task_id in warnings[0] for task_id in paid)


@pytest.mark.looptime
async def test_the_task_of_a_run_that_was_cancelled_is_named(song, caplog):
    async with Sandbox() as box, MusicSession.sandbox(box) as music:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await music.run(song())
        assert box.books.taken()[0].task_id in caplog.text


@pytest.mark.looptime
async def test_the_task_of_a_job_that_was_cancelled_in_mid_post_is_named_when_it_is_known(fake, song, caplog):
    async def slowly(_request):
        await asyncio.sleep(20)
        return {"task_id": "t-77"}

    fake.script("/sonic/create", slowly)
    async with MusicSession("key", fake.url) as music:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await music.run(song())
        assert "being sent just now" in caplog.text
        await asyncio.sleep(30)
        assert "the service has it as task t-77" in caplog.text


@pytest.mark.looptime
@pytest.mark.parametrize("nonsense", [sonic.CreateMusic, "a song", None, {"op": "sonic.get_bpm"}])
async def test_what_is_no_request_is_refused_where_it_is_given(fake, nonsense):
    async with MusicSession("key", fake.url) as music:
        for use in (music.submit, music.run):
            with pytest.raises(InvalidRequest, match="must be a request such as"):
                await use(nonsense)
        with pytest.raises(InvalidRequest, match="must be a class of requests"):
            music.attach(nonsense if nonsense is not sonic.CreateMusic else "sonic.create_music", "t")
        with pytest.raises(InvalidRequest, match="task_id"):
            music.attach(sonic.CreateMusic, None)
    assert fake.asked == []


@pytest.mark.looptime
async def test_a_wrong_key_is_reported_once_and_nothing_more_is_sent(fake, song):
    fake.script("/sonic/create", (401, {"type": "unauthorized", "error": "Invalid API key."}))
    async with MusicSession("key", fake.url) as music:
        with pytest.raises(ExceptionGroup, match="50 of 50 jobs failed") as caught:
            async with music.group() as group:
                for _ in range(50):
                    group.submit(song())
        assert [type(error) for error in caught.value.exceptions] == [AuthenticationError]
        assert len(group.failures()) == 50
    assert len(fake.asked) == 1


@pytest.mark.looptime
async def test_an_outage_is_reported_at_once_and_stands_behind_the_timeout(song, caplog):
    async with MusicSession("key", "http://127.0.0.1:9") as music:
        with pytest.raises(ExceptionGroup) as caught:
            async with music.group(timeout=5) as group:
                for _ in range(5):
                    group.submit(song())
        assert caplog.text.count("nothing is submitted until the service answers") == 1
        assert "Connection refused" in caplog.text
        assert isinstance(group.jobs[0].exception().__cause__, NotSent)
        assert len(caught.value.exceptions) == 5


@pytest.mark.looptime
async def test_a_sandbox_elsewhere_on_this_machine_can_be_as_fast(song, monkeypatch):
    async with Sandbox(Options(speed=60)) as box:
        monkeypatch.setenv("AIMUSIC_SPEED", "60")
        async with MusicSession(box.key, box.url) as music:
            started = now()
            await music.run(song())
            assert now() - started < 10
        with pytest.raises(ConfigurationError, match="speed is for a sandbox on this machine"):
            MusicSession("key")


async def test_settings_and_their_parts_are_not_given_at_once():
    with pytest.raises(ConfigurationError, match="give settings, or api_key, not both"):
        MusicSession("key", settings=Settings(api_key="other"))
