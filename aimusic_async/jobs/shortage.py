"""Too few credits: submits are held back, so that one refusal is enough, and go on when credits come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InsufficientCredits
from ..events import CreditsShort, Events, logger
from .job import Job
from .schedule import Kind, Schedule


class Shortage:
    """Holds the submits of one session while the account cannot pay for them.

    `kinds` are the jobs that have not ended; `sending` tells whether any of them is being sent.
    """

    def __init__(
        self,
        schedule: Schedule[Job[Any]],
        kinds: Mapping[Job[Any], Kind],
        events: Events,
        sending: Callable[[], bool],
    ) -> None:
        self._schedule = schedule
        self._kinds = kinds
        self._events = events
        self._sending = sending
        self._refusal: InsufficientCredits | None = None
        self._missing = 0  # credits that the refused job needs

    def refused(self, job: Job[Any], refusal: InsufficientCredits) -> None:
        """Hold all submits, as that of `job` was refused; it waits again with the others."""
        if self._refusal is None:
            self._schedule.submits_held = True
            waiting = self._waiting()
            logger.warning(
                "the account has too few credits: %d jobs, which cost %d, wait; what runs is watched on",
                len(waiting),
                _cost(waiting),
            )
            self._events.emit(CreditsShort(job, len(waiting), _cost(waiting)))
        self._refusal = refusal
        self._missing = _cost([job])

    def has(self, credits: int) -> None:  # noqa: A002 - the service's own word
        """Note that the account has so many credits."""
        if credits >= self._missing:
            self.over()

    def over(self) -> None:
        """Send submits again: credits came back."""
        self._refusal = None
        self._schedule.submits_held = False

    def give_up(self) -> None:
        """End the jobs that wait for credits, once nothing runs any more that could be refunded."""
        if self._refusal is None or self._schedule.watching or self._sending():
            return
        refusal, waiting = self._refusal, self._waiting()
        self.over()
        refusal.add_note(
            f"{len(waiting)} jobs, which cost {_cost(waiting)} credits, were not sent for want of them. Top the "
            "account up and submit them again; with a journal, just run the program again."
        )
        for job in waiting:
            if not job.done():
                self._schedule.drop(job)
                job._fail(refusal)

    def _waiting(self) -> list[Job[Any]]:
        return [job for job, kind in self._kinds.items() if kind is Kind.SUBMIT and self._schedule.is_queued(job)]


def _cost(jobs: list[Job[Any]]) -> int:
    return sum(job.request.cost for job in jobs if job.request is not None)
