"""The journal in memory: for tests, and where nothing has to outlive the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from ..events import JobState
from .protocol import Outcome
from .record import ENDED, JobRecord
from .steps import Step


class MemoryJournal:
    """A `JobJournal` that lives as long as the object; several sessions of one process may share it.

    `clock` tells the time in seconds. No thread is used, so it can be the virtual clock of a test's event loop.
    Whatever is asked for is carried out, also when the call is cancelled.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._records: dict[str, JobRecord] = {}
        self._owners: dict[str, float] = {}
        self._texts: dict[tuple[str, str], str] = {}

    async def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `JobJournal.apply`."""
        now = self._clock()
        outcomes: list[Outcome] = []
        for step in steps:
            before = self._records.get(step.id)
            after = step.after(before, now=now, alive=lambda owner: self._owners.get(owner, now) > now)
            if after is None:
                self._records.pop(step.id, None)
            else:
                self._records[step.id] = after
            outcomes.append(Outcome(after, changed=after is not before))
        await _others_run()
        return outcomes

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
        """See `JobJournal.find`."""
        found = [
            record
            for record in self._records.values()
            if record.account == account
            and (group is None or record.group == group)
            and (states is None or record.state in states)
            and (key is None or record.key == key)
            and (task_id is None or record.task_id == task_id)
            and (changed_since is None or record.updated >= changed_since)
        ]
        found.sort(key=lambda record: record.created)
        await _others_run()
        return found[:limit]

    async def prune(self, account: str, *, older_than: float) -> int:
        """See `JobJournal.prune`."""
        before = self._clock() - older_than
        old = [
            record.id
            for record in self._records.values()
            if record.account == account and record.state in ENDED and record.updated < before
        ]
        for one in old:
            del self._records[one]
        await _others_run()
        return len(old)

    async def lease(self, owner: str, seconds: float) -> None:
        """See `JobJournal.lease`."""
        self._owners[owner] = self._clock() + seconds
        await _others_run()

    async def save(self, account: str, name: str, text: str) -> None:
        """See `JobJournal.save`."""
        self._texts[account, name] = text
        await _others_run()

    async def load(self, account: str, name: str) -> str | None:
        """See `JobJournal.load`."""
        await _others_run()
        return self._texts.get((account, name))


async def _others_run() -> None:
    """Let others run, as they do while a real journal works: what relies on being undisturbed is to show in tests."""
    await asyncio.sleep(0)
