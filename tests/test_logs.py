"""The log: nothing is set up unless AIMUSIC_LOG says so, then each request is a line, and no secret is in one."""

import asyncio
import logging
import subprocess
import sys

import pytest

from aimusic_async import ConfigurationError, MusicSession, Settings, TokenBucket, WebhookConfig, sonic
from aimusic_async.sandbox import Options, Sandbox

logger = logging.getLogger("aimusic_async")


def song():
    return sonic.CreateMusic(prompt="the words of a song", mv="sonic-v5")


@pytest.fixture
def bare(monkeypatch):
    """A function that makes logging as programs have it that set nothing up, without pytest's handlers."""

    def make_bare():
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        assert logger.handlers == []

    return make_bare


async def make_a_song(**options):
    async with Sandbox(Options(speed=600)) as box:
        settings = Settings(api_key=box.key, base_url=box.url, speed=600)
        async with MusicSession(settings=settings, limiter=TokenBucket(rate=100), **options) as music:
            await music.submit(song(), key="track-01")
            await music.credits()
            return box.key


async def test_without_the_variable_nothing_is_set_up_and_nothing_is_printed(bare, monkeypatch, capfd):
    bare()
    monkeypatch.delenv("AIMUSIC_LOG", raising=False)
    await make_a_song()
    assert (logger.handlers, logger.level, logger.propagate) == ([], logging.NOTSET, True)
    assert capfd.readouterr().err == ""


async def test_debug_has_one_line_a_request_and_info_the_life_of_a_job(bare, monkeypatch, capfd):
    bare()
    monkeypatch.setenv("AIMUSIC_LOG", "debug")
    key = await make_a_song(webhook=WebhookConfig("https://example.org/hook", "a secret of a webhook"))
    lines = capfd.readouterr().err.splitlines()
    (post,) = [line for line in lines if "POST /sonic/create: 200 in " in line]
    assert "for job 'track-01', after " in post
    assert any("GET /sonic/task/" in line for line in lines)
    assert any("GET /get-credits: 200" in line for line in lines)
    states = [line.partition(" is ")[2] for line in lines if "job 'track-01' (sonic.create_music) is " in line]
    assert [state.partition(",")[0] for state in states] == ["queued", "sending", "submitted", "succeeded"]
    said = "\n".join(lines)
    assert not [secret for secret in (key, "secret of a webhook", "words of a song") if secret in said]
    assert (logger.handlers, logger.level) == ([], logging.NOTSET)


async def test_info_has_no_lines_of_requests(bare, monkeypatch, capfd):
    bare()
    monkeypatch.setenv("AIMUSIC_LOG", "Info")
    await make_a_song()
    said = capfd.readouterr().err
    assert "is succeeded" in said
    assert " in 0." not in said


async def test_several_sessions_show_each_line_once(bare, monkeypatch, capfd):
    bare()
    monkeypatch.setenv("AIMUSIC_LOG", "info")
    async with MusicSession.sandbox(speed=600) as one, MusicSession.sandbox(speed=600) as two:
        await one.submit(song(), key="a")
        await two.submit(song(), key="b")
    said = capfd.readouterr().err
    assert said.count("job 'a' (sonic.create_music) is succeeded") == 1
    assert logger.handlers == []


async def test_a_program_with_its_own_logging_gets_the_lines_there_only(monkeypatch, capfd, caplog):
    monkeypatch.setenv("AIMUSIC_LOG", "debug")
    await make_a_song()
    assert "POST /sonic/create" in caplog.text
    assert capfd.readouterr().err == ""


async def test_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("AIMUSIC_LOG", "verbose")
    with pytest.raises(ConfigurationError, match="must be one of debug, info; got 'verbose'"):
        await MusicSession(settings=Settings(api_key="k", base_url="http://127.0.0.1:9")).__aenter__()


def test_importing_sets_nothing_up():
    code = """
import logging
before = logging.getLogger().handlers, logging.raiseExceptions, logging.lastResort
import aimusic_async
from aimusic_async import *
logger = logging.getLogger("aimusic_async")
assert (logger.handlers, logger.level) == ([], 0)
assert before == (logging.getLogger().handlers, logging.raiseExceptions, logging.lastResort)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env={"AIMUSIC_LOG": "debug", "PATH": ""})


@pytest.mark.parametrize(("asked", "logged"), [("30", True), ("2", False)])
async def test_a_long_pause_is_a_warning_with_its_length(fake, caplog, asked, logged):
    refusal = (429, {"type": "rate_limit", "error": "slow down"}, {"Retry-After": asked})
    fake.script("/get-credits", refusal)
    settings = Settings(api_key="k", base_url=fake.url)
    async with MusicSession(settings=settings, limiter=TokenBucket(rate=100)) as music:
        task = asyncio.create_task(music.credits())
        while not music.stats.refusals:
            await asyncio.sleep(0.01)
        task.cancel()
    assert ("nothing is sent for 30 s" in caplog.text) is logged
