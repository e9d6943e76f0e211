"""What a direct call costs the client, beside raw aiohttp and httpx: CPU a call, and throughput with 50 callers.

The server is a few lines of aiohttp in a process of its own, so that only the client's CPU counts. The contenders take
turns in short rounds, each round begins with another of them, and each is compared with raw aiohttp in the same round.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import attrs
import httpx
from aiohttp import web
from rich.table import Table

from aimusic_async import MusicSession, TokenBucket, sonic
from benchmarks.serving import serving

PATH = "/api/v1/sonic/upsample-tags"
ANSWER = {
    "code": 200,
    "message": "success",
    "data": {"upsampled_tags": "bright pop, 120 bpm, hand claps, a warm choir"},
}
KEY = "sk-benchmark"
HEADERS = {"Authorization": f"Bearer {KEY}", "Accept": "application/json"}

ROUNDS = 31
CALLS = 80
"""Calls one after another, in each round of each contender."""
CALLERS = 50
CALLS_OF_A_CALLER = 3

Call = Callable[[], Awaitable[object]]


@attrs.frozen
class Turn:
    """What one contender did in one round."""

    cpu: float
    """Seconds of CPU a call, one after another."""
    crowd_cpu: float
    """Seconds of CPU a call, with many callers."""
    rate: float
    """Calls a second, with many callers."""


def run(*, seeds: int) -> Table:
    """Take turns, and compare; every seed adds as many rounds again."""
    rounds = ROUNDS * max(1, seeds // 3)
    with serving(PATH, _answer) as url:
        turns = asyncio.run(_rounds(url, rounds))
    table = Table(
        title=f"A direct call over loopback, medians of {rounds} rounds; ratios to raw aiohttp (less is better)"
    )
    for column in ("way", "CPU a call", "ratio", f"CPU, {CALLERS} callers", "ratio", "calls/s", "time a call, ratio"):
        table.add_column(column, justify="left" if column == "way" else "right")
    base = turns["aiohttp"]
    for name, own in turns.items():
        table.add_row(
            name,
            f"{statistics.median(turn.cpu for turn in own) * 1e6:.0f} µs",
            _ratio(own, base, lambda turn: turn.cpu),
            f"{statistics.median(turn.crowd_cpu for turn in own) * 1e6:.0f} µs",
            _ratio(own, base, lambda turn: turn.crowd_cpu),
            f"{statistics.median(turn.rate for turn in own):.0f}",
            _ratio(own, base, lambda turn: 1 / turn.rate),
        )
    return table


def _ratio(own: list[Turn], base: list[Turn], value: Callable[[Turn], float]) -> str:
    return f"{statistics.median(value(mine) / value(other) for mine, other in zip(own, base, strict=True)):.2f}"


async def _rounds(url: str, rounds: int) -> dict[str, list[Turn]]:
    async with AsyncExitStack() as stack:
        music = await stack.enter_async_context(MusicSession(KEY, url, limiter=_never_waits()))
        raw = await stack.enter_async_context(aiohttp.ClientSession(headers=HEADERS))
        other = await stack.enter_async_context(httpx.AsyncClient(headers=HEADERS, trust_env=False))

        async def ours() -> object:
            return (await music.run(sonic.UpsampleTags(tags="pop"))).upsampled_tags

        async def with_aiohttp() -> object:
            async with raw.post(url + PATH, json={"tags": "pop"}) as response:
                return (await response.json())["data"]["upsampled_tags"]

        async def with_httpx() -> object:
            response = await other.post(url + PATH, json={"tags": "pop"})
            return response.json()["data"]["upsampled_tags"]

        ways: dict[str, Call] = {"aiohttp": with_aiohttp, "aimusic_async": ours, "httpx": with_httpx}
        turns: dict[str, list[Turn]] = {name: [] for name in ways}
        for call in ways.values():
            await _turn(call)  # connections and caches
        order = list(ways)
        for _ in range(rounds):
            for name in order:
                turns[name].append(await _turn(ways[name]))
            order.append(order.pop(0))
        return turns


async def _turn(call: Call) -> Turn:
    async def caller() -> None:
        for _ in range(CALLS_OF_A_CALLER):
            await call()

    cpu = time.process_time()
    for _ in range(CALLS):
        await call()
    cpu = time.process_time() - cpu
    crowd_cpu, crowd = time.process_time(), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    crowd_cpu, crowd = time.process_time() - crowd_cpu, time.perf_counter() - crowd
    calls = CALLERS * CALLS_OF_A_CALLER
    return Turn(cpu=cpu / CALLS, crowd_cpu=crowd_cpu / calls, rate=calls / crowd)


def _never_waits() -> TokenBucket:
    return TokenBucket(10**6, capacity=10**6, margin=0)


async def _answer(request: web.Request) -> web.Response:
    await request.json()
    return web.json_response(ANSWER)
