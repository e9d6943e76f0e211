"""Too few credits: submits are held back, so that one refusal is enough, and go on when credits come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ..clock import Clock
from ..errors import InsufficientCredits
from ..events import CreditsShort, Events, logger
from ..scheduling.schedule import Kind, Schedule
from .job import Job

_TRY_AGAIN = 300.0
"""Seconds after which a submit is tried again: somebody may have topped the account up."""


class Shortage:
    """Holds the submits of one session while the account cannot pay for them.

    `kinds` are the jobs that have not ended; `sending` tells whether any of them is being sent; `wake` tells the
    dispatcher that submits are due again.
    """

    def __init__(
        self,
        schedule: Schedule[Job[Any]],
        kinds: Mapping[Job[Any], Kind],
        events: Events,
        clock: Clock,
        *,
        sending: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        self._schedule = schedule
        self._kinds = kinds
        self._events = events
        self._clock = clock
        self._sending = sending
        self._wake = wake
        self._refusal: InsufficientCredits | None = None
        self._missing = 0  # credits that the refused job needs
        self._trial: asyncio.TimerHandle | None = None

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
        if self._trial is None:
            self._trial = self._clock.call_later(_TRY_AGAIN, self.over)

    def paid(self, cost: int) -> None:
        """Note that the service took a job of that price."""
        if self._refusal is not None and cost >= self._missing:
            self.over()

    def has(self, credits: int) -> None:  # noqa: A002 - the service's own word
        """Note that the account has so many credits."""
        if self._refusal is not None and credits >= self._missing:
            self.over()

    def over(self) -> None:
        """Send submits again: credits came back, or it is time to try."""
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None
        self._refusal = None
        self._schedule.submits_held = False
        self._wake()

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
