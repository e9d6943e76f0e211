"""What is genuine is read, in each of the service's shapes; everything else is refused, and nothing else is raised."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from aimusic_async import (
    ConfigurationError,
    InvalidPayload,
    InvalidSignature,
    MusicError,
    StaleTimestamp,
    WebhookError,
    nuro,
    producer,
    sonic,
)
from aimusic_async.api.wire import TaskState, read_task
from aimusic_async.webhooks import SongEvent, parse, sign

EXAMPLES = int(os.environ.get("AIMUSIC_EXAMPLES", "300"))
NOW = 1_769_260_000.0
SECRET = "the secret of one task"
BODY = b'{"task_id": "t-1", "platform": "sonic", "event": "song.completed", "data": []}'


def hexed(message, secret=SECRET):
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def signed(body=BODY, *, at=int(NOW), secret=SECRET, **changed):
    """The headers that the service sends with a body; `None` leaves one out."""
    headers = {
        "Content-Type": "application/json",
        "X-Webhook-Id": "evt-1",
        "Idempotency-Key": "evt-1",
        "X-Webhook-Event": "song.completed",
        "X-Webhook-Timestamp": str(at),
        "X-Webhook-Signature": "sha256=" + hexed(str(at).encode() + b"." + body, secret),
    }
    changed = {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in (headers | changed).items() if value is not None}


def event_of(fields):
    body = json.dumps(fields).encode()
    return parse(signed(body), body, SECRET, now=NOW)


# --- what is genuine -----------------------------------------------------------------------------------------------


def test_a_genuine_delivery_says_what_happened_to_which_task():
    event = parse(signed(), BODY, SECRET, now=NOW)
    assert (event.id, event.event, event.task_id, event.platform) == ("evt-1", SongEvent.COMPLETED, "t-1", "sonic")
    assert event.timestamp == NOW
    assert event.body == json.loads(BODY)


def test_now_is_this_machine_s_clock_unless_told_otherwise():
    assert parse(signed(at=int(time.time())), BODY, SECRET).task_id == "t-1"
    with pytest.raises(StaleTimestamp):
        parse(signed(at=int(time.time()) - 400), BODY, SECRET)


@pytest.mark.parametrize(
    "headers",
    [
        {name.lower(): value for name, value in signed().items()},
        {name.upper(): value for name, value in signed().items()},
        {name.encode(): value.encode() for name, value in signed().items()},
        [(name.lower().encode(), value.encode()) for name, value in signed().items()],
        list(signed().items()),
        CIMultiDict(signed()),
        iter(signed().items()),
        [*signed().items(), ("x-webhook-id", "evt-1"), ("Set-Cookie", "a"), ("Set-Cookie", "b")],
        signed(X_Webhook_Signature=signed()["X-Webhook-Signature"].removeprefix("sha256=")),
        signed(X_Webhook_Signature=signed()["X-Webhook-Signature"].upper()),
        signed(X_Webhook_Signature=f" {signed()['X-Webhook-Signature']}\t"),
        signed(X_Webhook_Id=None),
        signed(Idempotency_Key=None),
        signed(X_Webhook_Event=None),
        signed(X_Signature="whatever"),
    ],
)
def test_headers_are_taken_as_any_web_server_gives_them(headers):
    assert parse(headers, BODY, SECRET, now=NOW).id == "evt-1"


@pytest.mark.parametrize("direction", [-1, 1])
def test_the_clocks_may_differ_by_the_tolerance_in_both_directions(direction):
    for tolerance in (10, 300):
        assert parse(signed(), BODY, SECRET, now=NOW + direction * tolerance, tolerance=tolerance)
        with pytest.raises(StaleTimestamp, match=f"{tolerance} s are allowed"):
            parse(signed(), BODY, SECRET, now=NOW + direction * (tolerance + 0.5), tolerance=tolerance)


def test_sign_makes_what_parse_accepts():
    assert sign(BODY, SECRET, int(NOW)) == signed()["X-Webhook-Signature"]
    assert sign(BODY, SECRET, str(int(NOW))) == signed()["X-Webhook-Signature"]


def test_a_secret_of_any_letters_is_its_utf_8():
    assert parse(signed(secret="schlüßel"), BODY, "schlüßel", now=NOW)


@pytest.mark.parametrize(
    ("fields", "event", "task_id", "platform"),
    [
        ({"task_id": "t", "event": "song.remixed", "platform": "udio"}, "song.remixed", "t", "udio"),
        ({"task_id": "t", "event": "song.failed", "platform": "Suno"}, SongEvent.FAILED, "t", "sonic"),
        ({"task_id": "t", "event": "song.streaming"}, SongEvent.STREAMING, "t", None),
        ({"task_id": 17, "event": ""}, None, "17", None),
        ({"event": "song.completed", "task_id": None}, SongEvent.COMPLETED, None, None),
        ({"data": {"task_id": "t", "event": "song.completed", "platform": "nuro"}}, SongEvent.COMPLETED, "t", "nuro"),
    ],
)
def test_words_that_are_unknown_or_missing_do_no_harm(fields, event, task_id, platform):
    read = event_of(fields)
    assert (read.event, read.task_id, read.platform) == (event, task_id, platform)


def test_the_event_header_is_not_believed_as_nobody_signed_it():
    event = parse(signed(X_Webhook_Event="song.failed"), BODY, SECRET, now=NOW)
    assert event.event is SongEvent.COMPLETED


def test_the_repr_shows_neither_signature_nor_body():
    shown = repr(parse(signed(), BODY, SECRET, now=NOW))
    assert signed()["X-Webhook-Signature"].removeprefix("sha256=") not in shown
    assert "data" not in shown


# --- what is not ---------------------------------------------------------------------------------------------------

RIGHT = signed()["X-Webhook-Signature"]
UNSIGNED = [
    ("no signature", signed(X_Webhook_Signature=None), BODY),
    ("an empty signature", signed(X_Webhook_Signature=""), BODY),
    ("only the prefix", signed(X_Webhook_Signature="sha256="), BODY),
    ("another digit", signed(X_Webhook_Signature=RIGHT[:-1] + ("0" if RIGHT[-1] != "0" else "1")), BODY),
    ("a digit less", signed(X_Webhook_Signature=RIGHT[:-1]), BODY),
    ("a digit more", signed(X_Webhook_Signature=RIGHT + "0"), BODY),
    ("two prefixes", signed(X_Webhook_Signature="sha256=" + RIGHT), BODY),
    ("another method", signed(X_Webhook_Signature=RIGHT.replace("sha256", "sha1")), BODY),
    ("a letter beyond ASCII", signed(X_Webhook_Signature="ſ" + RIGHT[1:]), BODY),
    ("digits beyond ASCII", signed(X_Webhook_Signature="sha256=" + "٣" * 64), BODY),
    ("bytes beyond ASCII", signed(X_Webhook_Signature=None) | {"x-webhook-signature": b"\xff" * 64}, BODY),
    ("a surrogate", signed(X_Webhook_Signature="sha256=" + "\udcff" * 64), BODY),
    ("another secret", signed(secret="the secret of another task"), BODY),
    ("no secret", signed(secret=""), BODY),
    ("an altered body", signed(), BODY.replace(b"t-1", b"t-2")),
    ("the same JSON in other bytes", signed(), BODY.replace(b" ", b"")),
    ("an empty body", signed(), b""),
    ("an altered time", signed(X_Webhook_Timestamp=str(int(NOW) + 1)), BODY),
    ("the same time in other digits", signed(X_Webhook_Timestamp=f"{NOW:.1f}"), BODY),
    ("no time", signed(X_Webhook_Timestamp=None), BODY),
    ("an empty time", signed(X_Webhook_Timestamp=""), BODY),
    ("a time beyond ASCII", signed(X_Webhook_Timestamp="１７６９２６００００"), BODY),
    ("a surrogate for a time", signed(X_Webhook_Timestamp="\udcff"), BODY),
    ("the body alone signed", signed(X_Webhook_Signature="sha256=" + hexed(BODY)), BODY),
    ("the old form only", {"X-Signature": hexed(BODY), "X-Webhook-Id": "evt-1"}, BODY),
    ("two signatures", [*signed().items(), ("X-Webhook-Signature", "sha256=" + "0" * 64)], BODY),
    ("two times", [("X-Webhook-Timestamp", "1"), *signed().items()], BODY),
    ("a value that is no text", signed() | {"X-Webhook-Signature": 7}, BODY),
    ("a list of values", {name: [value] for name, value in signed().items()}, BODY),
    ("a name that is no text", [(7, "x"), *signed().items()], BODY),
    ("headers that are no pairs", ["X-Webhook-Signature"], BODY),
    ("headers that are nothing", None, BODY),
    ("no headers", {}, BODY),
]
STALE = [
    ("too old", NOW - 301),
    ("in the future", NOW + 301),
    ("a year old", NOW - 31_536_000),
    ("milliseconds", NOW * 1000),
    *((text, text) for text in ("nan", "NaN", "inf", "-inf", "-1", "1e9", "0x10", "1_769_260_000", "soon", "0" * 400)),
]
ODD = [
    b"",
    b"{",
    b"\xff\xfe{",
    b"[]",
    b"null",
    b"7",
    b'"song.completed"',
    b"{}",
    b"[" * 100_000,
    b'{"task_id": ' + b"9" * 5000 + b"}",
    b'{"data": [{"task_id": "t", "event": "song.completed"}]}',
    *(
        json.dumps(fields).encode()
        for fields in (
            {"task_id": ["t"]},
            {"task_id": {"t": 1}},
            {"task_id": True},
            {"task_id": 1.5},
            {"task_id": "../../etc"},
            {"task_id": "t\nINFO all is well"},
            {"task_id": "\ud800"},
            {"task_id": "t" * 256},
            {"task_id": "..."},
            {"task_id": "t", "event": ["song.completed"]},
            {"task_id": "t", "event": "x" * 256},
            {"task_id": "t", "platform": {"suno": 1}},
            {"task_id": None, "event": None},
        )
    ),
]


@pytest.mark.parametrize(("headers", "body"), [row[1:] for row in UNSIGNED], ids=[row[0] for row in UNSIGNED])
def test_what_the_service_did_not_sign_is_refused(headers, body):
    with pytest.raises(InvalidSignature):
        parse(headers, body, SECRET, now=NOW)


@pytest.mark.parametrize("at", [row[1] for row in STALE], ids=[row[0] for row in STALE])
def test_what_was_signed_at_another_time_or_at_none_is_refused(at):
    headers = signed(at=at if isinstance(at, str) else int(at))
    with pytest.raises(StaleTimestamp):
        parse(headers, BODY, SECRET, now=NOW)


def test_a_time_is_not_looked_at_before_the_signature_fits():
    with pytest.raises(InvalidSignature):
        parse(signed(at="nan", secret="a forger's"), BODY, SECRET, now=NOW)


@pytest.mark.parametrize("tolerance", [float("nan"), -1, 0])
def test_a_senseless_tolerance_lets_nothing_pass(tolerance):
    with pytest.raises(StaleTimestamp):
        parse(signed(), BODY, SECRET, now=NOW + 1, tolerance=tolerance)


@pytest.mark.parametrize(
    "fields", [{"taskId": "t-1"}, {"TaskID": "t-1"}, {"data": {"task-id": "t-1"}}, {"taskid": "t-1"}]
)
def test_the_id_of_a_task_is_found_however_it_is_spelt(fields):
    assert event_of({"event": "song.completed", **fields}).task_id == "t-1"


@pytest.mark.parametrize("value", [None, True, "", " ", ["t"], "no id!", "x" * 256])
def test_what_is_no_id_under_another_spelling_is_none(value):
    assert event_of({"event": "song.completed", "taskId": value}).task_id is None


def test_a_byte_that_is_no_text_costs_only_itself():
    body = b'{"task_id": "t-1", "event": "song.completed", "data": [{"title": "Caf\xe9"}]}'
    event = parse(signed(body), body, SECRET, now=NOW)
    assert (event.task_id, event.body["data"][0]["title"]) == ("t-1", "Caf\ufffd")


@pytest.mark.parametrize("body", ODD, ids=lambda body: repr(body[:40]))
def test_what_is_signed_and_no_delivery_is_refused(body):
    with pytest.raises(InvalidPayload):
        parse(signed(body), body, SECRET, now=NOW)


@pytest.mark.parametrize("delivery_id", [None, "", "x" * 256, "évt", "evt\n1", "evt\x00"])
def test_a_delivery_without_a_usable_id_is_refused(delivery_id):
    with pytest.raises(InvalidPayload, match="x-webhook-id"):
        parse(signed(X_Webhook_Id=delivery_id, Idempotency_Key=None), BODY, SECRET, now=NOW)


@pytest.mark.parametrize("body", [BODY.decode(), None, json.loads(BODY), bytearray(BODY)])
def test_a_body_that_somebody_decoded_is_refused_in_clear_words(body):
    with pytest.raises(InvalidPayload, match="bytes as they came"):
        parse(signed(), body, SECRET, now=NOW)


@pytest.mark.parametrize("secret", ["", None, b"the secret of one task"])
def test_a_secret_that_is_none_is_the_receiver_s_mistake(secret):
    with pytest.raises(ConfigurationError):
        parse(signed(secret=""), BODY, secret, now=NOW)


def test_no_refusal_repeats_what_came_or_tells_the_secret():
    for headers, body in [row[1:] for row in UNSIGNED]:
        with pytest.raises(InvalidSignature) as caught:
            parse(headers, body, SECRET, now=NOW)
        for told in ("task", "sha256=", RIGHT[-64:], "evt-1"):
            assert told not in str(caught.value)


# --- the old form --------------------------------------------------------------------------------------------------


def test_the_old_form_is_read_when_asked_for():
    event = parse({"x-signature": hexed(BODY)}, BODY, SECRET, legacy=True)
    assert (event.task_id, event.event, event.timestamp) == ("t-1", SongEvent.COMPLETED, None)
    assert event.id == hexed(BODY)


@pytest.mark.parametrize("headers", [signed(), {"X-Signature": hexed(BODY, "other")}, {"X-Signature": ""}, {}])
def test_who_asks_for_the_old_form_gets_no_other(headers):
    with pytest.raises(InvalidSignature):
        parse(headers, BODY, SECRET, now=NOW, legacy=True)


# --- the service's examples ----------------------------------------------------------------------------------------

SONIC_CLIP = {
    "clip_id": "c1f0",
    "state": "succeeded",
    "title": "Harbour Lights",
    "tags": "indie folk",
    "lyrics": "[Verse]\nLamps",
    "image_url": "https://cdn2.example/c1f0.jpeg",
    "audio_url": "https://cdn1.example/c1f0.mp3",
    "video_url": None,
    "created_at": "2026-01-24T13:13:02.488Z",
    "gpt_description_prompt": None,
    "duration": "104.88",
    "negative_tags": None,
    "style_weight": None,
    "weirdness_constraint": None,
    "mv": "chirp-v5",
}
RUNNING = {"state": "running", "duration": None, "audio_url": "https://stream.example/c1f0"}
COMPLETED = {
    "code": 200,
    "message": "success",
    "data": [SONIC_CLIP],
    "task_id": "5b0f",
    "platform": "sonic",
    "event": "song.completed",
}
TWO = [SONIC_CLIP, SONIC_CLIP | {"clip_id": "c2"}]
NURO = {
    "status": "succeeded",
    "progress": 100,
    "audio_url": "https://h.example/song-4c35.wav",
    "lyrics": "[verse]\nLamps",
    "duration": 119.04,
    "genre": "Pop",
    "mood": "Happy",
    "gender": "Female",
    "timbre": "Warm",
    "prompt": "",
    "theme": "",
    "instrument": [],
}
NURO_ENVELOPE = {"task_id": "4c35", "platform": "nuro", "event": "song.completed"}
PRODUCER_CLIP = {
    "clip_id": "74aa",
    "title": "Wire",
    "sound": "slow cinematic strings",
    "audio_url": "https://h.example/a.m4a",
    "created_at": "2026-01-02T08:49:47.934443Z",
    "mv": "FUZZ-2.0",
    "duration": 185.0165,
}
PRODUCER = {"code": 200, "message": "success", "task_id": "p-1", "platform": "producer", "event": "song.completed"}
FAILED = {
    "type": "failed",
    "message": "Generation failed.",
    "refund_processed": True,
    "task_id": "5b0f",
    "event": "song.failed",
}


def progress(operation, fields):
    event = event_of(fields)
    return read_task(operation, event.task_id, event.reply)


@pytest.mark.parametrize(
    ("operation", "fields", "clips"),
    [
        (sonic.CreateMusic, COMPLETED, ["c1f0"]),
        (sonic.CreateMusic, COMPLETED | {"platform": "suno", "data": TWO}, ["c1f0", "c2"]),
        (sonic.CreateMusic, {name: COMPLETED[name] for name in ("event", "task_id", "data")}, ["c1f0"]),
        (sonic.StemsBasic, COMPLETED | {"data": TWO}, ["c1f0", "c2"]),
        (nuro.CreateVocal, NURO | NURO_ENVELOPE, ["4c35"]),
        (nuro.CreateVocal, {"audio_url": NURO["audio_url"], **NURO_ENVELOPE}, ["4c35"]),
        (nuro.CreateInstrumental, NURO_ENVELOPE | {"data": NURO}, ["4c35"]),
        (nuro.CreateInstrumental, {"data": NURO | NURO_ENVELOPE}, ["4c35"]),
        (producer.CreateMusic, PRODUCER | {"data": [PRODUCER_CLIP | {"state": "succeeded"}]}, ["74aa"]),
        (producer.CreateMusic, PRODUCER | {"data": [PRODUCER_CLIP], "status": "SUCCESS"}, ["74aa"]),
    ],
)
def test_a_completed_task_is_a_result_on_every_platform(operation, fields, clips):
    done = progress(operation, fields)
    assert done.state is TaskState.SUCCEEDED
    assert [clip.clip_id for clip in done.result.clips] == clips
    assert done.result.task_id == event_of(fields).task_id
    assert done.result.clips[0].audio_url
    assert done.result.clips[0].duration in {104.88, 119.04, 185.0165, None}


def test_a_voice_and_an_upload_are_results_too():
    voice = progress(sonic.CreateVoice, COMPLETED | {"data": {"persona_id": "v-1", "name": "Alto"}})
    assert (voice.state, voice.result.persona_id) == (TaskState.SUCCEEDED, "v-1")
    upload = progress(sonic.UploadMusic, {"code": 200, "clip_id": "u-1", "message": "success", "task_id": "t-1"})
    assert (upload.state, upload.result.clip_id) == (TaskState.SUCCEEDED, "u-1")


@pytest.mark.parametrize(
    "clip", [SONIC_CLIP | RUNNING, {k: v for k, v in (SONIC_CLIP | RUNNING).items() if k != "state"}]
)
def test_a_streaming_task_still_runs_and_its_clips_can_be_listened_to(clip):
    fields = COMPLETED | {"message": "streaming", "event": "song.streaming", "data": [clip, clip | {"clip_id": "c2"}]}
    seen = progress(sonic.CreateMusic, fields)
    assert seen.state is TaskState.RUNNING
    assert [one.audio_url for one in seen.clips] == ["https://stream.example/c1f0"] * 2
    assert not any(one.succeeded for one in seen.clips)


@pytest.mark.parametrize("platform", ["sonic", "suno", "nuro", "producer"])
@pytest.mark.parametrize(
    ("fields", "refunded"),
    [
        (FAILED, True),
        (FAILED | {"refund_processed": False}, False),
        ({name: value for name, value in FAILED.items() if name not in {"type", "refund_processed"}}, None),
        (FAILED | {"code": 500, "data": None}, True),
        (FAILED | {"type": "timeout"}, True),
    ],
)
def test_a_failed_task_is_failed_though_it_has_no_code(platform, fields, refunded):
    operation = {"nuro": nuro.CreateVocal, "producer": producer.CreateMusic}.get(platform, sonic.CreateMusic)
    failed = progress(operation, fields | {"platform": platform})
    assert (failed.state, failed.reason, failed.refunded) == (TaskState.FAILED, "Generation failed.", refunded)


def test_a_failed_upload_or_voice_is_failed():
    for operation in (sonic.UploadMusic, sonic.CreateVoice):
        assert progress(operation, FAILED).state is TaskState.FAILED


@pytest.mark.parametrize(
    ("word", "state"),
    [("running", TaskState.RUNNING), ("failed", TaskState.FAILED), ("succeeded", TaskState.SUCCEEDED)],
)
def test_a_nuro_task_s_own_word_counts_wherever_it_stands(word, state):
    for fields in (NURO | {"status": word}, {"data": NURO | {"status": word}}):
        assert progress(nuro.CreateVocal, fields | {"task_id": "4c35"}).state is state


def test_a_completed_task_whose_clips_say_otherwise_still_runs():
    for data in ([], None, [SONIC_CLIP, SONIC_CLIP | RUNNING]):
        assert progress(sonic.CreateMusic, COMPLETED | {"data": data}).state is TaskState.RUNNING


# --- anything ------------------------------------------------------------------------------------------------------

NAMES = [
    "X-Webhook-Id",
    "Idempotency-Key",
    "X-Webhook-Event",
    "X-Webhook-Timestamp",
    "X-Webhook-Signature",
    "X-Signature",
]
names = st.sampled_from(NAMES + [name.lower() for name in NAMES] + [name.encode() for name in NAMES])
values = st.one_of(
    st.text(max_size=80),
    st.binary(max_size=80),
    st.sampled_from(
        ["", "nan", "inf", "1e9", "sha256=", str(int(NOW)), "sha256=" + "0" * 64, hexed(BODY), *signed().values()]
    ),
    st.floats().map(str),
    st.integers().map(str),
    st.text("0123456789abcdefABCDEF", min_size=64, max_size=64).map("sha256={}".format),
    st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=2),
)
any_headers = st.one_of(
    st.lists(st.tuples(names | st.text(max_size=8), values), max_size=8),
    st.dictionaries(names, values, max_size=6),
    st.lists(st.text(max_size=3) | st.none(), max_size=3),
)
words = st.sampled_from(
    [
        *("code", "message", "task_id", "data", "type", "error", "status", "state", "clip_id", "full", "extended"),
        *("event", "platform", "refund_processed", "audio_url", "persona_id", "duration", "created_at", "steps"),
        *(
            "song.completed",
            "song.failed",
            "song.streaming",
            "suno",
            "nuro",
            "failed",
            "succeeded",
            "running",
            "not_ready",
        ),
    ]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=4), inner, max_size=6),
    max_leaves=15,
)
operations = st.sampled_from(
    [sonic.CreateMusic, sonic.StemsFull, sonic.CreateVoice, sonic.UploadMusic, producer.CreateMusic, nuro.CreateVocal]
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    headers=any_headers,
    body=st.binary(max_size=100) | st.just(BODY) | anything,
    now=st.floats() | st.just(NOW),
    tolerance=st.floats() | st.just(300.0),
    legacy=st.booleans(),
)
def test_whatever_is_delivered_by_a_stranger_is_refused_and_nothing_else_happens(headers, body, now, tolerance, legacy):
    with pytest.raises(WebhookError) as caught:
        parse(headers, body, "a secret that no stranger knows", now=now, tolerance=tolerance, legacy=legacy)
    assert str(caught.value)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    operation=operations,
    body=anything.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(words, anything, min_size=2).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60),
    at=st.sampled_from([str(int(NOW)), "nan"]) | st.text(max_size=6),
    delivery_id=values,
)
def test_whatever_is_signed_is_read_or_refused_and_nothing_else_happens(operation, body, at, delivery_id):
    stamp = at.strip()
    headers = signed(X_Webhook_Id=delivery_id) | {
        "X-Webhook-Timestamp": at,
        "X-Webhook-Signature": hexed(stamp.encode("utf-8", "surrogatepass") + b"." + body),
    }
    try:
        event = parse(headers, body, SECRET, now=NOW)
        assert isinstance(event.body, dict)
        progress = read_task(operation, event.task_id or "t", event.reply)
        assert isinstance(progress.state, TaskState)
    except MusicError as error:
        assert str(error)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    where=st.integers(0, len(BODY) * 8 - 1),
    what=st.sampled_from(["body", "signature", "time"]),
    flip=st.integers(1, 255),
)
def test_a_single_altered_byte_is_found(where, what, flip):
    headers = {name: value.encode("latin-1") for name, value in signed().items()}
    body = bytearray(BODY)
    name = {"signature": "X-Webhook-Signature", "time": "X-Webhook-Timestamp"}.get(what)
    target = body if name is None else bytearray(headers[name])
    old = bytes(target)
    target[where % len(target)] ^= flip
    if name is not None:
        headers[name] = bytes(target)
        if what == "signature" and headers[name].lower().strip() == old.lower():
            return  # upper case means the same
    with pytest.raises(WebhookError):
        parse(headers, bytes(body), SECRET, now=NOW)


def test_who_only_checks_signatures_loads_no_web_server_and_no_session():
    code = """
