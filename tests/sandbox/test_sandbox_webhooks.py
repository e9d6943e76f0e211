"""Webhooks come as the service sends them: in its words, signed, again when refused; and only to this machine."""

import asyncio
import hmac
import json
import time
from collections import Counter
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from attrs import define, field

from aimusic_async.sandbox import Options, Sandbox

SONG = {"custom_mode": True, "mv": "sonic-v5", "prompt": "[Verse]\nLanterns on the water line", "title": "Lanterns"}
OLD_SONG = {**SONG, "mv": "sonic-v4-5-plus"}  # no streaming: one event a task
PRODUCER = {"task_type": "create_music", "sound": "slow strings"}
VOCAL = {"type": "vocal", "lyrics": "[verse]\nRiver under ice"}
BGM = {"type": "bgm", "version": "v2.0", "description": "night drive", "duration": 60}
SECRET = "a secret of the task's own"
BOTH = ["song.streaming", "song.completed"]


@define
class Hook:
    """One request that a receiver got."""

    headers: dict
    raw: bytes
    at: float
    """Loop time."""
    wall: float

    @property
    def body(self):
        return json.loads(self.raw)

    @property
    def event(self):
        return self.headers.get("X-Webhook-Event")

    @property
    def id(self):
        return self.headers["X-Webhook-Id"]

    @property
    def stamp(self):
        return int(self.headers["X-Webhook-Timestamp"])

    def signed_with(self, secret):
        """Whether the signature is right, worked out here from its description."""
        message = self.headers["X-Webhook-Timestamp"].encode() + b"." + self.raw
        return self.headers["X-Webhook-Signature"] == "sha256=" + hmac.digest(secret.encode(), message, "sha256").hex()


@define
class Receiver:
    """A server that keeps what it is sent and gives these answers; the last one for ever, None for no answer at all."""

    url: str = ""
    answers: list = field(factory=lambda: [200])
    got: list = field(factory=list)
    hung_up: int = 0
    then: object = None
    """What is done with each request before it is answered."""

    @property
    def events(self):
        return [hook.event for hook in self.got]

    async def take(self, request):
        raw = await request.read()
        self.got.append(Hook(dict(request.headers), raw, asyncio.get_running_loop().time(), time.time()))
        if self.then:
            await self.then(self.got[-1])
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.hung_up += 1
                raise
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})


@asynccontextmanager
async def receiving(*answers):
    receiver = Receiver(answers=list(answers) or [200])
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
def hooked(opened):
    """`async with hooked(lost=1) as (caller, receiver)`: a sandbox and somebody to be called by it."""

    @asynccontextmanager
    async def open_(*answers, **options):
        async with receiving(*answers) as receiver, opened(http_webhooks=True, **options) as caller:
            yield caller, receiver

    return open_


async def sent(caller, receiver, path="/sonic/create", body=SONG, **more):
    """The id of a task that calls the receiver."""
    return (await caller.done(path, {**body, "webhook_url": receiver.url, **more}))["task_id"]


# --- what is reported, and when --------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_song_is_reported_when_it_can_be_heard_and_when_it_is_finished(hooked):
    async with hooked(durations={"sonic": 100}, not_ready_share=(0.2, 0.2)) as (caller, receiver):
        task_id = await sent(caller, receiver)
        accepted = caller.box.books.taken()[0].at
        await asyncio.sleep(25)
        shown = (await caller.get(f"/sonic/task/{task_id}"))[1]
        await asyncio.sleep(100)
        finished = (await caller.get(f"/sonic/task/{task_id}"))[1]
        assert receiver.events == BOTH
        early, late = receiver.got
        assert [hook.at - accepted for hook in (early, late)] == pytest.approx([20, 100], abs=0.1)
        reported = {"task_id": task_id, "platform": "sonic"}
        assert early.body == {**shown, **reported, "message": "streaming", "event": "song.streaming"}
        assert {clip["state"] for clip in early.body["data"]} == {"running"}
        assert {clip["duration"] for clip in early.body["data"]} == {None}
        assert all("/streaming/" in clip["audio_url"] for clip in early.body["data"])
        assert late.body == {**finished, **reported, "event": "song.completed"}
        assert {clip["state"] for clip in late.body["data"]} == {"succeeded"}


