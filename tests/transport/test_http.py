"""One request: its shape on the wire, and when an answer is lost."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from aimusic_async import NotSent, TransportError, __version__, sonic

from ..faults.wire import end_it, never_answer, trickle, whole
from .ways import BOTH, CREDITS, KEY, LOST, SONG, in_a_session, to

# --- what goes on the wire -------------------------------------------------------------------------------------------

SHAPES = [
    (
        SONG,
        "/sonic/create",
        {"task_type": "create_music", "custom_mode": True, "prompt": "la", "mv": "sonic-v5", "use_suno_cdn": False},
    ),
    (
        sonic.Remaster(continue_clip_id="c", mv="chirp-v5", variation_category="subtle"),
        "/sonic/create",
        {
            "task_type": "remaster",
            "continue_clip_id": "c",
            "mv": "chirp-v5",
            "variation_category": "subtle",
            "use_suno_cdn": False,
        },
    ),
    (sonic.StemsBasic(clip_id="c"), "/sonic/stems/basic", {"clip_id": "c"}),
    (sonic.StemsFull(clip_id="c"), "/sonic/stems/full", {"clip_id": "c"}),
    (sonic.GetLyricsTimeline(clip_id="c"), "/sonic/aligned-lyrics", {"clip_id": "c"}),
    (sonic.UpsampleTags(tags="pop"), "/sonic/upsample-tags", {"tags": "pop"}),
    (
        sonic.Mashup(mashup_clip_ids=["a", "b"], mv="sonic-v5", gpt_description_prompt="x"),
        "/sonic/mashup",
        {"mashup_clip_ids": ["a", "b"], "mv": "sonic-v5", "gpt_description_prompt": "x", "custom_mode": False},
    ),
    (CREDITS, "/get-credits", None),
]


@pytest.mark.parametrize(("request_", "path", "body"), SHAPES, ids=lambda value: getattr(value, "operation", ""))
async def test_a_request_has_the_services_shape(fake, opened, request_, path, body):
    fake.script(path, {"task_id": "t"})
    async with opened(fake.url) as transport:
        reply = await transport.send(request_)
    ((_, asked, _, text),) = fake.asked
    assert reply.body == {"task_id": "t"}
    assert asked.method == ("GET" if body is None else "POST")
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Accept"] == "application/json"
    if body is not None:
        assert json.loads(text) == body
        assert asked.headers["Content-Type"] == "application/json"


async def test_more_fields_are_added_to_the_requests_own(fake, opened):
    fake.script("/sonic/create", {"task_id": "t"})
    async with opened(fake.url) as transport:
        await transport.send(SONG, {"webhook_url": "https://me.example/x"})
    ((_, _, _, text),) = fake.asked
    assert json.loads(text)["webhook_url"] == "https://me.example/x"


async def test_polling_is_a_get_and_any_answer_is_one(fake, opened):
    fake.script("/sonic/task/t", (429, "<html>", {"Retry-After": "9"}))
    async with opened(fake.url) as transport:
        reply = await transport.look("/sonic/task/t")
    assert (reply.status, reply.body, reply.text, reply.retry_after) == (429, None, "<html>", 9.0)


async def test_a_get_of_our_pool_says_nothing_of_a_body(raw):
    async with to(raw.url) as transport:
        await transport.send(CREDITS)
        await transport.look("/sonic/task/t")
    (got,) = raw.connections
    first, second, rest = got.split(b"\r\n\r\n")
    for head in (first, second):
        names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
        assert names == {b"host", b"authorization", b"accept", b"accept-encoding", b"user-agent"}
    assert rest == b""


async def test_a_get_of_a_users_session_has_an_empty_body_and_keeps_the_sessions_middlewares(raw):
    async def add(request, handler):
        request.headers["X-Trace"] = "1"
        return await handler(request)

    async with in_a_session(raw.url, middlewares=[add]) as transport:
        await transport.send(CREDITS)
    (got,) = raw.connections
    assert b"X-Trace: 1\r\n" in got
    assert b"Content-Length: 0\r\n" in got
    assert b"Transfer-Encoding" not in got
    assert b"Content-Type" not in got
    assert got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "defaults",
    [
        {"headers": {"Content-Type": "text/plain", "Accept": "*/*"}},
        {"skip_auto_headers": ["Content-Type"]},
        {"auto_decompress": False},
        {"raise_for_status": True},
        {"json_serialize": lambda value: json.dumps(value).encode()},
        {"headers": {"Content-Encoding": "gzip"}},
        {"headers": {"Content-Length": "3"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"Host": "elsewhere.example"}},
        {"headers": {"Cookie": "id=mine"}},
        {"cookies": {"id": "mine"}},
        {"base_url": "https://elsewhere.example/base/"},
        {"timeout": aiohttp.ClientTimeout(total=1e-9)},
        {"max_field_size": 10, "max_headers": 1},
        {"version": aiohttp.HttpVersion10},
        {"trust_env": True},
    ],
    ids=lambda defaults: " ".join(f"{name} {value}" if name == "headers" else name for name, value in defaults.items()),
)
async def test_the_defaults_of_a_users_session_do_not_change_the_request_or_hide_the_answer(fake, defaults):
    async def zipped(_request):
        answer = web.json_response({"type": "x", "error": "no"}, status=400)
        answer.enable_compression(web.ContentCoding.gzip)
        return answer

    fake.script("/sonic/create", zipped)
    async with in_a_session(fake.url, **defaults) as transport:
        reply = await transport.send(SONG)
    ((_, asked, _, text),) = fake.asked
    assert json.loads(text)["prompt"] == "la"
    assert (asked.headers["Content-Type"], asked.headers["Accept"]) == ("application/json", "application/json")
    assert asked.headers["Content-Length"] == str(len(text))
    assert asked.headers["Host"] == fake.url.removeprefix("http://")
    assert not {"Cookie", "Content-Encoding", "Transfer-Encoding"} & set(asked.headers)
    assert (reply.status, reply.fields["error"]) == (400, "no")


async def test_every_request_says_which_library_it_comes_from(fake, opened):
    fake.script("/get-credits", {"credits": 1})
    fake.script("/sonic/create", {"task_id": "t"})
    async with opened(fake.url) as transport:
        await transport.send(CREDITS)
        await transport.send(SONG)
    for _, asked, _, _ in fake.asked:
        assert asked.headers["User-Agent"].startswith(f"aimusic-async/{__version__} (")


async def test_the_name_that_a_users_session_gives_goes_before_ours(fake):
    fake.script("/get-credits", {"credits": 1})
    async with in_a_session(fake.url, headers={"User-Agent": "my-app/3"}) as transport:
        await transport.send(CREDITS)
    ((_, asked, _, _),) = fake.asked
    assert asked.headers["User-Agent"] == "my-app/3"


async def test_an_answer_with_long_and_many_headers_is_read(raw, opened):
    more = f"X-Policy: {'x' * 65_000}\r\n" + "".join(f"X-{number}: y\r\n" for number in range(500))
    raw.answer = whole(200, b'{"task_id": "t"}', more=more)
    async with opened(raw.url) as transport:
        assert (await transport.send(SONG)).body == {"task_id": "t"}


async def test_a_redirect_is_not_followed_and_the_key_stays_here(fake, opened):
    fake.script("/get-credits", (302, {}, {"Location": "http://127.0.0.1:1/steal"}))
    async with opened(fake.url) as transport:
        assert (await transport.send(CREDITS)).status == 302
    assert len(fake.asked) == 1


async def test_the_key_is_no_header_of_the_pool_so_that_files_are_fetched_without_it(nowhere):
    async with to(nowhere) as transport:
        assert KEY not in json.dumps(dict(transport.http.headers))


# --- perhaps sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", LOST.values(), ids=LOST)
@BOTH
async def test_a_lost_answer_may_have_been_taken_and_nothing_is_sent_again(wire, opened, trouble, request_, method):
    calls = []
    async with opened(wire.url) as transport:
        await transport.look("/first")  # so that the connection has been used before
        wire.trouble[method] = trouble
        with pytest.raises(TransportError, match="was lost") as caught:
            await transport.send(request_, on_sent=lambda: calls.append(1))
        assert not isinstance(caught.value, NotSent)
        assert (wire.seen, calls) == (["GET", method], [1])
        await transport.look("/afterwards")


@pytest.mark.looptime
@pytest.mark.parametrize("trouble", [never_answer, trickle])
async def test_a_stall_may_have_been_taken_and_ends_after_the_operations_time(wire, opened, trouble):
    wire.trouble["POST"] = trouble
    async with opened(wire.url) as transport:
        started = asyncio.get_running_loop().time()
        with pytest.raises(TransportError) as caught:
            await transport.send(SONG)
        assert not isinstance(caught.value, NotSent)
        assert asyncio.get_running_loop().time() - started == pytest.approx(70, abs=1)


async def test_an_endless_answer_is_broken_off(fake, monkeypatch):
    monkeypatch.setattr("aimusic_async.transport.http._LARGEST_ANSWER", 10_000)
    fake.script("/get-credits", {"credits": "9" * 20_000})
    async with to(fake.url) as transport:
        with pytest.raises(TransportError, match="larger than 10000 bytes"):
            await transport.send(CREDITS)


async def test_a_refusal_counts_though_the_rest_of_it_was_lost(wire, opened):
    wire.trouble["POST"] = whole(400, b'{"type": "x", "er', promised=100)
    async with opened(wire.url) as transport:
        assert (await transport.send(SONG)).status == 400


@BOTH
async def test_a_middleware_that_tries_again_sends_nothing_a_second_time(wire, request_, method):
    async def again(request, handler):
        try:
            return await handler(request)
        except aiohttp.ClientError:
            return await handler(request)

    calls = []
    async with in_a_session(wire.url, middlewares=[again]) as transport:
        wire.trouble[method] = end_it
        with pytest.raises(TransportError, match="tried to send the request again") as caught:
            await transport.send(request_, on_sent=lambda: calls.append(1))
    assert not isinstance(caught.value, NotSent)
    assert (wire.seen, calls) == ([method], [1])


async def test_a_middleware_that_tries_to_connect_again_may(wire, nowhere):
    async def elsewhere(request, handler):
        right, request.url = request.url, request.url.with_port(int(nowhere.rpartition(":")[2]))
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            request.url = right
            return await handler(request)

    calls = []
    async with in_a_session(wire.url, middlewares=[elsewhere]) as transport:
        assert (await transport.send(SONG, on_sent=lambda: calls.append(1))).status == 200
    assert (wire.seen, calls) == (["POST"], [1])


async def test_a_middleware_that_signs_the_body_reads_it_and_sends_it_once(wire):
    read = []

    async def sign(request, handler):
        read.append(await request.body.as_bytes())
        read.append(request.body.decode().encode())
        return await handler(request)

    calls = []
    async with in_a_session(wire.url, middlewares=[sign]) as transport:
        assert (await transport.send(SONG, on_sent=lambda: calls.append(1))).status == 200
    assert (wire.seen, calls) == (["POST"], [1])
    assert read[0] == read[1]
    assert json.loads(read[0])["prompt"] == "la"


async def test_a_body_that_was_read_may_have_been_sent_in_another_way(nowhere):
    async def read(request, handler):
        await request.body.as_bytes()
        return await handler(request)

    async with in_a_session(nowhere, middlewares=[read]) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(SONG)
    assert not isinstance(caught.value, NotSent)


# --- when ------------------------------------------------------------------------------------------------------------


@BOTH
async def test_on_sent_is_called_once_before_the_request_arrives(fake, opened, request_, method):
    moments = []

    async def arrived(_request):
        moments.append("arrived")
        return {"credits": 1}

    fake.script(f"{request_.endpoint.path}", arrived)
    async with opened(fake.url) as transport:
        await transport.send(request_, on_sent=lambda: moments.append("sent"))
    assert moments == ["sent", "arrived"]


async def test_on_sent_is_called_after_connecting(wire):
    class Slow(aiohttp.TCPConnector):
        async def connect(self, *args, **options):
            await asyncio.sleep(0.1)
            moments.append("connected")
            return await super().connect(*args, **options)

    moments = []
    async with in_a_session(wire.url, connector=Slow()) as transport:
        await transport.send(SONG, on_sent=lambda: moments.append("sent"))
    assert moments == ["connected", "sent"]


# --- cancelling, opening, closing ------------------------------------------------------------------------------------


async def test_a_cancelled_request_leaves_the_pool_usable(fake, opened):
    entered = asyncio.Event()

    async def stall(_request):
        entered.set()
        await asyncio.sleep(5)

    fake.script("/get-credits", stall, {"credits": 3})
    async with opened(fake.url) as transport:
        task = asyncio.create_task(transport.send(CREDITS))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await transport.send(CREDITS)).body == {"credits": 3}


async def test_a_request_that_was_cancelled_before_it_left_never_leaves(raw, opened):
    posts = 0
    for turns in range(12):
        calls = []
        async with opened(raw.url) as transport:
            task = asyncio.create_task(transport.send(SONG, on_sent=lambda calls=calls: calls.append(1)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            sent = [*calls]
            await asyncio.sleep(0.02)
        assert calls == sent
        posts += len(sent)
    assert sum(got.startswith(b"POST") for got in raw.connections) <= posts < 12


async def test_a_closed_transport_says_so(nowhere):
    with pytest.raises(RuntimeError, match="not open"):
        await to(nowhere).send(CREDITS)
