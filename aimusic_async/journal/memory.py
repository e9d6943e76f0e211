"""The journal in memory: for tests, and where nothing has to outlive the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

from .budget import Ledger
from .protocol import VERSION, Outcome, Wanted
from .record import ENDED, JobRecord
from .steps import Enter, Moment, Step, apply


class MemoryJournal:
    """A `JobJournal` that lives as long as the object; several sessions of one process may share it.

    `clock` gives the time of records, in Unix seconds; `steady`, a clock that is never set, the age of leases: by
    default the event loop's, so it works with the virtual time of a test. Whatever is asked for is carried out, also
    when the call is cancelled.
    """

    version = VERSION

    def __init__(self, *, clock: Callable[[], float] = time.time, steady: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._steady = steady or (lambda: asyncio.get_running_loop().time())
        self._records: dict[str, JobRecord] = {}
        self._ids: dict[tuple[str, str, str], str] = {}
        self._ledgers: dict[tuple[str, str], Ledger] = {}
        self._owners: dict[str, tuple[str, float]] = {}
        self._texts: dict[tuple[str, str], str] = {}
        self._sequence = 0

    async def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `JobJournal.apply`."""
        outcomes = [self._apply(step) for step in steps]
        await _others_run()
        return outcomes

    def _apply(self, step: Step) -> Outcome:
        step_id = step.id
        if isinstance(step, Enter):
            step_id = self._ids.get(_identity(step.record), step_id)
        before = self._records.get(step_id)
        account = before.account if before is not None else ""
        moment = Moment(
            now=self._clock(),
            silence=self._silence,
            ledger=lambda scope: self._ledgers.get((account, scope), Ledger()),
        )
        if before is None and isinstance(step, Enter):
            account = step.record.account
        change = apply(step, before, moment, sequence=self._sequence + 1)
        if change is None:
            return Outcome(before, changed=False)
        self._sequence += 1
        if change.record is not None:
            self._records[step_id] = change.record
            self._ids[_identity(change.record)] = step_id
        elif before is not None:
            self._remove(before)
        for scope, ledger in change.ledgers.items():
            self._ledgers[account, scope] = ledger
        return Outcome(change.record, changed=True)

    def _remove(self, record: JobRecord) -> None:
        del self._records[record.id]
        del self._ids[_identity(record)]

    def _silence(self, owner: str) -> float:
        """Return the silence of an owner: none when it was heard on a clock that was ahead of this one."""
        _, heard = self._owners.get(owner, ("", float("-inf")))
        return max(self._steady() - heard, 0.0)

    async def find(self, account: str, **wanted: Unpack[Wanted]) -> Sequence[JobRecord]:
        """See `JobJournal.find`."""
        after = wanted.get("after")
        found = [record for record in self._records.values() if record.account == account and _fits(record, wanted)]
        found.sort(key=lambda record: record.created if after is None else record.sequence)
        await _others_run()
        return found[: wanted.get("limit")]

    async def ledgers(self, account: str) -> Mapping[str, Ledger]:
        """See `JobJournal.ledgers`."""
        await _others_run()
        return {scope: ledger for (whose, scope), ledger in self._ledgers.items() if whose == account}

    async def latest(self) -> int:
        """See `JobJournal.latest`."""
        await _others_run()
        return self._sequence

    async def prune(self, account: str, *, older_than: float) -> int:
        """See `JobJournal.prune`."""
        before = self._clock() - older_than
        old = [
            record
            for record in self._records.values()
            if record.account == account and record.state in ENDED and record.updated < before
        ]
        for record in old:
            self._remove(record)
        await _others_run()
        return len(old)

    async def beat(self, owner: str, account: str, *, alive: bool = True) -> None:
        """See `JobJournal.beat`."""
        self._owners[owner] = (account, self._steady())
        if not alive:
            del self._owners[owner]
        await _others_run()

    async def owners(self, account: str) -> Mapping[str, float]:
        """See `JobJournal.owners`."""
        await _others_run()
        return {owner: self._silence(owner) for owner, (whose, _) in self._owners.items() if whose == account}

    async def save(self, account: str, name: str, text: str) -> None:
        """See `JobJournal.save`."""
        self._texts[account, name] = text
        await _others_run()

    async def load(self, account: str, name: str) -> str | None:
        """See `JobJournal.load`."""
        await _others_run()
        return self._texts.get((account, name))


def _fits(record: JobRecord, wanted: Wanted) -> bool:
    states, after = wanted.get("states"), wanted.get("after")
    same = all(wanted.get(name) in (None, getattr(record, name)) for name in ("group", "key", "task_id"))
    return same and (states is None or record.state in states) and (after is None or record.sequence > after)


def _identity(record: JobRecord) -> tuple[str, str, str]:
    return record.account, record.group, record.key


async def _others_run() -> None:
    """Let others run, as they do while a real journal works: what relies on being undisturbed is to show in tests."""
    await asyncio.sleep(0)
