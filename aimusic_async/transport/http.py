"""One HTTP request over aiohttp, and what its failure means: surely not sent, or perhaps taken.

The evidence is the request's own body: it notes when somebody writes or reads it, and it can be written once only. So
it holds in any aiohttp session, whatever connector, proxy or middleware carries the request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType, TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from multidict import CIMultiDictProxy
from yarl import URL

from ..api.request import Request
from ..api.wire import Reply, encode
from ..errors import NotSent, TransportError, one_line, request_id_of
from ..proxies import Proxy
from ..settings import Settings
from .deadline import Deadline
from .network import HEADER_LIMITS, USER_AGENT, Network, connector
from .words import describe_error, passes

_LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes. The notes of a long song are some megabytes of JSON; nothing else comes near."""

_IDLE_CONNECTION = 4.0
"""Seconds. Servers drop idle connections, many after five: a paid POST must not meet one that is just being closed.
More than the standard plan's three, so that a busy session keeps its connection."""

_GET_WITHIN = 30.0
"""Seconds until a GET that reads a task is given up."""

_LONGEST_DESCRIPTION = 300
"""Characters: some errors of aiohttp hold all that the server said."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_IGNORE: Callable[[], None] = lambda: None  # noqa: E731 - a name for doing nothing

_ACCEPT = {"Accept": "application/json"}

_TELLING = frozenset(
    {
        *("date", "server", "via", "age", "location", "retry-after", "content-type", "content-length"),
        *("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "x-trace-id", "traceparent"),
        *("cf-ray", "cf-mitigated", "x-cache", "x-amz-cf-id"),
        *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
    }
)
"""Headers of an answer that help to find out what happened; no cookies, nothing long."""
_LONGEST_HEADER = 200


class _Body(aiohttp.BytesPayload):
    """The body of one request: sent at most once, and the evidence of whether it was.

    `touched`: somebody wrote or read it, so it may have been sent. `on_sent` is called just before that. When `on_sent`
    raises, `objection` is its exception, and nobody gets the body. `refusal`: why it was not written the last time.
    If `on_sent` has a method `ready`, what that returns is awaited before, unless it is None, or who reads cannot wait.
    """

    touched = False
    refusal: str | None = None
    objection: Exception | None = None
    answer: str = ""
    """What is known of the answer, once its head is here."""
    _withdrawn = False
    _written = False

    def __init__(self, content: bytes, on_sent: Callable[[], None], secret: str | None = None) -> None:
        super().__init__(content)
        self.headers.clear()  # a GET must get no Content-Type from here, …
        self.headers.update(_ACCEPT)  # … but aiohttp wants a payload to have headers, and this one is there already
        self.secret = secret
        """The webhook secret in the content, which no error shows."""
        self._on_sent = on_sent

    @property
    def consumed(self) -> bool:
        """Whether it was written: then aiohttp does not repeat the request by itself."""
        return self._written

    def withdraw(self) -> None:
        """Give it to nobody who comes from now on, unless somebody had it already."""
        self._withdrawn = True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return it as text."""
        self._hand_over()
        return super().decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return it as bytes."""
        await self._until_ready()
        self._hand_over()
        return await super().as_bytes(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write it, once."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write it, once. The headers wait for this: when it raises, they do not leave either."""
        if self._written:
            raise self._refused("the aiohttp session tried to send the request again, which is refused")
        await self._until_ready()
        if isinstance(writer, StreamWriter) and (writer.transport is None or writer.transport.is_closing()):
            raise self._refused("the server closed the connection")  # before anything left this way
        self._written, self.refusal = True, None
        self._hand_over()
        await super().write_with_length(writer, content_length)

    async def _until_ready(self) -> None:
        if self.touched or self._withdrawn:
            return
        try:
            ready: Callable[[], Awaitable[None] | None] | None = getattr(self._on_sent, "ready", None)
            if ready is not None and (waiting := ready()) is not None:
                await waiting
        except Exception as error:  # noqa: BLE001 - as what `on_sent` raises
            self._withdrawn, self.objection = True, error
            raise self._refused("the request was withdrawn") from None

    def _hand_over(self) -> None:
        if self.touched:
            return
        if not self._withdrawn:
            self._withdrawn = True  # it stays so when `on_sent` raises
            try:
                self._on_sent()
            except Exception as error:  # noqa: BLE001 - it reaches the caller as the cause of `NotSent`
                self.objection = error
            else:
                self.touched = True
                return
        raise self._refused("the request was withdrawn")

    def _refused(self, words: str) -> ConnectionAbortedError:
        self.refusal = words
        return ConnectionAbortedError(words)


