"""A session belongs to one event loop, thread and process: everybody else is refused before anything changes."""

import asyncio
import os
import threading
from contextlib import contextmanager

import pytest

from aimusic_async import (
    AccountJournal,
    MusicError,
    MusicSession,
    Settings,
    WebhookConfig,
    WrongLoop,
    sonic,
    webhooks,
)
from aimusic_async.sandbox import Options, Sandbox

SECRET = "a secret of a webhook"


def request():
    return sonic.CreateMusic(prompt="x", mv="sonic-v5")


class Elsewhere:
    """A session in a loop that runs in a thread of its own, or is kept without running."""

    def __init__(self, loop, music, group, job):
        self.loop, self.music, self.group, self.job = loop, music, group, job
        self.jobs = group.jobs
        self.journal = music._journal and AccountJournal(music._journal, music._account, music._dispatcher.written)

    def unchanged(self):
        """Nothing of what was tried arrived."""
        return self.group.jobs == self.jobs and not self.job.done() and repr(self.music).endswith("open>")


async def open_session(journal):
    door = MusicSession.sandbox(
        speed=1, journal=journal, webhook=WebhookConfig("https://example.org/hook", SECRET), poll_interval=600
    )
    music = await door.__aenter__()
    group = music.group("album")
    await group.__aenter__()
    return music, group, music.submit(request(), key="one")


async def close_session(music, group):
    group.cancel()
    await group.__aexit__(None, None, None)
    await music.__aexit__(None, None, None)


@contextmanager
def elsewhere(journal, *, running, debug=False):
    loop = asyncio.new_event_loop()
    loop.set_debug(debug)
    thread = threading.Thread(target=loop.run_forever, daemon=True)

    def run(coroutine):
        if thread.is_alive():
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)
        return loop.run_until_complete(coroutine)

    if running:
        thread.start()
    there = Elsewhere(loop, *run(open_session(journal)))
    try:
        yield there
    finally:
        run(close_session(there.music, there.group))
        if running:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
        loop.close()


async def every_job(group):
    return [job async for job in group.as_completed()]


async def enter(manager):
    async with manager:
        pass


async def call(function, *args, **options):
    return function(*args, **options)


USES = {
    "run": lambda at: at.music.run(request()),
    "a method": lambda at: at.music.sonic.upsample_tags(tags="pop"),
    "the journal's budgets": lambda at: at.journal.budgets(),
    "the journal's jobs": lambda at: at.journal.jobs(),
    "credits": lambda at: at.music.credits(),
    "submit": lambda at: call(at.music.submit, request()),
    "attach": lambda at: call(at.music.attach, sonic.CreateMusic, "t-1"),
    "resume": lambda at: at.music.resume(),
    "download": lambda at: at.music.download([], "."),
    "journal": lambda at: call(lambda: at.music.journal),
    "deliver": lambda at: at.music.deliver(None, None),
    "a webhook's door": lambda at: deliver(at.music),
    "enter": lambda at: at.music.__aenter__(),
    "exit": lambda at: at.music.__aexit__(None, None, None),
    "await a job": lambda at: at.job.result(),
    "wait for a job": lambda at: at.job.wait(),
    "recorded": lambda at: at.job.recorded(),
    "accepted": lambda at: at.job.accepted(),
    "cancel a job": lambda at: call(at.job.cancel),
    "enter a group": lambda at: enter(at.music.group()),
    "submit to a group": lambda at: call(at.group.submit, request()),
    "as_completed": lambda at: every_job(at.group),
    "cancel a group": lambda at: call(at.group.cancel),
    "exit a group": lambda at: at.group.__aexit__(None, None, None),
}


async def deliver(music):
    app = webhooks.asgi_app(music)

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def send(message):
        pytest.fail(f"answered {message}")

    await app({"type": "http", "method": "POST", "query_string": b"", "headers": []}, receive, send)


async def refused(use, at):
    """What a use comes to: a hang is none of the answers."""
    try:
        await asyncio.wait_for(use(at), 5)
    except WrongLoop as error:
        return str(error)
    return None


@pytest.mark.parametrize("running", [True, False], ids=["in a thread", "not running"])
@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_another_event_loop_is_refused_whatever_it_wants(tmp_path, running, debug):
    with elsewhere(tmp_path / "jobs.db", running=running, debug=debug) as at:
        for name, use in USES.items():
            said = asyncio.run(refused(use, at), debug=debug)
            if said is None and running and name in {"recorded", "accepted"}:
                continue  # it was by then, and there was nothing to wait for
            assert said is not None, name
            assert "run_coroutine_threadsafe" in said, name
            assert at.unchanged(), name


def test_a_thread_without_a_loop_is_refused(tmp_path):
    with elsewhere(tmp_path / "jobs.db", running=True) as at:
        for use in (lambda: at.music.submit(request()), at.job.cancel, at.group.cancel):
            with pytest.raises(WrongLoop, match="where no event loop runs"):
                use()
        assert at.unchanged()
        # What the error says to do does work:
        future = asyncio.run_coroutine_threadsafe(at.music.credits(), at.loop)
        assert future.result(10).total > 0


