"""Ways to open a transport, and places at which a request meets trouble."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import tempfile
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path

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


@cache
def certificate(name="localhost", days=2):
    """A key and a certificate for a name, which nobody knows, as PEM; with negative days it has expired."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")

    def openssl(command, given=None):
        return subprocess.run(["openssl", *command.split()], input=given, check=True, capture_output=True).stdout

    new = f"req -nodes -newkey rsa:2048 -subj /CN={name} -keyout -"
    if days > 0:
        return openssl(f"{new} -x509 -days {days} -addext subjectAltName=DNS:{name}")
    with tempfile.NamedTemporaryFile() as key:  # `req` makes none that has expired
        key.write(openssl(f"{new} -new"))
        key.flush()
        asked = Path(key.name).read_bytes()
        return asked + openssl(f"x509 -req -signkey {key.name} -days {days}", asked)


def tls_of(pem):
    """What a server needs to use a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


@asynccontextmanager
async def unknown_certificate(name="localhost", days=2):
    context = tls_of(await asyncio.to_thread(certificate, name, days))
    async with serving(Wire().serve, ssl=context) as port:
        yield f"https://localhost:{port}"


class Proxy:
    """A proxy that tunnels whatever is asked of it to one port of this machine, and keeps what it was asked."""

    def __init__(self, port=None, refuse=None):
        self.port, self.refuse = port, refuse
        self.heads = []

    async def serve(self, reader, writer):
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if self.refuse:
            writer.write(f"HTTP/1.1 {self.refuse}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        if self.heads[-1].startswith("CONNECT "):
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            back.write(self.heads[-1].encode())
        try:
            await asyncio.wait(
                [asyncio.ensure_future(pump(reader, back)), asyncio.ensure_future(pump(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            back.close()


async def pump(reader, writer):
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)


@asynccontextmanager
async def proxying(**options):
    """A running proxy, with its address in `.url`."""
    proxy = Proxy(**options)
    async with serving(proxy.serve) as port:
        proxy.url = f"http://127.0.0.1:{port}"
        yield proxy
