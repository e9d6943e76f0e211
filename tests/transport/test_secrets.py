"""No error of the transport shows the API key or a webhook secret: neither its text nor the variables of its frames."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from aimusic_async import NotSent, TransportError

from ..faults.wire import Wire, never_answer, reset
from .ways import KEY, LOST, SONG, failing_tls, no_tls, refused, serving, to, unknown_certificate

SECRET = "the-webhook-secret-of-the-user"


def exposed(error):
    """Yield where the key or the secret stands: in the text of an error, or in a variable of its tracebacks."""
    seen = set()
    left = [error]
    while left:
        error = left.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        left += [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
        if has_secret(str(error)) or has_secret(repr(error)):
            yield f"the text of {type(error).__name__}"
        trace = error.__traceback__
        while trace is not None:
            for name, value in trace.tb_frame.f_locals.items():
                if has_secret(repr(value)):
                    yield f"{name} in {trace.tb_frame.f_code.co_qualname}"
            trace = trace.tb_next


def has_secret(text):
    return KEY in text or SECRET in text


async def failure_of(sending):
    """Await it; return what it raised."""
    try:
        await sending
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - each kind is looked at
        return error
    return None


def echo(got):
    """What some servers say that understand nothing: the request, with its key."""
    return bytes(got).partition(b"\r\n")[2] + b"\r\n\r\n"


def echo_secret(got):
    return bytes(got).rpartition(b"\r\n")[2] + b"\r\n\r\n"


@asynccontextmanager
async def ending(trouble):
    service = Wire()
    service.trouble["POST"] = trouble
    async with serving(service.serve) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def echoing(answer):
    async def serve(reader, writer):
        writer.write(answer(await reader.readuntil(b"}")))
        await writer.drain()

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}"


FAILURES = {
    "connection refused": refused,
    "TLS failed": lambda: failing_tls(reset),
    "TLS not spoken": lambda: failing_tls(no_tls),
    "untrusted certificate": unknown_certificate,
    "time-out": lambda: ending(never_answer),
    "request echoed": lambda: echoing(echo),
    "secret echoed": lambda: echoing(echo_secret),
    "request echoed as the status": lambda: echoing(lambda got: b"HTTP/1.1 " + echo(got)),
    "key echoed as a length": lambda: echoing(
        lambda got: b"HTTP/1.1 200 OK\r\nContent-Length: " + KEY.encode() + b"\r\n\r\n"
    ),
    "middleware": refused,
} | {name: (lambda trouble=trouble: ending(trouble)) for name, trouble in LOST.items()}


@pytest.mark.looptime
@pytest.mark.parametrize("name", FAILURES)
async def test_no_error_shows_the_key_or_a_secret(opened, name):

    async def broken(request, _handler):
        raise LookupError(f"{request.headers}")

    options = {"middlewares": [broken]} if name == "middleware" else {}
    if options and opened is to:
        pytest.skip("our pool has none")
    async with FAILURES[name]() as url, opened(url, **options) as transport:
        error = await failure_of(transport.send(SONG, {"webhook_url": "https://x.example", "webhook_secret": SECRET}))
    assert isinstance(error, TransportError)
    assert list(exposed(error)) == []


async def test_no_error_shows_the_key_when_on_sent_raises(wire, opened):
    def refuse():
        raise RuntimeError("no")

    async with opened(wire.url) as transport:
        error = await failure_of(transport.send(SONG, {"webhook_secret": SECRET}, on_sent=refuse))
    assert isinstance(error, NotSent)
    assert list(exposed(error)) == []


async def test_a_cancellation_does_not_carry_the_frames_that_hold_the_key(wire, opened):
    wire.trouble["POST"] = never_answer
    async with opened(wire.url) as transport:
        sending = asyncio.create_task(failure_of(transport.send(SONG, {"webhook_secret": SECRET})))
        await asyncio.sleep(0.1)
        sending.cancel()
        error = await sending
    assert isinstance(error, asyncio.CancelledError)
    assert list(exposed(error)) == []