async def test_looking_at_a_job_is_free_for_all():
    async with MusicSession.sandbox(speed=600) as music:
        job = music.submit(request())
        song = await job
        seen = await asyncio.to_thread(lambda: (job.done(), job.state, job.value(), job.exception()))
        assert seen == (True, "succeeded", song, None)


def test_a_loop_that_is_closed_says_what_was_forgotten():
    settings = Settings(api_key="k", base_url="http://127.0.0.1:9")
    music = MusicSession(settings=settings)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(music.__aenter__())
    transport = music._transport
    loop.run_until_complete(transport.__aexit__(None, None, None))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    with pytest.raises(WrongLoop, match="closed by now"):
        asyncio.run(music.run(request()))


# --- processes -----------------------------------------------------------------------------------------------------


def in_child(function):
    """Fork; return what the function said in the child."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = function()
        except BaseException as error:  # noqa: BLE001 - it must not go on in the child
            said = f"{type(error).__name__}: {error}"
        os.write(writable, str(said).encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
may_fork = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@forks
@may_fork
def test_a_forked_child_that_goes_on_with_the_loop_is_refused(tmp_path):
    loop = asyncio.new_event_loop()
    music, group, job = loop.run_until_complete(open_session(tmp_path / "jobs.db"))
    at = Elsewhere(loop, music, group, job)
    for name in ("run", "submit", "attach", "await a job", "cancel a job", "submit to a group", "exit", "enter"):
        said = in_child(lambda name=name: loop.run_until_complete(refused(USES[name], at)))
        assert "forked copy" in said, name
        assert "MusicSession of its own" in said, name
    assert at.unchanged()
    loop.run_until_complete(close_session(music, group))
    loop.close()


@forks
@may_fork
async def test_a_child_forked_in_the_midst_is_refused_and_ends_as_it_wanted(tmp_path):
    def child():
        try:
            music.submit(request())
        except WrongLoop as error:
            # What follows leaves the block, and must not close the session of the parent.
            for block in (group, music):
                try:
                    block.__aexit__(SystemExit, SystemExit(3), None).send(None)
                except StopIteration:
                    continue
                return "waits"
            return f"left; {error}"
        return "taken"

    async with MusicSession.sandbox(speed=600, journal=tmp_path / "jobs.db") as music:
        async with music.group() as group:
            job = group.submit(request())
            said = in_child(child)
            assert said.startswith("left")
            assert "forked copy" in said
            assert (await job).clips
        assert (await music.credits()).total > 0


@forks
@may_fork
async def test_a_session_that_was_made_before_the_fork_is_entered_in_the_child():
    async with Sandbox(Options(speed=600)) as box:
        music = MusicSession(settings=Settings(api_key=box.key, base_url=box.url, speed=600))

        def child():
            async def use():
                async with music:
                    return (await music.credits()).total

            return asyncio.run(use())

        said = await asyncio.to_thread(in_child, child)
        assert int(said) > 0


# --- entering ------------------------------------------------------------------------------------------------------


async def test_of_two_that_enter_a_session_at_once_one_is_refused(tmp_path):
    before = asyncio.all_tasks()
    settings = Settings(api_key="k", base_url="http://127.0.0.1:9")
    music = MusicSession(settings=settings, journal=tmp_path / "jobs.db")
    got = await asyncio.gather(music.__aenter__(), music.__aenter__(), return_exceptions=True)
    assert [type(one) for one in got] == [MusicSession, MusicError]
    await music.__aexit__(None, None, None)
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before


def test_of_two_threads_that_enter_a_session_at_once_one_is_refused():
    settings = Settings(api_key="k", base_url="http://127.0.0.1:9")
    music = MusicSession(settings=settings)
    inside, got = threading.Barrier(2), []

    async def use():
        inside.wait(10)
        try:
            async with music:
                await asyncio.sleep(0.3)
        except MusicError as error:
            got.append(type(error))

    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert got == [WrongLoop]


async def test_a_session_that_could_not_be_opened_may_be_entered_again(tmp_path):
    settings = Settings(api_key="k", base_url="http://127.0.0.1:9")
    folder = tmp_path / "later"
    music = MusicSession(settings=settings, journal=folder / "jobs.db")
    with pytest.raises(MusicError):
        await music.__aenter__()
    folder.mkdir()
    async with music:
        assert music.has_journal
    async with music:  # and again once it was left
        assert music.has_journal


async def test_a_sandbox_that_is_entered_by_hand_works_until_it_is_left():
    import gc

    music = await MusicSession.sandbox(speed=600).__aenter__()
    gc.collect()
    await asyncio.sleep(0.05)
    assert (await music.credits()).total > 0
    url = music._settings.base_url
    await music.__aexit__(None, None, None)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))


async def test_a_door_to_a_sandbox_is_entered_once():
    door = MusicSession.sandbox(speed=600)
    async with door:
        with pytest.raises(MusicError, match="open already"):
            await door.__aenter__()
