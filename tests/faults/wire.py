"""A service on the wire: each answer is written byte by byte, and connections end as a test wants it."""

import asyncio
import json
import socket
import struct
import sys
from contextlib import asynccontextmanager

TASK = {"code": 200, "data": [{"clip_id": f"c{number}", "state": "succeeded"} for number in (1, 2)]}
RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""The socket option by which closing resets the connection."""


def whole(status, body=b"", *, promised=None, length=None, more=""):
    """An answer, byte by byte; `promised` is the length that it tells."""
    kind = "text/html" if body.startswith(b"<") else "application/json"
    length = length or f"Content-Length: {len(body) if promised is None else promised}"
    return f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{length}\r\n{more}\r\n".encode() + body


def plain(value):
    return json.dumps(value).encode()


class Wire:
    """A service that does what a test wants with the bytes and the connection, once; before and after it is well.

    `trouble` maps a method to bytes that are answered before the connection ends, or to an async function of the
    connection's writer.
    """

    def __init__(self):
        self.trouble = {}
        self.seen = []
        """The method of each request that was read whole."""
        self.of_jobs = []
        """The same without what only asks whether the service answers, as the probe of a session does."""
        self.connections = []

    async def serve(self, reader, writer):
        self.connections.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next((line[15:] for line in head.split("\r\n") if line.startswith("Content-Length:")), "0")
                await reader.readexactly(int(length))
                method, path, _ = head.split(" ", 2)
                self.seen.append(method)
                if "credits" not in path:
                    self.of_jobs.append(method)
                trouble = self.trouble.pop(method, None)
                if isinstance(trouble, bytes):
                    writer.write(trouble)
                    break
                if trouble is not None:
                    await trouble(writer)
                    break
                writer.write(whole(200, plain(self.well(method, path))))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    def well(self, method, path):
        if "credits" in path:
            return {"credits": 100, "extra_credits": 0}
        if "wav" in path:
            return {"code": 200, "data": {"wav_url": "https://example.org/1.wav"}}
        return {"task_id": "t1"} if method == "POST" else TASK

    def reset_all(self):
        """Reset every connection, now."""
        for writer in self.connections:
            reset(writer)


def reset(writer):
    if not writer.transport.is_closing():
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()


async def reset_it(writer):
    reset(writer)


async def end_it(_writer):
    """Close it in good order, without a word."""


async def never_answer(_writer):
    await asyncio.sleep(3600)


async def trickle(writer):
    """Send an answer that is right, but takes an hour."""
    for byte in whole(200, plain({"task_id": "t1"})):
        writer.write(bytes([byte]))
        await asyncio.sleep(60)


@asynccontextmanager
async def listening(serve, **options):
    """A server in this loop, and its port. Connections that are still served when it ends are cut."""
    at_work = set()

    async def served(reader, writer):
        at_work.add(asyncio.current_task())
        await serve(reader, writer)

    server = await asyncio.start_server(served, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)


@asynccontextmanager
async def at(url, service):
    server = await asyncio.start_server(service.serve, "127.0.0.1", int(url.rpartition(":")[2]))
    try:
        yield
    finally:
        server.close()
        for writer in service.connections:
            writer.close()
            await writer.wait_closed()


def drops(wire):
    """The ways in which a server can lose its connections."""

    def shut():
        for writer in wire.connections:
            writer.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    return {"reset": wire.reset_all, "shut": shut}