@pytest.mark.looptime
async def test_the_task_looks_finished_to_whoever_asks_on_hearing_that_it_is(hooked):
    async with hooked(task_failure_rate=0.5, period=1e-6, seed=3) as (caller, receiver):
        seen = []

        async def look(hook):
            books = caller.box.books
            [entry] = [entry for entry in books.taken() if entry.task_id == hook.body["task_id"]]
            _, shown = await caller.raw("GET", f"/sonic/task/{entry.task_id}")
            seen.append((hook.event, {clip["state"] for clip in shown["data"]}, entry.refunded))

        receiver.then = look
        for _ in range(12):
            await sent(caller, receiver, body=OLD_SONG)
        await asyncio.sleep(1000)
        completed, failed = ("song.completed", {"succeeded"}, 0), ("song.failed", {"failed"}, 10)
        assert len(seen) == 12
        assert all(one in (completed, failed) for one in seen)
        assert completed in seen
        assert failed in seen


@pytest.mark.looptime
async def test_a_failed_task_says_only_that_and_its_credits_are_back(hooked):
    async with hooked(task_failure_rate=1.0) as (caller, receiver):
        task_id = await sent(caller, receiver, body=OLD_SONG)
        await asyncio.sleep(1000)
        assert [hook.body for hook in receiver.got] == [
            {
                "type": "failed",
                "message": "Generation failed.",
                "refund_processed": True,
                "task_id": task_id,
                "platform": "sonic",
                "event": "song.failed",
            }
        ]
        assert receiver.got[0].at >= caller.box.books.taken()[0].refund_at


@pytest.mark.looptime
async def test_a_task_that_times_out_has_failed(hooked):
    async with hooked(timeout_rate=1.0) as (caller, receiver):
        await sent(caller, receiver)
        await asyncio.sleep(1000)
        assert receiver.events == ["song.streaming", "song.failed"]


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("body", "more"),
    [
        (VOCAL, {"prompt": "", "theme": "", "instrument": ""}),
        (BGM, {"prompt": "night drive", "theme": "", "instrument": ""}),
        (
            {"type": "bgm", "description": "rain", "theme": ["hope"], "instrument": ["piano"]},
            {"prompt": "rain", "theme": ["hope"], "instrument": ["piano"]},
        ),
    ],
)
async def test_nuro_tells_one_flat_object(hooked, body, more):
    async with hooked() as (caller, receiver):
        task_id = await sent(caller, receiver, "/nuro/create", body)
        finished = await caller.ended(task_id, "nuro")
        await asyncio.sleep(5)
        [hook] = receiver.got
        assert hook.body == {**finished, **more, "task_id": task_id, "platform": "nuro", "event": "song.completed"}
        assert hook.body["audio_url"]
        assert "data" not in hook.body


@pytest.mark.looptime
@pytest.mark.parametrize("form", ["state", "status"])
async def test_producer_tells_what_its_task_shows(hooked, form):
    async with hooked(producer_form=form) as (caller, receiver):
        task_id = await sent(caller, receiver, "/producer/create", PRODUCER)
        finished = await caller.ended(task_id, "producer")
        await asyncio.sleep(5)
        [hook] = receiver.got
        assert hook.body == {**finished, "task_id": task_id, "platform": "producer", "event": "song.completed"}
        assert (hook.body["code"], len(hook.body["data"])) == (200, 1)


