"""One request: its shape on the wire, and what its failure means."""

import asyncio
import json
import socket

import pytest
from aiohttp import web
from aioresponses import aioresponses
from yarl import URL

from aimusic_async import NotSent, Settings, TransportError, account, sonic
from aimusic_async.transport.http import HttpTransport

HOST = "https://api.example"


@pytest.fixture
async def transport():
    """A transport to a host that aioresponses stands in for."""
    async with HttpTransport(Settings(api_key="k-1", base_url=HOST)) as opened:
        yield opened


def to(fake, **settings):
    return HttpTransport(Settings(api_key="k-1", base_url=fake.url, **settings))


SHAPES = [
    (
        sonic.CreateMusic(prompt="la", mv="sonic-v5"),
        "POST",
        "/sonic/create",
        {"task_type": "create_music", "custom_mode": True, "prompt": "la", "mv": "sonic-v5"},
    ),
    (
        sonic.Remaster(continue_clip_id="c", mv="chirp-v5", variation_category="subtle"),
        "POST",
        "/sonic/create",
        {"task_type": "remaster", "continue_clip_id": "c", "mv": "chirp-v5", "variation_category": "subtle"},
    ),
    (sonic.StemsBasic(clip_id="c"), "POST", "/sonic/stems/basic", {"clip_id": "c"}),
    (sonic.StemsFull(clip_id="c"), "POST", "/sonic/stems/full", {"clip_id": "c"}),
    (sonic.GetLyricsTimeline(clip_id="c"), "POST", "/sonic/aligned-lyrics", {"clip_id": "c"}),
    (sonic.UpsampleTags(tags="pop"), "POST", "/sonic/upsample-tags", {"tags": "pop"}),
    (
        sonic.Mashup(mashup_clip_ids=["a", "b"], mv="sonic-v5", gpt_description_prompt="x"),
        "POST",
        "/sonic/mashup",
        {"mashup_clip_ids": ["a", "b"], "mv": "sonic-v5", "gpt_description_prompt": "x", "custom_mode": False},
    ),
    (account.GetCredits(), "GET", "/get-credits", None),
]


@pytest.mark.parametrize(
    ("request_", "method", "path", "body"), SHAPES, ids=lambda value: getattr(value, "operation", "")
)
async def test_a_request_has_the_services_shape(transport, request_, method, path, body):
    with aioresponses() as mocked:
        url = f"{HOST}/api/v1{path}"
        mocked.add(url, method, payload={"task_id": "t"})
        reply = await transport.send(request_)
        (call,) = mocked.requests[method, URL(url)]
    assert reply.body == {"task_id": "t"}
    assert call.kwargs["json"] == body
    assert call.kwargs["headers"]["Authorization"] == "Bearer k-1"
    assert call.kwargs["allow_redirects"] is False


async def test_a_look_is_a_get(transport):
    with aioresponses() as mocked:
        mocked.get(f"{HOST}/api/v1/sonic/task/t", status=429, headers={"Retry-After": "9"}, body="<html>")
        reply = await transport.look("/sonic/task/t")
    assert (reply.status, reply.body, reply.text, reply.retry_after) == (429, None, "<html>", 9.0)


async def test_no_listener_means_not_sent():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with HttpTransport(Settings(api_key="k-1", base_url=f"http://127.0.0.1:{port}")) as transport:
        with pytest.raises(NotSent, match="no connection"):
            await transport.send(account.GetCredits())


async def test_an_unknown_host_means_not_sent():
    async with HttpTransport(Settings(api_key="k-1", base_url="https://nowhere.invalid")) as transport:
        with pytest.raises(NotSent):
            await transport.send(account.GetCredits())


async def test_a_server_that_speaks_no_tls_means_not_sent(fake):
    url = fake.url.replace("http://", "https://")
    async with HttpTransport(Settings(api_key="k-1", base_url=url)) as transport:
        with pytest.raises(NotSent):
            await transport.send(sonic.UpsampleTags(tags="pop"))
    assert fake.asked == []


