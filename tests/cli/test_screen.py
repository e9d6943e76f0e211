"""The screen: what goes where, hints, the library's log, and what an interrupted command says."""

import logging

import pytest

from aimusic_async import JobState, sonic
from aimusic_async.cli.screen import Screen, describe_error
from aimusic_async.errors import JournalError, MusicError
from aimusic_async.jobs.job import Unfinished, warn_of_unfinished


class Job:
    def __init__(self, state, task_id=None):
        self.key, self.state, self.task_id, self.operation = "one", state, task_id, sonic.CreateMusic


def test_results_go_to_stdout_everything_else_to_stderr(capsys):
    screen = Screen()
    screen.say("[bold]a result[/] :smile:")
    screen.row({"title": "Über\x1b\x9b"})
    screen.note("a note")
    screen.error("an\nerror\x1b[2J")
    out, err = capsys.readouterr()
    assert out == '[bold]a result[/] :smile:\n{"title": "\\u00dcber\\u001b\\u009b"}\n'
    assert err == "a note\naimusic: an error[2J\n"


def test_quiet_leaves_results_and_errors(capsys):
    screen = Screen(quiet=True)
    screen.say("a result")
    screen.note("a note")
    screen.error("an error")
    assert capsys.readouterr() == ("a result\n", "aimusic: an error\n")


def test_a_line_is_as_long_as_it_is(capsys):
    Screen().row({"text": "x" * 5000})
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(("quiet", "expected"), [(False, "aimusic: take care of this\n"), (True, "")])
def test_what_the_library_logs_is_a_line(capsys, quiet, expected):
    log = logging.getLogger("aimusic_async")
    with Screen(quiet=quiet).logging():
        log.info("nothing to see")
        log.warning("take care\nof %s", "this\x1b")
    assert capsys.readouterr().err == expected
    assert log.level == logging.NOTSET


def test_errors_are_described_and_with_what_to_do(capsys):
    Screen().fault(JournalError("the disk is full"))
    assert capsys.readouterr().err == "aimusic: the disk is full; see --journal\n"
    assert describe_error(MusicError("words")) == "words"
    assert describe_error(FileNotFoundError(2, "No such file", "x.txt")) == "No such file: x.txt"
    assert describe_error(KeyError("x")) == "unexpected KeyError: 'x' (--debug shows where)"
    assert (
        describe_error(ModuleNotFoundError(name="platformdirs"))
        == "platformdirs is missing: pip install 'aimusic-async[all]'"
    )


def test_an_interrupted_command_says_how_to_go_on():
    screen = Screen()
    assert screen.outlook() == ""
    screen.jobs = [Job(JobState.DETACHED, f"t{number}") for number in range(5)]
    assert screen.outlook() == (
        "; the service goes on with 5 jobs (t0, t1, t2, …): `aimusic attach sonic.create_music t0` waits for what comes"
    )
    screen.has_journal = True
    assert "`aimusic resume` waits for what comes" in screen.outlook()
    screen.jobs = [Job(JobState.UNKNOWN), Job(JobState.CANCELLED), Job(JobState.SUCCEEDED, "t")]
    screen.again = "`aimusic resume` sends them"
    assert screen.outlook() == (
        "; 1 job may have been taken: check before you pay twice"
        "; 1 job not sent, at no cost: `aimusic resume` sends them"
    )


def test_the_library_s_warning_of_unfinished_jobs_is_not_repeated_after_the_command_s_own_line(capsys):
    job = Job(JobState.DETACHED, "t-1")
    screen = Screen()
    with screen.logging():
        warn_of_unfinished("the session was closed", Unfinished([job]))
        assert "t-1" in capsys.readouterr().err
        screen.jobs.append(job)
        warn_of_unfinished("the session was closed", Unfinished([job]))
    assert capsys.readouterr().err == ""
