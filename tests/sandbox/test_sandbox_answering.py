"""How a faulty answer looks to the caller, and when it comes."""

import asyncio
import json

import aiohttp
import pytest

from aimusic_async.sandbox import Fault, Script

pytestmark = pytest.mark.looptime

SONG = {"custom_mode": True, "mv": "sonic-v5", "prompt": "la"}


def create(caller, **more):
    """A POST that asks for a song, as aiohttp has it."""
    headers = {"Authorization": f"Bearer {caller.box.key}"}
    return caller.http.post(f"{caller.box.url}/api/v1/sonic/create", json=SONG, headers=headers, **more)


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (5, "5"), (2.2, "3"), (0, "0")])
async def test_a_refusal_looks_like_any_other_429(opened, seconds, header):
    script = Script(Fault.refused(retry_after=seconds))
    async with opened(faults=script, rate_limit_type="rate_limited", speed=60) as caller, create(caller) as answer:
        assert (answer.status, (await answer.json())["type"]) == (429, "rate_limited")
        assert answer.headers.get("Retry-After") == header


@pytest.mark.parametrize("taken", [False, True])
async def test_500_is_the_services_own_word_and_the_rest_are_pages_of_a_gateway(opened, taken):
    script = Script(*(Fault.error(status, taken=taken) for status in (500, 502, 503, 504, 599)))
    async with opened(faults=script, period=0.001) as caller:
        async with create(caller) as answer:
            assert (answer.status, await answer.json()) == (
                500,
                {"type": "server_error", "error": "Internal Server Error.", "retriable": True},
            )
        for status in (502, 503, 504, 599):
            await asyncio.sleep(0.001)
            async with create(caller) as answer:
                assert (answer.status, answer.content_type) == (status, "text/html")
                assert f"<h1>{status} " in await answer.text()


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize(
    ("reset", "error"), [(True, aiohttp.ClientOSError), (False, aiohttp.ServerDisconnectedError)], ids=str
)
async def test_a_dropped_connection_is_reset_or_ends_at_once(opened, reset, error, taken):
    async with opened(faults=Script(Fault.dropped(taken=taken, reset=reset))) as caller:
        start = asyncio.get_running_loop().time()
        with pytest.raises(error):
            await create(caller)
        assert asyncio.get_running_loop().time() - start < 1


async def test_half_a_body_comes_and_then_the_end(opened):
    async with opened(faults=Script(Fault.half_body())) as caller, create(caller) as answer:
        assert answer.status == 200
        got = bytearray()
        with pytest.raises(aiohttp.ClientPayloadError):
            async for chunk in answer.content.iter_any():
                got += chunk
        assert len(got) == answer.content_length // 2
        assert got.startswith(b'{"message"')


async def test_cut_json_is_a_whole_answer_whose_json_is_not(opened):
    async with opened(faults=Script(Fault.cut_json())) as caller, create(caller) as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type, answer.content_length) == (200, "application/json", len(text))
        assert text.startswith('{"message"')
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


async def test_a_slow_body_trickles_in_over_the_services_seconds(opened):
    async with opened(faults=Script(Fault.slow(30)), speed=2) as caller:
        clock = asyncio.get_running_loop().time
        start, times, got = clock(), [], b""
        async with create(caller) as answer:
            headers_at = clock() - start
            async for chunk in answer.content.iter_any():
                times.append(clock() - start)
                got += chunk
        assert headers_at < times[0]
        assert len(times) > 5
        assert times[-1] == pytest.approx(15, abs=0.1)
        assert json.loads(got)["task_id"] == caller.box.books.requests[0].task_id


@pytest.mark.parametrize("taken", [False, True])
async def test_a_stalled_answer_never_comes_and_in_the_end_the_connection_is_reset(opened, taken):
    async with opened(faults=Script(*[Fault.stalled(100, taken=taken)] * 2), speed=2) as caller:
        clock = asyncio.get_running_loop().time
        with pytest.raises(TimeoutError):
            await create(caller, timeout=aiohttp.ClientTimeout(total=49))
        assert len(caller.box.books.taken()) == taken
        start = clock()
        with pytest.raises(aiohttp.ClientOSError):
            await create(caller)
        assert clock() - start == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize("fault", [Fault.slow(1000), Fault.stalled(1000, taken=True)], ids=str)
async def test_a_caller_that_has_enough_disturbs_nobody(opened, fault, caplog):
    async with opened(faults=Script(fault)) as caller:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(150), create(caller) as answer:
                await answer.read()
        await asyncio.sleep(2000)
        assert (await caller.credits())["extra_credits"] == 490
    assert caplog.text == ""


async def test_an_answer_that_is_slow_anyway_is_spoilt_when_it_would_have_come(opened, recordings):
    script = Script(Fault.error(502, taken=True))
    async with opened(faults=script, answer_times={"sonic.upload_music": 20}) as caller, recordings() as at:
        start = asyncio.get_running_loop().time()
        headers = {"Authorization": f"Bearer {caller.box.key}"}
        body = {"url": at("20.wav")}
        async with caller.http.post(f"{caller.box.url}/api/v1/sonic/upload", json=body, headers=headers) as answer:
            assert answer.status == 502
        assert asyncio.get_running_loop().time() - start >= 20
        assert caller.box.books.charged == 2


async def test_faulty_answers_can_have_the_other_form(opened):
    async with opened(faults=Script(Fault.error(500)), error_body="code") as caller, create(caller) as answer:
        assert await answer.json() == {"code": 500, "message": "Internal Server Error.", "retriable": True}
