"""Reading answers: every shape the service is known to use, and any that it is not."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async import GatewayError, MusicError, ServerError, account, lyrics, producer, sonic
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


@settings(max_examples=EXAMPLES, deadline=None)
@given(read=readers, body=likely, status=st.integers(100, 999), wait=st.none() | st.text(max_size=30))
def test_whatever_status_and_headers_come_nothing_but_a_music_error_is_raised(read, body, status, wait):
    try:
        raw = json.dumps(body).encode(errors="surrogatepass")
    except ValueError:
        return
    try:
        read(Reply.parse(status, raw, retry_after=wait, date=wait, location=wait))
    except MusicError as error:
        assert str(error)


fields = st.dictionaries(words, likely, max_size=5)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    outer=fields,
    inner=fields,
    place=st.sampled_from(["top", "data", "list", "result"]),
    name=st.sampled_from(["task_id", "taskId", "task-id"]),
    status=st.integers(100, 999),
)
def test_an_id_that_stands_in_an_answer_is_never_lost(outer, inner, place, name, status):
    outer = {key: value for key, value in outer.items() if key != "task_id" and "task_id" not in str(value)}
    inner = {key: value for key, value in inner.items() if key != "task_id" and "task_id" not in str(value)}
    one = {**inner, name: "t-9"}
    body = {
        "top": {**outer, name: "t-9"},
        "data": {**outer, "data": one},
        "list": {**outer, "data": [one]},
        "result": {**outer, "result": {"task": one}},
    }[place]
    assert read_task_id(SONG, Reply(status=status, body=body)) == "t-9"


@settings(max_examples=EXAMPLES, deadline=None)
@given(before=st.binary(max_size=60), after=st.binary(max_size=60), status=st.integers(100, 999))
def test_nor_is_one_in_bytes_that_are_no_json(before, after, status):
    body = b"\xff" + before.replace(b"task", b"") + b'"task_id": "t-9", ' + after
    assert read_task_id(SONG, Reply.parse(status, body)) == "t-9"


# --- odd parts of good answers ----------------------------------------------------------------------------------------


def now(request, **data):
    return read_now(request, reply({"code": 200, "data": data}))


MIDI, TIMELINE = sonic.GetMidi(clip_id="c"), sonic.GetLyricsTimeline(clip_id="c")
URL = "https://h/m.mid"


@pytest.mark.parametrize("instruments", [None, "soon", 7, {}, True])
def test_a_part_that_has_a_default_may_be_anything(instruments):
    assert now(MIDI, midi_url=URL, instruments=instruments).instruments == ()


def test_an_odd_entry_is_left_out_and_stays_in_raw():
    good = {"name": "Lead", "notes": [{"pitch": "64", "start": 1, "end": "2.5"}, {"pitch": "?"}, None]}
    midi = now(MIDI, midi_url=URL, instruments=[good, "odd", None, {"name": None, "notes": None}])
    assert [len(one.notes) for one in midi.instruments] == [1, 0]
    assert midi.instruments[0].notes[0].end == 2.5
    assert midi.raw["data"]["instruments"][1] == "odd"
    words = now(TIMELINE, alignment=[{"word": "a", "start_s": 0, "end_s": 1, "success": "true"}, {"word": "b"}, 5])
    assert [(word.word, word.success) for word in words.alignment] == [("a", True)]


@pytest.mark.parametrize("alignment", [[{"word": "a"}], ["a"], None, {}, "soon"])
def test_a_list_of_which_nothing_can_be_read_is_not_ready(alignment):
    assert now(TIMELINE, alignment=alignment) is None


def test_a_list_of_which_nothing_can_be_read_makes_no_sense_where_it_cannot_be_asked_for_again():
    with pytest.raises(ServerError, match="makes no sense"):
        read_now(lyrics.GenerateLyrics(description="x"), reply({"code": 200, "results": [{"title": "a"}]}))


@pytest.mark.parametrize("written", ["true", "True", " TRUE ", True])
def test_a_yes_may_be_written_as_text(written):
    words = now(TIMELINE, alignment=[{"word": "a", "start_s": 0, "end_s": 1, "success": written}])
    assert words.alignment[0].success is True
    assert look({"type": "failed", "message": "x", "refund_processed": written}).refunded is True


@pytest.mark.parametrize("written", ["yes", 1, None, "", []])
def test_what_is_no_yes_is_none(written):
    words = now(TIMELINE, alignment=[{"word": "a", "start_s": 0, "end_s": 1, "success": written}])
    assert words.alignment[0].success is None
    assert look({"type": "failed", "message": "x", "refund_processed": written}).refunded is None


def test_one_of_two_pots_may_be_odd_but_not_both():
    assert read_now(account.GetCredits(), reply({"credits": None, "extra_credits": "7"})).total == 7
    assert read_now(account.GetCredits(), reply({"credits": 5, "extra_credits": "?"})).total == 5
    for body in ({"credits": None}, {"credits": "?", "extra_credits": None}, {"extra_credits": []}):
        with pytest.raises(ServerError):
            read_now(account.GetCredits(), reply(body))


def test_an_empty_text_that_was_asked_for_is_a_result_and_null_is_none():
    assert now(sonic.UpsampleTags(tags="pop"), upsampled_tags="").upsampled_tags == ""
    for nothing in (None, [], {}):
        with pytest.raises(ServerError):
            now(sonic.UpsampleTags(tags="pop"), upsampled_tags=nothing)


# --- clips -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["succeeded", "SUCCESS", " Complete\n", "completed", "done", "finished"])
def test_words_for_success(word):
    assert look({"data": [clip("a", word)]}).result.clips[0].succeeded
    assert look({"status": word, "data": [{"clip_id": "a", "audio_url": "https://h/a"}]}).state is TaskState.SUCCEEDED


@pytest.mark.parametrize(
    "word", ["failed", "FAIL", " failure ", "error", "cancelled", "canceled", "rejected", "timeout", "Render_Failed"]
)
def test_words_for_failure(word):
    assert look({"data": [clip("a", word)]}).state is TaskState.FAILED
    assert look({"status": word, "data": []}).state is TaskState.FAILED
    with pytest.raises(ServerError):
        look({"code": 500, "message": "x", "status": word, "data": []}, 500)


@pytest.mark.parametrize("word", ["queued", "failed soon", "undone", "running", 200, None, True])
def test_any_other_word_means_that_it_runs(word):
    body = {"data": [clip("a", word), clip("b")]}
    assert look(body).state is TaskState.RUNNING
    assert look({"status": "running", "data": [clip("a")]}).state is TaskState.RUNNING
    assert look({"status": " PENDING ", "data": [clip("a")]}).state is TaskState.RUNNING


@pytest.mark.parametrize("odd", [None, "odd", 5, [], {"note": "x"}])
def test_what_is_no_entry_is_left_out(odd):
    done = look({"data": [clip("a"), odd, clip("b")]})
    assert [one.clip_id for one in done.result.clips] == ["a", "b"]
    assert odd in done.raw["data"]


@pytest.mark.parametrize(
    ("url", "name"),
    [("https://h/x/a1.mp3?sig=1", "a1"), ("http://h/a2.wav", "a2"), ("https://h/", "?")],
)
def test_a_clip_with_an_address_alone_has_its_name_from_there(url, name):
    done = look({"data": [{"audio_url": url}, clip("b")]})
    assert [one.clip_id for one in done.result.clips] == [name, "b"]


def test_the_only_clip_of_a_task_without_an_id_has_the_task_s():
    assert look({"data": [{"audio_url": "https://h/a1.mp3"}]}).result.clips[0].clip_id == "t-1"
    assert look({"data": [{"clip_id": "c", "audio_url": "https://h/a1.mp3"}]}).result.clips[0].clip_id == "c"


@pytest.mark.parametrize(
    "entry", [{"audio_url": "soon"}, {"state": "succeeded"}, {"title": "x"}, {"clip_id": None}, {}]
)
def test_what_has_neither_id_nor_address_is_no_clip_yet(entry):
    for data, seen in (([entry], []), (entry, []), ([entry, clip("b")], ["b"])):
        shown = look({"code": 200, "data": data})
        assert shown.state is TaskState.RUNNING
        assert [one.clip_id for one in shown.clips] == seen


def test_a_failed_entry_needs_no_id():
    failed = look({"data": [{"state": "failed", "error": "too loud"}]})
    assert (failed.state, failed.reason, failed.clips[0].clip_id) == (TaskState.FAILED, "too loud", "t-1")
    half = look({"data": [{"state": "failed", "reason": "too loud"}, clip("b")]})
    assert [(one.clip_id, one.error_message) for one in half.result.failed] == [("?", "too loud")]


def test_why_every_clip_failed_is_said_or_shown():
    said = look({"message": "Out of memory.", "code": 200, "data": [clip("a", "failed"), clip("b", "failed")]})
    assert said.reason == "Out of memory."
    shown = look({"message": "success", "code": 200, "data": [clip("a", "failed")]})
    assert shown.reason == 'every clip failed: {"clip_id": "a", "state": "failed"}'
    own = look({"message": "success", "data": [clip("a", "failed"), clip("b", "failed", error={"msg": "too loud"})]})
    assert own.reason == "too loud"
    assert own.clips[1].error_message == "too loud"
    assert look({"data": [clip("a", "failed", error_message="x", error="y")]}).reason == "x"


def test_a_streaming_clip_without_a_state_runs_and_a_stored_one_is_finished():
    entry = {"clip_id": "a", "audio_url": "https://h/a.mp3"}
    assert look({"data": [entry]}).state is TaskState.SUCCEEDED
    assert look({"event": "song.streaming", "data": [entry]}).state is TaskState.RUNNING
    assert look({"status": "mastering", "data": [entry]}).state is TaskState.RUNNING
    assert look({"data": [{**entry, "status": "mastering"}]}).state is TaskState.RUNNING
    assert look({"status": "mastering", "data": [{**entry, "status": "done"}]}).state is TaskState.SUCCEEDED


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_envelope_may_stand_in_data(depth):
    body = {"data": [clip("a"), clip("b")]}
    for _ in range(depth):
        body = {"code": 200, "data": {"task_id": "t-1", **body}}
    assert [one.clip_id for one in look(body).result.clips] == ["a", "b"]


def test_an_envelope_s_own_status_counts():
    body = {"code": 200, "data": {"status": "FAILED", "message": "Too loud.", "data": []}}
    assert (look(body).state, look(body).reason) == (TaskState.FAILED, "Too loud.")
    assert look({"code": 200, "data": {"status": "pending", "data": [clip("a")]}}).state is TaskState.RUNNING


def test_pairs_may_be_odd():
    assert look({"data": [{"extended": "x", "full": clip("f")}]}).state is TaskState.RUNNING
    assert look({"data": [{"extended": clip("a"), "full": "soon"}]}).state is TaskState.RUNNING
    assert look({"data": [{"extended": None, "replaced": clip("a"), "full": clip("f")}]}).result.full[0].clip_id == "f"
    failed = look({"data": [{"extended": clip("a"), "full": clip("f", "failed")}]})
    assert ([one.clip_id for one in failed.result.failed], failed.result.full) == (["f"], ())


# --- whose words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, [], None, "fine", [clip("a")], {"message": "success"}])
def test_a_poll_whose_answer_is_not_the_service_s_shows_nothing(body):
    with pytest.raises(GatewayError, match="makes no sense"):
        look(body)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "https://a.test/timeout", "detail": "due to timeout"},
        {"message": "Task failed due to timeout."},
        {"status": "failed", "message": "x"},
    ],
)
def test_only_the_service_says_that_a_task_failed(body):
    with pytest.raises(GatewayError):
        look(body, 504)


def test_a_task_that_failed_may_come_with_any_status():
    for status in (200, 400, 500):
        assert look({"type": "failed", "message": "Too loud."}, status).reason == "Too loud."
    assert look({"event": "song.failed", "message": "Too loud."}).reason == "Too loud."
    assert look({"event": "song.failed", "data": [clip("a", "running")]}).state is TaskState.RUNNING
    assert look({"type": "timeout", "error": "late", "data": [clip("a")]}).state is TaskState.SUCCEEDED


def test_what_is_not_ready_is_asked_for_again_only_if_the_service_says_so():
    assert read_now(MIDI, reply({"code": 200, "message": "soon"})) is None
    for body in ({}, [], {"message": "soon"}):
        with pytest.raises(GatewayError, match=r"sonic\.get_midi"):
            read_now(MIDI, reply(body))
    with pytest.raises(ServerError, match="no task_id") as caught:
        read_task_id(SONG, reply({"type": "not_ready", "error": "wait"}, 202))
    assert caught.value.status == 202
    with pytest.raises(MusicError):
        read_now(MIDI, reply({"type": "not_ready", "error": "wait"}, 404))


def test_an_error_keeps_what_the_answer_was():
    with pytest.raises(GatewayError, match=r"elsewhere\.test") as caught:
        read_now(MIDI, Reply.parse(307, b"", location="https://elsewhere.test", retry_after="9"))
    assert (caught.value.status, caught.value.retry_after, caught.value.request) == (307, 9.0, MIDI)
    with pytest.raises(ServerError, match="<h1>") as caught:
        read_now(MIDI, Reply.parse(200, b"<h1>Down</h1>"))
    assert (caught.value.body, caught.value.status) == (None, 200)


def test_an_address_that_nobody_can_read_spoils_no_other_clip():
    entries = [{"audio_url": "http://[x", "state": "succeeded"}, {"clip_id": "a", "audio_url": "https://h/a.mp3"}]
    progress = look({"data": entries})
    assert progress.state is TaskState.SUCCEEDED
    assert progress.result.clips[-1].clip_id == "a"