import sys
from aimusic_async.webhooks import parse
heavy = {"aiohttp", "asyncio", "cattrs", "aimusic_async.session"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# --- to the letter ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW - 301, "it was signed 301 s ago; 300 s are allowed"),
        (NOW - 9000, "it was signed 9000 s ago; 300 s are allowed"),
        (NOW + 301, "it was signed 301 s in the future; 300 s are allowed"),
    ],
)
def test_a_stale_delivery_says_how_stale_it_is(at, words):
    with pytest.raises(StaleTimestamp) as caught:
        parse(signed(at=int(at)), BODY, SECRET, now=NOW)
    assert str(caught.value) == words


@pytest.mark.parametrize("at", [NOW - 300, NOW + 300])
def test_five_minutes_are_allowed_and_not_a_second_more(at):
    assert parse(signed(at=int(at)), BODY, SECRET, now=NOW).task_id == "t-1"


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        (None, "there is no x-webhook-timestamp header"),
        ("", "there is no x-webhook-timestamp header"),
        ("١٢٣", "the x-webhook-timestamp header is no number"),
    ],
)
def test_a_missing_time_and_one_that_is_none_are_told_apart(stamp, words):
    with pytest.raises(InvalidSignature) as caught:
        parse(signed(X_Webhook_Timestamp=stamp), BODY, SECRET, now=NOW)
    assert str(caught.value) == words


@pytest.mark.parametrize("other", ["a", "z"])
def test_a_header_that_comes_twice_is_refused_whichever_value_is_greater(other):
    headers = [*signed(X_Webhook_Id="m").items(), ("x-webhook-id", other)]
    with pytest.raises(InvalidSignature, match="the x-webhook-id header comes twice"):
        parse(headers, BODY, SECRET, now=NOW)
