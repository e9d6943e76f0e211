"""Reading answers: every shape the service is known to use, and any that it is not."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async import MusicError, ServerError, account, producer, sonic
from aimusic_async.api.wire import Reply, TaskState, read_now, read_task, read_task_id

SONG = sonic.CreateMusic(prompt="la", mv="sonic-v5")
EXAMPLES = int(os.environ.get("AIMUSIC_EXAMPLES", "300"))  # `nox -s bench` asks for 5,000


def reply(body, status=200):
    return Reply.parse(status, json.dumps(body).encode())


def clip(name, state="succeeded", **more):
    return {"clip_id": name, "state": state, **more}


def look(body, status=200, operation=sonic.CreateMusic):
    return read_task(operation, "t-1", reply(body, status))


@pytest.mark.parametrize(
    "body",
    [
        {"message": "success", "task_id": "t-1"},
        {"code": 200, "message": "success", "task_id": "t-1"},
        {"code": 200, "data": {"task_id": "t-1"}},
        {"task_id": "t-1", "steps": {"upload": {"clip_id": "u-1"}, "extend": {"task_id": "t-1"}}},
    ],
)
def test_a_task_id_is_found_in_every_place_where_the_service_puts_it(body):
    assert read_task_id(SONG, reply(body)) == "t-1"


@pytest.mark.parametrize(
    "body", [{}, [], None, 7, {"task_id": ""}, {"task_id": None}, {"task_id": ["t"]}, {"data": []}]
)
def test_a_submit_without_a_task_id_makes_no_sense(body):
    with pytest.raises(ServerError, match="makes no sense"):
        read_task_id(SONG, reply(body))


def test_clips_settle_one_by_one():
    assert look({"type": "not_ready", "error": "Task is still processing."}, 202).state is TaskState.RUNNING
    assert look({"type": "not_ready", "error": "Task is still processing."}).state is TaskState.RUNNING
    assert look({"data": []}).state is TaskState.RUNNING
    half = look({"data": [clip("a"), clip("b", "running", audio_url="https://stream")]})
    assert half.state is TaskState.RUNNING
    assert [one.state for one in half.clips] == ["succeeded", "running"]
    done = look({"data": [clip("a"), clip("b")]})
    assert done.state is TaskState.SUCCEEDED
    assert [one.clip_id for one in done.result.clips] == ["a", "b"]
    assert done.result.task_id == "t-1"


def test_an_unknown_state_means_still_running():
    assert look({"data": [clip("a"), clip("b", "dreaming")]}).state is TaskState.RUNNING


def test_a_clip_that_fails_while_its_twin_succeeds_is_a_result_with_the_failed_one_listed():
    done = look({"data": [clip("a", "failed", error_message="too loud"), clip("b")]})
    assert done.state is TaskState.SUCCEEDED
    assert [one.clip_id for one in done.result.clips] == ["b"]
    assert [one.error_message for one in done.result.failed] == ["too loud"]


@pytest.mark.parametrize(
    ("body", "status", "refunded"),
    [
        ({"data": [clip("a", "failed", error_message="Too loud."), clip("b", "error")]}, 200, None),
        ({"type": "failed", "message": "Too loud.", "refund_processed": True}, 200, True),
        ({"type": "failed", "message": "Too loud.", "refund_processed": False}, 400, False),
        ({"type": "timeout", "error": "Too loud. Credits were previously refunded."}, 504, True),
        ({"status": "FAILED", "message": "Too loud."}, 200, None),
    ],
)
def test_a_failed_task_tells_its_reason_and_its_refund(body, status, refunded):
    failed = look(body, status)
    assert failed.state is TaskState.FAILED
    assert failed.reason.startswith("Too loud.")
    assert failed.refunded is refunded


def test_auto_concat_pairs_are_done_when_part_and_whole_are():
    pair = {"extended": clip("a"), "full": None}
    assert look({"data": [pair]}).state is TaskState.RUNNING
    assert look({"data": [pair | {"full": clip("f", "running")}]}).state is TaskState.RUNNING
    done = look({"data": [{"replaced": clip("a"), "full": clip("f")}, {"replaced": clip("b"), "full": clip("g")}]})
    assert [one.clip_id for one in done.result.clips] == ["a", "b"]
    assert [one.clip_id for one in done.result.full] == ["f", "g"]


def test_a_pair_whose_part_failed_does_not_wait_for_its_whole():
    done = look({"data": [{"extended": clip("a", "failed"), "full": None}, {"extended": clip("b"), "full": clip("g")}]})
    assert [one.clip_id for one in done.result.full] == ["g"]
    assert [one.clip_id for one in done.result.failed] == ["a"]


def test_a_voice_comes_as_an_object():
    for early in ({"type": "not_ready", "error": "wait"}, {"data": {}}, {"data": None}, {"code": 200}):
        assert look(early, operation=sonic.CreateVoice).state is TaskState.RUNNING
    done = look({"code": 200, "data": {"persona_id": "p-1", "name": "Alto"}}, operation=sonic.CreateVoice)
    assert (done.result.persona_id, done.result.name) == ("p-1", "Alto")


def test_an_upload_task_gives_its_clip():
    assert look({"data": [clip("u", "running")]}, operation=sonic.UploadMusic).state is TaskState.RUNNING
    assert look({"data": [clip("u")]}, operation=sonic.UploadMusic).result.clip_id == "u"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("104.88", 104.88),
        (104, 104.0),
        (185.0165, 185.0165),
        (None, None),
        ("", None),
        ("soon", None),
        (True, None),
        ("nan", None),
    ],
)
def test_a_duration_is_a_float_however_it_is_written(written, seconds):
    (one,) = look({"data": [clip("a", duration=written)]}).result.clips
    assert one.duration == seconds


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("2026-01-24T13:13:27.000Z", "2026-01-24T13:13:27+00:00"),
        ("2026-01-02T08:49:47.934443Z", "2026-01-02T08:49:47.934443+00:00"),
        ("2026-01-02T08:49:47", "2026-01-02T08:49:47+00:00"),
        ("yesterday", None),
        (None, None),
        (17, None),
    ],
)
def test_a_time_is_aware_whatever_its_precision(written, iso):
    (one,) = look({"data": [clip("a", created_at=written)]}).result.clips
    assert (one.created_at and one.created_at.isoformat()) == iso


def test_what_is_absent_or_empty_is_none_and_what_is_unknown_stays_in_raw():
    (one,) = look({"data": [clip("a", audio_url="", tags=None, mood="blue")]}).result.clips
    assert (one.audio_url, one.tags, one.video_url) == (None, None, None)
    assert one.raw["mood"] == "blue"


def test_stems_are_named_by_type_or_by_the_end_of_the_title():
    body = {
        "data": [
            clip("a", stem_type="Vocals"),
            clip("b", title="My - Song - Drums"),
            clip("c", title="My - Song - Drums"),
        ]
    }
    parts = look(body, operation=sonic.StemsFull).result.parts
    assert list(parts) == ["Vocals", "Drums", "Drums (c)"]


@pytest.mark.parametrize(
    ("request_", "body", "expected"),
    [
        (
            sonic.GetBpm(clip_id="c"),
            {"code": 200, "data": {"avg_bpm": "118.4", "max_bpm": 121}},
            {"avg_bpm": 118.4, "min_bpm": None},
        ),
        (
            sonic.GetVox(clip_id="c"),
            {"data": {"vox_audio_id": "v", "vocal_start_s": 10}},
            {"vox_audio_id": "v", "vocal_start_s": 10.0},
        ),
        (
            sonic.GetWav(clip_id="c"),
            {"message": "success", "data": {"wav_url": "https://h/c.wav"}},
            {"wav_url": "https://h/c.wav"},
        ),
        (sonic.UpsampleTags(tags="pop"), {"data": {"upsampled_tags": "bright pop"}}, {"upsampled_tags": "bright pop"}),
        (sonic.UploadMusic(url="https://h/a.mp3"), {"code": 200, "clip_id": "u"}, {"clip_id": "u"}),
        (sonic.CreatePersona(name="n", clip_id="c"), {"code": 200, "persona_id": "p"}, {"persona_id": "p"}),
        (account.GetCredits(), {"credits": 50, "extra_credits": 0}, {"credits": 50, "total": 50}),
        (account.GetCredits(), {"credits": "50", "extra_credits": 7.0}, {"total": 57}),
        (account.GetCredits(), {"credits": 50}, {"total": 50}),
    ],
)
def test_direct_answers_are_read_with_or_without_their_envelope(request_, body, expected):
    result = read_now(request_, reply(body))
    assert {name: getattr(result, name) for name in expected} == expected
    assert result.raw


@pytest.mark.parametrize(
    ("request_", "body", "status"),
    [
        (sonic.GetMidi(clip_id="c"), {"code": 200, "data": {"midi_url": None, "instruments": []}}, 200),
        (sonic.GetMidi(clip_id="c"), {"code": 200, "data": {"midi_url": "Generating, please wait"}}, 200),
        (sonic.GetMidi(clip_id="c"), {"code": 200, "data": {}}, 200),
        (sonic.GetWav(clip_id="c"), {"type": "not_ready", "error": "wait"}, 202),
        (sonic.GetLyricsTimeline(clip_id="c"), {"type": "not_ready", "error": "wait"}, 200),
    ],
)
def test_what_is_not_ready_has_to_be_asked_again(request_, body, status):
    assert read_now(request_, reply(body, status)) is None


def test_notes_and_words_are_read_with_their_times():
    notes = {
        "midi_url": "https://h/m.mid",
        "instruments": [{"name": "Lead", "notes": [{"pitch": 64, "start": 1.34, "end": 2.16, "velocity": 0.5}]}],
    }
    midi = read_now(sonic.GetMidi(clip_id="c"), reply({"data": notes}))
    assert midi.instruments[0].notes[0].start == 1.34
    words = {
        "alignment": [{"word": "[Verse]\nLanterns ", "start_s": 0.92, "end_s": 1.31, "p_align": 0.99, "success": True}]
    }
    timeline = read_now(sonic.GetLyricsTimeline(clip_id="c"), reply({"data": words}))
    assert timeline.alignment[0].word == "[Verse]\nLanterns "
    assert read_now(sonic.GetLyricsTimeline(clip_id="c"), reply({"data": {"alignment": []}})).alignment == ()
    silent = {"alignment": [{"word": "", "start_s": 1, "end_s": 1}]}
    assert read_now(sonic.GetLyricsTimeline(clip_id="c"), reply({"data": silent})).alignment[0].word == ""


def test_a_direct_answer_that_lacks_its_result_makes_no_sense():
    with pytest.raises(ServerError, match=r"sonic\.get_vox.*makes no sense"):
        read_now(sonic.GetVox(clip_id="c"), reply({"code": 200, "data": {}}))


def test_a_body_that_is_no_json_is_kept_as_text():
    assert Reply.parse(502, b"<html>\xff</html>").text == "<html>\ufffd</html>"
    assert Reply.parse(200, b"[" * 100_000).body is None


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0.5", 0.5), (None, None), ("-3", None), ("Wed, 21 Oct", None)]
)
def test_retry_after_is_read_in_seconds(header, seconds):
    assert Reply.parse(429, b"{}", retry_after=header).retry_after == seconds


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
words = st.sampled_from(
    [
        "code",
        "message",
        "task_id",
        "data",
        "type",
        "error",
        "status",
        "state",
        "clip_id",
        "full",
        "extended",
        "steps",
        "upload",
        "duration",
        "created_at",
        "alignment",
        "instruments",
        "notes",
        "midi_url",
        "persona_id",
        "not_ready",
        "failed",
        "succeeded",
    ]
)
likely = st.recursive(
    anything | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=6),
    max_leaves=20,
)
readers = st.sampled_from(
    [
        lambda answer: read_task_id(SONG, answer),
        lambda answer: read_task(sonic.CreateMusic, "t", answer),
        lambda answer: read_task(sonic.StemsFull, "t", answer),
        lambda answer: read_task(sonic.CreateVoice, "t", answer),
        lambda answer: read_now(sonic.GetMidi(clip_id="c"), answer),
        lambda answer: read_now(sonic.GetBpm(clip_id="c"), answer),
        lambda answer: read_now(sonic.GetLyricsTimeline(clip_id="c"), answer),
        lambda answer: read_now(account.GetCredits(), answer),
    ]
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(read=readers, body=likely, status=st.sampled_from([200, 202, 301, 400, 403, 404, 429, 500, 504]))
def test_whatever_json_comes_nothing_but_a_music_error_is_raised(read, body, status):
    try:
        read(Reply(status=status, body=body))
    except MusicError as error:
        assert str(error)


@settings(max_examples=EXAMPLES, deadline=None)
@given(read=readers, body=st.binary(max_size=200), status=st.sampled_from([200, 502]))
def test_whatever_bytes_come_nothing_but_a_music_error_is_raised(read, body, status):
    try:
        read(Reply.parse(status, body))
    except MusicError as error:
        assert str(error)


@pytest.mark.parametrize(
    "body", [{"data": [clip("u", "failed", error_message="too short")]}, {"data": {"state": "failed"}}]
)
def test_a_failed_upload_or_voice_is_a_failed_task(body):
    operation = sonic.UploadMusic if isinstance(body["data"], list) else sonic.CreateVoice
    assert look(body, operation=operation).state is TaskState.FAILED


def test_a_gateway_that_says_error_does_not_fail_the_task():
    with pytest.raises(ServerError):
        look({"status": "error", "message": "Bad gateway"}, 502)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"type": "timeout", "error": "Task failed due to timeout. Credits were previously refunded."}, 200),
        ({"code": 504, "message": "Task failed due to timeout. Credits were previously refunded."}, 504),
    ],
)
def test_a_task_that_timed_out_upstream_is_failed_and_refunded_however_it_is_reported(body, status):
    failed = look(body, status)
    assert (failed.state, failed.refunded) == (TaskState.FAILED, True)


def test_credits_that_were_not_refunded_are_not():
    body = {"type": "failed", "message": "Too loud. Credits were not refunded."}
    assert look(body).refunded is False


@pytest.mark.parametrize(
    "early",
    [
        {"clip_id": "a", "state": None},
        {"clip_id": "", "state": "running"},
        {"state": "succeeded"},
        {"extended": None, "full": None},
        {"extended": {}, "full": None},
    ],
)
def test_an_entry_that_is_still_empty_is_still_running(early):
    assert look({"data": [early, clip("b")]}).state is TaskState.RUNNING


def test_the_only_entry_of_a_task_may_lack_its_id():
    done = look({"status": "SUCCESS", "data": [{"wav_url": "https://h/a.wav"}]}, operation=producer.Download)
    assert [(one.clip_id, one.wav_url) for one in done.result.clips] == [("t-1", "https://h/a.wav")]


@pytest.mark.parametrize("body", [{}, {"type": "server_error", "error": "x"}, {"data": {"avg_bpm": None}}, None])
def test_a_tempo_without_a_number_is_no_tempo(body):
    with pytest.raises(ServerError):
        read_now(sonic.GetBpm(clip_id="c"), reply(body))
