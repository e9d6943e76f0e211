"""Ways to open a transport, and places at which a request meets trouble."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import tempfile
from contextlib import asynccontextmanager

import aiohttp
import pytest

from aimusic_async import Settings, account, sonic
from aimusic_async.transport.http import HttpTransport

from ..faults.wire import Wire, end_it, listening, reset_it, whole

KEY = "sk-THE-KEY-0123456789"
SONG = sonic.CreateMusic(prompt="la", mv="sonic-v5")
CREDITS = account.GetCredits()
BOTH = pytest.mark.parametrize(("request_", "method"), [(SONG, "POST"), (CREDITS, "GET")], ids=["POST", "GET"])

LOST = {
    "closed": end_it,
    "reset": reset_it,
    "no HTTP": b"what is this?\r\n\r\n",
    "half of it": whole(200, b'{"task_id"', promised=100),
    "no gzip": whole(200, b"no gzip", more="Content-Encoding: gzip\r\n"),
}
"""What a service does to its answer."""


def to(url, http=None, **settings):
    return HttpTransport(Settings(api_key=KEY, base_url=url, **settings), http)


@asynccontextmanager
async def in_a_session(url, **options):
    """A transport in an aiohttp session of the user's own."""
    async with aiohttp.ClientSession(**options) as http, to(url, http) as transport:
        yield transport


@asynccontextmanager
async def serving(serve, **options):
    """A server in this loop, and its port; whatever happens, its connections are closed at the end."""

    async def served(reader, writer):
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with listening(served, **options) as port:
        yield port
    await asyncio.sleep(0.01)  # closing takes some turns of the loop


@asynccontextmanager
async def refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def failing_tls(answer):
    async def serve(reader, writer):
        await reader.read(1)
        answer(writer)

    async with serving(serve) as port:
        yield f"https://127.0.0.1:{port}"


def no_tls(writer):
    writer.write(b"HTTP/1.1 400 Plain\r\n\r\n")


@asynccontextmanager
async def unknown_certificate():
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    command = "openssl req -x509 -nodes -newkey rsa:2048 -subj /CN=localhost -days 2 -keyout -"
    pem = await asyncio.to_thread(subprocess.run, command.split(), check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem.stdout)
        file.flush()
        context.load_cert_chain(file.name)
    async with serving(Wire().serve, ssl=context) as port:
        yield f"https://localhost:{port}"
