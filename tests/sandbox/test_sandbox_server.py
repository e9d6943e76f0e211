"""Opening and closing a sandbox, and what it may import."""

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

import aimusic_async.sandbox
from aimusic_async.sandbox import Sandbox


async def test_it_listens_on_this_machine_at_a_free_port_until_it_is_closed():
    async with Sandbox() as box, aiohttp.ClientSession() as http:
        url = box.url
        assert url.startswith("http://127.0.0.1:")
        async with http.get(f"{url}/api/v1/get-credits", headers={"Authorization": f"Bearer {box.key}"}) as answer:
            assert await answer.json() == {"credits": 10_000, "extra_credits": 500}
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.get(url)


async def test_two_can_be_open_at_once():
    async with Sandbox() as one, Sandbox() as two:
        assert one.url != two.url


async def test_it_can_only_be_used_open_and_opened_once():
    box = Sandbox()
    with pytest.raises(RuntimeError, match="not open"):
        _ = box.url
    async with box:
        with pytest.raises(RuntimeError, match="once"):
            await box.__aenter__()


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind():
    async with Sandbox() as box:
        port = int(box.url.rpartition(":")[2])
        with pytest.raises(OSError, match="ddress"):
            await Sandbox(port=port).__aenter__()


async def test_closing_does_not_wait_for_slow_answers(opened, recordings):
    async with recordings() as at:
        async with opened() as caller:
            slow = asyncio.ensure_future(caller.raw("POST", "/sonic/upload", {"url": at("20.wav")}))
            await asyncio.sleep(0.3)
            loop = asyncio.get_running_loop()
            start = loop.time()
        assert loop.time() - start < 2
        with pytest.raises(aiohttp.ClientError):
            await slow


@pytest.mark.looptime
async def test_an_answer_that_is_not_waited_for_is_paid_all_the_same(opened, recordings):
    async with opened() as caller, recordings() as at:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await caller.raw("POST", "/sonic/upload", {"url": at("20.wav")})
        await asyncio.sleep(60)
        assert caller.box.books.charged == 2
        assert caller.box.books.requests[0].status == 200


def test_the_sandbox_imports_nothing_from_the_client_side():
    folder = Path(aimusic_async.sandbox.__file__).parent
    modules = [node for path in folder.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    names = [node.module or "" for node in modules if isinstance(node, ast.ImportFrom) and not node.level]
    names += [alias.name for node in modules if isinstance(node, ast.Import) for alias in node.names]
    ours = [name for name in names if name.startswith("aimusic_async")]
    assert ours
    assert all(name.startswith("aimusic_async.sandbox") for name in ours)


def test_opening_it_loads_neither_numpy_nor_pillow():
    code = "import sys, aimusic_async.sandbox; print({'numpy', 'PIL', 'lameenc', 'mido'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
