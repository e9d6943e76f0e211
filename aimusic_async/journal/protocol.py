"""`JobJournal`: the interface that every journal implements, be it memory, a SQLite file or a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypedDict, Unpack

import attrs

from ..errors import JournalError
from ..events import JobState
from .budget import Ledger
from .record import JobRecord
from .steps import Step

VERSION = 2
"""Of this interface: `JobJournal.version` of a journal that was written for it."""


@attrs.frozen
class Outcome:
    """What a step came to."""

    record: JobRecord | None
    """The record after it; None when there is none."""
    changed: bool
    """Whether the step changed anything: of several processes that try the same, one succeeds."""
    error: JournalError | None = None
    """Why this one step could not be stored; the others of the same call were."""


class Wanted(TypedDict, total=False):
    """Which records `JobJournal.find` is to return; None is like nothing."""

    group: str | None
    states: Collection[JobState] | None
    key: str | None
    task_id: str | None
    after: int | None
    """Only what changed after the change of that number (`JobRecord.sequence`), in the order of changes."""
    limit: int | None
    """How many at most."""


class JobJournal(Protocol):
    """Keeps the records of jobs, for one process or for many. Write your own to keep them elsewhere.

    Whatever cannot be done raises `JournalError`; one that is not `passing` ends the jobs that it concerns, any other
    holds them until the journal works again. Cancelling a call leaves open whether it was carried out, and so may an
    error: every step may be applied again.
    """

    @property
    def version(self) -> int:
        """For which version of this interface it was written: 2."""
        ...

    async def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """Carry out steps in order, each one atomic; all are durable (synced) when this returns.

        For each step: find its record (`Enter`: by account, group and key; else by id), call `steps.apply` with the
        next number of a sequence that never goes back, and keep the record and the ledgers that it returns in one act.
        """
        ...

    async def find(self, account: str, **wanted: Unpack[Wanted]) -> Sequence[JobRecord]:
        """Return the records of an account that fit all that is given, the oldest first.

        A record that this version cannot read is left out, with a warning.
        """
        ...

    async def ledgers(self, account: str) -> Mapping[str, Ledger]:
        """Return what each scope has committed, by its name."""
        ...

    async def latest(self) -> int:
        """Return the number of the latest change, 0 when there is none."""
        ...

    async def prune(self, account: str, *, older_than: float) -> int:
        """Remove what ended (`ENDED`) more than so many seconds ago; return how many records that were.

        The ledgers stay as they are.
        """
        ...

    async def beat(self, owner: str, account: str, *, alive: bool = True) -> None:
        """Say that an owner lives; with `alive=False` that it has ended."""
        ...

    async def owners(self, account: str) -> Mapping[str, float]:
        """Return for how many seconds each owner was not heard of; those that have ended are left out.

        Measured by a clock that is never set: of the machine or of the server, not of the wall.
        """
        ...

    async def save(self, account: str, name: str, text: str) -> None:
        """Keep a text under a name; for what a session learned."""
        ...

    async def load(self, account: str, name: str) -> str | None:
        """Return the text of that name, None when there is none."""
        ...
