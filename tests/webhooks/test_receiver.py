"""The doors: both answer the same, at once, and hand on nothing but what is genuine and new."""

import asyncio
import gzip
import hashlib
import hmac
import io
import json
import logging
import os
import socket
import time
from contextlib import asynccontextmanager

import aiohttp
import anyio
import pytest
import uvicorn
from aiohttp import web
from aiohttp.test_utils import TestServer
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from aimusic_async import ConfigurationError, Events
from aimusic_async.callbacks import WebhookConfig
from aimusic_async.events import Verdict, WebhookReceived
from aimusic_async.webhooks import SongEvent, aiohttp_handler, asgi_app

EXAMPLES = int(os.environ.get("AIMUSIC_EXAMPLES", "300"))
CONFIG = WebhookConfig("https://example.com/hook", "the configured secret")
JOB, OTHER = "ab" * 16, "cd" * 16
BODY = json.dumps({"task_id": "t-1", "platform": "sonic", "event": "song.completed", "data": []}).encode()


class Inbox:
    """Takes what a door hands on."""

    def __init__(self, config=CONFIG):
        self.config = config
        self.open = True
        self.delivered = []
        self.told = []
        self.events = Events()
        self.events.listen(self.told.append)

    def webhook_secret(self, job_id):
        if self.config is None:
            return None
        return self.config.secret if job_id is None else self.config.secret_for(job_id)

    async def deliver(self, event, job_id):
        if self.open:
            self.delivered.append((event, job_id))
        return self.open

    @property
    def verdicts(self):
        return [told.verdict for told in self.told]


def headers_for(body, secret, *, at=None, delivery_id="evt-1"):
    stamp = str(int(time.time()) if at is None else at)
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Webhook-Id": delivery_id,
        "X-Webhook-Event": "song.completed",
        "X-Webhook-Timestamp": stamp,
        "X-Webhook-Signature": f"sha256={signature}",
    }


def delivery(body=BODY, job=JOB, **more):
    """Query, headers and body of a genuine delivery."""
    secret = CONFIG.secret if job is None else CONFIG.secret_for(job)
    return ("" if job is None else f"?job={job}"), headers_for(body, secret, **more), body


@asynccontextmanager
async def served_by_aiohttp(inbox, **options):
    app = web.Application(client_max_size=1000)
    app.router.add_route("*", "/hook", aiohttp_handler(inbox, **options))
    async with TestServer(app) as server:
        yield str(server.make_url("/hook"))


