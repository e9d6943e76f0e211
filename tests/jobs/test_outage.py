"""An outage as a session meets it: what is held, what asks, what is logged, and what ends."""

import asyncio
import itertools

import pytest

from aimusic_async import (
    GatewayError,
    JobState,
    JobTimeout,
    MusicSession,
    NotSent,
    RequestSent,
    SubmissionUnknown,
    TokenBucket,
    account,
    sonic,
)

pytestmark = pytest.mark.looptime

PAGE = (502, "<html><h1>Bad Gateway</h1></html>")
CREDITS = {"credits": 100, "extra_credits": 0}
CLIP = {"clip_id": "c1", "state": "succeeded", "audio_url": "https://x.test/c1.mp3"}
DONE = {"code": 200, "data": [CLIP]}
RUNNING = {"code": 200, "data": [{**CLIP, "state": "running"}]}
ACCEPTED = {"message": "success", "task_id": "t"}
HELD = "nothing is submitted until the service answers"
OVER = "the service answers again"


def now():
    return asyncio.get_running_loop().time()


def quick(fake, **more):
    return MusicSession("key", fake.url, limiter=TokenBucket(10, margin=0), **more)


async def heard_once(music, fake):
    """Let the session have one answer of the service."""
    fake.script("/get-credits", CREDITS)
    await music.credits()
    fake.asked.clear()


async def test_the_first_unknown_outcome_of_an_outage_is_the_last(fake, song, caplog):
    async with quick(fake) as music:
        await heard_once(music, fake)
        fake.script("/sonic/create", PAGE, ACCEPTED)
        fake.script("/sonic/task/t", DONE)
        fake.script("/get-credits", *[PAGE] * 5, CREDITS)
        jobs = [music.submit(song()) for _ in range(20)]
        await asyncio.gather(*(job.wait() for job in jobs))
    states = [job.state for job in jobs]
    assert (states.count(JobState.UNKNOWN), states.count(JobState.SUCCEEDED)) == (1, 19)
    unknown = next(job for job in jobs if job.state is JobState.UNKNOWN)
    assert isinstance(unknown.exception(), SubmissionUnknown)
    assert isinstance(unknown.exception().__cause__, GatewayError)
    assert len(fake.times("/sonic/create")) == 20
    asked = fake.times("/get-credits")
    assert [round(late - early) for early, late in itertools.pairwise(asked)] == [2, 4, 8, 16, 32]
    assert (caplog.text.count(HELD), caplog.text.count(OVER)) == (1, 1)


async def test_an_answer_of_any_kind_ends_an_outage(fake, song, caplog):
    """The poll of another task is as good as the free request."""
    fake.script("/sonic/create", {"message": "success", "task_id": "first"}, PAGE, ACCEPTED)
    fake.script("/sonic/task/first", RUNNING)
    fake.script("/sonic/task/t", DONE)
    fake.script("/get-credits", PAGE)
    async with quick(fake, poll_interval=3) as music:
        music.submit(song(title="long"))
        other, third = music.submit(song(title="a")), music.submit(song(title="b"))
        await third
        assert other.state is JobState.UNKNOWN
    assert caplog.text.count(HELD) == 1


async def test_what_the_service_says_of_its_own_failure_does_not_end_an_outage(fake, song):
    async with quick(fake) as music:
        await heard_once(music, fake)
        sorry = (500, {"type": "server_error", "error": "Internal Server Error."})
        fake.script("/sonic/create", sorry, ACCEPTED)
        fake.script("/sonic/task/t", DONE)
        fake.script("/get-credits", sorry, sorry, CREDITS)
        first, second = music.submit(song()), music.submit(song())
        await second
        assert first.state is JobState.UNKNOWN
    assert len(fake.times("/get-credits")) == 3


