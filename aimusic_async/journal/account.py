"""`AccountJournal`: what a user sees of the journal, the records of one account."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from ..errors import ConfigurationError
from ..events import JobState, logger
from .protocol import JobJournal
from .record import JobRecord, group_scope
from .steps import Settled


@asynccontextmanager
async def open_file(path: str | os.PathLike[str], account: str, key_hash: str) -> AsyncIterator[JobJournal]:
    """Open the journal in a file, whose jobs are kept by the account's name; earlier versions kept them by its key."""
    from .sqlite import SqliteJournal  # noqa: PLC0415 - who keeps jobs elsewhere loads no SQLite

    async with SqliteJournal(path) as journal:
        for warning in await journal.migrate_accounts(account, key_hash):
            logger.warning("%s", warning)
        yield journal


class AccountJournal:
    """The jobs of one account that a journal knows, of this process and of others: `music.journal`."""

    def __init__(self, journal: JobJournal, account: str, written: Callable[[], Awaitable[None]]) -> None:
        self._journal = journal
        self._account = account
        self._written = written  # waits until what happened in this session so far is in the journal

    async def jobs(
        self,
        *,
        group: str | None = None,
        state: JobState | str | Iterable[JobState | str] | None = None,
        task_id: str | None = None,
        limit: int | None = None,
    ) -> Sequence[JobRecord]:
        """Return the records that fit all that is given, the oldest first.

        `group=""`: those outside of named groups. `state`: one or several, such as `"unknown"`. Raises
        `ConfigurationError` for a state that is none, `JournalError` when the journal cannot be read.
        """
        words = [state] if isinstance(state, str) else state
        states = None if words is None else {_state(word) for word in words}
        await self._written()
        return await self._journal.find(self._account, group=group, states=states, task_id=task_id, limit=limit)

    async def job(self, key: str, *, group: str = "") -> JobRecord | None:
        """Return the record of the job of that key, None when there is none."""
        await self._written()
        found = await self._journal.find(self._account, group=group, key=key, limit=1)
        return found[0] if found else None

    async def budgets(self) -> Mapping[str, int]:
        """Return the budget that was named last for each named group, in credits; a group without one is left out."""
        await self._written()
        ledgers = await self._journal.ledgers(self._account)
        named = {scope.removeprefix(group_scope("")): ledger.limit for scope, ledger in ledgers.items()}
        return {group: limit for group, limit in named.items() if limit is not None}

    async def settle(self, key: str, *, group: str = "", task_id: str | None = None) -> JobRecord:
        """Say what became of an `unknown` job, after you checked the service's dashboard.

        `task_id`: the service has it under this id; it is watched when it is submitted again, at no cost. None: the
        service did not take it; it is sent when it is submitted again. A `submitted` job whose task the service knows
        no more can be settled without a `task_id`: it has failed then, its credits count as spent, and it is sent again
        with `resend_failed=True`. Returns its record. Raises `ConfigurationError` when the journal has no job of that
        key, or knows what became of it.
        """
        record = await self.job(key, group=group)
        step = None if record is None else Settled(record.id, record.attempts, task_id)
        (outcome,) = await self._journal.apply([step]) if step is not None else (None,)
        if outcome is not None and outcome.changed and outcome.record is not None:
            return outcome.record
        if record is not None and record.state is JobState.SUBMITTED and record.owner is not None:
            raise ConfigurationError(f"a living session watches the task of {key!r}: wait for it, or end that session")
        raise ConfigurationError(
            f"the journal has no unknown job with the key {key!r} in the group {group!r}, nor one to give up"
        )

    async def prune(self, older_than: timedelta | float = timedelta(days=30)) -> int:
        """Remove jobs that ended longer ago than `older_than` (a timedelta, or seconds); return how many.

        What is queued, runs or is unknown stays, however old.
        """
        seconds = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
        await self._written()
        return await self._journal.prune(self._account, older_than=seconds)


def _state(word: JobState | str) -> JobState:
    try:
        return JobState(word)
    except ValueError:
        raise ConfigurationError(f"state must be one of {', '.join(JobState)}; got {word!r}") from None
