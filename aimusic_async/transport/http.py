"""One HTTP request over aiohttp, and what its failure means: surely not sent, or perhaps taken.

The evidence is the request's own body: it notes when somebody writes or reads it, and it can be written once only. So
it holds in any aiohttp session, whatever connector, proxy or middleware carries the request.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import cache
from types import MappingProxyType, TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from ..api.request import Request
from ..api.wire import Reply, encode
from ..errors import NotSent, TransportError
from ..settings import Settings

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


class _Body(aiohttp.BytesPayload):
    """The body of one request: sent at most once, and the evidence of whether it was.

    `touched`: somebody wrote or read it, so it may have been sent. `on_sent` is called just before that. When `on_sent`
    raises, `objection` is its exception, and nobody gets the body. `refusal`: why it was not written the last time.
    If `on_sent` has a method `ready`, what that returns is awaited before, unless it is None, or who reads cannot wait.
    """

    touched = False
    refusal: str | None = None
    objection: Exception | None = None
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


class HttpTransport:
    """Sends requests of one account. An async context manager: the pool lives as long as the block.

    With `http`, that aiohttp session is used and never closed here; its own headers and cookies apply. A middleware of
    it may read a request's body, which counts as sending it, and cannot send it a second time.
    """

    def __init__(self, settings: Settings, http: aiohttp.ClientSession | None = None) -> None:
        self._settings = settings
        self._given = http
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self._get_headers = {"Authorization": f"Bearer {settings.api_key}", **_ACCEPT}
        self._post_headers = {**self._get_headers, "Content-Type": "application/json"}
        self._get_middlewares = (_without_length,) if http is None else None

    async def __aenter__(self) -> Self:
        """Open the pool; no connection is made yet."""
        self._http = self._given or await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=_IDLE_CONNECTION, limit=0))
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
        try:
            return await self._answer(http, method, path, body, reply_within)
        except asyncio.CancelledError as cancelled:
            body.withdraw()
            raise cancelled.with_traceback(None)  # noqa: B904 - the same one, without the frames that hold our headers
        except Exception as error:  # noqa: BLE001 - the evidence decides what it means
            body.withdraw()
            words = self._describe(error, body)
            passing = body.objection is None and _passes(error)
        # Out here, so that it does not carry the error of aiohttp, whose frames hold our headers.
        if body.touched:
            raise TransportError(f"the answer to {method} {path} was lost: {words}")
        raise self._not_sent(words, passing=passing) from body.objection

    async def _answer(
        self, http: aiohttp.ClientSession, method: str, path: str, body: _Body, reply_within: float
    ) -> Reply:
        posting = method == "POST"
        async with http.request(
            method,
            f"{self._settings.base_url}/api/v1{path}",
            data=body,
            headers=self._post_headers if posting else self._get_headers,
            middlewares=None if posting else self._get_middlewares,
            timeout=_timeout(self._settings.connect_timeout, reply_within),
            allow_redirects=False,  # a redirected POST becomes a GET, and the key might follow to another host
            # A user's session may have other defaults for these two:
            raise_for_status=False,
            auto_decompress=True,
        ) as response:
            content = await _read(response)
            return Reply.parse(response.status, content, retry_after=response.headers.get("Retry-After"))

    def _not_sent(self, words: str, *, passing: bool) -> NotSent:
        what = "no connection to" if passing else "nothing was sent to"
        return NotSent(f"{what} {self._settings.base_url}: {words}", passing=passing)

    def _describe(self, error: Exception, body: _Body) -> str:
        """Return what went wrong, without our secrets: a server may have echoed our request."""
        words = describe_error(body.objection) if body.objection else body.refusal or describe_error(error)
        for secret in (self._settings.api_key, body.secret):
            if secret:
                words = words.replace(secret, "…")
        return words[:_LONGEST_DESCRIPTION]


@cache
def _timeout(connect: float, reply_within: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=connect + reply_within, connect=connect, sock_connect=connect)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks = bytearray()
    try:
        async for chunk in response.content.iter_any():
            chunks += chunk
            if len(chunks) > _LARGEST_ANSWER:
                raise aiohttp.ClientPayloadError(f"the answer is larger than {_LARGEST_ANSWER} bytes")
    except (aiohttp.ClientError, OSError):
        if not 400 <= response.status < 500:
            raise
        # The status alone says that nothing was taken: what else the answer said may be lost.
    return bytes(chunks)


def _passes(error: Exception) -> bool:
    """Whether it may go well later by itself: as the network's errors do, and not those of how things are set up."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return error.status != 407  # the proxy wants other credentials
    # A bad address and an untrusted certificate are both `ValueError`, like two credentials in conflict.
    return isinstance(error, (aiohttp.ClientError, OSError)) and not isinstance(error, ValueError)


def describe_error(error: BaseException) -> str:
    """Return what went wrong on the network, in one short line."""
    if isinstance(error, aiohttp.ClientResponseError):
        words = f"HTTP {error.status} {error.message}"
    elif isinstance(error, aiohttp.ClientConnectorError):
        words = _describe_os_error(error.os_error)
    else:
        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return words.partition("\n")[0].rstrip(": ")


def _describe_os_error(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):  # whose errno is OpenSSL's own
        return f"TLS failed: {error.reason or error}"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