async def test_unknown_outcomes_in_a_row_are_farther_and_farther_apart(fake, song):
    """The free request is answered at once, and yet no submit is."""
    async with quick(fake) as music:
        await heard_once(music, fake)
        fake.script("/sonic/create", *[PAGE] * 5, ACCEPTED)
        fake.script("/sonic/task/t", DONE)
        jobs = [music.submit(song()) for _ in range(7)]
        await asyncio.gather(*(job.wait() for job in jobs))
    gaps = [
        late - early for early, late in zip(fake.times("/sonic/create"), fake.times("/sonic/create")[1:], strict=False)
    ]
    assert [round(gap) for gap in gaps] == [1, 2, 4, 8, 16, 0]


async def test_one_task_whose_polls_fail_holds_nobody_for_long_and_is_logged_once(fake, song, caplog):
    fake.script("/sonic/create", ACCEPTED, {"message": "success", "task_id": "u"})
    fake.script("/sonic/task/t", *[(404, "<html>no route</html>")] * 6, DONE)
    fake.script("/sonic/task/u", DONE)
    async with quick(fake, poll_interval=3) as music:
        bad = music.submit(song(title="a"))
        await asyncio.sleep(5)
        await music.submit(song(title="b"))
        await bad
    assert (caplog.text.count(HELD), caplog.text.count(OVER)) == (1, 0)


async def test_direct_calls_that_cost_wait_and_a_new_free_one_asks(fake, song):
    async with quick(fake) as music:
        await heard_once(music, fake)
        fake.script("/sonic/create", PAGE)
        await music.submit(song()).wait()
        fake.script("/sonic/create", ACCEPTED)
        fake.script("/sonic/task/t", DONE)
        fake.script("/get-credits", PAGE)
        paid = asyncio.create_task(music.run(song()))
        await asyncio.sleep(20)
        assert len(fake.times("/sonic/create")) == 1
        fake.script("/get-credits", CREDITS)
        began = now()
        assert (await music.credits()).total == 100
        assert now() - began < 1
        await paid
        assert now() - began < 30


async def test_a_free_call_outlasts_an_outage_and_ends_at_its_own_time(fake):
    async with quick(fake) as music:
        await heard_once(music, fake)
        fake.script("/get-credits", PAGE)
        began = now()
        with pytest.raises(JobTimeout) as caught:
            await music.run(account.GetCredits(), timeout=600)
        assert now() - began == pytest.approx(600, abs=1)
        assert isinstance(caught.value.__cause__, GatewayError)
        patient = asyncio.create_task(music.credits())
        await asyncio.sleep(4000)
        assert not patient.done()
        fake.script("/get-credits", CREDITS)
        assert (await patient).total == 100


async def test_a_time_out_counts_from_the_call_and_lets_a_post_finish(fake, song):
    async def slowly(_request):
        await asyncio.sleep(20)
        return ACCEPTED

    fake.script("/sonic/create", slowly)
    fake.script("/sonic/task/t", RUNNING)
    async with quick(fake) as music:
        began = now()
        with pytest.raises(JobTimeout) as caught:
            await music.run(song(), timeout=5)
        assert 20 <= now() - began < 21
        assert caught.value.job.task_id == "t"
        began = now()
        fake.script("/sonic/create", ACCEPTED)
        with pytest.raises(JobTimeout):
            await music.run(song(), timeout=50)
        assert now() - began == pytest.approx(50, abs=0.5)


@pytest.mark.parametrize(
    "answer", [PAGE, (404, {"message": "no route"}), (308, "", {"Location": "https://www.a.test"})]
)
async def test_a_session_that_never_had_an_answer_fails_within_seconds(fake, song, answer):
    fake.script("/sonic/create", answer)
    fake.script("/get-credits", answer)
    fake.script("/sonic/task/t", answer)
    async with quick(fake) as music:
        jobs = [music.submit(song()) for _ in range(5)]
        watched = music.attach(sonic.CreateMusic, "t")
        await asyncio.gather(*(job.wait() for job in (*jobs, watched)))
        assert now() < 15
        assert watched.state is JobState.DETACHED
        errors = [job.exception() for job in jobs]
        assert {type(error) for error in errors} <= {NotSent, SubmissionUnknown, GatewayError}
        assert sum(isinstance(error, SubmissionUnknown) for error in errors) <= 1
        # Later it may be there.
        fake.script("/sonic/create", ACCEPTED)
        fake.script("/sonic/task/t", DONE)
        fake.script("/get-credits", CREDITS)
        await music.submit(song())


