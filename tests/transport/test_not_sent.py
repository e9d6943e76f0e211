"""What is surely not sent, by the evidence of the request's own body."""

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp.http import StreamWriter

from aimusic_async import NotSent
from aimusic_async.transport.http import _Body

from ..faults.wire import reset
from .ways import CREDITS, SONG, failing_tls, in_a_session, no_tls, serving, to, unknown_certificate


async def not_sent(transport, request=SONG):
    """Send it; return the error and how often it was said to leave."""
    calls = []
    with pytest.raises(NotSent) as caught:
        await transport.send(request, on_sent=lambda: calls.append(1))
    return caught.value, len(calls)


@pytest.mark.parametrize("request_", [SONG, CREDITS], ids=["POST", "GET"])
async def test_without_a_listener_nothing_is_sent(opened, nowhere, request_):
    async with opened(nowhere) as transport:
        error, calls = await not_sent(transport, request_)
    assert (str(error), calls) == (f"no connection to {nowhere}: Connection refused", 0)
    assert error.passing


async def test_without_such_a_host_nothing_is_sent(opened):
    async with opened("https://nowhere.invalid") as transport:
        error, calls = await not_sent(transport)
    assert (error.passing, calls) == (True, 0)


@pytest.mark.parametrize("answer", [reset, no_tls])
async def test_without_tls_nothing_is_sent(opened, answer):
    async with failing_tls(answer) as url, opened(url) as transport:
        error, calls = await not_sent(transport)
    assert (error.passing, calls) == (True, 0)


async def test_an_untrusted_certificate_is_named_and_does_not_pass(opened):
    async with unknown_certificate() as url, opened(url) as transport:
        error, calls = await not_sent(transport)
    assert "the certificate is not trusted: self" in str(error)
    assert (error.passing, calls) == (False, 0)


@pytest.mark.parametrize(("status", "passing"), [(503, True), (407, False)])
async def test_a_proxy_that_refuses_to_connect_gets_nothing(status, passing):
    seen = []

    async def proxy(reader, writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    async with (
        serving(proxy) as port,
        in_a_session("https://x.invalid", proxy=f"http://127.0.0.1:{port}") as transport,
    ):
        error, calls = await not_sent(transport)
    assert (error.passing, calls) == (passing, 0)
    assert f"HTTP {status}" in str(error)
    assert b"Authorization" not in seen[0]


async def test_two_credentials_in_conflict_send_nothing_and_do_not_pass(wire):
    with pytest.warns(DeprecationWarning, match="auth"):
        http = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "password"))
    async with http, to(wire.url, http) as transport:
        error, calls = await not_sent(transport)
    assert (error.passing, calls, wire.seen) == (False, 0, [])
    assert "AUTHORIZATION" in str(error)


async def test_a_session_that_is_closed_sends_nothing(wire):
    async with in_a_session(wire.url) as transport:
        await transport.http.close()
        error, _ = await not_sent(transport)
    assert (str(error), error.passing) == (f"nothing was sent to {wire.url}: RuntimeError: Session is closed", False)


async def test_a_hook_of_the_users_that_raises_before_the_request_leaves_sends_nothing(raw):
    async def broken(*_):
        raise RuntimeError("the tracing broke")

    for moment in ("on_request_start", "on_request_headers_sent"):
        tracing = aiohttp.TraceConfig()
        getattr(tracing, moment).append(broken)
        async with in_a_session(raw.url, trace_configs=[tracing]) as transport:
            error, calls = await not_sent(transport)
        assert (error.passing, calls) == (False, 0)
        assert "the tracing broke" in str(error)
    assert b"".join(raw.connections) == b""


@pytest.mark.parametrize("request_", [SONG, CREDITS], ids=["POST", "GET"])
async def test_when_on_sent_raises_not_a_byte_leaves_and_its_exception_is_the_cause(raw, opened, request_):
    said = OSError("no journal")

    def refuse():
        raise said

    async with opened(raw.url) as transport:
        with pytest.raises(NotSent, match="no journal") as caught:
            await transport.send(request_, on_sent=refuse)
        await asyncio.sleep(0.05)
        assert b"".join(raw.connections) == b""
        assert (await transport.send(request_)).status == 200
    assert caught.value.__cause__ is said
    assert not caught.value.passing


async def test_a_connection_that_is_seen_to_end_before_the_request_is_written_takes_nothing(wire):
    ending = []

    async def end(*_):
        if ending:
            ending.pop()()
            await asyncio.sleep(0.05)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(end)
    async with in_a_session(wire.url, trace_configs=[tracing]) as transport:
        for _ in range(2):
            await transport.send(CREDITS)
            ending.append(wire.reset_all)
            error, calls = await not_sent(transport)
            assert (error.passing, calls) == (True, 0)
        ending.append(wire.reset_all)
        await transport.send(CREDITS)  # aiohttp repeats a GET, which did not leave before
    assert wire.seen == ["GET"] * 3


@pytest.mark.parametrize("transport", [None, SimpleNamespace(is_closing=lambda: True)], ids=["lost", "closing"])
async def test_a_body_is_not_handed_to_a_connection_that_is_closing_and_may_take_the_next(transport):
    calls, written = [], []
    body = _Body(b"{}", lambda: calls.append(1))
    ended = StreamWriter(SimpleNamespace(transport=transport), asyncio.get_running_loop())
    with pytest.raises(ConnectionAbortedError, match="closed"):
        await body.write_with_length(ended, 2)
    assert (body.touched, body.consumed, calls) == (False, False, [])
    alive = SimpleNamespace(is_closing=lambda: False, write=written.append)
    await body.write_with_length(StreamWriter(SimpleNamespace(transport=alive), asyncio.get_running_loop()), 2)
    assert (body.touched, body.consumed, calls, written) == (True, True, [1], [b"{}"])
