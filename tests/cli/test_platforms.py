"""Commands that are made when they are asked for: fast starts, completion, and what was perhaps meant."""

import os
import subprocess
import sys

import pytest

from aimusic_async.api.operations import operations

from .conftest import AIMUSIC, plain, run


def loaded_by(*words):
    """The modules that a command has loaded at its end."""
    code = (
        "import sys\nfrom aimusic_async.cli import main\n"
        f"sys.argv = ['aimusic', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('\\n--', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("\n--")[2].split())


def test_help_loads_neither_the_client_nor_http():
    loaded = loaded_by("--help")
    assert "typer" in loaded
    heavy = {"aiohttp", "anyio", "sqlite3", "numpy", "cattrs", "platformdirs", "aimusic_async.session"}
    assert not heavy & loaded


def test_a_dry_run_loads_no_client_either():
    loaded = loaded_by("sonic", "get-bpm", "--clip-id", "c", "--dry-run")
    assert not {"aiohttp", "sqlite3", "numpy", "aimusic_async.session"} & loaded


def test_every_platform_and_operation_is_listed():
    text = plain(run("--help").output)
    for platform in {name.partition(".")[0] for name in operations()}:
        assert f" {platform} " in text
        shown = plain(run(platform, "--help").output)
        for name in operations():
            if name.startswith(f"{platform}."):
                assert f" {name.partition('.')[2].replace('_', '-')} " in shown


@pytest.mark.parametrize("words", [[], ["sonic"], ["config", "--help"], ["webhook"]])
def test_a_group_alone_shows_its_help(words):
    assert "Usage:" in run(*words).output


def test_names_may_be_spelled_as_in_python():
    assert run("sonic", "get_bpm", "--clip-id", "c", "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("aimusic son", "sonic"),
        ("aimusic sonic create-m", "create-music"),
        ("aimusic attach nuro.", "nuro.create_vocal"),
    ],
)
def test_the_shell_completes_commands_that_were_not_made_yet(typed, completed):
    environ = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_AIMUSIC_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = 'aimusic'; {AIMUSIC[2]}"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed in done.stdout.split(), done


@pytest.mark.parametrize("typed", ["dance", "xyz"])
def test_what_resembles_nothing_is_reported_without_a_guess(typed):
    done = run(typed)
    assert (done.exit_code, done.stderr) == (2, f"aimusic: there is no command '{typed}' (see `aimusic --help`)\n")
