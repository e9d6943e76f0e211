"""The examples as their users run them: programs of their own, against a sandbox."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from aimusic_async.sandbox import Fate, Fault, Options, Sandbox, Script

EXAMPLES = Path(__file__).parents[1] / "examples"
SERVICES = ["aiohttp_service.py", "fastapi_service.py"]
WISH = {"prompt": "[Verse] Lanterns on the water line", "mv": "sonic-v5"}
REFUSED_WISH = {"prompt": "[Verse] frobscene", "mv": "sonic-v5"}  # the sandbox takes that word for a bad one

pytestmark = pytest.mark.timeout(60)


def command(name, *words):
    return [sys.executable, "-W", "error", str(EXAMPLES / name), *words]


def environ(box, **more):
    """The variables of a program that is to use this sandbox."""
    return {
        **os.environ,
        "AIMUSIC_API_KEY": box.key,
        "AIMUSIC_BASE_URL": box.url,
        "AIMUSIC_SPEED": str(box.options.speed),
        **more,
    }


async def printed(name, *words, env):
    """What an example prints; it has to end well."""
    done = await asyncio.to_thread(
        subprocess.run,
        command(name, *words),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


# --- programs that end by themselves ---------------------------------------------------------------------------------


async def test_the_album_has_songs_and_their_stems(tmp_path):
    async with Sandbox(Options(speed=600, seed=1, song_seconds=(2, 3))) as box:
        text = await printed("album.py", "--real", "--out", str(tmp_path / "out"), env=environ(box))
        assert len(box.books.taken("sonic.create_music")) == len(box.books.taken("sonic.stems_basic")) == 3
        assert box.books.refusals == []
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 12
    assert sum(" - Vocals" in file.name for file in files) == 3
    for file in files:
        assert str(file) in text
    assert "10440 credits left" in text


async def test_an_album_without_a_key_says_what_is_missing():
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIMUSIC_")}
    done = await asyncio.to_thread(
        subprocess.run, command("album.py", "--real"), env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "AIMUSIC_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_night_s_work_is_done_once_however_often_it_is_run(tmp_path):
    words = ("--real", "--count", "3", "--journal", str(tmp_path / "night.db"))
    async with Sandbox(Options(speed=600, seed=1)) as box:
        first = await printed("overnight.py", *words, env=environ(box))
        again = await printed("overnight.py", *words, env=environ(box))
        assert len(box.books.taken()) == 3
    assert "part-003: succeeded" in first
    assert "3 submitted in this run, 30 credits spent in all" in first
    assert "0 submitted in this run, 30 credits spent in all" in again


async def test_a_night_s_work_has_a_sandbox_of_its_own_by_default(tmp_path):
    text = await printed("overnight.py", "--count", "2", env=dict(os.environ, TMPDIR=str(tmp_path)))
    assert "2 of 2 are there" in text
    assert list(tmp_path.iterdir()) == []


# --- web services ----------------------------------------------------------------------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@asynccontextmanager
async def serving(name, box, folder):
    """Run a web service in a process of its own; gives a function that asks it and returns status and JSON."""
    port = free_port()
    env = environ(box, PORT=str(port), JOURNAL=str(folder / "songs.db"), AIMUSIC_WEBHOOK_SECRET="the configured secret")
    with (folder / "log.txt").open("a") as log:
        process = await asyncio.to_thread(subprocess.Popen, command(name), env=env, stdout=log, stderr=log)
        try:
            while not listens(port):
                assert process.poll() is None, (folder / "log.txt").read_text()
                await asyncio.sleep(0.02)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

                async def ask(method, path, **more):
                    async with http.request(method, path, **more) as answer:
                        return answer.status, await answer.json(content_type=None)

                yield ask
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)
    assert "Traceback" not in (folder / "log.txt").read_text()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_answers_when_the_delivery_comes_and_never_polls(name, tmp_path):
    options = Options(speed=100, durations={"sonic": 60}, http_webhooks=True, song_seconds=(2, 3))
    async with Sandbox(options) as box, serving(name, box, tmp_path) as ask:
        status, answer = await ask("POST", "/songs", json=WISH)
        assert (status, answer["state"]) == (202, "queued")
        with pytest.raises(TimeoutError):  # a client that hangs up changes nothing
            await ask("GET", f"/songs/{answer['key']}", timeout=aiohttp.ClientTimeout(0.1))
        status, song = await ask("GET", f"/songs/{answer['key']}")
        assert (status, song["key"], song["state"], len(song["clips"])) == (200, answer["key"], "succeeded", 2)
        assert all(clip["audio"].startswith(f"{box.url}/files/") for clip in song["clips"])
        assert (await ask("POST", "/songs?wait=20", json=WISH))[0] == 200
        assert [(entry.method, entry.operation) for entry in box.books.requests] == [("POST", "sonic.create_music")] * 2
        while any(entry.status is None for entry in box.books.deliveries):  # it is answered once the journal has it
            await asyncio.sleep(0.01)
        assert {entry.status for entry in box.books.deliveries} == {200}


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_refuses_what_makes_no_sense_without_asking_anybody(name, tmp_path):
    async with Sandbox(Options(http_webhooks=True)) as box, serving(name, box, tmp_path) as ask:
        status, answer = await ask("POST", "/songs", json={**WISH, "prompt": "la" * 5000})
        assert (status, answer["field"]) == (422, "prompt")
        assert "at most" in answer["limit"]
        for wrong in ({}, [], {"prompt": None}, {**WISH, "mv": 5}):
            assert (await ask("POST", "/songs", json=wrong))[0] in (400, 422)
        assert (await ask("POST", "/songs?wait=soon", json=WISH))[0] in (400, 422)
        assert (await ask("GET", "/songs/nobody-knows-it"))[0] == 404
        assert (await ask("POST", "/webhook", json={"event": "song.completed", "task_id": "t"}))[0] == 401
        assert box.books.requests == []


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_says_what_went_wrong(name, tmp_path):
    trouble = Script(Fate.fails(), Fault.dropped())
    options = Options(speed=600, credits=10, extra_credits=0, http_webhooks=True, faults=trouble)
    async with Sandbox(options) as box, serving(name, box, tmp_path) as ask:

        async def posted(wish=WISH):
            return await ask("POST", "/songs?wait=30", json=wish)

        status, answer = await posted()
        assert (status, answer["state"]) == (502, "failed")
        assert "refunded" in answer["error"]
        status, answer = await posted()
        assert (status, answer["state"]) == (502, "unknown")
        assert "may have taken and charged it" in answer["error"]
        assert await ask("GET", f"/songs/{answer['key']}") == (502, answer)
        assert (await posted(REFUSED_WISH))[0] == 422
        assert (await posted())[0] == 200
        status, answer = await posted()
        assert (status, answer["state"]) == (402, "failed")
        assert "credits" in answer["error"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a program cannot be asked to end")
@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_is_started_again_knows_every_song_and_pays_for_none_twice(name, tmp_path):
    options = Options(speed=100, durations={"sonic": 60}, http_webhooks=True)
    async with Sandbox(options) as box:
        async with serving(name, box, tmp_path) as ask:
            _, done = await ask("POST", "/songs?wait=20", json=WISH)
            _, refused = await ask("POST", "/songs?wait=20", json=REFUSED_WISH)
            _, running = await ask("POST", "/songs", json=WISH)
            while len(box.books.taken()) < 2:
                await asyncio.sleep(0.01)
        asked = len(box.books.requests)
        async with serving(name, box, tmp_path) as ask:
            assert await ask("GET", f"/songs/{done['key']}") == (200, done)
            assert (await ask("GET", f"/songs/{refused['key']}"))[0] == 404
            status, song = await ask("GET", f"/songs/{running['key']}")
            assert (status, song["state"]) == (200, "succeeded")
        assert len(box.books.taken()) == 2
        assert not [entry for entry in box.books.requests[asked:] if entry.method == "POST"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_without_a_secret_says_so_in_one_line(name, tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIMUSIC_")}
    env |= {"AIMUSIC_API_KEY": "some-key"}
    done = subprocess.run(command(name), env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"the webhook's secret must have .*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []
