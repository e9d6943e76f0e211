"""What was there in time is read, though the event loop was not; what does not come is given up."""

import asyncio
import socket
import threading
import time

import attrs
import pytest

from aimusic_async import TransportError, sonic
from aimusic_async.transport.deadline import Deadline

from ..faults.wire import trickle, whole
from .ways import SONG, to

SHORT = 0.2


@pytest.fixture
def soon(monkeypatch):
    """Make the deadline of a song's POST a short one."""
    monkeypatch.setattr(sonic.CreateMusic, "endpoint", attrs.evolve(SONG.endpoint, reply_within=SHORT))


class Threaded:
    """A service in a thread of its own, which answers while the event loop stands still."""

    def __init__(self, answer):
        self.answer = answer
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(5)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(5)
        self.listener.close()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(5)
            while not connection.recv(65536).endswith(b"}"):
                pass
            self.asked.set()
            self.may_answer.wait(5)
            connection.sendall(self.answer)


@pytest.mark.parametrize("size", [10, 200_000, 4_000_000], ids=["small", "in pieces", "larger than the sockets"])
async def test_an_answer_that_was_there_in_time_is_read_though_the_loop_was_blocked_past_the_deadline(soon, size):
    with Threaded(whole(200, b'{"task_id": "t", "more": "' + b"x" * size + b'"}')) as service:
        async with to(service.url, connect_timeout=SHORT) as transport:
            sending = asyncio.create_task(transport.send(SONG))
            while not service.asked.is_set():
                await asyncio.sleep(0.001)
            service.may_answer.set()
            time.sleep(4 * SHORT)  # noqa: ASYNC251 - the loop is blocked, as by a debugger or by a stopped process
            assert (await sending).body["task_id"] == "t"


@pytest.mark.looptime
async def test_an_answer_that_drips_for_ever_is_given_up_at_its_deadline(wire):
    wire.trouble["POST"] = trickle
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with to(wire.url) as transport:
        with pytest.raises(TransportError, match="lost: no answer within 70 s"):
            await transport.send(SONG)
    assert 70 <= loop.time() - began < 71


@pytest.mark.looptime
async def test_bytes_that_keep_coming_after_the_deadline_hold_it_up_for_seconds_only():
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with Deadline(1) as deadline:
            while True:
                await asyncio.sleep(0.01)
                deadline.heard()
    assert loop.time() < 1 + 60 * 0.1


@pytest.mark.looptime
async def test_a_deadline_that_is_met_leaves_no_timer_and_another_cancellation_alone():
    async with Deadline(1):
        await asyncio.sleep(0.5)
    await asyncio.sleep(5)

    async def waits():
        async with Deadline(1):
            await asyncio.sleep(5)

    task = asyncio.create_task(waits())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
