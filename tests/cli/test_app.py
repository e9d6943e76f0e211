"""The command line as a user meets it: help, versions, wrong words, missing parts, Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

import aimusic_async
from aimusic_async.cli.app import app

AIMUSIC = [sys.executable, "-c", "from aimusic_async.cli import main; main()"]


def _listen_to_ctrl_c():
    """A shell starts what runs in the background deaf to SIGINT, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(*words, **options):
    """Start the command as a process of its own, which Ctrl-C can end."""
    return subprocess.Popen(
        [*AIMUSIC, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_listen_to_ctrl_c,  # noqa: PLW1509 - no thread runs here, and it only sets a signal
        **options,
    )


def run(*words):
    return CliRunner().invoke(app, words)


def plain(text):
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


def test_the_version_is_shown():
    assert run("--version").output.strip() == f"aimusic-async {aimusic_async.__version__}"


@pytest.mark.parametrize("command", ["demo", "sandbox", "operations"])
def test_every_command_has_help_with_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: aimusic {command}" in plain(result.output)
    assert command in plain(run("--help").output)


def test_without_a_command_the_help_is_shown():
    assert "aimusic demo" in plain(run().output)


@pytest.mark.parametrize(
    "words", [["demo", "--speed", "0"], ["sandbox", "--port", "99999"], ["dance"], ["demo", "--out"]]
)
def test_wrong_words_end_with_2(words):
    assert run(*words).exit_code == 2


def test_a_missing_extra_is_named(monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mido" else found(name))
    result = run("demo")
    assert result.exit_code == 2
    assert "(mido): pip install 'aimusic-async[sandbox]'" in result.output


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("demo", "--out", str(tmp_path / "file" / "out"), "--speed", "600")
    assert result.exit_code == 2
    assert result.output.startswith("aimusic: cannot write into ")
    assert len(result.output.splitlines()) == 1


def test_the_sandbox_command_serves_until_it_is_interrupted():
    process = started("sandbox", "--port", "0")
    try:
        first = process.stdout.readline()
        url = re.search(r"http://\S+?(?=;)", first).group()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/api/v1/get-credits")
        with caught.value as answer:
            assert answer.code == 401
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("sign", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_ended_demo_says_so_and_leaves_no_temporary_files(tmp_path, sign, code, word):
    environ = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    process = started("demo", "--out", str(tmp_path / "out"), "--speed", "10", env=environ)
    try:
        while "submitted" not in process.stdout.readline():
            pass
        process.send_signal(sign)
        printed, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code
    assert errors.splitlines()[-1] == f"aimusic: {word}"
    assert "released to the service" in errors
    assert "files are in" in printed
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_port_that_is_taken_is_one_clear_line(fake_port):
    result = run("sandbox", "--port", str(fake_port))
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{fake_port}: " in result.output
    assert "choose another --port" in plain(result.output)
    assert "Traceback" not in result.output


@pytest.fixture
def fake_port():
    """A port on which somebody listens."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
