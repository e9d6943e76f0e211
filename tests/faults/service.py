"""The service, in memory and with books: it refuses, loses answers, is slow, and reports by webhooks more than once."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from functools import cache
from typing import Any, Self

import attrs

from aimusic_async import webhooks
from aimusic_async.api.wire import Reply
from aimusic_async.errors import NotSent, TransportError

from .virtual import Process, now, outside, this_process

EPOCH = 1_800_000_000.0
"""What the journal's clock shows when a world begins, in Unix seconds."""
_REPLY_WITHIN = 60.0


@attrs.frozen
class Order:
    """What somebody wants made, once: a job's group and key."""

    group: str
    key: str

    def __str__(self) -> str:
        return f"{self.group}/{self.key}"

    @classmethod
    def of(cls, title: str) -> Order:
        """Read it out of a song's title, which may have an ending after `#`."""
        group, _, key = title.partition("#")[0].partition("/")
        return cls(group, key)


@attrs.define
class Task:
    """One song that the service took, and charged."""

    id: str
    order: Order
    cost: int
    at: float
    by: Process
    end: float
    """When it ends."""
    fate: str
    """`succeeds`, `fails` (and is refunded then) or `vanishes`: the service does not know it any more."""
    odd: str = ""
    """What is odd about the answer that shows its end."""

    def ended(self, moment: float) -> bool:
        """Whether it has ended by then."""
        return moment >= self.end

    def net(self, moment: float) -> int:
        """Return what was charged for it and not refunded by then."""
        return 0 if self.fate == "fails" and self.ended(moment) else self.cost


@attrs.frozen
class Climate:
    """How the service behaves: shares of the requests."""

    refuses: float = 0.0
    loses: float = 0.0
    offline: float = 0.0
    slow: float = 0.0
    fails: float = 0.0
    vanishes: float = 0.0
    odd: float = 0.0
    longest: float = 60.0
    """Seconds that a song takes at most."""


@attrs.define
class Arrival:
    """One request that came in."""

    at: float
    method: str
    by: Process
    order: Order | None = None
    fate: str = ""


