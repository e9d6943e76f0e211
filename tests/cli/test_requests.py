"""Commands made from request classes: every one has help with a working example; wrong input costs nothing."""

import json
import re
import shlex
from pathlib import Path

import pytest

from aimusic_async.api.operations import operations
from aimusic_async.api.plain import from_plain
from aimusic_async.api.wire import encode
from aimusic_async.cli.common import Output, option_parameters
from aimusic_async.cli.requests import TEXTS, Sending, SendingTask, command_name, example, option_name, takes_file

from .conftest import plain, rows, run

SONG = ("sonic", "create-music", "--mv", "sonic-v5")


@pytest.mark.parametrize("operation", operations())
def test_its_help_tells_fields_price_and_page_and_its_example_works(operation, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    cls = operations()[operation]
    words = command_name(operation).split()
    shown = run(*words, "--help")
    assert shown.exit_code == 0
    text = plain(shown.output)
    assert f"Page: {cls.page()}" in text
    assert ("Price: free" in text) if cls.cost == 0 else (f"Price: {cls.cost} credit" in text)
    for spec in cls.fields():
        assert option_name(spec.name) in text
        assert " ".join(spec.doc.split()) in text.replace("  ", " ") or len(spec.doc) > 60
    line = re.search(r"Example: (.*?) Price: ", text).group(1)
    example_words = shlex.split(line)
    assert example_words[: 1 + len(words)] == ["aimusic", *words]
    planned = run(*example_words[1:], "--dry-run", "--json")
    assert planned.exit_code == 0, planned.output
    request = from_plain({"op": operation, **example(cls)})
    assert rows(planned.stdout) == [
        {
            "operation": operation,
            "method": cls.endpoint.method,
            "path": f"/api/v1{cls.endpoint.path}",
            "body": encode(request),
            "credits": cls.cost,
        }
    ]


@pytest.mark.parametrize("operation", operations())
def test_no_field_has_the_name_of_an_option_that_every_command_has(operation):
    shared = {parameter.name for parameter in option_parameters(SendingTask)} | {"help"}
    taken = {"as_json", *(name.replace("as_", "") for name in shared)} | shared
    assert not taken & {spec.name for spec in operations()[operation].fields()}


def test_fields_that_may_be_files_exist():
    fields = {spec.name: spec for cls in operations().values() for spec in cls.fields()}
    assert fields.keys() >= TEXTS
    assert {name for name, spec in fields.items() if takes_file(spec)} == {*TEXTS, "webhook_secret", "segments"}


# --- values --------------------------------------------------------------------------------------------------------


def body(*words, stdin=None):
    """What would be sent."""
    done = run(*words, "--dry-run", "--json", stdin=stdin)
    assert done.exit_code == 0, done.output
    return rows(done.stdout)[0]["body"]


def test_values_of_every_kind_reach_the_request():
    sent = body(
        *SONG, "--prompt", "la", "--duration", "30", "--style-weight", "0.5", "--vocal-gender", "f",
        "--no-use-suno-cdn", "--auto-lyrics",
    )  # fmt: skip
    assert sent == {
        "task_type": "create_music",
        "custom_mode": True,
        "mv": "sonic-v5",
        "prompt": "la",
        "duration": 30,
        "style_weight": 0.5,
        "vocal_gender": "f",
        "use_suno_cdn": False,
        "auto_lyrics": True,
    }


def test_a_list_is_an_option_given_several_times_and_entries_are_json():
    assert body(
        "sonic", "mashup", "--mv", "sonic-v5", "--prompt", "la", "--mashup-clip-ids", "a", "--mashup-clip-ids", "b"
    )["mashup_clip_ids"] == ["a", "b"]
    segments = [{"name": "intro", "duration": 10}, {"name": "verse", "duration": 30}]
    instrumental = ("nuro", "create-instrumental", "--description", "x", "--version", "v2.0")
    assert body(*instrumental, "--segments", json.dumps(segments))["segments"] == segments


def test_a_long_text_comes_from_a_file_or_from_stdin(tmp_path):
    file = tmp_path / "words.txt"
    file.write_bytes("\ufeff[Verse]\r\nÜber den Dächern\n".encode())
    assert body(*SONG, "--prompt", f"@{file}")["prompt"] == "[Verse]\nÜber den Dächern"
    assert body(*SONG, "--prompt", "-", stdin="la\nla\n")["prompt"] == "la\nla"
    assert body(*SONG, "--prompt", "@@home")["prompt"] == "@home"
    assert body(*SONG, "--prompt", "la", "--title", "@home")["title"] == "@home"


def test_a_secret_is_read_from_a_file_and_never_shown(tmp_path):
    (tmp_path / "secret").write_text("do-not-tell\n")
    hook = ("--webhook-url", "https://example.com/hook", "--webhook-secret", f"@{tmp_path / 'secret'}")
    done = run(*SONG, "--prompt", "la", *hook, "--dry-run", "--json")
    assert rows(done.stdout)[0]["body"]["webhook_secret"] == "(secret)"
    assert "do-not-tell" not in done.output


def test_a_plan_for_people_is_the_json_and_the_price():
    done = run(*SONG, "--prompt", "la\x9b2J \u202e", "--dry-run")
    assert done.stdout.startswith("POST /api/v1/sonic/create\n{")
    assert "10 credits; nothing was sent" in done.stderr
    assert not {"\x9b", "\u202e"} & {*done.output}
    assert run(*SONG, "--prompt", "la", "--dry-run", "--quiet").stderr == ""


# --- wrong input ---------------------------------------------------------------------------------------------------

WRONG = {
    "an option that is misspelled": ((*SONG, "--promt", "x"), "No such option: --promt; did you mean --prompt?"),
    "a command that is misspelled": (("sonic", "create-musik"), "'create-musik'; did you mean create-music?"),
    "a platform that is misspelled": (("sonik", "create-music"), "'sonik'; did you mean sonic?"),
    "a field that is missing": (("sonic", "create-music", "--prompt", "x"), "Missing option '--mv'"),
    "a number that is none": ((*SONG, "--prompt", "x", "--duration", "long"), "'--duration': "),
    "a number out of range": (
        (*SONG, "--prompt", "x", "--duration", "5"),
        "--duration must be a number between 10 and 360; got 5",
    ),
    "a text that is too long": (
        (*SONG, "--prompt", "x", "--title", "y" * 81),
        "--title must be at most 80 characters long, is 81; got 'yyyy",
    ),
    "a choice that is none": (("producer", "download", "--clip-id", "c", "--format", "flac"), "'mp3', 'wav'"),
    "fields that do not fit together": (
        (*SONG, "--prompt", "x", "--no-custom-mode"),
        "--prompt goes with --custom-mode; use --gpt-description-prompt to describe a song",
    ),
    "a switch that does not fit": (
        (*SONG, "--gpt-description-prompt", "x", "--custom-mode"),
        "--prompt is required (or --gpt-description-prompt, or --make-instrumental)",
    ),
    "a list that is too short": (
        ("sonic", "mashup", "--mv", "sonic-v5", "--prompt", "x", "--mashup-clip-ids", "a"),
        "--mashup-clip-ids must hold exactly 2 entries, holds 1",
    ),
    "entries that are no JSON": (
        ("nuro", "create-instrumental", "--description", "x", "--segments", "intro"),
        "--segments must be JSON: ",
    ),
    "entries that are no objects": (
        ("nuro", "create-instrumental", "--description", "x", "--segments", "[1]"),
        "--segments must be a JSON list of objects",
    ),
    "a file that is not there": ((*SONG, "--prompt", "@nowhere.txt"), "cannot read nowhere.txt: No such file"),
    "stdin named twice": (
        ("sonic", "replace-section", "--mv", "sonic-v5", "--clip-id", "c", "--infill-start-s", "1",
         "--infill-end-s", "2", "--infill-lyrics", "-", "--prompt", "-"),
        "--prompt and --infill-lyrics cannot both be read from stdin"
    ),
    "resending without a name": ((*SONG, "--prompt", "x", "--resend-failed", "--sandbox"), "go with --key"),
    "a journal and none": (
        (*SONG, "--prompt", "x", "--journal", "j.db", "--no-journal", "--sandbox"),
        "give --journal or --no-journal, not both",
    ),
    "not waiting for what is at once": (
        ("sonic", "upload-music", "--url", "https://example.com/a.mp3", "--no-wait", "--sandbox"),
        "--no-wait is for tasks",
    ),
    "no key": ((*SONG, "--prompt", "x"), "no API key: set AIMUSIC_API_KEY, or keep it with `aimusic config set-key`"),
    "a word too many": ((*SONG, "--prompt", "x", "more\x1b[2J"), "unexpected extra argument"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_one_line_on_stderr_and_2(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, expected = WRONG[what]
    done = run(*words, "--json", stdin="words\n")
    assert done.exit_code == 2, done.output
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("aimusic: ")
    assert "\x1b" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.glob("*.db")) == []


def test_a_folder_that_cannot_be_written_is_reported_before_anything_is_paid(service, tmp_path):
    (tmp_path / "file").write_text("")
    before = service.books.count()
    done = run(*SONG, "--prompt", "x", "--out", tmp_path / "file" / "out")
    assert (done.exit_code, service.books.count()) == (2, before)
    assert done.stderr.startswith("aimusic: cannot write into ")


def test_output_options_are_the_same_for_every_command():
    assert [one.name for one in option_parameters(Output)] == ["as_json", "quiet", "debug"]
    assert {one.name for one in option_parameters(Sending)} == {
        "as_json", "quiet", "debug", "sandbox", "key_file", "base_url", "rate", "capacity", "journal", "account",
        "price", "no_journal", "budget", "timeout", "out", "key", "dry_run", "resend_failed", "resend_unknown",
        "proxy", "ca_file",
    }  # fmt: skip


# --- really run ----------------------------------------------------------------------------------------------------


def test_a_song_is_made_saved_and_shown(service, tmp_path):
    done = run(*SONG, "--prompt", "la", "--title", "A/B", "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    (row,) = rows(done.stdout)
    assert list(row) == ["job", "operation", "state", "task_id", "credits", "result", "error", "files"]
    assert (row["operation"], row["state"], row["credits"]) == ("sonic.create_music", "succeeded", 10)
    assert [clip["title"] for clip in row["result"]["clips"]] == ["A/B", "A/B"]
    assert "raw" not in row["result"]["clips"][0]
    assert len(row["files"]) == 2
    assert all(Path(file).stat().st_size > 10_000 for file in row["files"])
    assert "submitted" in done.stderr


def test_under_a_name_it_is_made_once(service):
    before = service.books.charged
    first = run(*SONG, "--prompt", "la", "--key", "mine", "--json", "--quiet")
    again = run(*SONG, "--prompt", "la", "--key", "mine", "--json", "--quiet")
    assert first.stdout == again.stdout
    assert service.books.charged == before + 10
    other = run(*SONG, "--prompt", "another", "--key", "mine", "--quiet")
    assert other.exit_code == 2
    assert "has a key that belongs to another request" in other.stderr


def test_not_waiting_prints_the_task_id_alone_and_resume_goes_on(service):
    done = run("producer", "create-music", "--sound", "folk", "--no-wait", "--quiet")
    assert done.exit_code == 0
    assert re.fullmatch(r"[\w-]{20,}\n", done.stdout)
    assert done.stderr == ""
    resumed = run("resume", "--json", "--quiet")
    assert [row["task_id"] for row in rows(resumed.stdout)] == [done.stdout.strip()]


def test_a_budget_that_does_not_allow_it_is_a_failure(service):
    done = run(*SONG, "--prompt", "la", "--budget", "9", "--json")
    assert done.exit_code == 1
    (row,) = rows(done.stdout)
    assert row["error"]["type"] == "BudgetExceeded"
    assert (row["state"], row["credits"], row["result"]) == ("failed", 0, None)


def test_a_clip_that_is_not_in_the_sandbox_of_the_command_is_explained():
    done = run("sonic", "get-bpm", "--clip-id", "c", "--sandbox", "--quiet")
    assert done.exit_code == 1
    assert "start `aimusic sandbox` in another terminal" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_a_journal_nothing_is_written_down(service, home):
    assert run(*SONG, "--prompt", "la", "--no-journal", "--quiet").exit_code == 0
    assert not list(home.rglob("*.db"))


def test_a_wait_that_is_too_long_ends_with_1_and_can_be_resumed(service):
    done = run(*SONG, "--prompt", "la", "--timeout", "1", "--json")
    assert done.exit_code == 1
    (row,) = rows(done.stdout)
    assert (row["state"], row["error"]["type"]) == ("detached", "JobTimeout")
    assert [one["task_id"] for one in rows(run("resume", "--json").stdout)] == [row["task_id"]]


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_dry_run_counts_with_the_prices_that_are_given(monkeypatch, by):
    words = [*SONG, "--prompt", "la", "--dry-run", "--json"]
    if by == "option":
        words += ["--price", "sonic.create_music=14", "--price", "sonic.create_music sonic-v5=12"]
    else:
        monkeypatch.setenv("AIMUSIC_PRICES", "sonic.create_music=14,sonic.create_music sonic-v5=12")
    (plan,) = rows(run(*words).stdout)
    assert plan["credits"] == 12


@pytest.mark.parametrize("price", ["sonic.create_music", "sonic.create_musik=14"])
def test_a_price_that_makes_no_sense_is_refused_before_anything_is_sent(price):
    refused = run(*SONG, "--prompt", "la", "--price", price, "--sandbox")
    assert refused.exit_code == 2
    assert price.partition("=")[0] in refused.output


def test_the_list_of_operations_and_their_help_show_the_prices_of_the_environment(monkeypatch):
    monkeypatch.setenv("AIMUSIC_PRICES", "sonic.create_music=14")
    credits_ = {row["operation"]: row["credits"] for row in rows(run("operations", "--json").stdout)}
    assert (credits_["sonic.create_music"], credits_["sonic.remaster"]) == (14, 10)
    assert "Price: 14 credits" in plain(run("sonic", "create-music", "--help").output)
    monkeypatch.setenv("AIMUSIC_PRICES", "nonsense")
    assert "Price: 10 credits" in plain(run("sonic", "create-music", "--help").output)