async def _without_length(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send no Content-Length with a GET: aiohttp adds one for its empty body, and RFC 9110 advises against it."""
    request.headers.pop("Content-Length", None)
    return await handler(request)


async def _as_it_is(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send our body as it is, whatever the defaults of the user's session say of it, and no cookies of theirs."""
    for name in ("Content-Encoding", "Transfer-Encoding", "Cookie"):
        request.headers.pop(name, None)
    size = request.body.size if isinstance(request.body, _Body) else None
    if size is not None:
        request.headers["Content-Length"] = str(size)
    return await handler(request)


class HttpTransport:
    """Sends requests of one account. An async context manager: the pool lives as long as the block.

    With `http`, that aiohttp session is used and never closed here. Its middlewares, tracing, connector and further
    headers apply; what says how a body is sent or read, its cookies and the time-outs are ours. A middleware may read a
    request's body, which counts as sending it, and cannot send it a second time.
    """

    def __init__(self, settings: Settings, http: aiohttp.ClientSession | None = None) -> None:
        self._settings = settings
        self._given = http
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self.network: Network = Network(settings)
        """The way out, which files take, too."""
        self._get_headers = {"Authorization": f"Bearer {settings.api_key}", **_ACCEPT}
        if http is None or "User-Agent" not in http.headers:
            self._get_headers["User-Agent"] = USER_AGENT
        if http is not None:
            self._get_headers["Host"] = URL(settings.base_url).raw_authority
        self._post_headers = {**self._get_headers, "Content-Type": "application/json"}
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=settings.connect_timeout, sock_connect=settings.connect_timeout
        )
        self._of_get: Mapping[str, Any] = {"middlewares": (_without_length,)} if http is None else {}
        self._options: dict[str, Any] = {}
        self._proxy: Proxy | None = None

    async def __aenter__(self) -> Self:
        """Open the pool; no connection is made yet. Raises `ConfigurationError` for a proxy or CA of an odd kind."""
        network, given = self.network, self._given
        await network.open()
        if given is None or network.names_proxy:  # else the user's session goes the way that it was given
            self._proxy = network.proxy(URL(self._settings.base_url))
        self._options = network.options(self._proxy)
        if given is not None:
            self._options["middlewares"] = (*getattr(given, "_middlewares", ()), _as_it_is)
        self._http = given or await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=connector(network, keepalive_timeout=_IDLE_CONNECTION))
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool, unless it is the user's own."""
        self._http = None
        await self._stack.aclose()

    @property
    def http(self) -> aiohttp.ClientSession:
        """The aiohttp session, for what is no API request (files): it holds no key."""
        if self._http is None:
            raise RuntimeError("the transport is not open")
        return self._http

    # Not coroutines themselves: their arguments may hold a secret, and must be in no traceback.

    def send(
        self, request: Request[Any], more: Mapping[str, str] = _NOTHING, *, on_sent: Callable[[], None] = _IGNORE
    ) -> Coroutine[Any, Any, Reply]:
        """Send a request once, with `more` fields than its own; await the answer.

        `on_sent` is called just before the request leaves, and never again. If it raises, nothing leaves. It may have a
        method `ready`, called a little earlier: what that returns is awaited, on the connection, unless it is None.

        Raises `NotSent` when the request surely did not leave, and `TransportError` when it may have left and its
        answer was lost. Cancelling breaks off; the request may have been taken if `on_sent` was called.
        """
        endpoint = request.endpoint
        if endpoint.method == "GET":
            return self._exchange("GET", endpoint.path, _Body(b"", on_sent), endpoint.reply_within)
        fields = {**encode(request), **more}
        body = _Body(json.dumps(fields).encode(), on_sent, fields.get("webhook_secret"))
        return self._exchange("POST", endpoint.path, body, endpoint.reply_within)

    def look(self, path: str, *, on_sent: Callable[[], None] = _IGNORE) -> Coroutine[Any, Any, Reply]:
        """Send a GET, which is free and may be repeated. As `send`."""
        return self._exchange("GET", path, _Body(b"", on_sent), _GET_WITHIN)

    async def _exchange(self, method: str, path: str, body: _Body, reply_within: float) -> Reply:
        http = self.http
        within = self._settings.connect_timeout + reply_within
        try:
            async with Deadline(within) as deadline:
                return await self._answer(http, method, path, body, deadline)
        except asyncio.CancelledError as cancelled:
            body.withdraw()
            raise cancelled.with_traceback(None)  # noqa: B904 - the same one, without the frames that hold our headers
        except Exception as error:  # noqa: BLE001 - the evidence decides what it means
            body.withdraw()
            words = f"no answer within {within:g} s" if type(error) is TimeoutError else self._describe(error, body)
            connecting = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            connecting = connecting and not isinstance(error, aiohttp.ClientProxyConnectionError)
            passing = passes(error) if body.objection is None else isinstance(body.objection, NotSent)
        # Out here, so that it does not carry the error of aiohttp, whose frames hold our headers.
        if body.touched:
            raise TransportError(f"the answer to {method} {path} was lost: {words}{body.answer}")
        raise self._not_sent(words, passing=passing, connecting=connecting) from body.objection

    async def _answer(
        self, http: aiohttp.ClientSession, method: str, path: str, body: _Body, deadline: Deadline
    ) -> Reply:
        posting = method == "POST"
        async with http.request(
            method,
            f"{self._settings.base_url}/api/v1{path}",
            data=body,
            headers=self._post_headers if posting else self._get_headers,
            timeout=self._timeout,
            allow_redirects=False,  # a redirected POST becomes a GET, and the key might follow to another host
            # A user's session may have other defaults for these:
            raise_for_status=False,
            auto_decompress=True,
            **HEADER_LIMITS,
            **({} if posting else self._of_get),
            **self._options,
        ) as response:
            deadline.heard()
            headers = _telling(response.headers)
            body.answer = _known_of(response.status, headers)
            content = await _read(response, deadline)
            return Reply.parse(
                response.status,
                content,
                retry_after=response.headers.get("Retry-After"),
                date=response.headers.get("Date"),
                location=headers.get("location"),
                headers=headers,
            )

    def _not_sent(self, words: str, *, passing: bool, connecting: bool) -> NotSent:
        what, way = "no connection to" if passing else "nothing was sent to", ""
        if self._proxy is not None:
            way = f" through {self._proxy}"
        elif connecting and passing:
            words += self.network.advice(URL(self._settings.base_url), own_session=self._given is not None)
        return NotSent(f"{what} {self._settings.base_url}{way}: {words}", passing=passing)

    def _describe(self, error: Exception, body: _Body) -> str:
        """Return what went wrong, without our secrets: a server may have echoed our request."""
        words = describe_error(body.objection) if body.objection else body.refusal or describe_error(error)
        for secret in (self._settings.api_key, body.secret, *(self._proxy.secrets if self._proxy else ())):
            if secret:
                words = words.replace(secret, "…")
        return words[:_LONGEST_DESCRIPTION]


def _telling(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Return what of an answer's head helps to find out what happened, each value short and safe to print."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        if (small := name.lower()) in _TELLING:
            shown = value.partition("?")[0] if small == "location" else value  # what follows may be signed
            found.setdefault(small, one_line(shown[:_LONGEST_HEADER]))
    return found


def _known_of(status: int, headers: Mapping[str, str]) -> str:
    request_id = request_id_of(headers)
    return f" (after HTTP {status}, request id {request_id})" if request_id else f" (after HTTP {status})"


async def _read(response: aiohttp.ClientResponse, deadline: Deadline) -> bytes:
    chunks = bytearray()
    try:
        async for chunk in response.content.iter_any():
            chunks += chunk
            deadline.heard()
            if len(chunks) > _LARGEST_ANSWER:
                raise aiohttp.ClientPayloadError(f"the answer is larger than {_LARGEST_ANSWER} bytes")
    except (aiohttp.ClientError, OSError):
        if not 400 <= response.status < 500:
            raise
        # What came of it is read all the same: it may be enough to know what it says, and whose words it is.
    return bytes(chunks)
