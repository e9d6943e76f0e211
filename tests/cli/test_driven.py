"""Every command as a user drives it: through a pipe, where a program reads it, and through a real terminal."""

import asyncio
import re
import signal
import subprocess

import pytest

from aimusic_async import MusicSession, Settings, sonic
from aimusic_async.cli.app import app
from aimusic_async.journal.record import JobRecord, account_id, as_text, record_id
from aimusic_async.journal.sqlite import SqliteJournal
from aimusic_async.journal.steps import Begin, Enter, OutcomeUnknown

from .conftest import AIMUSIC, piped, plain, rows, seen, served, terminal, use

SONG = sonic.CreateMusic(prompt="[Verse]\nHere we go", mv="sonic-v5", title="Here We Go")


async def fill(path, box):
    """Leave a journal with a finished song, one that runs, and one that is unknown; return the first one's task."""
    settings = Settings(api_key=box.key, base_url=box.url, speed=box.options.speed)
    async with MusicSession(settings=settings, journal=path) as music:
        song = await music.submit(SONG, key="done")
        await music.submit(SONG, key="runs").accepted()
    account = account_id("default", "127.0.0.1")
    job_id = record_id(account, "", "lost")
    request = as_text({"op": "sonic.create_music", "prompt": "la", "mv": "sonic-v5"})
    record = JobRecord(
        id=job_id, account=account, group="", key="lost", operation=SONG.operation, request=request, cost=10, owner="x"
    )
    async with SqliteJournal(path) as journal:
        await journal.apply(
            [Enter(record), Begin(job_id, "x", 1), OutcomeUnknown(job_id, "x", 1, "no answer \x1b[2Jcame")]
        )
    return song.task_id


@pytest.fixture(scope="module")
def filled(box, tmp_path_factory):
    """Such a journal, and the id of the finished task."""
    path = tmp_path_factory.mktemp("filled") / "jobs.db"
    return path, asyncio.run(fill(path, box))


@pytest.fixture
def words_of(filled, tmp_path, service):
    """A function that gives a command its journal, folder and task."""
    path, task_id = filled
    journal = tmp_path / "jobs.db"
    journal.write_bytes(path.read_bytes())
    known = {"J": journal, "O": tmp_path / "out", "TASK": task_id}
    return lambda words: [str(known.get(word, word)) for word in words.split()]


# --- every command -------------------------------------------------------------------------------------------------

COMMANDS = {
    "credits": ("credits", 0),
    "status": ("status --journal J", 0),
    "resume": ("resume --journal J --out O", 3),
    "attach": ("attach sonic.create_music TASK --journal J", 0),
    "settle": ("settle lost --not-taken --journal J", 0),
    "download": ("download done --journal J --out O", 0),
    "prune": ("prune --older-than 0 --journal J", 0),
    "operations": ("operations sonic.get_bpm", 0),
    "config": ("config", 0),
    "sonic": ("sonic create-music --mv sonic-v5 --gpt-description-prompt rain --sandbox", 0),
    "account": ("account get-credits", 0),
    "producer": ("producer create-music --sound folk --no-wait", 0),
}
"""Words of each command, and its exit code."""

