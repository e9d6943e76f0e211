"""`aimusic batch`: checked as a whole, asked about, shown as it goes, and gone on with after whatever ended it."""

import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from aimusic_async.sandbox import Fate, Fault, Script

from .conftest import AIMUSIC, plain, rows, run, served, terminal, use

ALBUM = Path(__file__).parents[2] / "examples" / "album.jsonl"
TAGS = {"op": "sonic.upsample_tags", "key": "style", "tags": "pop"}
SONG = {"op": "sonic.create_music", "mv": "sonic-v5", "title": "Rain", "gpt_description_prompt": "rain"}
STEMS = {"op": "sonic.stems_basic", "key": "stems", "clip_id": "$one.clip"}
SHORT = {"song_seconds": (2, 3)}
AUDIO = ("--format", "audio", "--no-page")

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def box():
    """A sandbox that the tests of this module share, with short songs."""
    with served(**SHORT) as one:
        yield one


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function that writes a manifest into the folder where the commands run."""
    monkeypatch.chdir(tmp_path)

    def write(*given, name="songs.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in given))
        return name

    return write


def listing(folder):
    return sorted(path.name for path in Path(folder).iterdir())


# --- what it makes ---------------------------------------------------------------------------------------------------


def test_the_example_is_made_with_all_files_and_a_page(tmp_path):
    with served(**SHORT, rewritten_titles=0) as box, pytest.MonkeyPatch.context() as patch:
        use(patch, box)
        result = run("batch", ALBUM, "-o", tmp_path / "out", "--yes")
    assert result.exit_code == 0, result.output
    files = listing(tmp_path / "out")
    assert Counter(Path(name).suffix for name in files) == {
        ".mp3": 12, ".jpeg": 10, ".json": 1, ".lrc": 1, ".mid": 1, ".html": 1, "": 1
    }  # fmt: skip
    page = (tmp_path / "out" / "index.html").read_text()
    assert all(word in page for word in ("Harbour Lights", "Glass Elevator", "First Snow", "Night Bus", "Vocals"))
    assert "63 credits together; the account has 10500" in result.stderr
    assert "9 done, 0 failed; 25 files" in result.stderr
    assert len(result.stdout.splitlines()) == 9


def test_the_script_does_the_same_through_the_api(tmp_path, written):
    written(TAGS, {**SONG, "key": "one"}, {**STEMS, "clip_id": "$one.clip[1]"})
    with served(**SHORT) as box, pytest.MonkeyPatch.context() as patch:
        use(patch, box)
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, ALBUM.with_name("batch.py"), "songs.jsonl", "--real"],
                check=True,
                capture_output=True,
                text=True,
                timeout=20,
            )
        assert len(box.books.taken()) == 3
    assert done.stdout.startswith("0 jobs for 0 credits")
    assert done.stdout.endswith("21 credits spent; listen to out/index.html\n")
    assert listing("out")[-1] == "style.json"


def test_the_second_run_sends_nothing_and_says_so(written):
    manifest = written(TAGS, {**SONG, "key": "one"}, STEMS)
    with served(**SHORT) as box, pytest.MonkeyPatch.context() as patch:
        use(patch, box)
        assert run("batch", manifest, "-o", "out", "--yes", *AUDIO).exit_code == 0
        taken = len(box.books.taken())
        again = run("batch", manifest, "-o", "out", *AUDIO)  # nothing is to be paid: nobody is asked
        assert len(box.books.taken()) == taken == 3
    assert again.exit_code == 0
    assert "3 rows: 3 done" in again.stderr
    assert "21 credits, earlier runs included" in again.stderr
    assert ".aimusic" in listing("out")
    assert "jobs.db" in listing("out/.aimusic")


def test_json_is_a_line_a_row(service, written):
    result = run("batch", written({**SONG, "key": "j1"}, {**TAGS, "key": "j2"}), "-y", "--json", "--format", "audio")
    assert result.exit_code == 0, result.output
    shown = {row["job"]: row for row in rows(result.stdout)}
    assert shown.keys() == {"j1", "j2"}
    assert (shown["j1"]["state"], shown["j1"]["credits"], shown["j1"]["line"]) == ("succeeded", 10, 1)
    assert [Path(path).suffix for path in shown["j1"]["files"]] == [".mp3", ".mp3"]
    assert shown["j2"]["result"]["upsampled_tags"]


def test_files_are_named_after_a_template(service, written):
    words = ("--template", "{index} {key}", "--format", "audio", "--no-page", "-o", "named")
    assert run("batch", written({**SONG, "key": "a/b"}), "-y", *words).exit_code == 0
    assert listing("named") == [".aimusic", "01 a-b.mp3", "02 a-b.mp3"]


# --- before it sends -------------------------------------------------------------------------------------------------


def test_every_fault_is_a_line_and_nothing_is_sent(service, written):
    asked = len(service.books.requests)
    manifest = written({**SONG, "mv": 5}, {"op": "sonic.stemsbasic"}, {**STEMS, "clip_id": "$nobody.clip"})
    result = run("batch", manifest, "--yes")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "songs.jsonl:1: mv: must be a string, not int; got 5",
        "songs.jsonl:2: op: must name an operation (did you mean sonic.stems_basic?); got 'sonic.stemsbasic'",
        "songs.jsonl:3: clip_id: there is no row with the key nobody; got $nobody.clip",
        "aimusic: 3 faults; nothing was sent",
    ]
    assert [row["line"] for row in rows(run("batch", manifest, "--json").stdout)] == [1, 2, 3]
    assert len(service.books.requests) == asked
    assert run("batch", "nowhere.jsonl").exit_code == 2


def test_a_dry_run_shows_the_plan_and_sends_nothing_that_costs(service, written):
    manifest = written(*({**SONG, "key": str(number)} for number in range(30)), {**TAGS, "key": "dry"})
    taken = len(service.books.taken())
    result = run("batch", manifest, "--dry-run", "-o", "dry")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "songs.jsonl: 31 rows: 31 to be sent"
    assert lines[1].split() == ["sonic.create_music", "30", "×", "10", "=", "300", "credits"]
    assert lines[3].startswith("301 credits together; the account has ")
    assert "with a webhook 31 requests in " in lines[4]
    (shown,) = rows(run("batch", manifest, "--dry-run", "-o", "dry", "--json").stdout)
    assert (shown["jobs"], shown["credits"], shown["missing"], shown["rows"]["new"]) == (31, 301, 0, 31)
    assert shown["with_webhook"]["requests"] == 31 < shown["polled"]["requests"]
    assert len(service.books.taken()) == taken


def test_too_few_credits_are_reported_with_the_difference(written):
    with served(credits=5, extra_credits=0) as box, pytest.MonkeyPatch.context() as patch:
        use(patch, box)
        manifest = written(TAGS, {**SONG, "key": "one"})
        shown = run("batch", manifest, "--dry-run")
        assert "11 credits together; the account has 5" in shown.stdout
        assert "6 credits are missing" in shown.stdout
        result = run("batch", manifest, "--yes")
        assert result.exit_code == 1
        assert box.books.taken("sonic.upsample_tags")


def test_nobody_to_ask_is_an_error_that_names_the_option(service, written):
    taken = len(service.books.taken())
    for words in ((), ("--json",)):
        result = run("batch", written({**SONG, "key": "never"}), *words)
        assert result.exit_code == 2
        assert "it would spend 10 credits, and nobody is here to ask: give --yes" in plain(result.stderr)
    assert len(service.books.taken()) == taken


def test_on_a_terminal_it_asks_before_it_spends(service, written):
    manifest = written({**SONG, "key": "asked"})
    taken = len(service.books.taken())
    for answer, code, words in (("n\r", 1, "nothing was sent"), ("\x03", 130, "interrupted")):
        with terminal("batch", manifest) as child:
            child.expect_exact("Spend 10 credits? [y/N] ")
            child.send(answer)
            assert words in child.read()
            child.wait()
            assert child.exitstatus == code
    assert len(service.books.taken()) == taken
    with terminal("batch", manifest, *AUDIO) as child:
        child.expect_exact("Spend 10 credits? [y/N] ")
        child.send("y\r")
        text = plain(child.read())
        child.wait()
        assert child.exitstatus == 0, text
    assert re.search(
        r"0 of 1 · 1 (queued|sending|submitted|succeeded) · \d+ credits · \d requests · (about .* left|saving)", text
    )
    assert "asked done 2 files" in text
    assert len(service.books.taken()) == taken + 1


def test_a_row_that_changed_under_its_key_is_reported_before_anything_is_sent(service, written):
    assert run("batch", written({**TAGS, "key": "same"}), "--yes", "-o", "changed").exit_code == 0
    taken = len(service.books.taken())
    result = run(
        "batch", written({**TAGS, "key": "other"}, {**TAGS, "key": "same", "tags": "rock"}), "--yes", "-o", "changed"
    )
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == (
        "songs.jsonl:2: key: 'same' belongs to another request in the journal: tags was 'pop', is 'rock'. "
        "Give the changed row a key of its own, or change it back"
    )
    assert len(service.books.taken()) == taken
    again = run("batch", written({**TAGS, "key": "same", "tags": "rock"}), "--yes", "-o", "changed", "--name", "take 2")
    assert again.exit_code == 0


# --- how it ends -----------------------------------------------------------------------------------------------------


def test_some_failed_is_1_and_what_waited_for_them_says_why(written):
    with served(faults=Script(Fate.fails()), **SHORT) as box, pytest.MonkeyPatch.context() as patch:
        use(patch, box)
        manifest = written({**SONG, "key": "one"}, STEMS, {**SONG, "key": "two"})
        result = run("batch", manifest, "--yes", "--json", *AUDIO)
        shown = {row["job"]: row for row in rows(result.stdout)}
        assert result.exit_code == 1
        assert {key: row["state"] for key, row in shown.items()} == {
            "one": "failed", "two": "succeeded", "stems": "not sent"
        }  # fmt: skip
        assert shown["stems"]["error"]["type"] == "SourceFailed"
        again = run("batch", manifest, "--yes", *AUDIO)
        assert again.exit_code == 1
        assert "1 done, 1 failed, 1 blocked" in again.stderr
        assert run("batch", manifest, "--yes", "--resend-failed", *AUDIO).exit_code == 0


def test_unknown_is_3_and_says_how_to_settle_it(written):
    with (
        served(faults=Script(("sonic.create_music", Fault.dropped(taken=True))), **SHORT) as box,
        pytest.MonkeyPatch.context() as patch,
    ):
        use(patch, box)
        manifest = written({**SONG, "key": "one"}, STEMS)
        for _ in range(2):
            result = run("batch", manifest, "--yes", *AUDIO)
            assert result.exit_code == 3
            settle = "aimusic settle KEY --group songs --journal out/.aimusic/jobs.db"
            assert settle in plain(result.stderr)
        task = box.books.taken()[0].task_id
        settled = run(*settle.replace("KEY", "one").split()[1:], "--task-id", task)
        assert settled.exit_code == 0, settled.output
        assert run("batch", manifest, "--yes", *AUDIO).exit_code == 0
        assert len(box.books.taken()) == 2


SLOW = {"speed": 20, "durations": {"sonic": 5}, **SHORT}


def between_requests(process, journal):
    """Stop a process at a moment when nothing is being sent, and all that was answered is written down."""
    while True:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.01)
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(journal)) as file:
            states = dict(file.execute('SELECT "key", state FROM records'))
            if states["style"] == "succeeded" and "sending" not in states.values():
                return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)


def test_killed_and_interrupted_it_goes_on_and_sends_nothing_twice(written):
    manifest = written({**SONG, "key": "one"}, TAGS, {**SONG, "key": "two"}, STEMS)

    def broken_off(sign):
        process = subprocess.Popen(
            [*AIMUSIC, "batch", manifest, "--yes", *AUDIO],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - it only sets a signal
        )
        try:
            assert "style" in process.stdout.readline()
            between_requests(process, Path("out/.aimusic/jobs.db"))
            process.send_signal(sign)
            process.send_signal(signal.SIGCONT)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.communicate()
        return process.returncode, errors

    with served(**SLOW) as box, pytest.MonkeyPatch.context() as patch:
        use(patch, box)
        assert broken_off(signal.SIGKILL)[0] == -signal.SIGKILL
        before = len(box.books.taken())
        assert 0 < before < 4
        code, errors = broken_off(signal.SIGINT)
        assert code == 130
        assert "interrupted: 1 of 4 rows are done; run the same command again to go on" in errors
        (planned,) = re.findall(rf"{4 - before} to be sent(?:, (\d) running)?, (\d) done", errors)
        assert sum(int(number or 0) for number in planned) == before  # on a busy machine a song may be done by now
        result = run("batch", manifest, "--yes", *AUDIO)
        assert result.exit_code == 0, result.output
        assert Counter(taken.operation for taken in box.books.taken()) == {
            "sonic.create_music": 2,
            "sonic.upsample_tags": 1,
            "sonic.stems_basic": 1,
        }
        assert len(listing("out")) == 2 * 2 + 2 + 1 + 1


def test_a_sandbox_that_is_interrupted_says_that_it_starts_over(written):
    manifest = written(TAGS, {**SONG, "key": "one"})
    with terminal("batch", manifest, "--sandbox", "--yes", environ={"AIMUSIC_SPEED": "10"}) as child:
        child.expect_exact("style")
        child.sendintr()
        text = plain(child.read())
        child.wait()
        assert child.exitstatus == 130
    assert "its sandbox ends with the command: the next run starts over" in text


def test_wishes_that_make_no_sense_end_with_2(service, written):
    manifest = written({**TAGS, "key": "wishes"})
    for words in (("--template", "{song}"), ("--format", "smell"), ("--budget", "-1")):
        assert run("batch", manifest, "--yes", *words).exit_code == 2


def test_yaml_csv_and_toml_do_as_well(service, tmp_path, written):
    written()
    Path("b.csv").write_text("op,key,tags\nsonic.upsample_tags,c,pop\n")
    Path("b.yaml").write_text("- {op: sonic.upsample_tags, key: y, tags: pop}\n")
    Path("b.toml").write_text('[[row]]\nop = "sonic.upsample_tags"\nkey = "t"\ntags = "pop"\n')
    for suffix in ("csv", "yaml", "toml"):
        assert run("batch", f"b.{suffix}", "-y", "-o", "kinds").exit_code == 0
    assert listing("kinds") == [".aimusic", "c.json", "t.json", "y.json"]