@pytest.mark.looptime
async def test_an_uploads_callback_tells_the_clip_and_is_not_signed_without_a_secret(hooked, recordings):
    async with hooked() as (caller, receiver), recordings() as at:
        for secret in ({}, {"webhook_secret": 5}, {"webhook_secret": SECRET}):
            body = {"url": at("20.wav"), "callback_url": receiver.url, **secret}
            task_id = (await caller.done("/sonic/upload", body))["task_id"]
            await asyncio.sleep(100)
            clip_id = (await caller.get(f"/sonic/task/{task_id}"))[1]["data"][0]["clip_id"]
            assert receiver.got[-1].body == {"code": 200, "clip_id": clip_id, "message": "success", "task_id": task_id}
        assert ["X-Webhook-Signature" in hook.headers for hook in receiver.got] == [False, False, True]
        assert receiver.got[-1].signed_with(SECRET)


@pytest.mark.looptime
async def test_an_upload_that_fails_says_so(hooked, recordings):
    async with hooked(task_failure_rate=1.0) as (caller, receiver), recordings() as at:
        body = {"url": at("20.wav"), "callback_url": receiver.url, "webhook_url": "https://example.com/not-asked-for"}
        task_id = (await caller.done("/sonic/upload", body))["task_id"]
        await asyncio.sleep(100)
        [hook] = receiver.got
        assert (hook.body["type"], hook.body["task_id"], hook.body["event"]) == ("failed", task_id, "song.failed")
        assert len(caller.box.books.deliveries) == 1


@pytest.mark.looptime
async def test_only_newer_sonic_models_tell_that_a_song_can_be_heard(hooked):
    async with hooked(sonic_models=("sonic-v4-5", "sonic-v5", "sonic-v5-5", "sonic-v6")) as (caller, receiver):
        reported = {}
        for mv in ("sonic-v4-5", "chirp-v4-5", "sonic-v5", "chirp-v5", "sonic-v5-5", "sonic-v6"):
            await sent(caller, receiver, body={**SONG, "mv": mv})
            await asyncio.sleep(1000)
            reported[mv], receiver.got[:] = receiver.events, []
        assert [mv for mv, events in reported.items() if events == BOTH] == list(reported)[2:]
        assert reported["sonic-v4-5"] == reported["chirp-v4-5"] == ["song.completed"]
        clip = await caller.song()
        await sent(caller, receiver, "/sonic/stems/basic", {"clip_id": clip["clip_id"]})
        await asyncio.sleep(1000)
        assert receiver.events == ["song.completed"]


@pytest.mark.looptime
async def test_streaming_events_can_be_switched_off(hooked):
    async with hooked(webhook_streaming=False) as (caller, receiver):
        await sent(caller, receiver)
        await asyncio.sleep(1000)
        assert receiver.events == ["song.completed"]


@pytest.mark.looptime
async def test_a_song_that_is_finished_at_once_is_not_streamed_before(hooked):
    async with hooked(durations={"sonic": 0}) as (caller, receiver):
        await sent(caller, receiver)
        await asyncio.sleep(1000)
        assert receiver.events == ["song.completed"]


@pytest.mark.looptime
async def test_riffusion_and_refused_requests_call_nobody(hooked):
    async with hooked(credits=12, extra_credits=0) as (caller, receiver):
        body = {"custom_mode": False, "prompt": "sea", "mv": "FUZZ-1.1", "make_instrumental": False}
        await sent(caller, receiver, "/riffusion/create", body)
        assert (await caller.refused("/sonic/create", {**SONG, "webhook_url": receiver.url}))[0] == 403
        await asyncio.sleep(1000)
        assert (receiver.got, caller.box.books.deliveries) == ([], [])


@pytest.mark.looptime
async def test_sonic_can_go_by_its_older_name(hooked):
    async with hooked(webhook_platform_word="suno") as (caller, receiver):
        await sent(caller, receiver)
        await sent(caller, receiver, "/producer/create", PRODUCER)
        await asyncio.sleep(1000)
        assert Counter(hook.body["platform"] for hook in receiver.got) == {"suno": 2, "producer": 1}


