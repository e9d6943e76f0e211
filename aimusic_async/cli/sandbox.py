"""`aimusic sandbox`: the stand-in for the service as a server of its own."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import ConfigurationError
from ..sandbox import RandomFaults, Sandbox
from ..settings import API_KEY, BASE_URL, PRICES, SPEED
from .switches import build_options, read_switches, rows


async def run_sandbox(
    host: str,
    port: int,
    *,
    speed: float,
    seed: int,
    credits: int,  # noqa: A002
    faults: float = 0.0,
    http_webhooks: bool = False,
    era: str | None = None,
    switches: Iterable[str] = (),
    console: Console,
    row: Callable[[Mapping[str, Any]], None] | None = None,
) -> int:
    """Serve until cancelled; returns the exit code. `row` is called with the address and the key, as data.

    `faults`: the share of requests and of tasks that fail. `http_webhooks`, `era`: see `Options`. `switches`: its other
    fields, as `name=value`.
    """
    trouble = RandomFaults(faults, seed=seed) if faults else None
    options = build_options(
        era,
        read_switches(switches),
        speed=speed,
        seed=seed,
        credits=credits,
        faults=trouble,
        http_webhooks=http_webhooks,
    )
    box = Sandbox(options, host=host, port=port)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(box)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {reason}; choose another --port (0 takes a free one)"
            ) from error
        console.print(f"The sandbox listens on {box.url}; Ctrl-C ends it. In another terminal:\n", highlight=False)
        hurry = "" if speed == 1 else f" {SPEED}={speed:g}"
        prices = ",".join(f"{name}={price}" for name, price in options.prices.items())
        known = f" {PRICES}={shlex.quote(prices)}" if prices else ""
        export = f"export {BASE_URL}={box.url} {API_KEY}={box.key}{hurry}{known}"
        console.print(f"  {export}", highlight=False, soft_wrap=True)
        if row is not None:
            row({"url": box.url, "key": box.key, "speed": speed, "export": export})
        if trouble:
            console.print(
                f"\n{faults:.0%} of requests and of tasks fail on purpose, by the seed {seed}.", highlight=False
            )
        if http_webhooks:
            console.print(
                "\nWebhooks to plain http addresses of this machine are accepted and delivered.", highlight=False
            )
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        console.print("\nstopped", highlight=False)
    return 0


def show_switches(era: str | None, console: Console, row: Callable[[Mapping[str, Any]], None] | None) -> None:
    """Print every switch with its value in an era and its explanation; `row` is called with each, as data."""
    if row is not None:
        for one in rows(era):
            row({**one, "value": one["value"] if isinstance(one["value"], _PLAIN) else str(one["value"])})
        return
    table = Table("Switch", "Value", "What it is", box=None, pad_edge=False)
    for one in rows(era):
        table.add_row(one["switch"], escape(str(one["value"])), escape(one["about"]))
    console.print(table)


_PLAIN = (str, int, float, bool, type(None), list, tuple, dict)
