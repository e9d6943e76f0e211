"""Exit codes: which error ends with which, and that help lists them all."""

import pytest

from aimusic_async import errors
from aimusic_async.cli.exits import Exit, exit_of, exit_of_all

from .conftest import plain, run


class Job:
    key, task_id, credits = "one", "t", 10


UNKNOWN = errors.SubmissionUnknown(Job(), "no answer")
FAILED = errors.JobFailed(Job(), "bad luck")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UNKNOWN, 3),
        (FAILED, 1),
        (errors.JobTimeout(Job()), 1),
        (errors.BudgetExceeded(Job()), 1),
        (errors.NotSent("no connection"), 1),
        (errors.JournalError("full"), 1),
        (OSError("full"), 1),
        (errors.ConfigurationError("no key"), 2),
        (errors.InvalidRequest("title", "is bad", "x"), 2),
        (errors.KeyConflict(Job(), "this", "that"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_error_has_its_code(error, code):
    assert exit_of(error) == code


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [([], 0), ([None, None], 0), ([None, FAILED], 1), ([FAILED, UNKNOWN, None], 3), ([None, KeyError()], 1)],
)
def test_of_many_the_most_important_counts(outcomes, code):
    assert exit_of_all(outcomes) == code


def test_help_tells_every_code():
    text = plain(run("--help").output)
    assert all(f"{code.value} {code.meaning}" in text for code in Exit)
