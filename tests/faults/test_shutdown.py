"""Ctrl-C and SIGTERM in the middle of an album: it ends in good order and soon, and the next run goes on."""

import asyncio
import os
import signal
import sys

import pytest

from aimusic_async import JobState, MusicSession, Settings
from aimusic_async.sandbox import Fault, Options, Sandbox, Script

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

PROGRAM = """
import asyncio, sys
from aimusic_async import MusicSession, Settings, run, sonic

async def album(url, journal, songs, speed):
    settings = Settings(api_key="sandbox-key", base_url=url, speed=float(speed))
    async with MusicSession(settings=settings, journal=journal) as music:
        async with music.group("album") as group:
            for number in range(int(songs)):
                group.submit(sonic.CreateMusic(prompt=f"song {number}", mv="sonic-v5"), key=f"{number}")
            print("begun", flush=True)
    print("finished", len(group.results()), flush=True)

try:
    RUN(album(*sys.argv[1:]))
except KeyboardInterrupt:
    sys.exit(130)
"""

SIGNALS = [
    pytest.param("run", signal.SIGINT, 130, id="Ctrl-C"),
    pytest.param("asyncio.run", signal.SIGINT, 130, id="Ctrl-C of asyncio.run"),
    pytest.param("run", signal.SIGTERM, 143, id="SIGTERM"),
]


def _listen_to_ctrl_c():
    """A shell starts what runs in the background deaf to SIGINT, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Program:
    """A run of the program, which is killed when the block is left before it ended."""

    def __init__(self, runner, box, journal, songs=8):
        self.arguments = [
            "-W",
            "default",
            "-c",
            PROGRAM.replace("RUN", runner),
            box.url,
            journal,
            songs,
            box.options.speed,
        ]

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *map(str, self.arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=_listen_to_ctrl_c,
        )
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.communicate()

    async def end(self):
        """Wait for its end; return what it printed, and the lines that it complained of."""
        printed, errors = await self.process.communicate()
        return printed.decode(), errors.decode().splitlines()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


async def records(box, journal):
    settings = Settings(api_key=box.key, base_url=box.url, speed=box.options.speed)
    async with MusicSession(settings=settings, journal=journal) as music:
        return {record.key: record for record in await music.journal.jobs(group="album")}


def agrees(box, kept):
    """Whether the journal knows each task that the service has, and no other."""
    made = {f"{entry.body['prompt'].removeprefix('song ')}": entry.task_id for entry in box.books.taken()}
    return made == {key: record.task_id for key, record in kept.items() if record.task_id}


def of_state(kept, state):
    return [key for key in sorted(kept, key=int) if kept[key].state is state]


def told_only_what_is_left(errors):
    """Whether nothing was said but what becomes of the jobs: no noise of asyncio's, no open connections."""
    return all(" was left with unfinished jobs: " in line or " was given up while " in line for line in errors)


@pytest.mark.parametrize(("runner", "sign", "code"), SIGNALS)
async def test_it_ends_soon_without_noise_and_the_next_run_finishes(tmp_path, runner, sign, code):
    async with Sandbox(Options(speed=60, durations={"sonic": 120}, clip_spread=(1, 1))) as box:
        async with Program(runner, box, tmp_path / "jobs.db") as program:
            await until(lambda: box.books.accepted == 3)
            program.process.send_signal(sign)
            async with asyncio.timeout(8):  # less than it waits for a journal that hangs
                printed, errors = await program.end()
        assert (program.process.returncode, printed) == (code, "begun\n")
        kept = await records(box, tmp_path / "jobs.db")
        assert of_state(kept, JobState.SUBMITTED) == ["0", "1", "2"]
        assert len(of_state(kept, JobState.QUEUED)) == 5
        assert agrees(box, kept)
        assert told_only_what_is_left(errors)
        assert "5 never sent" in errors[0]
        assert all(record.task_id in "".join(errors) for record in kept.values() if record.task_id)
        async with Program(runner, box, tmp_path / "jobs.db") as program:
            assert await program.end() == ("begun\nfinished 8\n", [])
        assert box.books.accepted == 8


@pytest.mark.parametrize(("runner", "sign", "code"), SIGNALS)
async def test_a_post_under_way_is_finished_and_written_down(tmp_path, runner, sign, code):
    script = Script(("POST", None), ("POST", Fault.slow(60)))  # it takes a second
    async with Sandbox(Options(speed=60, faults=script)) as box:
        async with Program(runner, box, tmp_path / "jobs.db", songs=5) as program:
            await until(lambda: box.books.accepted == 2)
            program.process.send_signal(sign)
            printed, errors = await program.end()
        assert (program.process.returncode, printed) == (code, "begun\n")
        kept = await records(box, tmp_path / "jobs.db")
        assert of_state(kept, JobState.SUBMITTED) == ["0", "1"]
        assert len(of_state(kept, JobState.QUEUED)) == 3
        assert agrees(box, kept)
        assert told_only_what_is_left(errors)


@pytest.mark.parametrize(("runner", "sign", "code"), SIGNALS)
async def test_a_post_that_hangs_is_left_to_doubt_at_the_second_signal(tmp_path, runner, sign, code):
    async with Sandbox(Options(speed=60, faults=Script(("POST", None), ("POST", Fault.stalled(taken=True))))) as box:
        async with Program(runner, box, tmp_path / "jobs.db", songs=5) as program:
            await until(lambda: box.books.accepted == 2)
            program.process.send_signal(sign)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await program.process.wait()
            program.process.send_signal(sign)
            printed, errors = await program.end()
        assert (program.process.returncode, printed) == (code, "begun\n")
        kept = await records(box, tmp_path / "jobs.db")
        assert of_state(kept, JobState.SUBMITTED) == ["0"]
        assert len(of_state(kept, JobState.SENDING)) + len(of_state(kept, JobState.UNKNOWN)) == 1
        assert len(of_state(kept, JobState.QUEUED)) == 3
        assert told_only_what_is_left(errors)
