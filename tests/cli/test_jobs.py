"""The commands about the account and its jobs: what they list, go on with, settle and fetch; and their exit codes."""

import sqlite3

import pytest

from aimusic_async.cli.jobs import operation_named
from aimusic_async.errors import ConfigurationError
from aimusic_async.sandbox import Fate, Fault, Script

from .conftest import plain, rows, run, served, use

SONG = ("sonic", "create-music", "--mv", "sonic-v5", "--quiet")


@pytest.fixture
def faulty(monkeypatch):
    """A function that starts a sandbox in which something goes wrong."""
    opened = []

    def start(*steps):
        one = served(faults=Script(*steps))
        box = one.__enter__()
        opened.append(one)
        use(monkeypatch, box)
        return box

    yield start
    for one in opened:
        one.__exit__(None, None, None)


def make(key, *words):
    return run(*SONG, "--prompt", "la", "--key", key, *words)


# --- unknown -------------------------------------------------------------------------------------------------------


def test_a_lost_answer_is_3_and_is_settled_by_hand(faulty):
    box = faulty(Fault.dropped(taken=True))
    done = make("lost", "--json")
    assert done.exit_code == 3
    assert rows(done.stdout)[0]["error"]["type"] == "SubmissionUnknown"
    assert "`aimusic settle` it, with --task-id ID or --not-taken" in done.stderr
    assert len(done.stderr.splitlines()) == 1

    again = make("lost")
    assert (again.exit_code, box.books.charged) == (3, 10)
    resumed = run("resume")
    assert resumed.exit_code == 3
    assert "1 unknown (lost): check before you pay twice" in resumed.stderr

    assert run("settle", "lost").exit_code == 2
    task_id = box.books.taken("sonic.create_music")[0].task_id
    settled = run("settle", "lost", "--task-id", task_id, "--json")
    assert (settled.exit_code, rows(settled.stdout)[0]["state"]) == (0, "submitted")
    resumed = run("resume", "--json")
    assert resumed.exit_code == 0
    assert rows(resumed.stdout)[0]["result"]["task_id"] == task_id
    assert box.books.charged == 10


def test_one_that_was_not_taken_is_sent_when_it_is_resumed(faulty):
    box = faulty(Fault.dropped(taken=False))
    assert make("lost").exit_code == 3
    assert run("settle", "lost", "--not-taken").stdout == "lost is queued\n"
    assert run("resume", "--quiet").exit_code == 0
    assert box.books.charged == 10


def test_sending_it_again_is_asked_for_by_name(faulty):
    box = faulty(Fault.dropped(taken=True))
    assert make("lost").exit_code == 3
    assert make("lost", "--resend-unknown").exit_code == 0
    assert box.books.charged == 20


def test_settling_what_is_not_unknown_is_wrong_usage(service):
    done = run("settle", "nothing", "--not-taken")
    assert done.exit_code == 2
    assert "no unknown job with the key 'nothing'" in done.stderr
    assert run("settle", "nothing", "--not-taken", "--task-id", "t").exit_code == 2


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_task_that_failed_is_1_and_is_sent_again_when_asked_for(faulty):
    box = faulty(Fate.fails())
    done = make("bad", "--json")
    assert done.exit_code == 1
    assert rows(done.stdout)[0]["state"] == "failed"
    assert make("bad").exit_code == 1
    assert make("bad", "--resend-failed").exit_code == 0
    assert (box.books.charged, box.books.refunded) == (20, 10)


def test_of_several_jobs_one_that_failed_makes_it_1_and_the_others_are_told(faulty):
    faulty(Fate.fails(), None)
    for key in ("first", "second"):
        assert make(key, "--no-wait").exit_code == 0
    done = run("resume", "--json")
    assert done.exit_code == 1
    assert {row["job"]: row["state"] for row in rows(done.stdout)} == {"first": "failed", "second": "succeeded"}
    assert "1 done, 1 failed; 10 credits" in done.stderr


