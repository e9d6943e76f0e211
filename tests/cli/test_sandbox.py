"""`aimusic sandbox` with faults: what it makes of the option, and that it says so."""

import asyncio
import io
import json
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


# --- eras and switches -----------------------------------------------------------------------------------------------


async def asked(*posts, **given):
    """The answers of a sandbox to these POSTs, and what it printed."""
    out = io.StringIO()
    console = Console(file=out, width=200)
    box = asyncio.create_task(run_sandbox("127.0.0.1", 0, speed=1000, seed=3, credits=999, console=console, **given))
    while "export" not in out.getvalue() and not box.done():
        await asyncio.sleep(0.01)
    if box.done():
        await box
    url, key = re.search(r"=(http://\S+) AIMUSIC_API_KEY=(\S+)", out.getvalue()).groups()
    answers = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:
        for path, body in posts:
            await asyncio.sleep(0.01)
            async with http.post(f"{url}/api/v1{path}", json=body) as answer:
                answers.append((answer.status, await answer.text()))
    box.cancel()
    await box
    return answers, out.getvalue()


SONG = {"custom_mode": True, "mv": "sonic-v6", "prompt": "la"}


async def test_an_era_and_single_switches_turn_the_sandbox():
    create = ("/sonic/create", SONG)
    said = ("/sonic/create", {**SONG, "use_suno_cdn": False})
    (seed,), _ = await asked(create, era="seed")
    assert seed[0] == 400
    assert "'mv'" in seed[1]
    (unsaid, today), printed = await asked(create, said, era="today")
    assert (unsaid[0], today[0]) == (400, 200)
    assert "'use_suno_cdn'" in unsaid[1]
    assert "AIMUSIC_PRICES=sonic.create_music=14,sonic.extend_music=14" in printed.replace("'", "")
    (loosened,), printed = await asked(
        create, era="today", switches=["use-suno-cdn-required=no", 'prices={"sonic.create_music": 3}']
    )
    assert loosened[0] == 200
    assert "AIMUSIC_PRICES=sonic.create_music=3" in printed
    (usual,), printed = await asked(create)
    assert usual[0] == 200
    assert "AIMUSIC_PRICES" not in printed


@pytest.mark.parametrize(
    ("switch", "words"),
    [
        ("use_suno_cdn_requird=yes", "did you mean use_suno_cdn_required?"),
        ("zzz", "aimusic sandbox --switches"),
        ("speed=3", "there is no switch 'speed'"),
        ("use_suno_cdn_required=perhaps", "--switch: "),
        ("prices=14", "--switch: "),
        ("upload_task_types=never", "--switch: "),
    ],
)
def test_a_switch_that_makes_no_sense_ends_with_2_and_says_what_is_meant(switch, words):
    done = CliRunner().invoke(app, ["sandbox", "--port", "0", "--switch", switch])
    assert done.exit_code == 2
    assert words in done.output
    assert len(done.output.splitlines()) == 1


def test_an_era_that_never_was_ends_with_2():
    assert CliRunner().invoke(app, ["sandbox", "--era", "tomorrow"]).exit_code == 2


def test_all_switches_are_listed_with_their_values_in_an_era_and_what_they_are():
    listed = CliRunner().invoke(app, ["sandbox", "--switches", "--era", "today", "--json"])
    assert listed.exit_code == 0
    rows = {row["switch"]: row for row in map(json.loads, listed.output.splitlines())}
    assert rows["use_suno_cdn_required"]["value"] is True
    assert all(row["about"] for row in rows.values())
    shown = CliRunner().invoke(app, ["sandbox", "--switches"], env={"COLUMNS": "200"})
    assert "use_suno_cdn_required" in shown.output