# --- how it is signed ------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_the_exact_bytes_are_signed_with_the_tasks_secret_or_the_services_own(hooked):
    async with hooked(webhook_default_secret="the service's own") as (caller, receiver):
        for secret, expected in (
            ({"webhook_secret": SECRET}, SECRET),
            ({"webhook_secret": "schlüssel"}, "schlüssel"),
            ({"webhook_secret": ""}, "the service's own"),
            ({}, "the service's own"),
        ):
            await sent(caller, receiver, body=OLD_SONG, title="Größe – 川", **secret)
            await asyncio.sleep(1000)
            hook = receiver.got[-1]
            assert hook.signed_with(expected)
            assert not hook.signed_with("another")
            assert "Größe – 川".encode() in hook.raw
            assert hook.headers["Content-Type"] == "application/json"
            assert hook.headers["Idempotency-Key"] == hook.id
        assert len({hook.id for hook in receiver.got}) == 4


@pytest.mark.looptime
async def test_text_that_utf_8_cannot_spell_is_sent_all_the_same(hooked):
    async with hooked() as (caller, receiver):
        await sent(caller, receiver, body=OLD_SONG, title="half \ud83d", webhook_secret="half \ud83d")
        await asyncio.sleep(1000)
        assert receiver.got[0].raw.decode()
        assert receiver.got[0].body["data"][0]["title"] == "half \ud83d"


@pytest.mark.looptime
async def test_the_time_in_the_signature_is_the_wall_clocks(hooked):
    async with hooked(speed=2.0, durations={"sonic": 100_000}, not_ready_share=(0.5, 0.5)) as (caller, receiver):
        await sent(caller, receiver)
        await asyncio.sleep(60_000)
        assert receiver.events == BOTH
        assert receiver.got[1].at - receiver.got[0].at == pytest.approx(25_000, abs=1)
        assert all(abs(hook.stamp - hook.wall) < 3 for hook in receiver.got)


async def test_each_attempt_has_its_own_time_and_signature():
    async with receiving(500, 200) as receiver:
        options = Options(http_webhooks=True, durations={"*": 0}, webhook_retries=(1.1,), period=0.01)
        async with Sandbox(options) as box:
            await post(box, receiver)
            async with asyncio.timeout(10):
                while sum(entry.taken for entry in box.books.deliveries) < 1:
                    await asyncio.sleep(0.05)
    first, second = receiver.got
    assert first.id == second.id
    assert first.raw == second.raw
    assert second.stamp > first.stamp
    assert first.headers["X-Webhook-Signature"] != second.headers["X-Webhook-Signature"]
    assert first.signed_with(SECRET)
    assert second.signed_with(SECRET)


@pytest.mark.looptime
async def test_the_old_form_signs_the_body_alone_and_says_no_more(hooked):
    async with hooked(webhook_legacy_signature=True) as (caller, receiver):
        await sent(caller, receiver, body=OLD_SONG, webhook_secret=SECRET)
        await asyncio.sleep(1000)
        [hook] = receiver.got
        assert hook.headers["X-Signature"] == hmac.digest(SECRET.encode(), hook.raw, "sha256").hex()
        assert not [name for name in hook.headers if name.startswith(("X-Webhook", "Idempotency"))]


