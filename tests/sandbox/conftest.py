"""What the sandbox's tests share: a caller that knows no more of the service than HTTP, and recordings to upload.

Everything is opened inside a test and not in a fixture, because virtual time runs in the test only.
"""

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from attrs import define

from aimusic_async.sandbox import Options, Sandbox

TERMINAL = {"succeeded", "failed"}
SONG = {"custom_mode": True, "mv": "sonic-v5", "prompt": "[Verse]\nLanterns on the water line", "title": "Lanterns"}


@define
class Caller:
    """Sends requests to a sandbox, by default never too early."""

    box: Sandbox
    http: aiohttp.ClientSession

    async def raw(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """One request, at once."""
        headers = {"Authorization": f"Bearer {key or self.box.key}"}
        url = f"{self.box.url}/api/v1{path}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: object, *, key: str | None = None) -> tuple[int, dict[str, Any]]:
        """A POST that keeps to the rate limit."""
        await asyncio.sleep(self.box.options.period / self.box.options.speed)
        return await self.raw("POST", path, body, key=key)

    async def get(self, path: str, *, key: str | None = None) -> tuple[int, dict[str, Any]]:
        """A GET that keeps to the rate limit."""
        await asyncio.sleep(self.box.options.period / self.box.options.speed)
        return await self.raw("GET", path, key=key)

    async def done(self, path: str, body: object) -> dict[str, Any]:
        """A POST that must be accepted."""
        status, answer = await self.post(path, body)
        assert status == 200, answer
        return answer

    async def refused(self, path: str, body: object) -> tuple[int, str, str]:
        """A POST that must be refused: status, type and text."""
        status, answer = await self.post(path, body)
        assert status >= 400, answer
        return status, answer["type"], answer["error"]

    async def ended(self, task_id: str, family: str = "sonic") -> dict[str, Any]:
        """What a task shows in the end."""
        for _ in range(200):
            status, answer = await self.get(f"/{family}/task/{task_id}")
            if status == 200 and _is_over(answer):
                return answer
        raise AssertionError(f"task {task_id} never ended")

    async def made(self, path: str, body: object, family: str = "sonic") -> list[dict[str, Any]]:
        """The clips that a request makes."""
        answer = await self.done(path, body)
        return (await self.ended(answer["task_id"], family))["data"]

    async def song(self, **more: object) -> dict[str, Any]:
        """The first clip of a new Sonic song."""
        return (await self.made("/sonic/create", {**SONG, **more}))[0]

    async def credits(self) -> dict[str, int]:
        """The balance, as the service reports it."""
        status, answer = await self.get("/get-credits")
        assert status == 200
        return answer


def _is_over(answer: Mapping[str, Any]) -> bool:
    if answer.get("type") == "failed":
        return True
    if "data" not in answer:
        return answer.get("status") in TERMINAL
    data = answer["data"]
    if "status" in answer:
        return answer["status"] in ("SUCCESS", "FAILED")
    if isinstance(data, dict):
        return True
    clips = [item.get("full", item) for item in data]
    return bool(clips) and all(clip is not None and clip["state"] in TERMINAL for clip in clips)


Opener = Callable[..., AbstractAsyncContextManager[Caller]]


@pytest.fixture
def opened() -> Opener:
    """`async with opened(seed=7) as caller`: a sandbox with these options, and somebody who calls it."""

    @asynccontextmanager
    async def open_(**options: Any) -> AsyncIterator[Caller]:
        async with Sandbox(Options(**options)) as box, aiohttp.ClientSession() as http:
            yield Caller(box, http)

    return open_


def _tone(seconds: float, rate: int = 8000) -> bytes:
    """A silent WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(rate)
        sound.writeframes(b"\x80" * int(seconds * rate))
    return file.getvalue()


@pytest.fixture
def tone() -> Callable[[float], bytes]:
    """`tone(2.5)`: a silent WAV file of so many seconds."""
    return _tone


@define
class Recordings:
    """A host with recordings: `/20.wav` lasts 20 seconds; the rest has something wrong with it."""

    url: str
    asked: list[tuple[str, str]]

    def __call__(self, name: str) -> str:
        return f"{self.url}/{name}"


@pytest.fixture
def recordings() -> Callable[[], AbstractAsyncContextManager[Recordings]]:
    """`async with recordings() as at: at("20.wav")`: addresses of recordings on this machine."""

    @asynccontextmanager
    async def open_() -> AsyncIterator[Recordings]:
        asked: list[tuple[str, str]] = []

        async def serve(request: web.Request) -> web.StreamResponse:
            name = request.match_info["name"]
            asked.append((request.method, name))
            if name.endswith(".wav"):
                return web.Response(body=_tone(float(name.removesuffix(".wav"))), content_type="audio/wav")
            match name:
                case "no-head.mp3":
                    return web.Response(status=405 if request.method == "HEAD" else 200, content_type="audio/mpeg")
                case "moved.mp3":
                    raise web.HTTPFound("/20.wav")
                case "page.html":
                    return web.Response(text="<html>", content_type="text/html")
                case "empty.mp3":
                    return web.Response(body=b"", content_type="audio/mpeg")
                case "odd.ogg":
                    return web.Response(body=b"OggS....", content_type="audio/ogg")
            raise web.HTTPNotFound

        app = web.Application()
        app.router.add_get("/{name}", serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield Recordings(f"http://{host}:{port}", asked)
        finally:
            await runner.cleanup()

    return open_
