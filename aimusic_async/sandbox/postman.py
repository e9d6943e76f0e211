"""Delivers webhooks to their addresses when they are due, and again when they were not accepted."""

import asyncio
import time
from collections.abc import Mapping

import aiohttp
import anyio
from attrs import define, field
from yarl import URL

from aimusic_async.sandbox.books import Delivery
from aimusic_async.sandbox.desk import Viewer, Visit, World
from aimusic_async.sandbox.fetch import is_loopback
from aimusic_async.sandbox.tasks import Family, Task
from aimusic_async.sandbox.webhooks import Errand, Notice, content, errands, headers

HANDS = 64
"""How many deliveries are under way at once; the patience with a receiver begins when there is a hand for it."""
LEAST_PATIENCE = 1.0
"""Real seconds that a receiver always has to answer: a network is no faster in a sandbox that is."""
ELSEWHERE = "not on this machine"


@define(eq=False)
class Postman:
    """Everything that is still to be delivered: one sleeping task for each errand."""

    world: World
    http: aiohttp.ClientSession
    views: Mapping[Family, Viewer]
    """How each family shows its tasks."""
    _announced: asyncio.Queue[Errand] = field(init=False, factory=asyncio.Queue)
    _hands: anyio.CapacityLimiter = field(init=False, factory=lambda: anyio.CapacityLimiter(HANDS))

    def announce(self, visit: Visit, task: Task) -> None:
        """Schedule the notices of a task that is being accepted."""
        for errand in errands(visit, task):
            self._announced.put_nowait(errand)

    async def run(self) -> None:
        """Deliver until cancelled; that breaks off what is under way and drops what is still to come."""
        async with anyio.create_task_group() as group:
            while True:
                group.start_soon(self._run_errand, await self._announced.get())

    async def _run_errand(self, errand: Errand) -> None:
        loop = self.world.loop
        for notice in errand:
            # Never early, not by a tick: the task must be finished for a client that polls it on hearing that it is.
            while (wait := notice.due - loop.time()) > 0:  # noqa: ASYNC110  # timers fire a tick early, so check again
                await anyio.sleep(max(wait, 0.001))
            await self._deliver(notice)

    async def _deliver(self, notice: Notice) -> None:
        if notice.lost:
            self._write_down(notice)
            return
        if not (self.world.options.webhook_any_host or is_loopback(URL(notice.url))):
            self._write_down(notice).error = ELSEWHERE
            return
        body = content(self.world, self.views[notice.task.family], notice)
        async with anyio.create_task_group() as copies:
            copies.start_soon(self._carry, notice, body, False)  # noqa: FBT003  # start_soon takes no keywords
            if notice.doubled:
                copies.start_soon(self._carry, notice, body, True)  # noqa: FBT003  # likewise

    async def _carry(self, notice: Notice, body: bytes, doubled: bool) -> None:  # noqa: FBT001  # likewise
        options = self.world.options
        for attempt, wait in enumerate((0.0, *options.webhook_retries), start=1):
            await anyio.sleep(wait / options.speed)
            async with self._hands:
                entry = self._write_down(notice, attempt=attempt, doubled=doubled)
                await self._post(notice, body, entry)
            if entry.taken:
                return

    async def _post(self, notice: Notice, body: bytes, entry: Delivery) -> None:
        options = self.world.options
        # The receiver compares the time with its own clock: the wall's, however fast or virtual the loop's is.
        head = headers(notice, body, time.time(), legacy=options.webhook_legacy_signature)
        try:
            with anyio.fail_after(max(options.webhook_timeout / options.speed, LEAST_PATIENCE)):
                async with self.http.post(notice.url, data=body, headers=head, allow_redirects=False) as answer:
                    entry.status = answer.status
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a host that no resolver can spell
            entry.error = type(error).__name__

    def _write_down(self, notice: Notice, *, attempt: int = 0, doubled: bool = False) -> Delivery:
        url = URL(notice.url)
        entry = Delivery(
            event=notice.event,
            event_id=notice.id,
            task_id=notice.task.id,
            url=str(url.with_user(None).with_query(None).with_fragment(None)),
            at=self.world.now(),
            attempt=attempt,
            doubled=doubled,
            lost=notice.lost,
        )
        self.world.books.deliveries.append(entry)
        return entry