# --- delivery --------------------------------------------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize("speed", [1.0, 4.0])
async def test_what_is_not_taken_comes_again_with_the_same_id_three_times(hooked, speed):
    async with hooked(500, 302, 404, 410, speed=speed) as (caller, receiver):
        task_id = await sent(caller, receiver, body=OLD_SONG, webhook_secret=SECRET)
        await asyncio.sleep(1000)
        assert len(receiver.got) == 4
        assert len({hook.id for hook in receiver.got}) == 1
        assert all(hook.signed_with(SECRET) for hook in receiver.got)
        gaps = [after.at - before.at for before, after in zip(receiver.got, receiver.got[1:], strict=False)]
        assert gaps == pytest.approx([1 / speed, 5 / speed, 30 / speed], abs=0.05)
        books = caller.box.books.deliveries
        assert [(entry.attempt, entry.status, entry.error) for entry in books] == [
            (1, 500, None),
            (2, 302, None),
            (3, 404, None),
            (4, 410, None),
        ]
        assert {(entry.event, entry.event_id, entry.task_id, entry.url) for entry in books} == {
            ("song.completed", receiver.got[0].id, task_id, receiver.url)
        }
        assert [entry.at for entry in books] == pytest.approx([hook.at for hook in receiver.got], abs=0.05)


@pytest.mark.looptime
async def test_what_was_taken_does_not_come_again(hooked):
    async with hooked(503, 204) as (caller, receiver):
        await sent(caller, receiver, body=OLD_SONG)
        await asyncio.sleep(1000)
        assert [entry.taken for entry in caller.box.books.deliveries] == [False, True]


@pytest.mark.looptime
async def test_a_receiver_has_ten_seconds(hooked):
    async with hooked(None, 200) as (caller, receiver):
        await sent(caller, receiver, body=OLD_SONG)
        await asyncio.sleep(1000)
        first, second = receiver.got
        assert second.at - first.at == pytest.approx(11, abs=0.1)
        assert receiver.hung_up == 1
        assert [(entry.status, entry.error) for entry in caller.box.books.deliveries] == [
            (None, "TimeoutError"),
            (200, None),
        ]


@pytest.mark.looptime
async def test_a_receiver_that_is_down_or_speaks_no_tls_is_tried_again_and_disturbs_no_other(hooked):
    async with hooked() as (caller, receiver):
        await sent(caller, receiver, body=OLD_SONG, webhook_url="http://127.0.0.1:1/hook")
        await sent(caller, receiver, body=OLD_SONG, webhook_url=receiver.url.replace("http:", "https:"))
        await sent(caller, receiver, body=OLD_SONG)
        await asyncio.sleep(1000)
        errors = [entry.error for entry in caller.box.books.deliveries if not entry.taken]
        assert len(errors) == 8
        assert all(error.startswith("Client") for error in errors)
        assert receiver.events == ["song.completed"]


