"""What is said of jobs: events for who listens, lines of the log for who reads it; neither is made for nobody."""

from __future__ import annotations

import logging

from ..errors import MusicError
from ..events import Event, Events, JobChanged, JobStreaming, logger
from .work import Work


class Reports:
    """Says what becomes of the jobs of one session."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def entered(self, work: Work) -> None:
        """Say at once that a job is new."""
        self._log(work)
        if self._events.listeners(JobChanged):
            self._events.emit(JobChanged(work.job, work.state))

    def changed(self, work: Work, said: list[Event]) -> None:
        """Say that a job has a new state, once all is done that follows from it."""
        self._log(work)
        if self._events.listeners(JobChanged):
            said.append(JobChanged(work.job, work.state))

    def streams(self, work: Work, said: list[Event]) -> None:
        """Say that a song can be heard."""
        said.append(JobStreaming(work.job, work.streaming_url or ""))

    def emit(self, said: list[Event]) -> None:
        """Call who listens."""
        for event in said:
            self._events.emit(event)

    def _log(self, work: Work) -> None:
        if logger.isEnabledFor(logging.INFO):
            task = f", task {work.task_id!r}" if work.task_id else ""
            why = f": {work.error}" if work.error is not None else ""
            logger.info("job %r (%s) is %s%s%s", work.key, work.operation.operation, work.state.value, task, why)


def broken(work: Work, error: Exception) -> MusicError:
    """Return the error with which a mistake of ours ends a job."""
    said = MusicError(f"{work.key}: the session broke: {error!r}")
    said.__cause__ = error
    return said
