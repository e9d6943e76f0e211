"""Errors: they can be copied, pickled and made again, and carry neither secrets nor what lives in one process."""

import asyncio
import concurrent.futures
import copy
import multiprocessing
import pickle
import threading
from types import SimpleNamespace

import pytest

from aimusic_async import MusicError, MusicSession, Settings, TokenBucket, WebhookConfig, errors, from_plain, sonic
from aimusic_async.batch.ended import SourceFailed
from aimusic_async.files.download import DownloadFailed
from aimusic_async.manifest.faults import Fault, ManifestError, Place
from aimusic_async.manifest.references import NothingThere

KEY = "sk-verysecret"


class Handle(SimpleNamespace):
    """A job as this process has it: no other can."""

    def __init__(self):
        super().__init__(key="track-07", task_id="t-1", credits=10, state="submitted", operation=sonic.CreateMusic)
        self.lock = threading.Lock()


def every_error():
    job = Handle()
    request = sonic.GetBpm(clip_id="c-1")
    return [
        errors.MusicError("broke"),
        errors.ConfigurationError("no key"),
        errors.WrongLoop("elsewhere"),
        errors.JournalError("full", passing=False),
        errors.InvalidRequest("prompt", "is too long", "x" * 99, operation="sonic.create_music"),
        errors.InvalidRequest("prompt", "must be text", threading.Lock()),
        errors.ApiError("no", status=418, type="t", request=request, body={"a": 1}, headers={"x-request-id": "r"}),
        errors.ValidationError("no", status=400),
        errors.AuthenticationError("no", status=401),
        errors.InsufficientCredits("no", status=402, request=request),
        errors.SubscriptionRequired("no", status=403),
        errors.ContentRejected("no", status=403),
        errors.NotFound("no", status=404),
        errors.EndpointRetired("no", status=410),
        errors.RateLimited("slow", retry_after=3.0, status=429),
        errors.ServerError("no", status=500),
        errors.TransportError("lost"),
        errors.NotSent("no", passing=False),
        errors.SubmissionUnknown(job, "lost"),
        errors.JobError(job),
        errors.JobFailed(job, "bad words", refunded=True),
        errors.JobTimeout(job),
        errors.JobCancelled(job),
        errors.KeyConflict(job, "a", "b"),
        errors.BudgetExceeded(job, "would cost 12"),
        errors.WebhookError("no"),
        errors.InvalidSignature("no"),
        errors.StaleTimestamp("old"),
        errors.InvalidPayload("odd"),
        ManifestError([Fault(Place(file="songs.jsonl", line=3), "prompt", "is too long")]),
        NothingThere("there is no second clip"),
        SourceFailed("stems", "song", "its song failed"),
        DownloadFailed("gone", clip_id="c-1", host="cdn", expired=True),
        errors.GatewayError("a page", retry_after=3.0, status=502, headers={"x-request-id": "r-1"}),
    ]


def named(error):
    return type(error).__name__


def test_the_list_of_errors_here_is_whole():
    def classes(base):
        return {base}.union(*map(classes, base.__subclasses__()))

    public = {cls for cls in classes(MusicError) if cls.__module__.startswith("aimusic_async")}
    public = {cls for cls in public if not cls.__name__.startswith("_")}
    assert {cls.__name__ for cls in public} <= {named(error) for error in every_error()} | {"FileTrouble", "Stale"}


@pytest.mark.parametrize("error", every_error(), ids=named)
@pytest.mark.parametrize(
    "twin_of",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy, lambda error: type(error)(*error.args)],
    ids=["pickle", "copy", "deepcopy", "made again"],
)
def test_an_error_can_be_carried_away(error, twin_of):
    error.add_note("a note")
    twin = twin_of(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin).keys() - {"__notes__"} == vars(error).keys() - {"__notes__"}
    for name, value in vars(error).items():
        if isinstance(value, str | int | float | dict) and name != "__notes__":
            assert getattr(twin, name) == value


def test_what_another_process_gets_carries_ids_and_nothing_that_lives():
    twin = pickle.loads(pickle.dumps(errors.JobFailed(Handle(), "bad words", refunded=True)))
    assert twin.job == errors.JobRef(
        key="track-07", task_id="t-1", credits=10, state="submitted", operation="sonic.create_music"
    )
    assert (twin.reason, twin.refunded) == ("bad words", True)