@pytest.mark.looptime
@pytest.mark.parametrize("words", [b"", b"220 mail.example ESMTP\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_a_receiver_that_hangs_up_or_speaks_another_language_is_tried_again(opened, words):
    async def answer(reader, writer):
        await reader.readuntil(b"}")
        writer.write(words)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, opened(http_webhooks=True) as caller:
        receiver = Receiver(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook")
        await sent(caller, receiver, body=OLD_SONG)
        await asyncio.sleep(1000)
        errors = [entry.error for entry in caller.box.books.deliveries]
        assert len(errors) == 4
        assert set(errors) <= {"ServerDisconnectedError", "ClientResponseError", "ClientOSError"}


@pytest.mark.looptime
async def test_how_long_and_how_often_it_is_tried_can_be_set(hooked):
    async with hooked(None, webhook_timeout=3, webhook_retries=()) as (caller, receiver):
        await sent(caller, receiver, body=OLD_SONG)
        await asyncio.sleep(1000)
        assert [entry.error for entry in caller.box.books.deliveries] == ["TimeoutError"]
        assert len(receiver.got) == 1


@pytest.mark.looptime
async def test_a_doubled_event_comes_twice_with_one_id(hooked):
    async with hooked(webhook_doubled=1.0) as (caller, receiver):
        await sent(caller, receiver, webhook_secret=SECRET)
        await asyncio.sleep(1000)
        assert receiver.events == [BOTH[0], BOTH[0], BOTH[1], BOTH[1]]
        one, again, two, once_more = receiver.got
        assert one.id == again.id != two.id == once_more.id
        assert one.raw == again.raw
        assert all(hook.signed_with(SECRET) for hook in receiver.got)
        assert [entry.doubled for entry in caller.box.books.deliveries] == [False, True, False, True]


@pytest.mark.looptime
async def test_a_lost_event_is_never_sent_and_the_books_know_it(hooked):
    async with hooked(webhook_lost=1.0, webhook_doubled=1.0) as (caller, receiver):
        await caller.ended(await sent(caller, receiver))
        await asyncio.sleep(100)
        assert receiver.got == []
        books = caller.box.books.deliveries
        assert [entry.event for entry in books] == BOTH
        assert {(entry.attempt, entry.lost, entry.taken, entry.status) for entry in books} == {(0, True, False, None)}


@pytest.mark.looptime
async def test_out_of_order_streaming_comes_when_the_final_event_was_taken_and_shows_what_was(hooked):
    async with hooked(500, 200, webhook_disorder=1.0, webhook_doubled=1.0) as (caller, receiver):
        await sent(caller, receiver)
        await asyncio.sleep(1000)
        assert [entry.event for entry in caller.box.books.deliveries if entry.taken] == [BOTH[1]] * 2 + [BOTH[0]] * 2
        assert {clip["state"] for clip in receiver.got[-1].body["data"]} == {"running"}


@pytest.mark.looptime
async def test_all_webhooks_of_a_task_lag_alike_within_the_range(hooked):
    options = {"durations": {"sonic": 100}, "not_ready_share": (0.5, 0.5), "webhook_delay": (200.0, 300.0)}
    async with hooked(**options) as (caller, receiver):
        lags = []
        for _ in range(5):
            await sent(caller, receiver)
            accepted = caller.box.books.taken()[-1].at
            await asyncio.sleep(500)
            early, late = receiver.got[-2:]
            assert late.at - early.at == pytest.approx(50, abs=0.1)
            assert early.event == "song.streaming"
            assert {clip["state"] for clip in early.body["data"]} == {"running"}
            lags.append(late.at - accepted - 100)
        assert 200 <= min(lags) < max(lags) <= 300.1


@pytest.mark.looptime
async def test_mishaps_have_their_share(hooked):
    options = {"webhook_lost": 0.3, "webhook_doubled": 0.3, "webhook_disorder": 0.3, "period": 0.01}
    async with hooked(**options) as (caller, receiver):
        for _ in range(60):
            await sent(caller, receiver)
        await asyncio.sleep(1000)
        books = caller.box.books.deliveries
        first_seen = {}
        for entry in books:
            first_seen.setdefault((entry.task_id, entry.event), len(first_seen))
        lost, doubled = sum(entry.lost for entry in books), sum(entry.doubled for entry in books)
        disordered = sum(
            first_seen[entry.task_id, BOTH[1]] < first_seen[entry.task_id, BOTH[0]]
            for entry in books
            if entry.event == BOTH[0] and not entry.doubled
        )
        assert 20 <= lost <= 52
        assert 12 <= doubled <= 40
        assert 8 <= disordered <= 28
        assert len(receiver.got) == len(books) - lost


@pytest.mark.looptime
async def test_the_same_seed_gives_the_same_mishaps_and_switches_move_nothing_else(hooked):
    async def run(**options):
        async with hooked(seed=11, period=0.01, **options) as (caller, receiver):
            for _ in range(6):
                await sent(caller, receiver)
            await asyncio.sleep(2000)
            return caller.box.books.deliveries

    def fates(books):
        return [(entry.task_id, entry.event, entry.event_id, entry.lost, entry.doubled) for entry in books]

    rough = {"webhook_lost": 0.4, "webhook_doubled": 0.4, "webhook_delay": (0, 50)}
    one, two, other, calm = await run(**rough), await run(**rough), await run(webhook_lost=0.4), await run()
    assert fates(one) == fates(two)
    assert {entry.event_id for entry in one} == {entry.event_id for entry in calm}
    assert {entry.event_id for entry in one if entry.lost} == {entry.event_id for entry in other if entry.lost}
    assert any(entry.lost for entry in one)
    assert any(entry.doubled for entry in one)


@pytest.mark.looptime
async def test_waiting_for_months_costs_nothing(hooked):
    # Whoever looks up from time to time, even once a minute, does not get through this test in time.
    async with hooked(durations={"sonic": 10**7}, period=0.01) as (caller, receiver):
        for _ in range(50):
            await sent(caller, receiver)
        await asyncio.sleep(7 * 10**6)
        assert Counter(receiver.events) == {"song.streaming": 50}


# --- where to, and the end -------------------------------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize("anywhere", [False, True])
async def test_other_machines_are_called_on_demand_only(hooked, anywhere):
    called = []

    async def answer(_reader, writer):
        called.append(1)
        writer.close()

    # An address that is not this machine's own by name, and yet leads to it: nobody else is bothered.
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, hooked(webhook_any_host=anywhere) as (caller, receiver):
        port = server.sockets[0].getsockname()[1]
        url = f"https://user:password@0.0.0.0:{port}/hook?token=abc#end"
        await sent(caller, receiver, body=OLD_SONG, webhook_url=url)
        await asyncio.sleep(1000)
        books = caller.box.books.deliveries
        assert {entry.url for entry in books} == {f"https://0.0.0.0:{port}/hook"}
        if anywhere:
            assert [entry.attempt for entry in books] == [1, 2, 3, 4]
        else:
            assert [(entry.attempt, entry.status, entry.error, entry.lost) for entry in books] == [
                (0, None, "not on this machine", False)
            ]
            assert called == []


@pytest.mark.looptime
async def test_closing_breaks_off_what_is_under_way_and_drops_the_rest_at_once(opened):
    before = asyncio.all_tasks()
    async with receiving(None) as receiver:
        async with opened(http_webhooks=True, durations={"sonic": 1000}, not_ready_share=(0.1, 0.1)) as caller:
            await sent(caller, receiver)
            await asyncio.sleep(105)
            assert receiver.events == ["song.streaming"]
            loop = asyncio.get_running_loop()
            start = loop.time()
        assert loop.time() - start < 2
        await asyncio.sleep(5000)
        assert receiver.hung_up == len(receiver.got) == 1
    [entry] = caller.box.books.deliveries
    assert (entry.attempt, entry.status, entry.error, entry.taken) == (1, None, None, False)
    assert asyncio.all_tasks() == before


async def test_it_may_be_closed_in_another_task_than_it_was_opened_in():
    async with receiving() as receiver:
        box = Sandbox(Options(http_webhooks=True, period=0.01))
        await asyncio.create_task(box.__aenter__())
        await post(box, receiver)
        await asyncio.create_task(box.__aexit__(None, None, None))
    assert receiver.got == []


async def post(box, receiver):
    """One song from a sandbox that runs in real time."""
    body = {**OLD_SONG, "webhook_url": receiver.url, "webhook_secret": SECRET}
    headers = {"Authorization": f"Bearer {box.key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{box.url}/api/v1/sonic/create", json=body) as answer,
    ):
        assert answer.status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook_lost": 1.1},
        {"webhook_doubled": -0.1},
        {"webhook_disorder": "often"},
        {"webhook_delay": (5, 1)},
        {"webhook_delay": (-1, 1)},
        {"webhook_timeout": 0},
        {"webhook_retries": (1, -1)},
        {"webhook_default_secret": ""},
        {"webhook_platform_word": "producer"},
        {"webhook_any_host": "yes"},
        {"webhook_streaming": None},
        {"webhook_legacy_signature": 1},
    ],
    ids=str,
)
def test_a_switch_that_makes_no_sense_is_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        Options(**wrong)