@asynccontextmanager
async def running(app):
    """A uvicorn in this loop, and its address."""
    config = uvicorn.Config(app, http="h11", ws="none", loop="none", lifespan="on", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            while not server.started:
                await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True


@asynccontextmanager
async def served_by_uvicorn(inbox, **options):
    async with running(asgi_app(inbox, **options)) as url:
        yield f"{url}/hook"


@pytest.fixture(params=[served_by_aiohttp, served_by_uvicorn], ids=["aiohttp", "uvicorn"])
def served(request):
    return request.param


@asynccontextmanager
async def opened(served, inbox, **options):
    """A function that posts to a door, and returns status and JSON."""
    async with served(inbox, **options) as url, aiohttp.ClientSession() as http:

        async def post(query="", headers=None, body=b""):
            data = io.BytesIO(body) if isinstance(body, bytes) else body
            async with http.request("POST", url + query, headers=headers, data=data) as answer:
                return answer.status, json.loads(await answer.read() or b"{}")

        post.url = url
        yield post


# --- what is genuine -----------------------------------------------------------------------------------------------


async def test_a_genuine_delivery_is_answered_handed_on_and_told(served, caplog):
    caplog.set_level(logging.INFO)
    inbox = Inbox()
    async with opened(served, inbox) as post:
        assert await post(*delivery()) == (200, {"status": "accepted"})
    ((event, job_id),) = inbox.delivered
    assert (event.id, event.event, event.task_id, job_id) == ("evt-1", SongEvent.COMPLETED, "t-1", JOB)
    accepted = {"verdict": Verdict.ACCEPTED, "id": "evt-1", "event": "song.completed", "task_id": "t-1", "job_id": JOB}
    assert inbox.told == [WebhookReceived(**accepted)]
    assert "webhook accepted: 'song.completed', task 't-1'" in caplog.text


async def test_a_delivery_that_names_no_job_is_signed_with_the_configured_secret(served):
    inbox = Inbox()
    async with opened(served, inbox) as post:
        assert await post(*delivery(job=None)) == (200, {"status": "accepted"})
    assert [job_id for _, job_id in inbox.delivered] == [None]


async def test_streaming_and_completed_are_two_events(served):
    inbox = Inbox()
    async with opened(served, inbox) as post:
        for word in ("song.streaming", "song.completed"):
            body = BODY.replace(b"song.completed", word.encode())
            assert (await post(*delivery(body)))[0] == 200
    assert [event.event for event, _ in inbox.delivered] == [SongEvent.STREAMING, SongEvent.COMPLETED]


async def test_an_event_that_comes_again_is_answered_and_not_handed_on(served):
    inbox, now = Inbox(), int(time.time())
    async with opened(served, inbox) as post:
        for at in (now, now, now + 1, now + 5):
            assert (await post(*delivery(at=at)))[0] == 200
    assert len(inbox.delivered) == 1
    assert inbox.verdicts == [Verdict.ACCEPTED] + [Verdict.DUPLICATE] * 3


async def test_a_recorded_delivery_under_a_new_id_is_not_handed_on(served):
    inbox = Inbox()
    query, headers, body = delivery()
    async with opened(served, inbox) as post:
        await post(query, headers, body)
        assert (await post(query, headers | {"X-Webhook-Id": "evt-2"}, body))[0] == 200
        assert len(inbox.delivered) == 1
        assert (await post(*delivery(BODY + b" ", delivery_id="evt-2")))[0] == 200  # nor does it hide the real evt-2
    assert len(inbox.delivered) == 2


async def test_a_forger_cannot_hide_the_delivery_whose_id_he_knows(served):
    inbox = Inbox()
    query, headers, body = delivery()
    async with opened(served, inbox) as post:
        assert (await post(query, headers | {"X-Webhook-Signature": "sha256=" + "0" * 64}, body))[0] == 401
        assert (await post(query, headers_for(body, CONFIG.secret_for(OTHER)), body))[0] == 401
        assert (await post(f"?job={OTHER}", headers_for(body, CONFIG.secret_for(OTHER)), body))[0] == 200
        assert await post(query, headers, body) == (200, {"status": "accepted"})
    assert [job_id for _, job_id in inbox.delivered] == [OTHER, JOB]


async def test_while_nobody_works_on_it_the_service_is_told_to_come_again(served):
    inbox = Inbox()
    inbox.open = False
    async with opened(served, inbox) as post:
        assert await post(*delivery()) == (503, {"status": "not open"})
        inbox.open = True
        assert await post(*delivery()) == (200, {"status": "accepted"})
    assert len(inbox.delivered) == 1
    assert inbox.verdicts == [Verdict.NOT_OPEN, Verdict.ACCEPTED]


async def test_many_at_once_are_each_handed_on_once(served):
    inbox = Inbox()
    async with opened(served, inbox) as post, anyio.create_task_group() as group:
        for number in range(40):
            body = BODY.replace(b"t-1", f"t-{number % 20}".encode())
            query, headers, body = delivery(body, delivery_id=f"evt-{number % 20}")
            group.start_soon(post, query, headers, body)
    assert sorted(event.task_id for event, _ in inbox.delivered) == sorted(f"t-{number}" for number in range(20))


# --- what is not ---------------------------------------------------------------------------------------------------


def attack(name, status, **changed):
    return pytest.param(changed, status, id=name)


def _headers(changed):
    query, headers, body = delivery(
        changed.get("signed", BODY), at=changed.get("at"), delivery_id=changed.get("delivery_id", "evt-1")
    )
    if "secret" in changed:
        headers = headers_for(body, changed["secret"])
    headers = {name: value for name, value in (headers | changed.get("headers", {})).items() if value is not None}
    return changed.get("query", query), headers, changed.get("body", body)


ATTACKS = [
    attack("forged", 401, headers={"X-Webhook-Signature": "sha256=" + "0" * 64}),
    attack("unsigned", 401, headers={"X-Webhook-Signature": None}),
    attack("signed with an empty secret", 401, secret=""),
    attack("signed with the configured secret", 401, secret=CONFIG.secret),
    attack("signed for another job", 401, secret=CONFIG.secret_for(OTHER)),
    attack("moved to another job", 401, query=f"?job={OTHER}"),
    attack("moved to no job", 401, query=""),
    attack("altered", 401, body=BODY.replace(b"t-1", b"t-2")),
    attack("emptied", 401, body=b""),
    attack("redated", 401, headers={"X-Webhook-Timestamp": str(int(time.time()) - 1)}),
    attack("undated", 401, headers={"X-Webhook-Timestamp": None}),
    attack("stale", 401, at=int(time.time()) - 1000),
    attack("future", 401, at=int(time.time()) + 1000),
    attack("dated nan", 401, at="nan"),
    attack("in the old form", 401, headers={"X-Webhook-Signature": None, "X-Signature": "0" * 64}),
    attack("beyond ASCII", 401, headers={"X-Webhook-Signature": "sha256=" + "é" * 64}),
    attack("nameless", 400, headers={"X-Webhook-Id": None}),
    attack("no JSON", 400, signed=b"{"),
    attack("no object", 400, signed=b"[1]"),
    attack("nothing", 400, signed=b""),
    attack("nonsense", 400, signed=b'{"task_id": ["t"]}'),
    attack("deep", 400, signed=b"[" * 100_000),
    attack("an odd job", 400, query="?job=1"),
    attack("a job twice", 400, query=f"?job={JOB}&job={OTHER}"),
    attack("a job's path", 400, query="?job=../../x"),
    attack("too large", 413, signed=b" " * (1024 * 1024) + BODY),
]


@pytest.mark.parametrize(("changed", "status"), ATTACKS)
async def test_an_attack_is_refused_and_nothing_is_handed_on(served, changed, status, caplog):
    inbox = Inbox()
    query, headers, body = _headers(changed)
    async with opened(served, inbox) as post:
        answered, said = await post(query, headers, body)
    assert answered == status
    assert inbox.delivered == []
    (told,) = inbox.told
    assert told.reason
    assert told == WebhookReceived(verdict=told.verdict, reason=told.reason)
    assert said == {"status": told.verdict.value}
    (record,) = [record for record in caplog.records if record.name == "aimusic_async"]
    assert record.levelno == logging.WARNING
    for secret in (CONFIG.secret, CONFIG.secret_for(JOB), headers.get("X-Webhook-Signature", "?"), "t-1", "evt-1", JOB):
        assert secret not in record.getMessage() + repr(told)


async def test_a_line_break_from_outside_does_not_write_a_log_line_of_its_own(served, caplog):
    caplog.set_level(logging.INFO)
    body = BODY.replace(b"song.completed", b"song\\nERROR stolen " + b"x" * 200)
    async with opened(served, Inbox()) as post:
        assert (await post(*delivery(body)))[0] == 200
    (record,) = [record for record in caplog.records if record.name == "aimusic_async"]
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 300


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_told_to_post(served, method):
    inbox = Inbox()
    async with served(inbox) as url, aiohttp.ClientSession() as http, http.request(method, url) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert inbox.told == []


async def chunks(count, size=64 * 1024):
    for _ in range(count):
        yield b" " * size


async def test_a_body_without_a_length_is_refused_once_it_is_too_large(served):
    inbox = Inbox()
    async with opened(served, inbox) as post:
        assert await post("", {}, chunks(40)) == (413, {"status": "too large"})
    assert inbox.verdicts == [Verdict.TOO_LARGE]


async def test_a_body_without_end_is_answered_all_the_same(served):
    """And not kept: the sender is told while he still sends, and sooner or later cut off."""
    inbox = Inbox()
    async with served(inbox) as url:
        host, port = url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /hook HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(33):
            writer.write(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
        assert b" 413 " in await reader.readline()
        writer.close()
    assert inbox.verdicts == [Verdict.TOO_LARGE]


async def test_the_limit_is_the_largest_body_that_is_taken(served):
    inbox = Inbox()
    async with opened(served, inbox, limit=2000) as post:
        for size, status in ((1999, 200), (2000, 200), (2001, 413)):
            body = BODY.ljust(size)
            query, headers, body = delivery(body, delivery_id=f"evt-{size}")
            assert (await post(query, headers, body))[0] == status
    assert len(inbox.delivered) == 2


async def test_a_small_body_that_swells_is_refused(served):
    bomb = gzip.compress(b" " * 50_000_000)
    inbox = Inbox()
    query, headers, body = delivery(bomb)
    async with opened(served, inbox) as post:
        status, _ = await post(query, headers | {"Content-Encoding": "gzip"}, body)
    assert status in {400, 413}  # aiohttp unpacks it, ASGI servers do not
    assert inbox.delivered == []


async def test_a_sender_who_goes_away_leaves_nothing_behind(served, caplog):
    caplog.set_level(logging.WARNING)
    inbox = Inbox()
    query, headers, body = delivery()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    async with opened(served, inbox) as post:
        host, port = post.url.split("/")[2].split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        start = f"POST /hook{query} HTTP/1.1\r\nHost: h\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        writer.write(start.encode() + body[:10])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)
        assert (inbox.told, caplog.records) == ([], [])
        assert (await post(query, headers, body))[0] == 200


async def test_the_tolerance_can_be_chosen(served):
    inbox = Inbox()
    async with opened(served, inbox, tolerance=5) as post:
        assert (await post(*delivery(at=int(time.time()) - 60)))[0] == 401
    assert inbox.verdicts == [Verdict.STALE]


@pytest.mark.parametrize("door", [aiohttp_handler, asgi_app])
@pytest.mark.parametrize(
    ("inbox", "options"),
    [
        (Inbox(None), {}),
        (Inbox(), {"tolerance": 0}),
        (Inbox(), {"tolerance": float("nan")}),
        (Inbox(), {"limit": 0}),
    ],
)
def test_a_door_that_could_not_work_is_refused_when_it_is_made(door, inbox, options):
    with pytest.raises(ConfigurationError):
        door(inbox, **options)


# --- among other software ------------------------------------------------------------------------------------------


async def test_an_aiohttp_middleware_may_have_read_the_body_before():
    @web.middleware
    async def curious(request, handler):
        await request.read()
        return await handler(request)

    inbox = Inbox()
    app = web.Application(middlewares=[curious])
    app.router.add_post("/hook", aiohttp_handler(inbox, limit=200))
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        for body, status in ((BODY, 200), (BODY.ljust(201), 413)):
            query, headers, data = delivery(body)
            async with http.post(f"{server.make_url('/hook')}{query}", headers=headers, data=data) as answer:
                assert answer.status == status
    assert len(inbox.delivered) == 1


@pytest.mark.parametrize(
    ("build", "path"),
    [
        (lambda door: Starlette(routes=[Mount("/hook", door)]), "/hook/"),
        (lambda door: Starlette(routes=[Route("/hook", door, methods=["POST"])]), "/hook"),
        (lambda door: _fastapi(lambda app: app.mount("/hook", door)), "/hook/"),
        (lambda door: _fastapi(lambda app: app.add_route("/hook", door, methods=["POST"])), "/hook"),
    ],
    ids=["starlette mount", "starlette route", "fastapi mount", "fastapi route"],
)
async def test_the_asgi_door_stands_in_other_applications(build, path):
    inbox = Inbox()
    async with running(build(asgi_app(inbox))) as url, aiohttp.ClientSession() as http:
        query, headers, body = delivery()
        async with http.post(url + path + query, headers=headers, data=body) as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "accepted"})
        async with http.post(url + path, data=body) as answer:
            assert answer.status == 401
        async with http.get(url + path) as answer:
            assert answer.status == 405
    assert len(inbox.delivered) == 1