def test_the_cause_goes_along_when_it_is_one_of_ours():
    error = errors.SubmissionUnknown(Handle(), "lost")
    error.__cause__ = errors.TransportError("reset")
    assert str(pickle.loads(pickle.dumps(error)).__cause__) == "reset"


def test_no_other_process_gets_the_secret_of_a_request():
    request = sonic.CreateMusic(
        prompt="x", mv="sonic-v5", webhook_url="https://example.org/hook", webhook_secret="only-for-this-process"
    )
    assert b"only-for-this-process" not in pickle.dumps(errors.ValidationError("no", status=400, request=request))


def test_a_task_queue_that_keeps_texts_only_still_names_the_job():
    error = errors.JobFailed(Handle(), "bad words")
    texts = [arg if isinstance(arg, str | bool | None) else str(arg) for arg in error.args]
    assert "bad words" in str(type(error)(*texts))


def fail(how):
    raise errors.JobFailed(Handle(), how, refunded=False)


@pytest.mark.parametrize("method", ["spawn"])
def test_errors_come_back_from_a_process_pool(method):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        error = pool.submit(pickle.dumps, every_error()[20]).result()
    assert "bad words" in str(pickle.loads(error))


def local_values(error):
    """All that the frames of an error and of what led to it show."""
    seen, todo = set(), [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        todo += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        trace = one.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename != __file__:
                yield from map(repr, trace.tb_frame.f_locals.values())
            trace = trace.tb_next
        yield str(one)
        yield repr(one)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: MusicSession(KEY, poll_interval=-1),
        lambda: MusicSession(KEY + "\n"),
        lambda: MusicSession(KEY, webhook="https://example.org"),
        lambda: MusicSession(KEY, journal=b"j.db"),
        lambda: MusicSession(KEY, bogus=1),
        lambda: Settings(api_key=KEY + " "),
        lambda: Settings(api_key=KEY, base_url="ftp://x"),
        lambda: Settings.load(api_key=KEY, stuck_after=-1),
        lambda: Settings.load(environ={"AIMUSIC_API_KEY": KEY, "AIMUSIC_SPEED": "fast"}),
        lambda: WebhookConfig("http://example.org", KEY * 3),
        lambda: WebhookConfig("https://example.org/hook", KEY + "\n" + KEY),
        lambda: sonic.CreateMusic(mv=3, webhook_url="https://example.org/hook", webhook_secret=KEY * 3),
        lambda: from_plain({"op": "sonic.create_music", "mv": "", "webhook_secret": KEY * 3}),
        lambda: from_plain({"op": "sonic.create_music", "odd": 1, "webhook_secret": KEY * 3}),
        lambda: MusicSession("key", journal=[KEY]),
        lambda: MusicSession("key", limiter=KEY),
    ],
)
def test_no_secret_is_in_the_frames_of_what_is_refused(refused):
    with pytest.raises((MusicError, TypeError)) as caught:
        refused()
    assert not [text for text in local_values(caught.value) if KEY in text]


async def drop_the_connection(_request):
    raise ConnectionError


@pytest.mark.parametrize(
    "answer",
    [
        (200, "no JSON"),
        (400, {"type": "validation", "error": "no"}),
        (401, {"type": "unauthorized", "error": "no"}),
        drop_the_connection,
    ],
)
@pytest.mark.filterwarnings("ignore")
async def test_no_secret_is_in_the_frames_of_what_a_request_comes_to(fake, answer):
    fake.script("/sonic/create", answer)
    settings = Settings(api_key=KEY, base_url=fake.url)
    secret = KEY.replace("-", "_") * 2
    fields = {"webhook_url": "https://example.org/hook", "webhook_secret": secret}
    async with MusicSession(settings=settings, limiter=TokenBucket(rate=100)) as music:
        with pytest.raises(MusicError) as caught:
            await asyncio.wait_for(music.sonic.create_music(prompt="x", mv="sonic-v5", **fields), 5)
    assert not [text for text in local_values(caught.value) if KEY in text or secret in text]
