"""Whole sessions in virtual time: last polls, attached tasks, and a platform that refuses."""

import asyncio
import itertools
import json

import pytest

from aimusic_async import JobState, JobTimeout, MemoryJournal, MusicSession, RequestRefused, WebhookConfig, nuro, sonic

WEBHOOK = {"webhook": WebhookConfig("https://me.test/hook", "a secret of 16 characters")}
JOURNAL = {"journal": None}  # one of its own, for each test
pytestmark = pytest.mark.looptime


class Service:
    """Scripts the fake service: each task takes so many seconds, and polls fail while they shall."""

    def __init__(self, fake, duration=60.0):
        self.fake, self.duration = fake, duration
        self.began, self.fails_until = {}, 0.0
        self.full, self.refused_polls = {}, {}
        """Answers to submits, and to polls, by platform, while there are any."""
        fake.steps = self

    def __getitem__(self, path):
        _, platform, what, *task = path.split("/")
        if what == "task" and self.refused_polls.get(platform):
            return [self.refused_polls[platform].pop(0)]
        return [self._poll(task[0]) if what == "task" else self._create(platform)]

    def _create(self, platform):
        async def create(_request):
            if self.full.get(platform):
                return self.full[platform].pop(0)
            self.began[f"t{len(self.began)}"] = asyncio.get_running_loop().time()
            return {"message": "success", "task_id": f"t{len(self.began) - 1}"}

        return create

    def _poll(self, task):
        async def poll(request):
            now = asyncio.get_running_loop().time()
            if now < self.fails_until:
                return (500, {"error": "sorry"})
            done = now - self.began.get(task, 0.0) >= self.duration
            if "/nuro/" in request.path:
                fields = {"audio_url": "https://x.test/1.wav", "lyrics": "la", "duration": 60.0} if done else {}
                return {"task_id": task, "status": "succeeded" if done else "running", "progress": 9, **fields}
            state = "succeeded" if done else "running"
            clips = [{"clip_id": f"{task}-{n}", "state": state, "audio_url": "https://x.test/1.mp3"} for n in (1, 2)]
            return {"code": 200, "data": clips}

        return poll

    def polls(self):
        return [at for at, request, *_ in self.fake.asked if request.method == "GET"]

    def sent(self, platform):
        return [at for at, _, path, _ in self.fake.asked if path == f"/{platform}/create"]


@pytest.fixture
def service(fake):
    return Service(fake)


def opened(service, **given):
    if "journal" in given:
        given["journal"] = MemoryJournal()
    return MusicSession("key", service.fake.url, **given)


# --- last polls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, WEBHOOK, JOURNAL, WEBHOOK | JOURNAL], ids=["plain", "hook", "journal", "both"])
@pytest.mark.parametrize(("timeout", "duration"), [(14, 5), (45, 30), (180, 60), (240, 200), (600, 585)])
async def test_a_song_that_is_done_in_time_is_seen_in_time(service, song, more, timeout, duration):
    service.duration = duration
    async with opened(service, **more) as music:
        job = music.submit(song(), key="one", timeout=timeout)
        await job.wait()
        assert job.state is JobState.SUCCEEDED


@pytest.mark.parametrize("more", [{}, WEBHOOK], ids=["plain", "hook"])
@pytest.mark.parametrize("count", [1, 20])
async def test_the_songs_of_a_group_that_are_done_in_time_are_seen_in_time(service, song, more, count):
    async with (
        opened(service, **more) as music,
        music.group(timeout=200, on_failure="keep") as group,
    ):
        jobs = [group.submit(song()) for _ in range(count)]
    assert [job.state for job in jobs] == [JobState.SUCCEEDED] * count


async def test_polls_that_failed_for_long_do_not_cost_a_song_its_last_one(service, song):
    service.fails_until = asyncio.get_running_loop().time() + 150
    async with opened(service) as music:
        job = music.submit(song(), timeout=180)
        await job.wait()
        assert job.state is JobState.SUCCEEDED


async def test_an_attached_task_is_seen_before_its_time_is_over(service):
    service.duration = 95 + asyncio.get_running_loop().time()
    async with opened(service, poll_interval=60) as music:
        job = music.attach(sonic.CreateMusic, "t9", timeout=100)
        await job.wait()
        assert job.state in (JobState.SUCCEEDED, JobState.DETACHED)
    assert len(service.polls()) == 3


async def test_a_song_that_a_session_resumes_is_seen_before_its_time_is_over(service, song):
    journal = MemoryJournal()
    async with MusicSession("key", service.fake.url, journal=journal) as music:
        job = music.submit(song(), key="one")
        await job.accepted()
    async with MusicSession("key", service.fake.url, journal=journal, **WEBHOOK) as music:
        [job] = await music.resume(timeout=100)
        await job.wait()
        assert job.state is JobState.SUCCEEDED


