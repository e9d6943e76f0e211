"""What commands share: options written once, one way to run and to end."""

import asyncio
import inspect
from typing import Annotated

import attrs
import pytest
import typer
from typer.testing import CliRunner

from aimusic_async.cli.common import (
    Account,
    Going,
    Output,
    Work,
    check_folder,
    finish,
    need_sandbox,
    opened,
    option_parameters,
    run_on,
    with_options,
)
from aimusic_async.cli.screen import Screen
from aimusic_async.errors import ConfigurationError, MusicError

from .conftest import rows, run


@attrs.frozen(kw_only=True)
class Mine(Output):
    colour: Annotated[str, typer.Option(help="Its colour.")] = "red"


def command(work):
    """A command line with one command, which gets its options and its screen."""
    app = typer.Typer(add_completion=False)

    @app.command()
    @with_options
    def paint(options: Mine, thing: Annotated[str, typer.Argument()], times: int = 1) -> None:
        """Paint a thing."""
        finish(options, lambda screen: work(screen, options, thing, times))

    return lambda *words: CliRunner().invoke(app, words)


def test_the_options_of_a_class_are_the_commands_own():
    async def work(screen, options, thing, times):
        screen.row({"options": attrs.asdict(options), "thing": thing, "times": times})
        return 7

    paint = command(work)
    done = paint("door", "--colour", "blue", "--json", "--times", "2")
    assert done.exit_code == 7
    (row,) = rows(done.stdout)
    assert row["options"] == {"as_json": True, "quiet": False, "debug": False, "colour": "blue"}
    assert (row["thing"], row["times"]) == ("door", 2)
    help_text = paint("--help").output
    assert all(words in help_text for words in ("Paint a thing.", "--colour", "Its colour.", "--json", "--quiet"))


@pytest.mark.parametrize("options", [Output, Account, Going, Work])
def test_every_shared_option_is_explained_and_has_a_default(options):
    for parameter in option_parameters(options):
        (option,) = parameter.annotation.__metadata__
        assert option.help.endswith(".")
        assert parameter.default is not inspect.Parameter.empty


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigurationError("no"), 2), (MusicError("no"), 1), (OSError("no"), 1), (ZeroDivisionError("no"), 1)],
)
def test_an_error_is_a_line_and_a_code(error, code):
    async def work(screen, options, thing, times):
        raise error

    done = command(work)("door")
    assert done.exit_code == code
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" in command(work)("door", "--debug").stderr


def test_of_a_group_of_errors_each_is_a_line(capsys):
    async def work():
        raise ExceptionGroup("two", [MusicError("one"), ExceptionGroup("more", [ConfigurationError("two")])])

    assert run_on(Screen(), work) == 2
    assert capsys.readouterr().err == "aimusic: one\naimusic: two\n"


def test_a_folder_is_made_and_tried(tmp_path):
    check_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write into"):
        check_folder(tmp_path / "file")


def test_a_missing_part_of_the_sandbox_is_named(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"\(numpy, mido, PIL\): pip install"):
        need_sandbox()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--proxy", "socks5://127.0.0.1:9", "proxy= names a proxy of the kind socks5"),
        ("--ca-file", "nowhere.pem", "ca_file nowhere.pem cannot be used: No such file"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_one_clear_line(monkeypatch, option, value, words):
    monkeypatch.setenv("AIMUSIC_API_KEY", "k")
    result = run("credits", option, value)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


# --- the plan --------------------------------------------------------------------------------------------------------


async def period_and_burst(options):
    """Return what the session of these options has for its plan."""
    async with opened(options, Screen(quiet=True)) as music:
        return music.period, music._settings.capacity


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_plan_is_an_option_or_in_the_environment_in_a_sandbox_too(sandbox, monkeypatch, tmp_path):
    monkeypatch.setenv("AIMUSIC_API_KEY", "k")
    account = {"sandbox": sandbox, "journal": None if sandbox else tmp_path / "jobs.db"}
    assert asyncio.run(period_and_burst(Account(**account)))[0] == pytest.approx(3.06)
    named = Account(**account, rate=0.5, capacity=4)
    assert asyncio.run(period_and_burst(named)) == (pytest.approx(2.05), 4)
    monkeypatch.setenv("AIMUSIC_RATE", "1/4")
    monkeypatch.setenv("AIMUSIC_CAPACITY", "6")
    assert asyncio.run(period_and_burst(Account(**account))) == (pytest.approx(4.08), 6)
    assert asyncio.run(period_and_burst(named)) == (pytest.approx(2.05), 4)


def test_a_rate_is_a_number_or_a_fraction_and_anything_else_wrong_usage():
    assert run("credits", "--sandbox", "--rate", "1/2", "--capacity", "3").exit_code == 0
    for words in (("--rate", "fast"), ("--rate", "0"), ("--capacity", "0"), ("--capacity", "1.5")):
        assert run("credits", "--sandbox", *words).exit_code == 2
    assert "such as 0.5 or 1/3" in " ".join(run("credits", "--rate", "fast").stderr.split())
