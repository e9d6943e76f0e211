"""What becomes of a request whose fate is in doubt, by every cause, over real sockets: paid ones are sent once."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager

import aiohttp
import pytest

from aimusic_async import (
    ApiError,
    AuthenticationError,
    InsufficientCredits,
    JobCancelled,
    JobState,
    MusicSession,
    NotSent,
    Settings,
    SubmissionUnknown,
    TokenBucket,
    account,
    sonic,
)
from aimusic_async.events import JobChanged, Purpose, RequestSent
from aimusic_async.journal.memory import MemoryJournal

from .wire import RESET, Wire, at, drops, end_it, listening, never_answer, plain, reset, reset_it, trickle, whole

HTML = b"<html><body><h1>Something went wrong</h1></body></html>"
AFTERWARDS = 150.0
"""Seconds in which anything that is ever sent again would have been."""


@pytest.fixture
async def wire():
    service = Wire()
    async with listening(service.serve) as port:
        service.port, service.url = port, f"http://127.0.0.1:{port}"
        yield service


@pytest.fixture
def journal():
    return MemoryJournal(clock=lambda: asyncio.get_running_loop().time())


def quick(url, journal=None, **more):
    return MusicSession("sk-key", url, limiter=TokenBucket(1000, margin=0), journal=journal, **more)


async def end_of(job, music):
    """Wait until a job has ended; return its error, and how the journal has it."""
    await job.wait()
    (record,) = await music.journal.jobs()
    return job.exception(), record


def was_not_taken(record):
    """Whether a record says that nothing was paid, and that who submits the job again may send it."""
    return (record.task_id, record.credits) == (None, 0) and record.state in (JobState.QUEUED, JobState.CANCELLED)


# --- a paid request whose answer is not what it should be ------------------------------------------------------------

REFUSED = (400, 401, 402, 403, 404, 410, 422)
BROKEN = (500, 502, 503, 504)
NO = plain({"type": "whatever", "error": "the service says no", "more": "x" * 50})


SERVICE, OTHERS = ("JSON",), ("HTML", "nothing", "half of it", "half a chunk")


def answers(*statuses, kinds=(*SERVICE, *OTHERS)):
    """Each status with whatever may come with it; what is not whole ends with the connection."""
    return [
        pytest.param(answer, id=f"{status} with {name}")
        for status in statuses
        for name, answer in {
            "JSON": whole(status, NO),
            "HTML": whole(status, HTML),
            "nothing": whole(status),
            "half of it": whole(status, NO[:40], promised=len(NO)),
            "half a chunk": whole(status, b"50\r\n" + NO[:20], length="Transfer-Encoding: chunked"),
        }.items()
        if name in kinds
    ]


@pytest.mark.looptime
@pytest.mark.parametrize("answer", answers(*REFUSED, kinds=SERVICE))
async def test_what_was_refused_ends_in_an_error_and_may_be_sent_by_the_next_run(wire, journal, song, answer):
    wire.trouble["POST"] = answer
    async with quick(wire.url, journal) as music:
        error, record = await end_of(music.submit(song(), key="one"), music)
        assert isinstance(error, ApiError)
        assert error.status == int(answer[9:12])
        assert was_not_taken(record)
        assert wire.seen == ["POST"]
        await music.submit(song(), key="one")
    assert wire.seen.count("POST") == 2


@pytest.mark.looptime
@pytest.mark.parametrize("answer", answers(429))
async def test_what_came_too_soon_is_sent_again(wire, journal, song, answer):
    wire.trouble["POST"] = answer
    async with quick(wire.url, journal) as music:
        error, record = await end_of(music.submit(song(), key="one"), music)
    assert (error, record.state, record.attempts) == (None, JobState.SUCCEEDED, 2)
    assert wire.of_jobs == ["POST", "POST", "GET"]


LOST = [
    *answers(*BROKEN),
    *answers(*REFUSED, kinds=OTHERS),  # only the service's own words are a verdict
    pytest.param(whole(200, plain({"task_id": "t1"})[:-3]), id="200 with cut JSON"),
    pytest.param(whole(200, HTML), id="200 with HTML"),
    pytest.param(whole(200), id="200 with nothing"),
    pytest.param(whole(200, plain({"ok": True})), id="200 without a task id"),
    pytest.param(whole(200, plain({"task_id": "t1"})[:8], promised=17), id="200 with half of it"),
    pytest.param(whole(200, b"no gzip", more="Content-Encoding: gzip\r\n"), id="200 that cannot be unpacked"),
    pytest.param(whole(302, more="Location: /api/v1/elsewhere\r\n"), id="302"),
    pytest.param(whole(200, plain({"task_id": "t1"}))[:40], id="200 cut in its headers"),
    pytest.param(b"HTTP/1.1 400 Bad", id="400 cut in its first line"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="100 and no more"),
    pytest.param(b"what is this?\r\n\r\n", id="no HTTP"),
    pytest.param(reset_it, id="reset after it was read"),
    pytest.param(end_it, id="closed after it was read"),
    pytest.param(never_answer, id="no answer in time"),
    pytest.param(trickle, id="no whole answer in time"),
]


@pytest.mark.looptime
@pytest.mark.parametrize("trouble", LOST)
async def test_what_may_have_been_taken_is_in_doubt_and_never_sent_again(wire, journal, song, trouble):
    wire.trouble["POST"] = trouble
    async with quick(wire.url, journal) as music:
        error, record = await end_of(music.submit(song(), key="one"), music)
        assert isinstance(error, SubmissionUnknown)
        assert (record.state, record.task_id, record.attempts) == (JobState.UNKNOWN, None, 1)
        again, _ = await end_of(music.submit(song(), key="one"), music)
        assert isinstance(again, SubmissionUnknown)
        await asyncio.sleep(AFTERWARDS)
    assert wire.of_jobs == ["POST"]


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"code": 401, "message": "who are you?"}, AuthenticationError),
        ({"type": "insufficient_credits", "error": "no credits"}, InsufficientCredits),
    ],
)
async def test_a_refusal_inside_a_200_is_one(wire, journal, song, body, kind):
    wire.trouble["POST"] = whole(200, plain(body))
    async with quick(wire.url, journal) as music:
        error, record = await end_of(music.submit(song(), key="one"), music)
    assert (type(error), wire.seen) == (kind, ["POST"])
    assert was_not_taken(record)


# --- a paid request that finds no connection -------------------------------------------------------------------------


@asynccontextmanager
async def refused_port(_wire):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def plain_port(wire):
    yield f"https://127.0.0.1:{wire.port}"


@asynccontextmanager
async def silent_tls(_wire):
    async def accept(_reader, writer):
        try:
            await asyncio.sleep(3600)
        finally:
            writer.close()

    async with listening(accept) as port:
        yield f"https://127.0.0.1:{port}"


@asynccontextmanager
async def reset_in_handshake(_wire):
    async def accept(reader, writer):
        await reader.read(1)
        reset(writer)

    async with listening(accept) as port:
        yield f"https://127.0.0.1:{port}"


@asynccontextmanager
async def unknown_certificate(wire):
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = f"{folder}/key", f"{folder}/certificate"
        made = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost", "-days", "2"]
        await asyncio.to_thread(
            subprocess.run, [*made, "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
        context.load_cert_chain(certificate, key)
    async with listening(wire.serve, ssl=context) as port:
        yield f"https://127.0.0.1:{port}"


@asynccontextmanager
async def full_line(_wire):
    """Nobody takes the connections, and no more can wait."""
    if sys.platform != "linux":
        pytest.skip("the line is longer on other systems")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


NO_CONNECTION = [refused_port, plain_port, silent_tls, reset_in_handshake, unknown_certificate, full_line]


@pytest.mark.looptime
@pytest.mark.parametrize("own_pool", [False, True])
@pytest.mark.parametrize("place", NO_CONNECTION)
async def test_without_a_connection_ever_it_soon_ends_as_not_sent(wire, journal, song, caplog, *, place, own_pool):
    async with (
        aiohttp.ClientSession() as http,
        place(wire) as url,
        quick(url, journal, http=http if own_pool else None) as music,
    ):
        error, record = await end_of(music.submit(song(), key="one"), music)
        assert isinstance(error, NotSent)
        assert was_not_taken(record)
        assert record.attempts == 1
        waited = "nothing is submitted until the service answers" in caplog.text
        assert waited is (place is not unknown_certificate)
        assert own_pool or music.stats.requests == 0  # of a pool of the user's own one does not know when they leave
    assert wire.seen == []


async def test_a_name_that_leads_nowhere_is_no_doubt(song, journal):
    settings = Settings(api_key="sk-key", base_url="https://nonexistent.invalid", connect_timeout=5)
    async with MusicSession(settings=settings, journal=journal) as music:
        queued = asyncio.Event()
        states = []

        def hear(event):
            if isinstance(event, JobChanged):
                states.append(event.state)
                if states[-2:] == [JobState.SENDING, JobState.QUEUED]:
                    queued.set()

        music.events.listen(hear)
        job = music.submit(song(), key="one")
        await queued.wait()
        job.cancel()
        error, record = await end_of(job, music)
    assert isinstance(error, JobCancelled)
    assert was_not_taken(record)
    assert record.attempts == 1


@pytest.mark.looptime
async def test_a_service_that_is_down_for_a_while_gets_each_song_once(journal, song, wire):
    down = Wire()
    async with refused_port(None) as url, quick(url, journal) as music:
        async with at(url, Wire()):  # a session that never had an answer would give up
            await music.credits()
        job = music.submit(song(), key="one")
        await asyncio.sleep(20)
        async with at(url, down):
            assert (await job).clips
    assert down.of_jobs == ["POST", "GET"]


# --- a connection that is lost while the request leaves --------------------------------------------------------------


def when_it_leaves(music, purpose, do):
    """Do something in the very moment in which the headers of the first such request are to be written."""
    left = [do]

    def hear(event):
        if isinstance(event, RequestSent) and event.purpose is purpose and left:
            left.pop()()

    music.events.listen(hear)


@pytest.mark.looptime
@pytest.mark.parametrize("how", ["reset", "shut"])
@pytest.mark.parametrize("own_pool", [False, True])
async def test_a_post_that_meets_the_end_of_an_idle_connection_is_in_doubt(wire, journal, song, how, own_pool):
    async with aiohttp.ClientSession() as http, quick(wire.url, journal, http=http if own_pool else None) as music:
        await music.credits()
        when_it_leaves(music, Purpose.SUBMIT, drops(wire)[how])
        error, record = await end_of(music.submit(song(), key="one"), music)
        assert isinstance(error, SubmissionUnknown)
        assert record.state is JobState.UNKNOWN
        await asyncio.sleep(AFTERWARDS)
    assert wire.seen.count("POST") <= 1
    assert len(wire.connections) <= 2  # the other is the probe's


@pytest.mark.looptime
async def test_a_post_whose_connection_is_reset_before_anything_was_read_is_sent_at_most_once(journal, song):
    resets = []
    server = socket.create_server(("127.0.0.1", 0))

    def accept_and_reset():
        connection, _ = server.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
        resets.append(1)

    with server:
        async with quick(f"http://127.0.0.1:{server.getsockname()[1]}", journal) as music:
            when_it_leaves(music, Purpose.SUBMIT, accept_and_reset)
            error, record = await end_of(music.submit(song(), key="one"), music)
            assert isinstance(error, SubmissionUnknown)
            assert record.state is JobState.UNKNOWN
            await asyncio.sleep(AFTERWARDS)
        assert resets == [1]
        server.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # probes may have come since
            while True:
                connection, _ = server.accept()
                with connection:
                    assert not connection.recv(4).startswith(b"POST")


@pytest.mark.looptime
@pytest.mark.parametrize("how", ["reset", "shut"])
async def test_a_connection_that_was_dropped_before_is_not_used(wire, journal, song, how):
    async with quick(wire.url, journal) as music:
        await music.credits()
        drops(wire)[how]()
        await asyncio.sleep(0.1)
        error, record = await end_of(music.submit(song(), key="one"), music)
    assert (error, record.state) == (None, JobState.SUCCEEDED)
    assert wire.seen == ["GET", "POST", "GET"]
    assert len(wire.connections) == 2


# --- free requests ---------------------------------------------------------------------------------------------------

LOST_ANSWERS = [row for row in LOST if row.id != "200 without a task id"]
GATEWAYS = [row for row in answers(400, 401, 403, 404, 410) if "JSON" not in row.id]
"""The service itself says such things in JSON."""
UNKNOWN_TASK = pytest.param(whole(404, plain({"type": "not_found", "error": "task not found"})), id="404 once")


@pytest.mark.looptime
@pytest.mark.parametrize("trouble", [*answers(429), *LOST_ANSWERS, *GATEWAYS, UNKNOWN_TASK])
async def test_a_look_that_fails_is_made_again_and_the_song_is_not(wire, journal, song, trouble):
    wire.trouble["GET"] = trouble
    async with quick(wire.url, journal) as music:
        error, record = await end_of(music.submit(song(), key="one"), music)
        assert music.stats.polls == 2
    assert (error, record.state, record.task_id) == (None, JobState.SUCCEEDED, "t1")
    assert wire.of_jobs == ["POST", "GET", "GET"]


@pytest.mark.looptime
@pytest.mark.parametrize("how", ["reset", "shut"])
async def test_no_look_goes_out_a_second_time_behind_our_back(wire, song, how):
    async with quick(wire.url) as music:
        await music.credits()
        when_it_leaves(music, Purpose.POLL, drops(wire)[how])
        await music.attach(sonic.CreateMusic, "t1")
        assert music.stats.polls == 2
    assert wire.of_jobs.count("GET") == 1


@pytest.mark.looptime
@pytest.mark.parametrize("trouble", [reset_it, end_it])
async def test_a_look_that_was_read_and_dropped_is_counted_as_one(wire, song, trouble):
    async with quick(wire.url) as music:
        await music.credits()
        wire.trouble["GET"] = trouble
        await music.attach(sonic.CreateMusic, "t1")
        assert music.stats.polls == 2
    assert wire.of_jobs.count("GET") == 2


@pytest.mark.looptime
@pytest.mark.parametrize("trouble", [*answers(429), *LOST_ANSWERS])
async def test_a_free_call_is_made_again(wire, trouble):
    wire.trouble["GET"] = trouble
    async with quick(wire.url) as music:
        assert (await music.run(account.GetCredits())).total == 100
    assert 2 <= len(wire.seen) <= 3  # a probe may go before it


@pytest.mark.looptime
@pytest.mark.parametrize("trouble", [*answers(429), *LOST_ANSWERS])
async def test_what_is_charged_once_however_often_it_is_asked_is_asked_again(wire, journal, trouble):
    wire.trouble["POST"] = trouble
    async with quick(wire.url, journal) as music:
        error, record = await end_of(music.submit(sonic.GetWav(clip_id="c1"), key="wav"), music)
    assert (error, record.state) == (None, JobState.SUCCEEDED)
    assert wire.of_jobs == ["POST", "POST"]
