"""One HTTP request over aiohttp, and what its failure means: surely not sent, or perhaps taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import cache
from types import MappingProxyType, TracebackType
from typing import Any, Self

import aiohttp
import attrs
from aiohttp.connector import Connection

from ..api.request import Request
from ..api.wire import Reply, encode
from ..errors import NotSent, TransportError
from ..settings import Settings

_LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes. The notes of a long song are some megabytes of JSON; nothing else comes near."""

_IDLE_CONNECTION = 4.0
"""Seconds. Servers drop idle connections, many after five: a paid POST must not meet one that is just being closed.
More than the standard plan's three, so that a busy session keeps its connection."""

# Raised while connecting, when no byte of the request has left.
_NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientProxyConnectionError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)

_NOTHING: Mapping[str, str] = MappingProxyType({})
_IGNORE: Callable[[], None] = lambda: None  # noqa: E731 - a name for doing nothing


@attrs.define
class _Departure:
    """One request of ours, and whether it has left."""

    on_sent: Callable[[], None]
    left: bool = False

    def now(self) -> None:
        """Let it leave, once: aiohttp sends a GET again by itself when a connection drops, which costs a token."""
        if self.left:
            raise aiohttp.ServerDisconnectedError("the connection was dropped")
        self.left = True
        self.on_sent()


_departure: ContextVar[_Departure] = ContextVar("aimusic_departure")


class _Request(aiohttp.ClientRequest):
    """Tells when it has a connection and its headers leave; aiohttp's tracing tells it too, and costs more."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send it over a connection."""
        if (departure := _departure.get(None)) is not None:  # files have none
            departure.now()
        return await super().send(conn)


class HttpTransport:
    """Sends requests of one account. An async context manager: the pool lives as long as the block.

    With `http`, that aiohttp session is used and never closed here; its own headers and cookies apply.
    """

    def __init__(self, settings: Settings, http: aiohttp.ClientSession | None = None) -> None:
        self._settings = settings
        self._given = http
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self._headers = {"Authorization": f"Bearer {settings.api_key}", "Accept": "application/json"}

    async def __aenter__(self) -> Self:
        """Open the pool; no connection is made yet."""
        self._http = self._given or await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=_IDLE_CONNECTION, limit=0),
                request_class=_Request,
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool, unless it is the user's own."""
        self._http = None
        await self._stack.aclose()

    @property
    def tells_when_sent(self) -> bool:
        """Whether `on_sent` is called: only for a pool of our own, a user's session is not ours to change."""
        return self._given is None

    @property
    def http(self) -> aiohttp.ClientSession:
        """The aiohttp session, for what is no API request (files): it holds no key."""
        if self._http is None:
            raise RuntimeError("the transport is not open")
        return self._http

    async def send(
        self, request: Request[Any], more: Mapping[str, str] = _NOTHING, *, on_sent: Callable[[], None] = _IGNORE
    ) -> Reply:
        """Send a request once, with `more` fields than its own; `on_sent` is called when its headers leave.

        Raises `NotSent` when it surely did not leave, `TransportError` when the answer was lost: it may have been
        taken. Cancelling breaks off, with the same doubt.
        """
        endpoint = request.endpoint
        body = {**encode(request), **more} if endpoint.method == "POST" else None
        return await self._exchange(endpoint.method, endpoint.path, body, endpoint.reply_within, on_sent)

    async def look(self, path: str, *, on_sent: Callable[[], None] = _IGNORE) -> Reply:
        """Send a GET, which is free and may be repeated. Raises as `send`."""
        return await self._exchange("GET", path, None, 30.0, on_sent)

    async def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, reply_within: float, on_sent: Callable[[], None]
    ) -> Reply:
        if self.http.closed:
            raise NotSent("the aiohttp session that was given is closed")
        failure: TransportError
        departure = _Departure(on_sent, left=not self.tells_when_sent)
        departing = _departure.set(departure)
        try:
            async with self.http.request(
                method,
                f"{self._settings.base_url}/api/v1{path}",
                json=body,
                headers=self._headers,
                timeout=_timeout(self._settings.connect_timeout, reply_within),
                allow_redirects=False,  # a redirected POST becomes a GET, and the key might follow to another host
                raise_for_status=False,  # a user's session may have it set: the answer is what we are here for
            ) as response:
                content = await _read(response)
                return Reply.parse(response.status, content, retry_after=response.headers.get("Retry-After"))
        except _NOT_SENT as error:
            raise NotSent(f"no connection to {self._settings.base_url}: {told(error)}") from error
        except aiohttp.ClientResponseError as error:
            failure = TransportError(f"the answer to {method} {path} was lost: {told(error)}")
        except (aiohttp.ClientError, OSError) as error:
            if not departure.left:
                raise NotSent(f"no connection to {self._settings.base_url}: {told(error)}") from error
            raise TransportError(f"the answer to {method} {path} was lost: {told(error)}") from error
        finally:
            _departure.reset(departing)
        raise failure  # out here, so that it does not carry aiohttp's error, which holds our headers and the key


@cache
def _timeout(connect: float, reply_within: float) -> aiohttp.ClientTimeout:
    # The connecting has a limit of its own, below the total: so a time-out tells on which side it fell.
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


def told(error: BaseException) -> str:
    """Return what went wrong on the network, in one short line."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status} {error.message}"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        return os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror or str(cause)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
