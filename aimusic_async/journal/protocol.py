"""`JobJournal`: the interface that every journal implements, be it memory, a SQLite file or a server."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import attrs

from ..events import JobState
from .record import JobRecord
from .steps import Step


@attrs.frozen
class Outcome:
    """What a step came to."""

    record: JobRecord | None
    """The record after it; None when there is none."""
    changed: bool
    """Whether the step changed anything: of several processes that try the same, one succeeds."""


class JobJournal(Protocol):
    """Keeps the records of jobs, for one process or for many. Write your own to keep them elsewhere.

    Whatever cannot be done raises `JournalError`. Cancelling a call leaves open whether it was carried out.
    """

    async def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """Carry out steps in order, each one atomic; all are durable (synced) when this returns."""
        ...

    async def find(
        self,
        account: str,
        *,
        group: str | None = None,
        states: Collection[JobState] | None = None,
        key: str | None = None,
        task_id: str | None = None,
        changed_since: float | None = None,
        limit: int | None = None,
    ) -> Sequence[JobRecord]:
        """Return the records of an account that fit all that is given, the oldest first.

        `changed_since`: a time on the journal's clock, as in `JobRecord.updated`.
        """
        ...

    async def prune(self, account: str, *, older_than: float) -> int:
        """Remove what ended (`ENDED`) more than so many seconds ago; return how many records that were."""
        ...

    async def lease(self, owner: str, seconds: float) -> None:
        """Say that an owner lives, and will say so again within so many seconds; 0: it has ended."""
        ...

    async def save(self, account: str, name: str, text: str) -> None:
        """Keep a text under a name; for what a session learned."""
        ...

    async def load(self, account: str, name: str) -> str | None:
        """Return the text of that name, None when there is none."""
        ...