PIPED = {
    "credits": r'"total": \d+}',
    "status": r'"job": "lost".*"state": "unknown".*"no answer \\u001b\[2Jcame"',
    "resume": r'"job": "runs".*"state": "succeeded".*\.mp3',
    "attach": r'"job": .*"title": "Here We Go"',
    "settle": r'"job": "lost".*"state": "queued"',
    "download": r'"job": "done".*\.mp3',
    "prune": r'"removed": 1}',
    "operations": r'"field": "clip_id"',
    "config": r'"key": "environment"',
    "sonic": r'"state": "succeeded".*"credits": 10.*"clip_id".*"error": null',
    "account": r'"operation": "account.get_credits".*"extra_credits"',
    "producer": r'"state": "submitted".*"result": null',
}
SHOWN = {
    "credits": r"\d+ credits \(",
    "status": r"Job +State .* unknown .*no answer \[2Jcame .*check the service's dashboard",
    "resume": r"Here We Go .* saved .*1 unknown \(lost\): check before you pay twice",
    "attach": r"Here We Go .*audio http",
    "settle": r"lost is queued `aimusic resume` sends it",
    "download": r"Here We Go .* saved ",
    "prune": r"1 jobs removed",
    "operations": r"clip_id \* .* is required",
    "config": r"environment AIMUSIC_API_KEY set <- used",
    "sonic": r"submitted .*task [\w-]+ Rain .* audio http",
    "account": r"extra_credits \d+",
    "producer": r" ([\w-]{20,}) `aimusic resume`, or `aimusic attach producer.create_music \1` waits for it",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_through_a_pipe_it_writes_json_lines_and_nothing_else(name, words_of):
    words, code = COMMANDS[name]
    done = piped(*words_of(words), "--json")
    assert done.returncode == code, done.stderr
    assert rows(done.stdout)
    assert re.search(PIPED[name], done.stdout), done.stdout
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_through_a_terminal_it_is_made_for_people(name, words_of):
    words, code = COMMANDS[name]
    text, ended = seen(*words_of(words), width=150)
    assert ended == code, text
    assert re.search(SHOWN[name], plain(text)), plain(text)
    assert "\x1b[2Jcame" not in text  # what the service writes does not command the terminal


def test_the_tables_above_name_every_command():
    known = {
        *(command.callback.__name__ for command in app.registered_commands),
        *(g.name for g in app.registered_groups),
    }
    elsewhere = {"demo", "sandbox", "webhook"}  # below, and in their own files
    made = {"sonic", "account", "producer"}  # one of each kind; test_requests has them all
    assert known - elsewhere - {"batch"} == COMMANDS.keys() - made
    assert COMMANDS.keys() == PIPED.keys() == SHOWN.keys()


# --- keys that are typed -------------------------------------------------------------------------------------------


def test_a_key_is_typed_without_echo_and_kept_for_this_user_alone(home, monkeypatch):
    with terminal("config", "set-key") as child:
        child.expect("not shown")
        child.sendline("my-secret-key")
        shown = child.read()
    assert child.exitstatus == 0
    assert "my-secret-key" not in shown
    (kept,) = home.rglob("key")
    assert kept.read_text() == "my-secret-key\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    shown = piped("config", "--json")
    assert rows(shown.stdout)[0]["key"] == "config_file"
    assert "my-secret-key" not in shown.stdout + shown.stderr + seen("config")[0]


# --- the servers, and Ctrl-C ---------------------------------------------------------------------------------------


def test_the_sandbox_in_a_terminal_serves_until_ctrl_c():
    with terminal("sandbox", "--port", "0") as child:
        child.expect("export AIMUSIC_BASE_URL=http")
        child.sendintr()
        assert "stopped" in child.read()
    assert child.exitstatus == 0


def test_the_sandbox_through_a_pipe_tells_where_it_is_as_json():
    process = subprocess.Popen([*AIMUSIC, "sandbox", "--port", "0", "--json"], stdout=subprocess.PIPE, text=True)
    try:
        (shown,) = rows(process.stdout.readline())
        assert (
            piped("credits", environ={"AIMUSIC_BASE_URL": shown["url"], "AIMUSIC_API_KEY": shown["key"]}).returncode
            == 0
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)


def test_the_demo_in_a_terminal_shows_a_table_until_ctrl_c(tmp_path):
    with terminal("demo", "--out", tmp_path / "out", "--speed", "5") as child:
        child.expect("elapsed")
        child.expect("submitted")
        child.sendintr()
        assert plain(child.read()).endswith("aimusic: interrupted")
    assert child.exitstatus == 130


@pytest.fixture(scope="module")
def slow():
    """A sandbox whose songs take ten minutes of its time."""
    with served(speed=60, durations={"*": 600}) as one:
        yield one


def test_ctrl_c_says_in_one_line_how_to_go_on_and_resume_does(slow, monkeypatch, tmp_path):
    use(monkeypatch, slow)
    with terminal("sonic", "create-music", "--mv", "sonic-v5", "--prompt", "la", "--key", "one") as child:
        child.expect("submitted")
        child.sendintr()
        last = plain(child.read())
    assert child.exitstatus == 130
    shown = r"aimusic: interrupted; the service goes on with 1 job \(([\w-]+)\): `aimusic resume` waits for what comes$"
    task_id = re.search(shown, last).group(1)
    listed = rows(piped("status", "--json").stdout)
    assert [(row["job"], row["state"], row["task_id"]) for row in listed] == [("one", "submitted", task_id)]
    with terminal("resume") as child:
        child.expect(re.escape("one"))
        child.expect("submitted")
        child.sendintr()
        last = plain(child.read())
        assert "`aimusic resume` waits" in last
        assert "unfinished" not in last  # one line says it, not the library's log as well
    assert child.exitstatus == 130


def test_what_was_not_sent_yet_is_not_sent_by_a_later_run(slow, monkeypatch):
    use(monkeypatch, slow)
    monkeypatch.setenv("AIMUSIC_BASE_URL", "http://127.0.0.1:9")  # nobody listens: it waits to be sent
    with terminal("sonic", "create-music", "--mv", "sonic-v5", "--prompt", "la", "--key", "two") as child:
        child.expect("queued")
        child.sendintr()
        assert plain(child.read()).endswith("aimusic: interrupted; 1 job not sent, at no cost")
    assert child.exitstatus == 130
    assert rows(piped("status", "--json").stdout)[0]["state"] == "cancelled"
    assert "nothing is open" in piped("resume").stderr


def test_sigterm_ends_as_well_ordered_and_tells_143(slow, monkeypatch):
    use(monkeypatch, slow)
    words = ["sonic", "create-music", "--mv", "sonic-v5", "--prompt", "la"]
    process = subprocess.Popen([*AIMUSIC, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while "submitted" not in process.stderr.readline():
            pass
        process.terminate()
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 143
    assert re.match(
        r"aimusic: terminated; the service goes on with 1 job .*: `aimusic resume` ", errors.splitlines()[-1]
    )


def test_colours_are_left_out_when_they_are_not_wanted(service):
    coloured = re.compile(r"\x1b\[(?:\d+;)*3\dm")
    assert coloured.search(seen("account", "get-credits")[0])
    assert not coloured.search(seen("account", "get-credits", environ={"NO_COLOR": "1"})[0])


def test_a_narrow_terminal_and_a_dumb_one_lose_nothing(words_of):
    narrow, code = seen(*words_of("status --journal J"), width=30)
    assert code == 0
    assert "unknown" in narrow
    assert "done" in narrow
    dumb, code = seen(*words_of("account get-credits"), environ={"TERM": "dumb"})
    assert code == 0
    assert "\x1b" not in dumb
    assert "succeeded" in dumb


def test_letters_that_the_output_cannot_spell_are_escaped():
    words = ["sonic", "create-music", "--mv", "sonic-v5", "--prompt", "Über", "--dry-run"]
    done = piped(*words, environ={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, r"\xdcber" in done.stdout) == (0, True)


def test_a_reader_that_has_gone_is_no_error(service):
    words = " ".join(f"'{word}'" for word in [*AIMUSIC, "operations"])
    done = subprocess.run(
        ["/bin/sh", "-c", f"{words} | head -1"], check=False, capture_output=True, text=True, timeout=20
    )
    assert done.stdout.startswith("| Request")
    assert done.stderr == ""