async def test_a_dropped_connection_may_have_been_taken_and_is_not_sent_again(fake):
    async def drop(request):
        request.transport.close()
        return web.Response()

    fake.script("/sonic/create", drop)
    async with to(fake) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(sonic.CreateMusic(prompt="la", mv="sonic-v5"))
    assert not isinstance(caught.value, NotSent)
    assert len(fake.asked) == 1


async def test_a_connection_that_died_while_idle_is_not_given_a_second_post(fake):
    async def close_after(request):
        request.transport.close()
        return web.Response()

    fake.script("/sonic/create", {"task_id": "t"}, close_after)
    async with to(fake) as transport:
        await transport.send(sonic.CreateMusic(prompt="la", mv="sonic-v5"))
        with pytest.raises(TransportError):
            await transport.send(sonic.CreateMusic(prompt="la", mv="sonic-v5"))
    assert len(fake.asked) == 2


async def test_half_a_body_may_have_been_taken(fake):
    async def half(request):
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"task_id"')
        request.transport.close()
        return response

    fake.script("/sonic/create", half)
    async with to(fake) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(sonic.CreateMusic(prompt="la", mv="sonic-v5"))
    assert not isinstance(caught.value, NotSent)


@pytest.mark.looptime
async def test_a_stall_may_have_been_taken_and_ends_after_the_operations_time(fake):
    async def stall(_request):
        await asyncio.sleep(10_000)

    fake.script("/sonic/create", stall)
    async with to(fake) as transport:
        started = asyncio.get_running_loop().time()
        with pytest.raises(TransportError) as caught:
            await transport.send(sonic.CreateMusic(prompt="la", mv="sonic-v5"))
        assert not isinstance(caught.value, NotSent)
        assert asyncio.get_running_loop().time() - started == pytest.approx(70, abs=1)


async def test_a_redirect_is_not_followed_and_the_key_stays_here(fake):
    fake.script("/get-credits", (302, {}, {"Location": "http://127.0.0.1:1/steal"}))
    async with to(fake) as transport:
        assert (await transport.send(account.GetCredits())).status == 302
    assert len(fake.asked) == 1


async def test_an_endless_answer_is_broken_off(fake, monkeypatch):
    monkeypatch.setattr("aimusic_async.transport.http._LARGEST_ANSWER", 10_000)
    fake.script("/get-credits", {"credits": "9" * 20_000})
    async with to(fake) as transport:
        with pytest.raises(TransportError, match="larger than 10000 bytes"):
            await transport.send(account.GetCredits())


async def test_on_sent_is_called_when_the_headers_leave_not_before(fake):
    moments = []

    async def arrived(_request):
        moments.append("arrived")
        return {"credits": 1}

    fake.script("/get-credits", arrived)
    async with to(fake) as transport:
        await transport.send(account.GetCredits(), on_sent=lambda: moments.append("sent"))
    assert moments == ["sent", "arrived"]


async def test_on_sent_is_not_called_without_a_connection():
    calls = []
    async with HttpTransport(Settings(api_key="k-1", base_url="http://127.0.0.1:9")) as transport:
        with pytest.raises(NotSent):
            await transport.send(account.GetCredits(), on_sent=lambda: calls.append(1))
    assert calls == []


async def test_a_cancelled_request_leaves_the_pool_usable(fake):
    entered = asyncio.Event()

    async def stall(_request):
        entered.set()
        await asyncio.sleep(5)

    fake.script("/get-credits", stall, {"credits": 3})
    async with to(fake) as transport:
        task = asyncio.create_task(transport.send(account.GetCredits()))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await transport.send(account.GetCredits())).body == {"credits": 3}


async def test_a_closed_transport_says_so():
    with pytest.raises(RuntimeError, match="not open"):
        await HttpTransport(Settings(api_key="k-1", base_url=HOST)).send(account.GetCredits())


async def test_the_key_is_no_header_of_the_pool_so_that_files_are_fetched_without_it(transport):
    assert "k-1" not in json.dumps(dict(transport.http.headers))