async def test_a_song_that_is_not_done_in_time_ends_as_before(service, song):
    service.duration = 1000
    async with opened(service, **WEBHOOK) as music:
        job = music.submit(song(), timeout=100)
        await job.wait()
        assert isinstance(job.exception(), JobTimeout)
    assert len(service.polls()) == 1


async def test_attached_tasks_do_not_starve_what_is_submitted(service, song):
    service.duration = 10**6
    async with opened(service) as music:
        for number in range(50):
            music.attach(sonic.CreateMusic, f"a{number}")
        await asyncio.sleep(500)
        before = asyncio.get_running_loop().time()
        job = music.submit(song())
        await job.accepted()
        assert asyncio.get_running_loop().time() - before < 15


# --- a platform that refuses -----------------------------------------------------------------------------------------

FULL = (403, {"type": "forbidden", "message": "queue is full"})
INSIDE = {"code": 403, "type": "forbidden", "message": "QPS limit exceeded"}


def vocal():
    return nuro.CreateVocal(lyrics="[verse]\nla la la", duration=60)


@pytest.mark.parametrize("answer", [FULL, INSIDE, (429, {"type": "rate_limit", "error": "The queue is full."})])
async def test_a_queue_that_is_full_holds_that_platform_alone(service, song, answer):
    service.full["nuro"] = [answer] * 4
    refused = []
    async with opened(service) as music:
        music.events.listen(lambda event: refused.append(event) if isinstance(event, RequestRefused) else None)
        jobs = [music.submit(vocal(), priority=1)] + [music.submit(song()) for _ in range(6)]
        await asyncio.gather(*jobs)
        assert [event.platform for event in refused] == ["nuro"] * 4
    sonic_times, nuro_times = service.sent("sonic"), service.sent("nuro")
    assert len(nuro_times) == 5
    assert sonic_times[-1] - sonic_times[0] < 40  # they had each token but a few
    gaps = [late - early for early, late in itertools.pairwise(nuro_times)]
    assert all(late > early for early, late in itertools.pairwise(gaps))


async def test_a_platform_that_refuses_even_polls_holds_its_own_alone(service, song):
    service.duration = 30
    service.refused_polls["nuro"] = [INSIDE] * 3
    async with opened(service) as music:
        jobs = [music.submit(vocal()), music.submit(vocal()), music.submit(song())]
        await asyncio.gather(*jobs)
    asked = [(at, path) for at, request, path, _ in service.fake.asked if request.method == "GET"]
    of_nuro = [at for at, path in asked if path.startswith("/nuro")]
    first, *rest = [late - early for early, late in itertools.pairwise(of_nuro)]
    assert first >= 3
    assert rest[0] >= 6
    assert len([path for _, path in asked if path.startswith("/sonic")]) >= 2


async def test_a_refusal_of_the_account_holds_every_platform(service, song):
    service.full["nuro"] = [(429, {"type": "rate_limit", "error": "too many requests"}, {"Retry-After": "40"})]
    async with opened(service) as music:
        job = music.submit(vocal(), priority=1)
        songs = [music.submit(song()) for _ in range(2)]
        await asyncio.gather(job, *songs)
    assert service.sent("sonic")[0] - service.sent("nuro")[0] >= 40


async def test_a_direct_call_waits_for_the_platform_that_refused_it(service):
    service.full["nuro"] = [FULL, FULL]
    async with opened(service) as music:
        await music.run(vocal())
    times = service.sent("nuro")
    assert times[1] - times[0] >= 3
    assert times[2] - times[1] >= 6


async def test_a_platform_that_was_well_for_a_while_begins_with_a_short_pause_again(service):
    async with opened(service) as music:
        for _ in range(2):
            service.full["nuro"] = [FULL] * 3
            await music.run(vocal())
            await asyncio.sleep(200)
    times = service.sent("nuro")
    assert len(times) == 8
    assert times[5] - times[4] == pytest.approx(times[1] - times[0], abs=1)


async def test_the_service_may_say_how_long_its_queue_is_full(service):
    service.full["nuro"] = [(*FULL, {"Retry-After": "50"})]
    async with opened(service) as music:
        await music.run(vocal())
    times = service.sent("nuro")
    assert 50 <= times[1] - times[0] < 55


async def test_a_job_that_a_full_queue_holds_can_be_cancelled(service):
    service.full["nuro"] = [FULL] * 100
    async with opened(service) as music:
        job = music.submit(vocal())
        await asyncio.sleep(20)
        job.cancel()
        await job.wait()
        assert job.state is JobState.CANCELLED
        sent = len(service.sent("nuro"))
        await asyncio.sleep(300)
        assert len(service.sent("nuro")) == sent
    assert json.loads(service.fake.asked[0][3])
