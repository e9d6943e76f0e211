"""`AccountJournal`: what a user sees of the journal, the records of one account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta

from ..errors import ConfigurationError
from ..events import JobState
from .protocol import JobJournal
from .record import JobRecord
from .steps import Accepted, Finished, Refused, Step


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

    async def settle(self, key: str, *, group: str = "", task_id: str | None = None) -> JobRecord:
        """Say what became of an `unknown` job, after you looked at the service's dashboard.

        `task_id`: the service has it under this id; it is watched when it is submitted again, at no cost. None: the
        service did not take it; it is sent when it is submitted again. A `submitted` job whose task the service knows
        no more can be settled without a `task_id`: it has failed then, its credits count as spent, and it is made anew
        with `resend_failed=True`. Returns its record. Raises `ConfigurationError` when the journal has no job of that
        key, or knows what became of it.
        """
        record = await self.job(key, group=group)
        step: Step | None = None
        if record is not None and record.state is JobState.UNKNOWN:
            if task_id is not None:
                step = Accepted(record.id, task_id)
            else:
                step = Refused(record.id, "", "settled by hand: it was not taken", left=True)
        elif record is not None and record.state is JobState.SUBMITTED and task_id is None:
            gone = "settled by hand: the service knows its task no more"
            step = Finished(record.id, None, gone, refunded=False, task_id=record.task_id)
        (outcome,) = await self._journal.apply([step]) if step is not None else (None,)
        if outcome is None or not outcome.changed or outcome.record is None:
            raise ConfigurationError(
                f"the journal has no unknown job with the key {key!r} in the group {group!r}, nor one to give up"
            )
        return outcome.record

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
