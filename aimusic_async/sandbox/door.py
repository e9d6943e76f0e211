"""The front door: what every API request passes, whatever it asks: key, rate limit, body, books."""

import json
import logging
import math
import time
from asyncio import get_running_loop, sleep
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from aiohttp import web
from attrs import define, field

from aimusic_async.sandbox import texts
from aimusic_async.sandbox.answering import respond
from aimusic_async.sandbox.books import Request
from aimusic_async.sandbox.desk import Operation, Platform, World
from aimusic_async.sandbox.faults import Fate
from aimusic_async.sandbox.limit import SLACK, Limit, slack
from aimusic_async.sandbox.texts import Answer

Serve = Callable[[web.Request, Request, str], Awaitable[Answer]]
"""Request, its entry in the books, the caller's key → the answer."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


@define
class Door:
    """Makes web handlers that check in the service's order, and write everything down."""

    world: World
    limit: Limit = field(init=False)

    def __attrs_post_init__(self) -> None:
        options = self.world.options
        period = options.period / options.speed
        real = abs(get_running_loop().time() - time.monotonic()) < 1
        self.limit = Limit(period, options.capacity, slack(period, options.speed, real=real))

    def operations(self, platform: Platform, path: str) -> Handler:
        """The handler of an address that takes POSTs."""
        here = [operation for operation in platform.operations if operation.path == path]
        label = here[0].name if len(here) == 1 else path.strip("/").replace("/", ".")
        return self._handler(label, lambda request, entry, key: self._post(platform, here, request, entry, key))

    async def _post(
        self, platform: Platform, here: Sequence[Operation], request: web.Request, entry: Request, key: str
    ) -> Answer:
        self._open(platform)
        body = await self._body(request)
        chooser = platform.choosers.get(here[0].path)
        operation = chooser(body, self.world.options) if chooser else here[0]
        entry.operation = operation.name
        fate = self._meet(entry, key)
        answer, entry.task_id = await self.world.serve(key, entry.at, operation, body, fault=entry.fault, fate=fate)
        options = self.world.options
        if options.function_seconds is not None and answer.after > options.function_seconds / options.speed:
            await sleep(options.function_seconds / options.speed)
            raise texts.broken_off()
        if answer.after:
            await sleep(answer.after)
        return answer

    def tasks(self, platform: Platform) -> Handler:
        """The handler that shows a platform's tasks."""

        async def show(request: web.Request, entry: Request, key: str) -> Answer:
            self._open(platform)
            entry.task_id = task_id = request.match_info.get("task_id")
            if not task_id:
                raise texts.invalid(texts.TASK_ID_MISSING)
            self._meet(entry, key)
            task = self.world.shelf.task(key, platform.family, task_id, entry.at) if platform.family else None
            if task is None or platform.view is None:
                raise platform.task_missing(self.world.options)
            return platform.view(self.world, task, entry.at)

        return self._handler(f"{platform.family}.task", show)

    def _open(self, platform: Platform) -> None:
        if refusal := platform.switch(self.world.options):
            raise refusal

    def credits(self) -> Handler:
        """The handler that returns the balance."""

        async def balance(_request: web.Request, entry: Request, key: str) -> Answer:
            self._meet(entry, key)
            subscription, extra = self.world.accounts[key].pots(entry.at)
            return Answer(body={"credits": subscription, "extra_credits": extra})

        return self._handler("account.get_credits", balance)

    async def books(self, _request: web.Request) -> web.StreamResponse:
        """`GET /books`: all that the books know, for anybody."""
        return web.json_response(self.world.books.to_json())

    def nothing(self) -> Handler:
        """The handler of addresses that do not exist, and of methods that an address does not take."""
        if self.world.options.unknown_addresses == "pages":
            return self._page

        async def refuse(request: web.Request, entry: Request, key: str) -> Answer:
            self._meet(entry, key)
            raise texts.no_address(request.method, "json")

        return self._handler("unknown", refuse)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        """Answer as the host does that the service runs on: it knows neither keys nor limits."""
        entry = Request(method=request.method, path=request.path, operation="unknown", at=self.world.now())
        self.world.books.requests.append(entry)
        answer = texts.no_address(request.method, "pages").answer()
        return await respond(request, entry, answer, self.world.options)

    def _handler(self, label: str, serve: Serve) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            entry = Request(method=request.method, path=request.path, operation=label, at=self.world.now())
            self.world.books.requests.append(entry)
            try:
                entry.key = key = self._key(request)
                self._admit(request, key, entry.at)
                answer = await serve(request, entry, key)
            except texts.Refusal as no:
                answer = self._worded(no)
            except Exception:  # noqa: BLE001  # a mistake of the sandbox is a 500, as everywhere
                _log.exception("the sandbox failed to answer %s %s", request.method, request.path)
                answer = self._worded(texts.Refusal(500, "server_error", texts.SERVER_ERROR))
            return await respond(request, entry, answer, self.world.options)

        return handle

    def _worded(self, refusal: texts.Refusal) -> Answer:
        return refusal.answer(self.world.options.error_body, retriable=self.world.options.retriable)

    def _key(self, request: web.Request) -> str:
        given = request.headers.get("Authorization")
        if not given:
            raise texts.unauthorized(texts.NO_AUTHORIZATION)
        scheme, _, key = given.partition(" ")
        if scheme != "Bearer" or not key.strip():
            raise texts.unauthorized(texts.BAD_AUTHORIZATION)
        if key not in self.world.accounts:
            raise texts.unauthorized(texts.UNKNOWN_KEY)
        return key

    def _admit(self, request: web.Request, key: str, now: float) -> None:
        options = self.world.options
        if options.count == "posts" and request.method != "POST":
            return
        wait = self.limit.wait(key, now)
        if wait:
            raise self._too_many(wait * options.speed - SLACK if options.retry_after else None)

    def _too_many(self, retry_after: float | None) -> texts.Refusal:
        refusal = texts.Refusal(429, self.world.options.rate_limit_type, texts.RATE_LIMIT)
        if retry_after is not None:
            refusal.headers["Retry-After"] = str(math.ceil(retry_after))
        return refusal

    def _meet(self, entry: Request, key: str) -> Fate | None:
        """Determine which fault the request meets, and what becomes of its task.

        Raises a `Refusal` when it is not to be carried out.
        """
        fate = self.world.meet(entry)
        fault = entry.fault
        if fault is None or fault.taken:
            return fate
        if fault.kind == "refused":
            self.limit.forget(key, entry.at)
            raise self._too_many(fault.seconds)
        raise texts.Refusal(503, "server_error", texts.SERVER_ERROR)  # the fault decides what is heard of it

    async def _body(self, request: web.Request) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise texts.invalid(texts.BODY_NOT_JSON)
        try:
            body = json.loads(await request.read(), parse_constant=_no_constant)
        except (ValueError, web.HTTPRequestEntityTooLarge):
            raise texts.invalid(texts.BODY_NOT_JSON) from None
        if not isinstance(body, dict):
            raise texts.invalid(texts.BODY_NOT_JSON)
        return body
