"""A session's link to its journal: the write queue, the sign of life, what others changed, what was learned."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import anyio

from ..errors import ConfigurationError, JournalError, one_line
from ..events import logger
from ..journal.leases import HEARTBEAT, LEASE, key_of, owner_name
from ..journal.protocol import VERSION, JobJournal
from ..journal.record import JobRecord, key_hash
from ..journal.steps import Accepted
from ..journal.writer import WriteQueue
from ..scheduling.durations import Durations
from .work import Work

_LISTEN = 1.0
"""Seconds between two queries for what others changed. They cost no token."""
_AT_ONCE = 500
_LEARNED = "durations"
_KEY = "key"
_SAVE_AFTER = 10
"""Finished jobs after which what was learned is saved."""
_STORED_WITHIN = 5.0
"""Seconds that the door of a webhook waits for the journal."""
_WRITTEN_WITHIN = 20.0
"""Seconds that a question to the journal waits for what is being stored: longer than one that waits for a lock."""
_FLUSH_WITHIN = 10.0
"""Seconds that closing waits for a journal that hangs."""


class JournalLink:
    """What ties one session to a journal. `run` works until cancelled."""

    def __init__(self, journal: JobJournal, account: str, api_key: str) -> None:
        self.journal: JobJournal = journal
        self.account: str = account
        self.queue: WriteQueue = WriteQueue(journal)
        self._key = key_hash(api_key)
        self.owner: str = owner_name(self._key)
        self.durations: Durations = Durations()
        self.finished: int = 0
        """Jobs that finished since what was learned was saved last."""
        self._heard = 0  # number of the latest change that is known here

    async def open(self) -> None:
        """Say that this session lives, and restore what earlier ones learned.

        Raises `JournalError`; `ConfigurationError` when a living session of the account has another key.
        """
        version = getattr(self.journal, "version", None)
        if (isinstance(version, int) and version != VERSION) or not hasattr(self.journal, "beat"):
            raise ConfigurationError(
                f"the journal {type(self.journal).__name__} was not written for version {VERSION} of JobJournal; "
                "the changelog says what such a journal must do"
            )
        if hasattr(type(self.journal), "migrate_accounts"):  # earlier versions kept jobs by the key
            for warning in await self.journal.migrate_accounts(self.account, self._key):  # type: ignore[attr-defined]
                logger.warning("%s", warning)
        await self._check_key()
        await self.journal.beat(self.owner, self.account)
        self._heard = await self.journal.latest()
        if text := await self.journal.load(self.account, _LEARNED):
            try:
                self.durations = Durations.from_plain(json.loads(text))
            except (ValueError, TypeError, KeyError, AttributeError) as error:  # another version's; it is learned again
                logger.warning("what was learned about durations cannot be read: %r", error)

    async def _check_key(self) -> None:
        living = await self.journal.owners(self.account)
        name = self.account.partition("@")[0]
        if any(silence <= LEASE and key_of(owner) not in (None, self._key) for owner, silence in living.items()):
            raise ConfigurationError(
                f"a session with another API key is at work on the account {name!r} of this journal: end it first, or "
                "give this one's account a name of its own: MusicSession(account='…')"
            )
        known = await self.journal.load(self.account, _KEY)
        if known not in (None, self._key):
            logger.warning(
                "the journal's account %r was used with another API key: taken for a new key of the same account. "
                "If it is another account, give it a name of its own: MusicSession(account='…')",
                name,
            )
        if known != self._key:
            await self.journal.save(self.account, _KEY, self._key)

    async def look_up(self, work: Work) -> JobRecord | None:
        """Return the record of a job's task, once the journal answers, unless the job ends before."""
        while not work.done:
            try:
                found = await self.journal.find(self.account, task_id=work.task_id, limit=1)
            except Exception as error:  # noqa: BLE001 - a journal of the user's own may raise anything
                logger.warning("%s waits for the journal: %r", work.key, error)
                await anyio.sleep(_LISTEN)
            else:
                return found[0] if found else None
        return None

    async def stored(self, record_id: str) -> bool:
        """Wait until all that happened to a record is stored; return False when that takes too long."""
        with anyio.move_on_after(_STORED_WITHIN):
            await self.queue.stored(record_id)
            return True
        return False

    async def written(self) -> None:
        """Wait until the journal knows all that happened so far; raises `JournalError` when it does not answer."""
        with anyio.move_on_after(_WRITTEN_WITHIN):
            await self.queue.stored()
            return
        raise JournalError("the journal does not answer, so not all that happened is in it; try again later")

    async def run(self, listening: Callable[[], bool], on_change: Callable[[JobRecord], None]) -> None:
        """Store what is appended; while `listening`, call `on_change` with each record that was changed."""

        async def listen() -> None:
            if listening():
                await self._listen(on_change)
            if self.finished >= _SAVE_AFTER:
                await self._save_learned()

        async with anyio.create_task_group() as work:
            work.start_soon(self.queue.write)
            work.start_soon(_every, _LISTEN, listen)
            work.start_soon(_every, HEARTBEAT, self._beat)

    async def _listen(self, on_change: Callable[[JobRecord], None]) -> None:
        for record in await self.journal.find(self.account, after=self._heard, limit=_AT_ONCE):
            self._heard = record.sequence
            on_change(record)

    async def _beat(self) -> None:
        await self.journal.beat(self.owner, self.account)

    async def _save_learned(self) -> None:
        self.finished = 0
        await self.journal.save(self.account, _LEARNED, json.dumps(self.durations.to_plain()))

    async def close(self) -> None:
        """Store what is appended, and release the open records. Call it while `run` runs."""
        with anyio.move_on_after(_FLUSH_WITHIN, shield=True) as limit:
            await self.queue.stored()
            try:
                await self._save_learned()
                await self.journal.beat(self.owner, self.account, alive=False)
            except Exception as error:  # noqa: BLE001 - a journal of the user's own may raise anything
                logger.warning("the journal could not be closed well: %r", error)
        if limit.cancelled_caught or self.queue.steps():
            steps = self.queue.steps()
            # What must not be forgotten of them are the tasks that were paid for.
            tasks = (
                ", ".join(one_line(step.task_id) for step in steps if isinstance(step, Accepted))
                or "no new task among them"
            )
            logger.error("the journal does not answer: %d steps are not written down: %s", len(steps), tasks)


async def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    failing = False
    while True:
        await anyio.sleep(seconds)
        try:
            await act()
        except Exception as error:  # noqa: BLE001 - a journal of the user's own may raise anything
            if not failing:  # said once, until it works again
                logger.warning("the journal does not answer: %r", error)
            failing = True
        else:
            failing = False
