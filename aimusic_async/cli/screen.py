"""`Screen`: results on stdout, everything else on stderr, one JSON object a line when that is asked for."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..errors import (
    AuthenticationError,
    InsufficientCredits,
    JournalError,
    MusicError,
    NotFound,
    SubmissionUnknown,
    SubscriptionRequired,
)
from ..events import JobState, logger
from .show import safe

if TYPE_CHECKING:
    from ..jobs.job import Job

_HINTS: Mapping[type[BaseException], str] = {
    AuthenticationError: "`aimusic config` shows where the key comes from",
    InsufficientCredits: "`aimusic credits` shows what is left",
    SubscriptionRequired: "take one on the service's site",
    JournalError: "see --journal",
}
_SETTLE = "then `aimusic settle` it, with --task-id ID or --not-taken"
_OWN_SANDBOX = (
    "this sandbox is new and ends with the command; for several commands on one, start `aimusic sandbox` "
    "in another terminal"
)


class Screen:
    """Where a command prints. `jobs` are those that an interrupted command has to account for."""

    def __init__(
        self, *, as_json: bool = False, quiet: bool = False, debug: bool = False, sandbox: bool = False
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.debug = debug
        self.sandbox = sandbox
        self.speed: float = 1.0
        """The service's seconds in one real second."""
        self.has_journal: bool = False
        self.jobs: list[Job[Any]] = []
        self.again: str = ""
        """How to send the jobs that an interrupted command has not sent yet."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a song may be in letters that the encoding lacks
        self.out: Console = Console(highlight=False, markup=False, emoji=False)
        self.err: Console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        if self.out.is_terminal and self.err.is_terminal:
            self.err = self.out  # so that lines are printed above a live table, not into it

    # --- printing ----------------------------------------------------------------------------------------------------

    def say(self, text: str, style: str = "") -> None:
        """Print a line of a result; the text must be safe already."""
        self.out.print(text, style=style or None, soft_wrap=True)

    def row(self, data: Mapping[str, Any]) -> None:
        """Print one JSON object as a line; in ASCII, which every terminal and encoding can show."""
        self.out.print(json.dumps(data), soft_wrap=True)

    def note(self, text: str) -> None:
        """Print what is worth knowing but is no result."""
        if not self.quiet:
            self.err.print(safe(text), style="dim", soft_wrap=True)

    def error(self, text: str) -> None:
        """Print an error as one line."""
        self.err.print(f"aimusic: {safe(text)}", soft_wrap=True)

    def fault(self, error: BaseException) -> None:
        """Print an error with what to do about it."""
        self.error(f"{describe_error(error)}{self._hint(error)}")
        if self.debug:
            import traceback  # noqa: PLC0415 - for those who ask for it

            self.err.print("".join(traceback.format_exception(error)), soft_wrap=True)

    def _hint(self, error: BaseException) -> str:
        hint = next((hint for kind, hint in _HINTS.items() if isinstance(error, kind)), "")
        if isinstance(error, SubmissionUnknown) and self.has_journal and not self.sandbox:
            hint = _SETTLE
        if isinstance(error, NotFound) and self.sandbox:
            hint = _OWN_SANDBOX
        return f"; {hint}" if hint else ""

    # --- after an interruption ---------------------------------------------------------------------------------------

    def outlook(self) -> str:
        """Say what becomes of the jobs of an interrupted command, and how to go on."""
        parts: list[str] = []
        going = [job for job in self.jobs if job.state in (JobState.SUBMITTED, JobState.DETACHED)]
        if going:
            ids = ", ".join(str(job.task_id or job.key) for job in going[:3]) + (", …" if len(going) > 3 else "")
            name = f"`aimusic attach {going[0].operation.operation} {going[0].task_id}`"
            goes_on = "`aimusic resume`" if self.has_journal else name
            parts.append(f"the service goes on with {_count(going)} ({ids}): {goes_on} waits for what comes")
        if unknown := [job for job in self.jobs if job.state is JobState.UNKNOWN]:
            parts.append(f"{_count(unknown)} may have been taken: check before you pay twice")
        if unsent := [job for job in self.jobs if job.state is JobState.CANCELLED]:
            again = f": {self.again}" if self.again else ""
            parts.append(f"{_count(unsent)} not sent, at no cost{again}")
        return "".join(f"; {part}" for part in parts)

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Print what the library logs, for as long as the block lasts."""
        handler = _Lines(self)
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if self.debug else logging.ERROR if self.quiet else logging.WARNING)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


class _Lines(logging.Handler):
    """Prints log records as lines on a screen."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record, unless the command itself reports the same."""
        if record.funcName != "warn_of_unfinished" or not self._screen.jobs:
            self._screen.error(record.getMessage())


def describe_error(error: BaseException) -> str:
    """Return an error's message for a user."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, MusicError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is missing: pip install 'aimusic-async[all]'"
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


def _count(jobs: list[Job[Any]]) -> str:
    return "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
