"""`aimusic webhook`: deliveries are shown as they come, saved ones checked, and no stranger's text obeyed."""

import asyncio
import contextlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from aimusic_async import ConfigurationError, MusicSession, WebhookConfig
from aimusic_async.cli.app import app
from aimusic_async.cli.webhook import read_headers, run_listen
from aimusic_async.sandbox import Options, Sandbox
from aimusic_async.webhooks import sign

SECRET = "the configured secret"
CONFIG = WebhookConfig("https://example.org/", SECRET)
JOB = "ab" * 16
AIMUSIC = [sys.executable, "-c", "from aimusic_async.cli import main; main()"]
KEYS = ["id", "event", "task_id", "platform", "signed", "titles", "audio_urls", "failure"]
SONG = {
    "code": 200,
    "message": "success",
    "task_id": "task-1",
    "platform": "sonic",
    "event": "song.completed",
    "data": [
        {"clip_id": f"c{number}", "state": "succeeded", "title": "Lanterns", "audio_url": f"https://x.example/{number}"}
        for number in (1, 2)
    ],
}


def delivery(fields=SONG, *, secret=SECRET, at=None, delivery_id="evt-1"):
    """Headers and body as the service sends them."""
    body = json.dumps(fields).encode()
    stamp = str(int(time.time()) if at is None else at)
    headers = {
        "X-Webhook-Id": delivery_id,
        "X-Webhook-Event": "song.completed",
        "X-Webhook-Timestamp": stamp,
        "X-Webhook-Signature": sign(body, secret, stamp),
    }
    return headers, body


def titled(title):
    return {**SONG, "data": [{**clip, "title": title} for clip in SONG["data"]]}


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("AIMUSIC_WEBHOOK_SECRET", SECRET)


def run(*words):
    return CliRunner().invoke(app, ["webhook", *map(str, words)], env={"COLUMNS": "200", "NO_COLOR": "1"})


@pytest.mark.parametrize("command", ["listen", "verify"])
def test_each_command_has_help_with_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: aimusic webhook {command}" in result.output
    assert command in run("--help").output


def test_no_secret_can_be_given_as_an_argument():
    for command in ("listen", "verify"):
        assert set(re.findall(r"--secret\S*", run(command, "--help").output)) == {"--secret-file"}


# --- listening -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def listening(capsys, **options):
    """Listen in this process; gives the address and a function that returns the lines printed so far."""
    printed = {"out": "", "err": ""}

    def read():
        captured = capsys.readouterr()
        printed["out"] += captured.out
        printed["err"] += captured.err
        return printed["out"].splitlines()

    given = {"path": "/", "secret_file": None, "as_json": False} | options
    command = asyncio.create_task(run_listen("127.0.0.1", 0, **given))
    try:
        while "Ctrl-C" not in printed["err"]:
            assert not command.done(), await command
            await asyncio.sleep(0.01)
            read()
        yield re.search(r"http://\S+?(?=;)", printed["err"]).group(), read
    finally:
        command.cancel()
        assert await command == 0
        read()
    assert "Traceback" not in printed["err"]


async def post(url, headers, body):
    async with aiohttp.ClientSession() as http, http.post(url, headers=headers, data=body) as answer:
        return answer.status


async def test_what_the_service_delivers_is_a_line_each(capsys, song):
    options = Options(speed=200, http_webhooks=True, song_seconds=(2, 3))
    async with listening(capsys) as (url, lines), Sandbox(options) as box:
        async with MusicSession.sandbox(box, webhook=WebhookConfig(url, SECRET)) as music:
            job = music.submit(song(title="\x1b[2J\x07Lanterns"))
            while len(lines()) < 2:
                await asyncio.sleep(0.01)
        early, late = lines()
        for line, event in ((early, "song.streaming"), (late, "song.completed")):
            assert re.match(rf"\d\d:\d\d:\d\d  accepted   {event}  {job.task_id}  ", line)
            assert line.isprintable()
            assert "Lanterns'" in line
        assert "/streaming/" in early
        assert late.count(f"{box.url}/files/") == 2