def nested(depth: int) -> Any:
    """Return a value that is nested so deeply."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@cache
def _deepest() -> int:
    """Return how deep JSON may be nested so that it can be read just so, from about here."""
    readable, too_deep = 1, 100_000
    while too_deep - readable > 1:
        middle = (readable + too_deep) // 2
        try:
            json.loads("[" * middle + "]" * middle)
        except RecursionError:
            too_deep = middle
        else:
            readable = middle
    return readable


class Service:
    """Takes songs, refuses some, loses answers, is slow, and tells of their ends by webhooks, not always once."""

    def __init__(self, seed: int, climate: Climate, *, note: Callable[[str], None]) -> None:
        self.climate = climate
        self.tasks: dict[str, Task] = {}
        self.arrivals: list[Arrival] = []
        self.charged: list[Callable[[Task], None]] = []
        """Called with each task when it is charged."""
        self.doors: Callable[[], Sequence[Any]] = list
        """The sessions to which webhooks may come, each as an async function of event and job id."""
        self.telling: set[asyncio.Task[Any]] = set()
        self._seed = seed
        self._note = note
        self._posts: dict[str, int] = {}
        self._chance = random.Random(f"{seed} polls")

    def of(self, order: Order) -> list[Task]:
        """Return the tasks that were charged for an order, the oldest first."""
        return [task for task in self.tasks.values() if task.order == order]

    def net(self, orders: Callable[[Task], bool], moment: float) -> int:
        """Return what some of the tasks have cost by then, refunds taken off."""
        return sum(task.net(moment) for task in self.tasks.values() if orders(task))

    # --- what the transport hands over --------------------------------------------------------------------------------

    async def post(self, process: Process, request: Any, more: Mapping[str, str], on_sent: Callable[[], None]) -> Reply:
        """Take a paid request, or not."""
        title = str(request.title)
        self._posts[title] = number = self._posts.get(title, 0) + 1
        chance = random.Random(f"{self._seed} {title} {number}")
        await self._connect(chance)
        on_sent()
        arrival = Arrival(now(), "POST", process, Order.of(title))
        self.arrivals.append(arrival)
        process.passes("POST departed")
        arrival.fate, reply = self._decide(chance, request, more, process)
        self._note(f"{process} POST {title}: {arrival.fate}")
        delay = chance.uniform(4, 75) if chance.random() < self.climate.slow else chance.uniform(0.02, 0.6)
        answer = await self._answered(process, "POST answered", reply, delay)
        if answer is None:
            arrival.fate += ", lost"
        return _or_lost(answer)

    def _decide(
        self, chance: random.Random, request: Any, more: Mapping[str, str], process: Process
    ) -> tuple[str, Reply | None]:
        """Say what happens to a POST: a word for it and the answer, None when that is lost."""
        fate, climate = chance.random(), self.climate
        if fate < climate.refuses:
            return _refusal(chance)
        fate -= climate.refuses
        lost = fate < climate.loses
        if lost and chance.random() < 0.3:
            return "not taken, lost", chance.choice([None, Reply(status=502, text="<html>Bad Gateway</html>")])
        task = self._take(chance, request, process)
        if "webhook_url" in more and task.fate != "vanishes":
            job_id = more["webhook_url"].partition("job=")[2]
            self._tell_all(chance, task, job_id)
        if not lost:
            return f"taken as {task.id}", Reply(status=200, body={"message": "success", "task_id": task.id})
        odd = {"code": 500, "type": "server_error", "error": "an error, and yet a task", "task_id": task.id}
        gone = Reply(status=504, text="<html>Gateway Time-out</html>")
        return f"taken as {task.id}, lost", chance.choice([None, None, gone, Reply(status=500, body=odd)])

    def _take(self, chance: random.Random, request: Any, process: Process) -> Task:
        climate, fate = self.climate, chance.random()
        longest = climate.longest if chance.random() < 0.8 else 4 * climate.longest
        end = now() + (chance.uniform(0, 1) if chance.random() < 0.1 else chance.uniform(3, longest))
        word = "fails" if fate < climate.fails else "succeeds"
        word = "vanishes" if climate.fails <= fate < climate.fails + climate.vanishes else word
        order = Order.of(str(request.title))
        odd = chance.choice(["half a character", "deep"]) if chance.random() < climate.odd else ""
        task = Task(f"t{len(self.tasks) + 1}", order, request.cost, now(), process, end, word, odd)
        self.tasks[task.id] = task
        for charged in self.charged:
            charged(task)
        return task

    async def get(self, process: Process, path: str, on_sent: Callable[[], None]) -> Reply:
        """Answer a free request: a poll, or what the account has left."""
        chance, climate = self._chance, self.climate
        await self._connect(chance)
        on_sent()
        self.arrivals.append(Arrival(now(), "GET", process))
        process.passes("GET departed")
        reply: Reply | None = self._shown(path)
        if chance.random() < climate.loses:
            reply = chance.choice([None, Reply(status=502, text="<html>Bad Gateway</html>"), Reply(status=200)])
        elif chance.random() < climate.refuses / 2:
            late = Reply(status=404, body={"type": "not_found", "error": "task not found"})
            reply = chance.choice([_refused_for_speed(chance), late])
        delay = chance.uniform(4, 25) if chance.random() < climate.slow else chance.uniform(0.02, 0.4)
        return _or_lost(await self._answered(process, "GET answered", reply, delay))

    async def _connect(self, chance: random.Random) -> None:
        if chance.random() < self.climate.offline:
            await asyncio.sleep(chance.choice([0, 0, chance.uniform(0, 10)]))
            raise NotSent(
                chance.choice(["no connection: Too many open files", "no connection: Network is unreachable"])
            )

    async def _answered(self, process: Process, place: str, reply: Reply | None, delay: float) -> Reply | None:
        """Answer after a while, whether anybody waits or not; who waits does so for a minute."""
        answer: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()

        def give() -> None:
            process.passes(place)
            if not answer.done():
                answer.set_result(reply)

        asyncio.get_running_loop().call_later(delay, give, context=Context())
        try:
            async with asyncio.timeout(_REPLY_WITHIN):
                return await answer
        except TimeoutError:
            return None

    def _shown(self, path: str) -> Reply:
        if "/task/" not in path:
            return Reply(status=200, body={"credits": 100_000, "extra_credits": 0})
        task = self.tasks.get(path.rpartition("/")[2])
        if task is None or (task.fate == "vanishes" and now() > task.at + 2):
            return Reply(status=404, body={"type": "not_found", "error": "task not found"})
        return Reply(status=200, body=self.body(task))

    def body(self, task: Task) -> dict[str, Any]:
        """Return what an answer about a task says."""
        ended = task.ended(now())
        word = {"succeeds": "succeeded", "fails": "failed", "vanishes": "running"}[task.fate]
        state = word if ended else "running"
        audio = {"audio_url": f"https://x.example/{task.id}.mp3"} if state == "succeeded" else {}
        title = "half \ud83d" if ended and task.odd == "half a character" else str(task.order)
        clips = [{"clip_id": f"{task.id}-{n}", "state": state, "title": title, **audio} for n in (1, 2)]
        # What can just be read, from a shallow stack, may be too deep to be written down from a deeper one.
        deep = {"x": nested(_deepest() + 30 - int(task.id[1:]) % 40)} if ended and task.odd == "deep" else {}
        return {"code": 200, "message": "success", "data": clips, **deep}

    # --- webhooks -----------------------------------------------------------------------------------------------------

    def _tell_all(self, chance: random.Random, task: Task, job_id: str) -> None:
        word = "song.failed" if task.fate == "fails" else "song.completed"
        events = ["song.streaming"] * chance.choice([0, 0, 1])
        events += [word] * chance.choice([0, 1, 1, 1, 2, 3])
        for event in events:
            self.telling.add(outside(self._tell(chance, task, event, job_id)))

    async def _tell(self, chance: random.Random, task: Task, event: str, job_id: str) -> None:
        when = task.end if event != "song.streaming" else chance.uniform(task.at, task.end)
        late = chance.choice([0, chance.uniform(0, 2), chance.uniform(0, 2), chance.uniform(0, 300)])
        await asyncio.sleep(when - now() + late)
        for wait in (0, 10, 60):
            await asyncio.sleep(wait)
            body = self.body(task) | {"task_id": task.id, "event": event}
            known = {"id": f"{task.id} {event}", "event": event, "task_id": task.id, "platform": "sonic"}
            delivery = webhooks.WebhookEvent(**known, timestamp=EPOCH, signature="", body=body)
            if (doors := self.doors()) and await chance.choice(doors)(delivery, job_id):
                return


def _refusal(chance: random.Random) -> tuple[str, Reply]:
    fate = chance.random()
    if fate < 0.6:
        return "429", _refused_for_speed(chance)
    if fate < 0.8:
        return "400", Reply(status=400, body={"type": "validation_error", "error": "not like that"})
    if fate < 0.95:
        return "403", Reply(status=403, body={"type": "forbidden", "error": "not enough credits"})
    return "401", Reply(status=401, body={"type": "unauthorized", "error": "the key is wrong"})


def _refused_for_speed(chance: random.Random) -> Reply:
    wait = chance.choice([None, 1.0, chance.uniform(0, 20)])
    return Reply(status=429, body={"type": "rate_limited", "error": "slower"}, retry_after=wait)


def _or_lost(reply: Reply | None) -> Reply:
    if reply is None:
        raise TransportError("the answer was lost")
    return reply


class Transport:
    """Stands where the HTTP transport stands, and leads to the service of the world that is being lived."""

    service: Service

    tells_when_sent = True

    def __init__(self, *_settings: Any, **_more: Any) -> None:
        self._process = this_process()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass

    async def send(
        self, request: Any, more: Mapping[str, str] | None = None, *, on_sent: Callable[[], None] = lambda: None
    ) -> Reply:
        """See `HttpTransport.send`."""
        if request.endpoint.method == "GET":
            return await self.service.get(self._process, request.endpoint.path, on_sent)
        return await self.service.post(self._process, request, more or {}, on_sent)

    async def look(self, path: str, *, on_sent: Callable[[], None] = lambda: None) -> Reply:
        """See `HttpTransport.look`."""
        return await self.service.get(self._process, path, on_sent)