async def test_a_submit_that_is_redirected_says_where_to(fake, song):
    async with quick(fake) as music:
        await heard_once(music, fake)
        fake.script("/sonic/create", (308, "", {"Location": "https://www.a.test/api/v1/sonic/create"}))
        with pytest.raises(GatewayError, match=r"redirected to https://www\.a\.test/api/v1/sonic/create"):
            await music.submit(song())
    assert len(fake.times("/sonic/create")) == 3


async def test_what_a_gateway_asks_to_wait_is_waited(fake, song):
    async with quick(fake) as music:
        await heard_once(music, fake)
        fake.script("/sonic/create", PAGE)
        fake.script("/get-credits", (503, "<html>", {"Retry-After": "100"}), CREDITS)
        music.submit(song())
        await asyncio.sleep(130)
        early, late = fake.times("/get-credits")
        assert 100 <= late - early < 102


async def test_a_pause_of_minutes_is_logged(fake, song, caplog):
    fake.script("/sonic/create", (429, {"type": "rate_limit", "error": "x"}, {"Retry-After": "86400"}), ACCEPTED)
    fake.script("/sonic/task/t", DONE)
    async with quick(fake) as music:
        await music.submit(song())
        assert now() > 3600
    assert "nothing is sent for 3600 s" in caplog.text


async def test_probes_are_no_jobs_and_count_as_requests(fake, song):
    async with quick(fake) as music:
        await heard_once(music, fake)
        seen = []
        music.events.listen(lambda event: seen.append(event.job.key), RequestSent)
        fake.script("/sonic/create", PAGE)
        await music.submit(song(), key="one").wait()
        await asyncio.sleep(3)
        assert seen == ["one", "a probe"]
        assert music.stats.requests == 3


async def test_when_nothing_is_heard_after_a_submit_others_do_not_follow_it(fake, song, caplog):
    async def never(_request):
        await asyncio.sleep(1000)

    async with MusicSession("key", fake.url, limiter=TokenBucket(1, margin=0)) as music:
        await heard_once(music, fake)
        fake.script("/sonic/create", *[never] * 30, ACCEPTED)
        fake.script("/get-credits", *[never] * 3, CREDITS)
        jobs = [music.submit(song()) for _ in range(30)]
        await asyncio.sleep(60)
        assert len(fake.times("/sonic/create")) <= 11
        assert caplog.text.count(HELD) == 1
        fake.script("/sonic/create", ACCEPTED)
        fake.script("/sonic/task/t", DONE)
        await asyncio.gather(*(job.wait() for job in jobs))
    assert caplog.text.count(OVER) == 1


async def made(job):
    return await job


async def test_a_slow_submit_holds_nobody_and_is_not_logged(fake, song, caplog):
    async def slowly(_request):
        await asyncio.sleep(40)
        return ACCEPTED

    async with quick(fake) as music:
        await heard_once(music, fake)
        fake.script("/sonic/create", slowly, ACCEPTED)
        fake.script("/sonic/task/t", DONE)
        slow = music.submit(song())
        await asyncio.sleep(20)
        assert fake.times("/get-credits") == []
        await music.submit(song())
        await slow
        fake.script("/sonic/create", slowly, ACCEPTED)
        async with asyncio.TaskGroup() as group:
            for _ in range(200):  # at ten a second, some of them still wait then
                group.create_task(made(music.submit(song())))
        assert len(fake.times("/get-credits")) == 0  # others were answered meanwhile
    assert caplog.text == ""