async def test_both_secrets_are_known_and_everything_else_is_shown_with_its_reason(capsys):
    async with listening(capsys) as (url, lines):
        assert await post(url, *delivery()) == 200
        assert await post(url, *delivery(secret=CONFIG.secret_for(JOB))) == 401
        assert await post(f"{url}?job={JOB}", *delivery(secret=CONFIG.secret_for(JOB))) == 200
        assert await post(f"{url}?job={JOB}", *delivery()) == 401
        assert await post(url, *delivery()) == 200
        assert await post(url, *delivery(at=5)) == 401
        assert await post(f"{url}?job=none", *delivery()) == 400
        assert [line.split()[1] for line in lines()] == [
            "accepted", "unsigned", "accepted", "unsigned", "duplicate", "stale", "malformed"
        ]  # fmt: skip
        assert "another secret" in lines()[1]
        assert "it was signed " in lines()[5]
        assert "task-1  'Lanterns'  https://x.example/1  https://x.example/2" in lines()[0]


async def test_a_failure_says_why(capsys):
    failed = {"type": "failed", "message": "Generation failed.", "task_id": "task-2", "event": "song.failed"}
    async with listening(capsys) as (url, lines):
        await post(url, *delivery(failed))
        assert lines()[0].endswith("song.failed  task-2  Generation failed.")


async def test_json_has_the_same_keys_on_every_line_and_nothing_that_a_terminal_obeys(capsys):
    async with listening(capsys, as_json=True) as (url, lines):
        await post(url, *delivery(titled("\x1b[31m\x7f\u202e\ud800é")))
        await post(url, *delivery(titled("\x1b[31m\x7f\u202e\ud800é")))
        await post(url, {}, b"hello")
        shown = [json.loads(line) for line in lines()]
        assert [one["verdict"] for one in shown] == ["accepted", "duplicate", "unsigned"]
        assert {tuple(one) for one in shown} == {("time", "verdict", "reason", "job_id", *KEYS)}
        assert shown[0]["titles"] == ["\x1b[31m\x7f\u202e\ud800é"] * 2
        assert shown[1]["id"] == "evt-1"
        assert shown[2]["reason"] == "there is no x-webhook-timestamp header"
        assert all(line.isascii() and line.isprintable() for line in lines())


@pytest.mark.parametrize("title", ["\x1b]0;owned\x07", "a\r\nb", "\x9b31m", "\u202egnp.exe", "\ud800"])
async def test_a_title_cannot_move_the_cursor_or_turn_the_text_around(capsys, title):
    async with listening(capsys) as (url, lines):
        await post(url, *delivery(titled(title)))
        (line,) = lines()
        assert line.isprintable()


@contextlib.contextmanager
def started(*words, **options):
    """The command as a process of its own, which Ctrl-C can end, and its address."""

    def listen_to_ctrl_c():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background shell may have made us deaf to it

    process = subprocess.Popen(
        [*AIMUSIC, "webhook", "listen", "--port", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_ctrl_c,  # noqa: PLW1509 - no thread runs here, and it only sets a signal
        **options,
    )
    try:
        yield process, re.search(r"http://\S+?(?=;)", process.stderr.readline()).group()
    finally:
        process.kill()
        process.communicate()


def posted(url, headers, body):
    return asyncio.run(post(url, headers, body))


def test_a_delivery_to_another_path_is_hinted_at_and_no_line():
    with started("--path", "music") as (process, url):
        assert url.endswith("/music")
        assert posted(url.removesuffix("/music") + "/%1B[31mhook", *delivery()) == 404
        hint = process.stderr.readline().rstrip()
        assert hint == r"aimusic: somebody posted to /\x1b[31mhook; deliveries are accepted at /music, see --path"
        assert posted(url, *delivery()) == 200
        assert "accepted" in process.stdout.readline()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_and_strangers_bytes_leave_no_trace(sent):
    with started() as (process, url):
        port = int(re.search(r":(\d+)/", url)[1])
        for raw in (
            b"\x16\x03\x01\x02",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        ):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(raw)
                connection.recv(100)
        assert "malformed" in process.stdout.readline()  # the one that was a whole request
        assert posted(url, *delivery()) == 200
        assert "accepted" in process.stdout.readline()  # at once, into a pipe too
        process.send_signal(sent)
        out, errors = process.communicate(timeout=10)
        assert (process.returncode, out, errors) == (0, "", "")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_it_ends_quietly_when_the_reader_of_its_lines_has_gone():
    with started() as (process, url):
        process.stdout.close()
        posted(url, *delivery())
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""


def test_a_terminal_that_cannot_spell_a_title_shows_it_escaped():
    with started(env={**os.environ, "PYTHONIOENCODING": "ascii"}) as (process, url):
        posted(url, *delivery(titled("Laternen über Köln")))
        assert r"Laternen \xfcber K\xf6ln" in process.stdout.readline()


def test_a_port_that_is_taken_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = run("listen", "--port", port)
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port}: " in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("secret", ["", "too short"])
def test_without_a_usable_secret_nothing_is_listened_to(monkeypatch, secret):
    monkeypatch.setenv("AIMUSIC_WEBHOOK_SECRET", secret)
    result = run("listen", "--port", "0")
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert "--secret-file" in result.output if not secret else "at least 16" in result.output


