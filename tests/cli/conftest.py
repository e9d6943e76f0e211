"""What the tests of the command line share: a home of their own, a sandbox that runs beside them, ways to drive it."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import threading

import pexpect
import pytest
from typer.testing import CliRunner

from aimusic_async.cli.app import app
from aimusic_async.sandbox import Options, Sandbox

AIMUSIC = [sys.executable, "-c", "from aimusic_async.cli import main; main()"]
SPEED = 500


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without a key and without a journal."""
    folder = tmp_path / "home"
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE", "AIMUSIC_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return folder


@contextlib.contextmanager
def served(**options):
    """A sandbox in a thread of its own, for commands that run in this process or in others."""
    loop = asyncio.new_event_loop()
    box = Sandbox(Options(**{"speed": SPEED, "seed": 4, "song_seconds": (2, 3)} | options))
    ready, ended = threading.Event(), None

    async def serve():
        nonlocal ended
        ended = asyncio.Event()
        async with box:
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield box
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def box():
    """A sandbox that all tests of a module share."""
    with served() as one:
        yield one


@pytest.fixture
def service(box, monkeypatch):
    """The shared sandbox, as what the commands of this test talk to."""
    use(monkeypatch, box)
    return box


def use(monkeypatch, box):
    """Let commands talk to a sandbox."""
    monkeypatch.setenv("AIMUSIC_BASE_URL", box.url)
    monkeypatch.setenv("AIMUSIC_API_KEY", box.key)
    monkeypatch.setenv("AIMUSIC_SPEED", str(box.options.speed))


def run(*words, stdin=None):
    """Run a command in this process; its output is no terminal."""
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


def rows(text):
    """The JSON objects of an output, one a line."""
    return [json.loads(line) for line in text.splitlines()]


def piped(*words, stdin="", environ=None):
    """Run a command as a process of its own, through pipes."""
    return subprocess.run(
        [*AIMUSIC, *map(str, words)],
        check=False,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, **(environ or {})},
    )


@contextlib.contextmanager
def terminal(*words, width=120, environ=None):
    """Run a command in a real terminal."""
    child = pexpect.spawn(
        AIMUSIC[0],
        [*AIMUSIC[1:], *map(str, words)],
        env={**os.environ, "TERM": "xterm-256color", **(environ or {})},
        dimensions=(40, width),
        encoding="utf-8",
        timeout=15,
    )
    try:
        yield child
    finally:
        child.close(force=True)


def seen(*words, width=120, environ=None):
    """Run a command in a real terminal to its end; returns what stood there, and its exit code."""
    with terminal(*words, width=width, environ=environ) as child:
        text = child.read()
        child.wait()
        return text, child.exitstatus


def plain(text):
    """A text without colours, box lines and line breaks."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return " ".join(re.sub("[─│╭╮╰╯]", " ", text).split())
