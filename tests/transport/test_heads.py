"""What an answer's head says is kept, for errors and events: which request it was, and who answered it."""

import copy
import pickle

import pytest

from aimusic_async import ApiError, JobFailed, MusicSession, ServerError, TransportError, account
from aimusic_async.errors import one_line
from aimusic_async.events import RequestAnswered

from ..faults.wire import whole
from .ways import SONG

TELLING = {
    "Location": "https://x.example/a?signature=hush",
    "X-Request-Id": "req-7",
    "CF-Ray": "8a-FRA",
    "Server": "gateway",
    "Set-Cookie": "id=secret",
}


async def test_an_error_and_the_events_carry_the_headers_that_help_and_the_request_id(fake):
    fake.script("/get-credits", (400, {"type": "bad_request", "error": "no"}, TELLING))
    answers = []
    async with MusicSession("key", fake.url) as music:
        music.events.listen(answers.append, RequestAnswered)
        with pytest.raises(ApiError) as caught:
            await music.credits()
    error = caught.value
    assert error.headers["server"] == "gateway"
    assert error.headers["cf-ray"] == "8a-FRA"
    assert error.headers["location"] == "https://x.example/a"
    assert not {"set-cookie", "Set-Cookie"} & error.headers.keys()
    assert error.request_id == answers[0].request_id == "req-7"
    assert str(error) == "account.get_credits: no (HTTP 400, request id req-7)"
    assert answers[0].headers == error.headers
    assert dict(copy.deepcopy(error.headers)) == pickle.loads(pickle.dumps(error.headers))


async def test_an_answer_that_breaks_off_names_its_request_id(raw, opened):
    raw.answer = whole(200, b'{"task_', promised=100, more="X-Request-Id: req-8\r\n")
    raw.closes = True
    async with opened(raw.url) as transport:
        with pytest.raises(TransportError, match=r"after HTTP 200, request id req-8"):
            await transport.send(SONG)


EVIL = "\x1b]0;owned\x07 \x1b[31mred\r\nINFO all is well\u202e\x00"


def harmless(text):
    return text.isprintable() and "\n" not in text


async def test_what_a_peer_says_reaches_messages_as_text_that_no_terminal_obeys(fake):
    fake.script(
        "/get-credits",
        (400, {"type": "bad_request", "error": EVIL}, {"X-Request-Id": "a\tb\x9b31m"}),
        (418, f"<html>{EVIL}"),
    )
    async with MusicSession("key", fake.url, limiter=None) as music:
        with pytest.raises(ApiError) as caught:
            await music.run(account.GetCredits())
    assert harmless(str(caught.value))
    assert harmless(caught.value.message)
    assert caught.value.body["error"] == EVIL
    assert harmless(str(ServerError(EVIL, status=500)))


@pytest.mark.parametrize("status", ["200 \x1b[31mOK", "1\x1b[31m", "abc \x07"])
async def test_a_status_line_that_is_none_is_shown_as_text(raw, opened, status):
    raw.answer = f"HTTP/1.1 {status}\r\nContent-Length: x\x1b[31m\r\n\r\n".encode()
    async with opened(raw.url) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(SONG)
    assert harmless(str(caught.value))


def test_a_failed_jobs_reason_and_task_are_shown_as_text():
    job = type("Job", (), {"key": "k", "task_id": EVIL, "credits": 1})()
    assert harmless(str(JobFailed(job, EVIL)))


def test_words_in_any_script_stay_as_they_are():
    for text in ("قصّه‌ی ما", "日本語 🎵", "naïve — “quoted”"):
        assert one_line(text) == text
    assert one_line("a\n b\t\tc ") == "a b c"


async def test_a_task_id_full_of_escapes_is_kept_as_it_is_and_logged_as_text(fake, caplog):
    fake.script("/sonic/create", {"task_id": f"t{EVIL}"})
    async with MusicSession("key", fake.url) as music:
        job = music.submit(SONG)
        assert await job.accepted() == f"t{EVIL}"
    lines = [one.getMessage() for one in caplog.records]
    assert lines
    assert all(map(harmless, lines))