# --- checking a saved one --------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """Save a delivery into two files; returns the options that name them."""

    def save(headers, body):
        (tmp_path / "headers.txt").write_bytes(headers if isinstance(headers, bytes) else as_lines(headers))
        (tmp_path / "body.json").write_bytes(body)
        return "--headers", tmp_path / "headers.txt", "--body", tmp_path / "body.json"

    return save


def as_lines(headers):
    return "".join(f"{name}: {value}\n" for name, value in headers.items()).encode()


def as_curl_shows_them(headers):
    return b"\xef\xbb\xbfPOST /hook?job=x HTTP/1.1\r\n" + as_lines(headers).replace(b"\n", b"\r\n") + b"\r\n{no header"


def as_curl_v_shows_them(headers):
    return b"".join(b"> " + line for line in [b"POST /hook HTTP/2\n", *as_lines(headers).splitlines(keepends=True)])


def as_json(headers):
    return json.dumps(headers, indent=1).encode()


def as_json_lists(headers):
    return json.dumps({name.lower(): [value] for name, value in headers.items()}).encode()


@pytest.mark.parametrize("write", [as_lines, as_curl_shows_them, as_curl_v_shows_them, as_json, as_json_lists])
def test_a_genuine_delivery_is_shown(saved, write):
    headers, body = delivery(at=1_700_000_000)
    result = run("verify", *saved(write(headers), body), "--any-age")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "genuine   song.completed",
        "task      task-1",
        "platform  sonic",
        "id        evt-1",
        "signed    2023-11-14 22:13:20 UTC",
        "title     Lanterns",
        "title     Lanterns",
        "audio     https://x.example/1",
        "audio     https://x.example/2",
    ]


def test_its_age_counts_from_now_or_from_the_time_that_is_given(saved):
    old = saved(*delivery(at=1_700_000_000))
    assert run("verify", *old, "--at", 1_700_000_299).exit_code == 0
    assert run("verify", *old, "--at", 1_700_000_301).exit_code == 1
    assert run("verify", *saved(*delivery())).exit_code == 0
    assert run("verify", *saved(*delivery(at=999_999_999_999_999)), "--any-age").exit_code == 0  # no calendar has it


def test_a_job_s_delivery_is_checked_with_the_job_s_secret(saved):
    files = saved(*delivery(secret=CONFIG.secret_for(JOB)))
    assert run("verify", *files, "--job", JOB).exit_code == 0
    result = run("verify", *files)
    assert result.exit_code == 1
    assert "give that as --job" in result.output


def test_the_secret_of_a_task_may_be_a_short_one_of_the_user_s_own(saved, tmp_path):
    (tmp_path / "secret").write_text("mine\r\n")
    assert run("verify", *saved(*delivery(secret="mine")), "--secret-file", tmp_path / "secret").exit_code == 0


def old_form():
    _, body = delivery()
    return {"X-Signature": hmac.digest(SECRET.encode(), body, "sha256").hex()}, body


def test_the_old_form_is_checked_when_it_is_asked_for(saved):
    result = run("verify", *saved(*old_form()), "--legacy")
    assert result.exit_code == 0
    assert "the old form does not say when" in result.output


def with_line_break(headers, body):
    return headers, body + b"\n"


def with_windows_line_break(headers, body):
    return headers, body + b"\r\n"


