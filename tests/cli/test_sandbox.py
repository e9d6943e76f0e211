"""`aimusic sandbox` with faults: what it makes of the option, and that it says so."""

import asyncio
import io
import re

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console
from typer.testing import CliRunner

from aimusic_async.cli.app import app
from aimusic_async.cli.sandbox import run_sandbox


async def served(faults, count):
    """What is printed, and how many of `count` requests to a sandbox with this share of faults went wrong."""
    out = io.StringIO()
    console = Console(file=out, width=200)
    box = asyncio.create_task(
        run_sandbox("127.0.0.1", 0, speed=1000, seed=3, credits=0, faults=faults, console=console)
    )
    while "export" not in out.getvalue():
        await asyncio.sleep(0.01)
    url, key = re.search(r"=(http://\S+) AIMUSIC_API_KEY=(\S+)", out.getvalue()).groups()
    wrong = 0
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:
        for _ in range(count):
            await asyncio.sleep(0.004)
            try:
                async with http.get(f"{url}/api/v1/get-credits") as answer:
                    await answer.json()
                    wrong += answer.status != 200
            except (aiohttp.ClientError, ValueError):
                wrong += 1
    box.cancel()
    assert await box == 0
    return out.getvalue(), wrong


@pytest.mark.parametrize(("faults", "least", "most"), [(0.0, 0, 0), (0.5, 5, 38), (1.0, 30, 40)])
async def test_a_share_of_requests_goes_wrong(faults, least, most):
    printed, wrong = await served(faults, 40)
    assert least <= wrong <= most
    assert (f"{faults:.0%} of requests and of tasks fail on purpose, by the seed 3" in printed) == (faults > 0)


@pytest.mark.parametrize("share", ["-0.1", "1.1", "many"])
def test_a_share_that_is_none_ends_with_2(share):
    assert CliRunner().invoke(app, ["sandbox", "--faults", share]).exit_code == 2


@pytest.mark.parametrize(("http_webhooks", "status"), [(True, 200), (False, 400)])
async def test_plain_http_webhooks_of_this_machine_are_accepted_and_delivered_on_request(http_webhooks, status):
    out = io.StringIO()
    heard = asyncio.Queue()

    async def hear(request):
        await heard.put(request.headers["X-Webhook-Event"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hear)
    console = Console(file=out, width=200)
    serving = run_sandbox("127.0.0.1", 0, speed=1000, seed=3, credits=100, http_webhooks=http_webhooks, console=console)
    box = asyncio.create_task(serving)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        while "export" not in out.getvalue():
            await asyncio.sleep(0.01)
        url, key = re.search(r"=(http://\S+) AIMUSIC_API_KEY=(\S+)", out.getvalue()).groups()
        wish = {"task_type": "create_music", "custom_mode": True, "prompt": "[Verse] la", "mv": "sonic-v4-5"}
        wish["webhook_url"] = str(server.make_url("/hook"))
        headers = {"Authorization": f"Bearer {key}"}
        async with http.post(f"{url}/api/v1/sonic/create", json=wish, headers=headers) as answer:
            assert answer.status == status, await answer.text()
        if http_webhooks:
            assert await heard.get() == "song.completed"
        box.cancel()
        assert await box == 0
    assert ("are accepted and delivered" in out.getvalue()) == http_webhooks


def test_the_help_explains_it():
    printed = CliRunner().invoke(app, ["sandbox", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert "fail on purpose" in " ".join(re.sub(r"\x1b\[[0-9;]*m", "", printed).split())