def _fastapi(put):
    app = FastAPI()
    put(app)
    return app


# --- ASGI by hand --------------------------------------------------------------------------------------------------


def speak(app, scope, *messages):
    """Let an application run on what it receives, without any loop; return what it sent."""
    incoming, sent = list(messages), []

    async def receive():
        return incoming.pop(0)

    async def send(message):
        sent.append(message)

    with pytest.raises(StopIteration):
        app(scope, receive, send).send(None)
    return sent


def http_scope(query="", headers=(), method="POST"):
    return {
        "type": "http",
        "method": method,
        "query_string": query.encode("latin-1"),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
    }


def test_a_server_that_starts_and_stops_it_is_answered():
    sent = speak(asgi_app(Inbox()), {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


def test_a_websocket_is_turned_away():
    sent = speak(asgi_app(Inbox()), {"type": "websocket"}, {"type": "websocket.connect"})
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_an_unknown_protocol_is_an_error_as_asgi_asks():
    with pytest.raises(ValueError, match="carrier pigeon"):
        await asgi_app(Inbox())({"type": "carrier pigeon"}, None, None)


def test_a_body_in_pieces_is_put_together():
    inbox = Inbox()
    query, headers, body = delivery()
    pieces = [{"type": "http.request", "body": body[at : at + 7], "more_body": True} for at in range(0, len(body), 7)]
    sent = speak(asgi_app(inbox), http_scope(query[1:], headers.items()), *pieces, {"type": "http.request"})
    assert [message.get("status") for message in sent] == [200, None]
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()
    assert len(inbox.delivered) == 1


def test_nothing_is_said_to_a_sender_who_has_gone():
    inbox = Inbox()
    query, headers, body = delivery()
    pieces = {"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}
    assert speak(asgi_app(inbox), http_scope(query[1:], headers.items()), *pieces) == []
    assert inbox.told == []


latin = st.text(st.characters(codec="latin-1"), max_size=40)
GENUINE = delivery()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    query=st.sampled_from(["", f"job={JOB}", "job=", "job=%00", f"job={JOB}&job={JOB}"]) | latin,
    headers=st.lists(st.tuples(st.sampled_from(list(GENUINE[1])), latin | st.sampled_from(list(GENUINE[1].values()))))
    | st.dictionaries(st.sampled_from(list(GENUINE[1])), latin).map(lambda changed: [*(GENUINE[1] | changed).items()]),
    body=st.binary(max_size=60) | st.just(BODY),
)
def test_whatever_is_sent_is_answered_and_only_what_is_genuine_is_handed_on(query, headers, body):
    inbox = Inbox()
    sent = speak(asgi_app(inbox), http_scope(query, headers), {"type": "http.request", "body": body})
    assert sent[0]["status"] in {200, 400, 401}
    assert len(inbox.delivered) == (sent[0]["status"] == 200)
    if inbox.delivered:
        assert (query, body) == (f"job={JOB}", BODY)
        assert dict(headers)["X-Webhook-Signature"].strip().lower() in GENUINE[1]["X-Webhook-Signature"]