@pytest.mark.parametrize(
    ("files", "options", "verdict", "hint"),
    [
        (delivery(secret="another one"), [], "unsigned", "if the address it came to had ?job=…"),
        (delivery(secret="another one"), ["--job", JOB], "unsigned", "byte by byte as it came"),
        (delivery(), ["--job", JOB, "--any-age"], "unsigned", "omit --job"),
        (delivery(at=5), [], "stale", "--any-age"),
        (
            with_line_break(*delivery()),
            [],
            "unsigned",
            "line break at the end of the body, which an editor may have added",
        ),
        (with_windows_line_break(*delivery(at=5)), [], "unsigned", "line break at the end of the body"),
        (with_line_break(*delivery(secret="another one")), [], "unsigned", "if the address it came to had"),
        (with_line_break(*old_form()), ["--legacy"], "unsigned", "line break at the end"),
        (old_form(), [], "unsigned", "it has the old form: give --legacy"),
        (delivery(), ["--legacy"], "unsigned", "omit --legacy"),
        (delivery([1]), ["--any-age"], "malformed", "is no known kind of delivery"),
        (({"Date": "today"}, b"{}"), [], "unsigned", "save all headers"),
    ],
)
def test_what_is_not_genuine_ends_with_1_and_one_line_that_says_what_to_do(saved, files, options, verdict, hint):
    result = run("verify", *saved(*files), *options)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.fullmatch(r"aimusic: not genuine: [^\n]+\n", result.stderr)
    assert hint in result.stderr
    result = run("verify", *saved(*files), *options, "--json")
    shown = json.loads(result.stdout)
    assert (result.exit_code, result.stderr, shown["verdict"]) == (1, "", verdict)
    assert hint in shown["hint"]


def test_json_has_the_same_keys_whatever_the_verdict(saved):
    good = run("verify", *saved(*delivery()), "--json")
    bad = run("verify", *saved(*delivery(at=5)), "--json")
    assert [*json.loads(good.stdout)] == [*json.loads(bad.stdout)] == ["verdict", "reason", "hint", "job_id", *KEYS]
    assert json.loads(good.stdout)["verdict"] == "accepted"


def test_a_saved_title_is_not_obeyed_either(saved):
    result = run("verify", *saved(*delivery(titled("\x1b[2J\nfake      line"))))
    assert r"title     \x1b[2J\nfake      line" in result.output.splitlines()
    long = run("verify", *saved(*delivery(titled("la" * 5000))))
    assert max(map(len, long.output.splitlines())) < 350


@pytest.mark.parametrize(
    ("headers", "options", "words"),
    [
        (b"no colon here\n", [], "line 1 of the text is not a `Name: value`"),
        (b"X-A: b\n\x1b[2J\n", [], r"'\\x1b[2J'"),
        (b"", [], "holds no headers"),
        (b"{broken", [], "begins like a JSON object"),
        (as_lines(delivery()[0]), ["--at", "5", "--any-age"], "not both"),
        (as_lines(delivery()[0]), ["--job", "mine"], "--job must be 32 lower-case hex characters"),
        (as_lines(delivery()[0]), ["--secret-file", "/nowhere/at/all"], "cannot read /nowhere/at/all"),
        (as_lines(delivery()[0]), ["--secret-file", os.devnull], "no secret in"),
    ],
)
def test_what_cannot_be_checked_ends_with_2_and_one_line(saved, headers, options, words):
    result = run("verify", *saved(headers, b"{}"), *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["--headers", "nowhere", "--body", "nowhere"], ["--at", "noon"]])
def test_wrong_words_end_with_2(words):
    assert run("verify", *words).exit_code == 2


@pytest.mark.skipif(os.name != "posix", reason="file modes of POSIX")
def test_a_secret_that_others_can_read_is_warned_of_and_the_file_goes_before_the_environment(saved, tmp_path):
    file = tmp_path / "secret"
    file.write_text("the secret in the file\n")
    files = saved(*delivery(secret="the secret in the file"))
    for mode, warned in ((0o600, False), (0o640, True), (0o604, True)):
        file.chmod(mode)
        result = run("verify", *files, "--secret-file", file)
        assert result.exit_code == 0
        assert ("chmod 600" in result.stderr) == warned
        assert "in the file" not in result.output


@given(st.binary(max_size=200))
def test_any_bytes_are_headers_or_a_clear_error(raw):
    with contextlib.suppress(ConfigurationError):
        assert all(isinstance(part, str) for pair in read_headers(raw, "headers.txt") for part in pair)


WORD = st.text("abcXYZ019-", min_size=1)
VALUE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(st.dictionaries(WORD, VALUE, min_size=1), st.sampled_from([as_lines, as_curl_shows_them, as_json]))
def test_headers_are_read_as_they_were_written(headers, write):
    assert dict(read_headers(write(headers), "headers.txt")) == headers
