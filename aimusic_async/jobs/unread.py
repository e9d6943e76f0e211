"""Jobs that have ended and of which nobody has the result or the error yet: kept as texts, until somebody asks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import attrs

from ..errors import JobCancelled
from ..events import JobState, logger
from .work import Work

_ERRORS_KEPT = 1000
"""A program that fails for months and never asks why is not to fill the memory: then the oldest is logged at once."""
_NAMES_KEPT = 10_000


@attrs.frozen
class Ended:
    """What is to be said of one, when nobody asks."""

    state: JobState
    name: str
    """Of its task, else its key."""
    error: str | None = None


class Unread:
    """The ended jobs of one session whose result or error was not read, each under a number."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._paid: dict[int, Ended] = {}
        self._failed: dict[int, Ended] = {}
        self.unnamed: int = 0
        """Finished jobs that nobody has read, beside those of which the names are kept."""

    def note(self, work: Work) -> None:
        """Note a job that has just ended, unless there is nothing to tell."""
        if work.error is not None and not isinstance(work.error, JobCancelled):
            work.unread = number = next(self._numbers)
            self._failed[number] = Ended(work.state, work.task_id or work.key, str(work.error))
            if len(self._failed) > _ERRORS_KEPT:
                log_error(self._failed.pop(next(iter(self._failed))))
        elif (work.task_id or work.credits) and work.answer is None:  # what an earlier run saw end is in the journal
            work.unread = number = next(self._numbers)
            self._paid[number] = Ended(work.state, work.task_id or work.key)
            if len(self._paid) > _NAMES_KEPT:
                del self._paid[next(iter(self._paid))]
                self.unnamed += 1

    def read(self, work: Work) -> Ended | None:
        """Note that somebody has the result or the error; return what would have been said of it."""
        number, work.unread = work.unread, None
        if number is None:
            return None
        found = self._paid.pop(number, None) or self._failed.pop(number, None)
        self.unnamed -= found is None and work.error is None
        return found

    def take(self) -> Iterator[Ended]:
        """Return all that nobody has read, once."""
        paid, failed, self._paid, self._failed = self._paid, self._failed, {}, {}
        yield from paid.values()
        yield from failed.values()


def log_error(ended: Ended) -> None:
    """Log an error that nobody has read."""
    logger.error("nobody asked why a job ended: %s", ended.error)