def test_a_wrong_key_says_where_keys_come_from(service, monkeypatch):
    monkeypatch.setenv("AIMUSIC_API_KEY", "wrong")
    done = run("credits", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "(HTTP 401); `aimusic config` shows where the key comes from" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_traceback_is_for_those_who_ask(service, monkeypatch):
    monkeypatch.setenv("AIMUSIC_API_KEY", "wrong")
    assert "Traceback" not in run("credits").output
    assert "Traceback" in run("credits", "--debug").stderr


def test_a_journal_that_is_none_is_one_line(service, tmp_path):
    (tmp_path / "jobs.db").write_text("this is no database, whatever its name says\n" * 99)
    done = make("one", "--journal", tmp_path / "jobs.db")
    assert done.exit_code == 1
    assert "see --journal" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- listing -------------------------------------------------------------------------------------------------------


def test_status_lists_by_state_and_group_and_another_account_sees_nothing(service, monkeypatch):
    assert make("one").exit_code == 0
    assert make("two", "--no-wait").exit_code == 0
    assert [row["job"] for row in rows(run("status", "--json").stdout)] == ["one", "two"]
    assert [row["job"] for row in rows(run("status", "--json", "--state", "submitted").stdout)] == ["two"]
    both = run("status", "--json", "--state", "submitted", "--state", "succeeded")
    assert len(rows(both.stdout)) == 2
    assert rows(run("status", "--json", "--group", "album").stdout) == []
    shown = run("status")
    assert "1 succeeded, 1 submitted; 20 credits" in shown.stderr
    assert "cancelled" not in shown.output
    assert rows(run("status", "--json", "--account", "another").stdout) == []
    monkeypatch.setenv("AIMUSIC_API_KEY", "the-new-key-of-the-same-account")
    assert len(rows(run("status", "--json").stdout)) == 2


def test_status_sends_nothing_and_makes_no_file_that_was_named_wrongly(service, tmp_path, monkeypatch):
    monkeypatch.setenv("AIMUSIC_BASE_URL", "http://127.0.0.1:9")
    assert run("status").exit_code == 0
    done = run("status", "--journal", tmp_path / "jbos.db")
    assert done.exit_code == 2
    assert "there is no journal" in done.stderr
    assert not (tmp_path / "jbos.db").exists()


def test_a_state_that_is_none_names_those_there_are(service):
    done = run("status", "--state", "lost")
    assert done.exit_code == 2
    assert "must be one of queued, sending, submitted" in done.stderr


def test_the_journal_is_this_users_alone(service, home):
    assert make("one", "--no-wait").exit_code == 0
    (path,) = home.rglob("jobs.db")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    with sqlite3.connect(path) as db:
        assert "sandbox-key" not in "".join(db.iterdump())
    db.close()


# --- attaching and fetching ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["sonic.create_music", "sonic.create-music", "sonic.CreateMusic", "sonic create-music", "SONIC.createmusic"]
)
def test_an_operation_is_known_however_it_is_spelled(name):
    assert operation_named(name).operation == "sonic.create_music"


def test_an_operation_that_is_none_says_what_was_meant():
    with pytest.raises(ConfigurationError, match=r"did you mean sonic\.create_music\?"):
        operation_named("sonic.creat_music")
    with pytest.raises(ConfigurationError, match="`aimusic operations` lists them"):
        operation_named("dance")


def test_a_task_that_another_machine_started_is_awaited_and_saved(service, tmp_path):
    task_id = make("one", "--no-wait").stdout.strip()
    elsewhere = ("--journal", tmp_path / "other.db", "--out", tmp_path / "out")
    done = run("attach", "sonic.create_music", task_id, *elsewhere, "--json")
    assert done.exit_code == 0, done.output
    assert len(rows(done.stdout)[0]["files"]) == 2


def test_a_task_that_is_not_there_and_an_operation_without_tasks(service):
    assert run("attach", "sonic.create_music", "nope").exit_code == 1
    assert run("attach", "sonic.get_bpm", "nope").exit_code == 2


def test_finished_jobs_are_fetched_without_a_request(service, tmp_path):
    assert make("one").exit_code == 0
    assert run("lyrics", "generate-lyrics", "--description", "x").exit_code == 0
    before = service.books.count()
    done = run("download", "--all", "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    (row,) = rows(done.stdout)  # the lyrics are no file
    assert len(row["files"]) == len(list((tmp_path / "out").iterdir())) == 2
    assert service.books.count() == before
    assert run("download", row["task_id"], "--out", tmp_path / "more").exit_code == 0
    assert len(list((tmp_path / "more").iterdir())) == 2


def test_fetching_says_what_it_cannot_find(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unknown = run("download", "nope")
    assert unknown.exit_code == 2
    assert "no finished job 'nope'; a task that is not in it: `aimusic attach" in unknown.stderr
    assert run("download").exit_code == 2
    nothing = run("download", "--all")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "nothing to save" in nothing.stderr


def test_a_file_that_is_gone_is_1_and_the_others_are_saved(monkeypatch, tmp_path):
    with served(url_lifetime=0.001) as box:
        use(monkeypatch, box)
        done = make("one", "--out", tmp_path / "out", "--json")
    assert done.exit_code == 1
    (row,) = rows(done.stdout)
    assert (row["state"], row["files"]) == ("succeeded", [])
    assert row["error"] is not None
    assert len(row["result"]["clips"]) == 2  # paid for, and shown


def test_a_result_without_files_says_so(service, tmp_path):
    done = run("lyrics", "generate-lyrics", "--description", "x", "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert "a Lyrics has no files to save" in done.stderr


def test_in_a_sandbox_of_its_own_nothing_is_kept(home):
    assert run("status", "--sandbox", "--json").stdout == ""
    assert "nothing is open" in run("resume", "--sandbox").stderr
    assert plain(run("credits", "--sandbox").stdout) == "10500 credits (10000 of the subscription, 500 extra)"
    assert not list(home.rglob("*.db"))


def test_pruning_removes_what_ended_long_ago(service):
    assert make("one").exit_code == 0
    assert rows(run("prune", "--json").stdout) == [{"removed": 0}]
    assert run("prune", "--older-than", "0").stdout == "1 jobs removed\n"
    assert rows(run("status", "--json").stdout) == []
