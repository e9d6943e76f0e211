"""What is done for a job runs in the contextvars of who submitted it: requests, events, log lines."""

import asyncio
import contextvars
import logging

import aiohttp
import pytest

from aimusic_async import JobChanged, MemoryJournal, MusicSession, Settings, TokenBucket, WebhookConfig, sonic, webhooks
from aimusic_async.contexts import Contexts
from aimusic_async.sandbox import Options, Sandbox

request_id = contextvars.ContextVar("request_id", default="none")


def traced(seen):
    trace = aiohttp.TraceConfig()

    async def start(_session, _context, params):
        seen.append((params.method, request_id.get()))

    trace.on_request_start.append(start)
    return aiohttp.ClientSession(trace_configs=[trace])


def song():
    return sonic.CreateMusic(prompt="x", mv="sonic-v5")


async def submitted_as(music, name):
    request_id.set(name)
    return music.submit(song(), key=name)


@pytest.mark.parametrize("journal", [None, MemoryJournal], ids=["", "journal"])
async def test_requests_events_and_log_lines_are_in_the_context_of_who_submitted(journal):
    at_http, at_listener, at_log = [], [], []

    class Keep(logging.Handler):
        def emit(self, record):
            if record.msg.startswith("job %r"):
                at_log.append((record.args[0], request_id.get()))

    logger, handler = logging.getLogger("aimusic_async"), Keep()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    request_id.set("who opened the session")
    try:
        async with Sandbox(Options(speed=600)) as box, traced(at_http) as http:
            settings = Settings(api_key=box.key, base_url=box.url, speed=600)
            options = {"limiter": TokenBucket(rate=100), "journal": journal and journal()}
            async with MusicSession(settings=settings, http=http, **options) as music:
                music.events.listen(lambda event: at_listener.append((event.job.key, request_id.get())), JobChanged)
                jobs = [await asyncio.create_task(submitted_as(music, name)) for name in ("Ann", "Bob")]
                request_id.set("who waits")
                for job in jobs:
                    await job
                cancelled = await asyncio.create_task(submitted_as(music, "Cid"))
                cancelled.cancel()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    posts = [name for method, name in at_http if method == "POST"]
    assert posts[:2] == ["Ann", "Bob"]
    assert {name for method, name in at_http if method == "GET"} == {"Ann", "Bob"}
    assert {key for key, _ in at_listener} == {"Ann", "Bob", "Cid"}
    assert all(key == name for key, name in at_listener)
    assert at_log
    assert all(key == name for key, name in at_log)


async def test_what_a_webhook_reports_is_in_the_context_of_who_submitted():
    at_listener = []
    async with Sandbox(Options(speed=600)) as box:
        settings = Settings(api_key=box.key, base_url=box.url, speed=600)
        webhook = WebhookConfig("https://example.org/hook", "a secret of a webhook")
        async with MusicSession(settings=settings, limiter=TokenBucket(rate=100), webhook=webhook) as music:
            music.events.listen(lambda event: at_listener.append((event.state, request_id.get())), JobChanged)
            job = await asyncio.create_task(submitted_as(music, "Ann"))
            await job.accepted()
            request_id.set("who delivers")
            body = b'{"event": "song.failed", "task_id": "%s", "message": "no"}' % job.task_id.encode()
            headers = {"X-Webhook-ID": "d-1", "X-Webhook-Timestamp": "1700000000"}
            secret = "a secret of a webhook"
            headers["X-Webhook-Signature"] = webhooks.sign(body, secret, 1700000000)
            event = webhooks.parse(headers, body, secret, now=1700000000)
            assert await music.deliver(event, None)
            assert isinstance(job.exception(), Exception)
    assert {name for _, name in at_listener} == {"Ann"}


async def test_a_listener_may_do_anything_with_a_job_of_its_own_context():
    async with MusicSession.sandbox(speed=600) as music:
        request_id.set("Ann")
        cancelled = []

        def listener(event):
            if event.state == "queued" and not cancelled:
                cancelled.append(True)
                event.job.cancel()  # within the submit, in the very same context
                music.submit(song(), key="another")

        music.events.listen(listener, JobChanged)
        job = music.submit(song(), key="first")
        assert job.done()


async def test_jobs_of_one_context_share_it_and_others_do_not():
    contexts = Contexts()
    assert contextvars.Context().run(contexts.current) is None
    request_id.set("a")
    one, two = contexts.current(), contexts.current()
    assert one is two
    request_id.set("b")
    three = contexts.current()
    assert three is not one
    assert (one[request_id], three[request_id]) == ("a", "b")


async def test_values_that_cannot_be_compared_do_no_harm():
    class Odd:
        def __eq__(self, other):
            raise ValueError("ambiguous")

        __hash__ = None

    variable = contextvars.ContextVar("odd")
    contexts = Contexts()
    variable.set(Odd())
    first = contexts.current()
    variable.set(Odd())
    assert contexts.current() is not first


async def test_the_span_of_a_request_is_a_child_of_the_callers_span():
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    pytest.importorskip("opentelemetry.instrumentation.aiohttp_client")
    from opentelemetry.instrumentation.aiohttp_client import create_trace_config
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = trace.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    http = aiohttp.ClientSession(trace_configs=[create_trace_config(tracer_provider=provider)])
    async with Sandbox(Options(speed=600)) as box, http:
        settings = Settings(api_key=box.key, base_url=box.url, speed=600)
        with tracer.start_as_current_span("opening"):
            session = await MusicSession(settings=settings, http=http, limiter=TokenBucket(rate=100)).__aenter__()

        async def handler(name):
            with tracer.start_as_current_span(name):
                return await session.run(song())

        await asyncio.gather(handler("Ann"), handler("Bob"))
        await session.__aexit__(None, None, None)
    spans = {span.context.span_id: span for span in exporter.get_finished_spans()}
    posts = [span for span in spans.values() if span.name.startswith("POST")]
    assert sorted(spans[span.parent.span_id].name for span in posts) == ["Ann", "Bob"]
    assert {spans[span.parent.span_id].name for span in spans.values() if span.parent} <= {"Ann", "Bob"}
