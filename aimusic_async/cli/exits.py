"""Exit codes: how a command of `aimusic` reports its outcome to a script."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Self

from ..errors import ConfigurationError, InvalidRequest, KeyConflict, SubmissionUnknown


class Exit(IntEnum):
    """What a command ends with; `meaning` is for help and README."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a member of a code and what it means."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    DONE = 0, "all done"
    FAILED = 1, "some failed"
    USAGE = 2, "wrong usage or a faulty manifest, nothing was sent"
    UNKNOWN = 3, "the outcome of a submission is unknown: check before you pay twice"
    INTERRUPTED = 130, "interrupted by Ctrl-C"
    TERMINATED = 143, "terminated by SIGTERM"


def exit_of(error: BaseException) -> Exit:
    """Return the code for an error that ended a command."""
    match error:
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case SubmissionUnknown():
            return Exit.UNKNOWN
        case ConfigurationError() | InvalidRequest() | KeyConflict():
            return Exit.USAGE
        case _:
            return Exit.FAILED


def exit_of_all(errors: Iterable[BaseException | None]) -> Exit:
    """Return the code for the outcomes of many jobs, None for each that was done."""
    codes = {Exit.DONE if error is None else exit_of(error) for error in errors} - {Exit.DONE}
    if not codes:
        return Exit.DONE
    return Exit.UNKNOWN if Exit.UNKNOWN in codes else Exit.FAILED
