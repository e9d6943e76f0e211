"""Other people's programs: one real one for each environment, against a sandbox; what is not installed is skipped.

`nox -s environments` installs all of them.
"""

import asyncio
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from aimusic_async.sandbox import Options, Sandbox

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).parents[2]
SONG = 10
"""Credits."""

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore")]


def needs(*modules):
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not installed: pip install '.[environments]'"
    )


@pytest.fixture
async def box():
    async with Sandbox(Options(speed=600)) as box:
        yield box


def environment(box, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIMUSIC_", "PYTEST_", "COV_"))}
    paths = os.pathsep.join([str(ROOT), str(PROGRAMS)])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ours = {"AIMUSIC_API_KEY": box.key, "AIMUSIC_BASE_URL": box.url, "AIMUSIC_SPEED": "600"}
    return kept | ours | {"PYTHONPATH": paths, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | more


async def start(box, *command, folder, **more):
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment(box, **more), stdout=pipe, stderr=pipe, stdin=asyncio.subprocess.DEVNULL
    )


async def end(process, *, sign=signal.SIGTERM):
    """Ask a server to end; return what it said on stderr."""
    if process.returncode is None:
        process.send_signal(sign)
    _, said = await asyncio.wait_for(process.communicate(), 30)
    return said.decode()


# --- programs that run and end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "songs", "options"),
    [
        pytest.param("uvloop_loop", 1, (), marks=needs("uvloop")),
        pytest.param(
            "eager_tasks",
            3,
            (),
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 brought eager tasks"),
        ),
        pytest.param("debug_mode", None, ("-X", "dev", "-W", "error")),
        pytest.param("fastapi_lifespan", 2, (), marks=needs("fastapi", "uvicorn")),
        pytest.param("aiohttp_lifespan", 2, ()),
        pytest.param("aiogram_bot", 3, (), marks=needs("aiogram")),
        pytest.param("threads", 8, ()),
        pytest.param("process_pool", 1, ()),
    ],
)
async def test_a_program_works_there(box, tmp_path, name, songs, options):
    program = PROGRAMS / f"{name}.py"
    process = await start(box, sys.executable, *options, str(program), str(tmp_path / "jobs.db"), folder=tmp_path)
    output, errors = await asyncio.wait_for(process.communicate(), 100)
    assert output.decode().startswith("OK"), errors.decode()
    assert process.returncode == 0, errors.decode()
    assert "Traceback" not in errors.decode()
    assert "Warning" not in errors.decode()
    if songs is not None:
        assert len(box.books.taken("sonic.create_music")) == songs


# --- servers with several processes --------------------------------------------------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def served_by_two(port, process):
    """Ask for songs until two workers have answered; return the answers."""
    answers = []
    async with asyncio.timeout(60):
        for number in range(1000):
            try:
                # A new connection each time: so now one worker takes it, now the other.
                async with aiohttp.ClientSession() as client:
                    asked = [client.post(f"http://127.0.0.1:{port}/songs/{number}-{one}") for one in range(4)]
                    answers += [await answer.json() for answer in await asyncio.gather(*asked)]
            except aiohttp.ClientConnectionError:
                assert process.returncode is None, (await process.stderr.read()).decode()
                await asyncio.sleep(0.2)
            if len({answer["worker"] for answer in answers}) == 2:
                return answers
    raise AssertionError("one worker only")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            ("-m", "uvicorn", "two_workers:app", "--workers", "2", "--port"),
            id="two uvicorn workers",
            marks=needs("uvicorn", "fastapi"),
        ),
        pytest.param(
            ("-m", "gunicorn", "preloaded:app", "--preload", "-w", "2", "-k", "aiohttp.GunicornWebWorker", "-b"),
            id="gunicorn --preload",
            marks=[needs("gunicorn"), pytest.mark.skipif(os.name != "posix", reason="gunicorn forks")],
        ),
    ],
)
async def test_workers_share_journal_and_limit(box, tmp_path, command):
    port = free_port()
    where = f"127.0.0.1:{port}" if "gunicorn" in command else str(port)
    process = await start(box, sys.executable, *command, where, folder=tmp_path, JOURNAL=str(tmp_path / "jobs.db"))
    try:
        answers = await served_by_two(port, process)
    finally:
        said = await end(process)
    tasks = [answer["task"] for answer in answers]
    assert len(set(tasks)) == len(tasks)
    assert box.books.charged == SONG * len(tasks)
    assert sum(answer["refusals"] for answer in answers) == 0
    assert "Traceback" not in said, said


@needs("celery")
@pytest.mark.skipif(os.name != "posix", reason="the prefork pool forks")
@pytest.mark.parametrize("serializer", ["json", "pickle"])
async def test_a_celery_worker_hands_on_songs_and_errors(box, tmp_path, serializer):
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    more = {"FOLDER": str(tmp_path), "SERIALIZER": serializer, "C_FORCE_ROOT": "1"}
    command = ("-m", "celery", "-A", "celery_tasks", "worker", "-P", "prefork", "-c", "2", "-l", "warning")
    worker = await start(box, sys.executable, *command, "--without-mingle", "--without-gossip", folder=tmp_path, **more)
    asks = """
import celery_tasks, sys
from aimusic_async import NotFound, from_plain
made = [celery_tasks.make.delay(key) for key in "aab"]
songs = [from_plain(one.get(timeout=60)).task_id for one in made]
assert songs[0] == songs[1] != songs[2], songs
failed = celery_tasks.fail.delay("bad")
try:
    failed.get(timeout=60)
except Exception as error:
    assert type(error).__name__ == "NotFound", repr(error)
    assert isinstance(error, NotFound), type(error).__mro__
    assert "clip 'nobody' not found" in str(error) and error.status == 404, (str(error), vars(error))
    print("OK")
"""
    try:
        asking = await start(box, sys.executable, "-c", asks, folder=tmp_path, **more)
        output, errors = await asyncio.wait_for(asking.communicate(), 90)
    finally:
        said = await end(worker)
    assert output == b"OK\n", errors.decode() + said
    assert box.books.charged == 2 * SONG


@needs("nbclient", "ipykernel")
async def test_a_notebook_works_cell_by_cell(box, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    cells = [
        "from aimusic_async import MusicSession, WrongLoop, run, sonic\nmusic = await MusicSession().__aenter__()",
        "job = music.submit(sonic.CreateMusic(prompt='rain', mv='sonic-v5'))",  # no await: a plain cell
        "song = await job\nlen(song.clips)",
        "async def main(): return 1\ntry:\n    run(main())\nexcept WrongLoop as error:\n    print(error)",
        "print(await main())",
        "await music.__aexit__(None, None, None)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    for name, value in environment(box, JUPYTER_PLATFORM_DIRS="1", IPYTHONDIR=str(tmp_path)).items():
        monkeypatch.setenv(name, value)
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    await client.async_execute()
    outputs = [[output.get("text", output.get("data")) for output in cell.outputs] for cell in notebook.cells]
    assert outputs[2] == [{"text/plain": "2"}]
    assert "await main()" in outputs[3][0]
    assert not any("never awaited" in str(output) for output in outputs)
    assert box.books.charged == SONG
