"""The sonic requests: limits are checked when a request is built, and said clearly."""

import attrs
import pytest

from aimusic_async import InvalidRequest, account, sonic
from aimusic_async.api.limits import field_specs
from aimusic_async.api.request import Answer, Request
from aimusic_async.api.wire import encode

OPERATIONS = [getattr(sonic, name) for name in sonic.__all__]
LYRICS = {"prompt": "[Verse]\nHere we go"}
SOURCE = {"continue_clip_id": "c-1"}

REFUSED = [
    # what is wrong, request, arguments, field, words of the limit, start of the shown value
    ("title of 81", sonic.CreateMusic, LYRICS | {"mv": "sonic-v5", "title": "t" * 81}, "title", "at most 80", "'ttt"),
    (
        "description of 401",
        sonic.CreateMusic,
        {"mv": "sonic-v5", "gpt_description_prompt": "d" * 401},
        "gpt_description_prompt",
        "at most 400",
        "'ddd",
    ),
    (
        "prompt of 3001 on v4",
        sonic.CreateMusic,
        {"mv": "sonic-v4", "prompt": "p" * 3001},
        "prompt",
        "at most 3000",
        "'p",
    ),
    (
        "prompt of 5001 on v5",
        sonic.CreateMusic,
        {"mv": "sonic-v5", "prompt": "p" * 5001},
        "prompt",
        "at most 5000",
        "'p",
    ),
    ("prompt of 3001 on chirp-v4", sonic.CreateMusic, {"mv": "chirp-v4", "prompt": "p" * 3001}, "prompt", "3000", "'p"),
    (
        "tags of 201 on v4",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v4", "tags": "t" * 201},
        "tags",
        "at most 200",
        "'t",
    ),
    ("tags of 1001 on v5", sonic.CreateMusic, LYRICS | {"mv": "sonic-v5", "tags": "t" * 1001}, "tags", "1000", "'t"),
    (
        "weight over 1",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v5", "style_weight": 1.01},
        "style_weight",
        "0 and 1",
        "1.01",
    ),
    (
        "weight under 0",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v5", "weirdness_constraint": -0.01},
        "weirdness_constraint",
        "between 0 and 1",
        "-0.01",
    ),
    (
        "weight not a number",
        sonic.CoverMusic,
        LYRICS | SOURCE | {"mv": "sonic-v5", "audio_weight": float("nan")},
        "audio_weight",
        "between 0 and 1",
        "nan",
    ),
    (
        "end before start",
        sonic.ReplaceSection,
        LYRICS | {"clip_id": "c", "mv": "sonic-v5", "infill_start_s": 45, "infill_end_s": 30, "infill_lyrics": "la"},
        "infill_end_s",
        "above infill_start_s (45)",
        "30",
    ),
    (
        "end at start",
        sonic.Sample,
        LYRICS | {"sample_clip_id": "c", "mv": "sonic-v5", "chop_sample_start_s": 3, "chop_sample_end_s": 3},
        "chop_sample_end_s",
        "above chop_sample_start_s",
        "3",
    ),
    (
        "overpainting backwards",
        sonic.AddVocals,
        LYRICS | SOURCE | {"mv": "sonic-v5", "overpainting_start_s": 9, "overpainting_end_s": 8},
        "overpainting_end_s",
        "above overpainting_start_s",
        "8",
    ),
    (
        "vox of 31 seconds",
        sonic.GetVox,
        {"clip_id": "c", "vocal_start_s": 0, "vocal_end_s": 31},
        "vocal_end_s",
        "at most 30 seconds after",
        "31",
    ),
    (
        "three mashup clips",
        sonic.Mashup,
        LYRICS | {"mashup_clip_ids": ["a", "b", "c"], "mv": "sonic-v5"},
        "mashup_clip_ids",
        "exactly 2 entries, holds 3",
        "('a'",
    ),
    (
        "a string for the mashup clips",
        sonic.Mashup,
        LYRICS | {"mashup_clip_ids": "ab", "mv": "sonic-v5"},
        "mashup_clip_ids",
        "must be a list of strings, not str",
        "'ab'",
    ),
    (
        "a list of tags",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v5", "tags": ["pop", "rock"]},
        "tags",
        "must be a string, not list",
        "['pop'",
    ),
    (
        "vocal_gender on v4",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v4", "vocal_gender": "f"},
        "vocal_gender",
        "not understood by sonic-v4; it needs sonic-v4-5",
        "'f'",
    ),
    (
        "vocal_gender x",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v5", "vocal_gender": "x"},
        "vocal_gender",
        "'f' or 'm'",
        "'x'",
    ),
    (
        "a word for a boolean",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v5", "make_instrumental": "false"},
        "make_instrumental",
        "True or False, not str",
        "'false'",
    ),
    ("no lyrics", sonic.CreateMusic, {"mv": "sonic-v5"}, "prompt", "is required", "None"),
    (
        "description alone with custom_mode",
        sonic.CreateMusic,
        {"mv": "sonic-v5", "gpt_description_prompt": "rain", "custom_mode": True},
        "prompt",
        "is required",
        "None",
    ),
    (
        "lyrics alone without custom_mode",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v5", "custom_mode": False},
        "prompt",
        "custom_mode=True",
        "'[Verse]",
    ),
    ("a cover of nothing", sonic.CoverMusic, SOURCE | {"mv": "sonic-v5"}, "prompt", "or tags alone", "None"),
    (
        "a cover by style with custom_mode",
        sonic.CoverMusic,
        SOURCE | {"mv": "sonic-v5", "tags": "pop", "custom_mode": True},
        "prompt",
        "is required",
        "None",
    ),
    ("a new song by style", sonic.CreateMusic, {"mv": "sonic-v5", "tags": "pop"}, "prompt", "is required", "None"),
    (
        "a format that nobody makes",
        sonic.Download,
        {"clip_id": "c", "formats": ["wav", "ogg"]},
        "formats",
        "'mp3' or 'm4a' or 'wav', not 'ogg'",
        "('wav'",
    ),
    ("no format", sonic.Download, {"clip_id": "c", "formats": []}, "formats", "1 to 3 entries", "()"),
    ("length of 361", sonic.CreateMusic, LYRICS | {"mv": "sonic-v5", "duration": 361}, "duration", "10 and 360", "361"),
    (
        "length of 30.5",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v5", "duration": 30.5},
        "duration",
        "whole number",
        "30.5",
    ),
    (
        "start at 0",
        sonic.ExtendMusic,
        LYRICS | SOURCE | {"mv": "sonic-v5", "continue_at": 0},
        "continue_at",
        "above 0",
        "0",
    ),
    (
        "no source",
        sonic.Sample,
        LYRICS | {"mv": "sonic-v5", "chop_sample_start_s": 0, "chop_sample_end_s": 1},
        "sample_clip_id",
        "one of the two",
        "None",
    ),
    ("empty clip id", sonic.GetBpm, {"clip_id": " "}, "clip_id", "must not be empty", "' '"),
    ("number for a clip id", sonic.GetBpm, {"clip_id": 7}, "clip_id", "must be a string, not int", "7"),
    ("no web address", sonic.UploadMusic, {"url": "ftp://host/a.mp3"}, "url", "https:// or http://", "'ftp://host"),
    ("persona name of 80", sonic.CreatePersona, {"clip_id": "c", "name": "n" * 80}, "name", "at most 79", "'nnn"),
    (
        "unknown variation",
        sonic.Remaster,
        SOURCE | {"mv": "sonic-v5", "variation_category": "huge"},
        "variation_category",
        "'subtle' or 'normal' or 'high'",
        "'huge'",
    ),
    (
        "webhook to a host that looks like this machine",
        sonic.StemsFull,
        {"clip_id": "c", "webhook_url": "http://localhost.evil.example/x"},
        "webhook_url",
        "https://",
        "'http://localhost.evil",
    ),
    (
        "webhook without a host",
        sonic.StemsFull,
        {"clip_id": "c", "webhook_url": "https://"},
        "webhook_url",
        "https://",
        "'https",
    ),
    (
        "a start that no float holds",
        sonic.GetVox,
        {"clip_id": "c", "vocal_start_s": 10**400},
        "vocal_start_s",
        "finite",
        "1000",
    ),
    (
        "an empty clip id in a list",
        sonic.Mashup,
        LYRICS | {"mashup_clip_ids": ["a", " "], "mv": "sonic-v5"},
        "mashup_clip_ids",
        "each of which must not be empty",
        "('a'",
    ),
    (
        "vocals on v3-5",
        sonic.AddVocals,
        LYRICS | SOURCE | {"mv": "sonic-v3-5"},
        "mv",
        "sonic-v5 or newer",
        "'sonic-v3-5'",
    ),
    (
        "v4-5-all for create",
        sonic.CreateMusic,
        LYRICS | {"mv": "sonic-v4-5-all"},
        "mv",
        "not for this operation",
        "'sonic-v4",
    ),
    (
        "webhook over http",
        sonic.StemsFull,
        {"clip_id": "c", "webhook_url": "http://example.com/hook"},
        "webhook_url",
        "https://",
        "'http://example.com",
    ),
]


@pytest.mark.parametrize(
    ("request_class", "arguments", "field", "limit", "shown"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED]
)
def test_bad_input_is_refused_with_its_field_limit_and_value(request_class, arguments, field, limit, shown):
    with pytest.raises(InvalidRequest) as caught:
        request_class(**arguments)
    error = caught.value
    assert error.field == field
    assert limit in str(error)
    assert f"got {shown}" in str(error)
    assert str(error).startswith(request_class.operation)
    assert len(str(error)) < 250


@pytest.mark.parametrize(
    "arguments",
    [
        {"title": "t" * 80},
        {"tags": "t" * 1000},
        {"prompt": "p" * 5000},
        {"style_weight": 0, "weirdness_constraint": 1},
        {"mv": "chirp-v4-5-plus", "vocal_gender": "m"},
        {"mv": "sonic-v99-of-the-future", "prompt": "p" * 9000, "vocal_gender": "f"},
        {"duration": 10},
    ],
    ids="-".join,
)
def test_the_limits_themselves_and_unknown_models_pass(arguments):
    sonic.CreateMusic(**{"mv": "sonic-v5", **LYRICS, **arguments})


@pytest.mark.parametrize(
    ("arguments", "custom"),
    [
        (LYRICS, True),
        ({"gpt_description_prompt": "rain"}, False),
        ({"make_instrumental": True, "tags": "ambient"}, True),
        ({"auto_lyrics": True, "prompt": "about rain"}, True),
        (LYRICS | {"gpt_description_prompt": "rain"}, True),
        (LYRICS | {"gpt_description_prompt": "rain", "custom_mode": False}, False),
        ({"gpt_description_prompt": "rain", "custom_mode": False, "make_instrumental": True}, False),
    ],
)
def test_custom_mode_follows_from_the_text_that_is_given(arguments, custom):
    assert encode(sonic.CreateMusic(mv="sonic-v5", **arguments))["custom_mode"] is custom


def test_what_was_not_given_is_not_sent():
    assert encode(sonic.CreateMusic(mv="sonic-v5", **LYRICS)) == {
        "task_type": "create_music",
        "use_suno_cdn": False,
        "custom_mode": True,
        "mv": "sonic-v5",
        "prompt": LYRICS["prompt"],
    }
    joined = {"task_type": "concat_music", "use_suno_cdn": False, "continue_clip_id": "c"}
    assert encode(sonic.ConcatMusic(continue_clip_id="c")) == joined


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.endpoint.path == "/sonic/create"], ids=lambda one: one.operation
)
def test_every_task_type_says_use_suno_cdn_and_lets_the_caller_say_otherwise(operation):
    given = SOURCE | LYRICS | {"mv": "sonic-v5", "persona_id": "p"}
    names = {spec.name for spec in field_specs(operation)}
    request = operation(**{name: value for name, value in given.items() if name in names})
    assert encode(request)["use_suno_cdn"] is False
    assert encode(attrs.evolve(request, use_suno_cdn=True))["use_suno_cdn"] is True


def test_other_addresses_are_not_told_about_a_cdn_that_they_do_not_know():
    request = sonic.Mashup(mashup_clip_ids=["a", "b"], mv="sonic-v5", **LYRICS)
    assert "use_suno_cdn" not in encode(request)


def test_a_length_can_be_wished_for_where_the_service_takes_one():
    wishing = {one.operation.partition(".")[2] for one in OPERATIONS if "duration" in attrs.fields_dict(one)}
    assert wishing == {
        "create_music",
        "extend_music",
        "cover_music",
        "persona_music",
        "extend_upload_music",
        "cover_upload_music",
        "upload_extend",
        "upload_cover",
    }


def test_a_weight_of_the_source_is_taken_by_everything_that_writes_a_song():
    for operation in (sonic.CreateMusic, sonic.PersonaMusic, sonic.Sample, sonic.Mashup):
        assert "audio_weight" in attrs.fields_dict(operation)


@pytest.mark.parametrize("cover", [sonic.CoverMusic, sonic.CoverUploadMusic])
def test_a_cover_by_its_style_alone_says_no_mode(cover):
    body = encode(cover(continue_clip_id="c", mv="sonic-v5", tags="bossa nova"))
    assert body["tags"] == "bossa nova"
    assert "custom_mode" not in body


@pytest.mark.parametrize("extend", [sonic.ExtendMusic, sonic.ExtendUploadMusic])
def test_an_extension_may_leave_the_point_to_the_service(extend):
    assert "continue_at" not in encode(extend(continue_clip_id="c", mv="sonic-v5", **LYRICS))


def test_an_explicit_false_is_sent():
    assert encode(sonic.CreateMusic(mv="sonic-v5", make_instrumental=False, **LYRICS))["make_instrumental"] is False


def test_a_webhook_secret_is_never_shown():
    request = sonic.StemsBasic(clip_id="c", webhook_url="https://example.com/h", webhook_secret="hush")
    assert "hush" not in repr(request)
    assert encode(request)["webhook_secret"] == "hush"
    with pytest.raises(InvalidRequest) as caught:
        sonic.StemsBasic(clip_id="c", webhook_secret=b"hush")
    assert "hush" not in str(caught.value)


def test_requests_are_values():
    one, other = (sonic.Mashup(mashup_clip_ids=["a", "b"], mv="sonic-v5", **LYRICS) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.mv = "sonic-v4"


def test_an_upload_with_a_callback_is_a_task_and_without_is_answered_at_once():
    assert sonic.UploadMusic(url="https://host/a.mp3").answer is Answer.NOW
    assert sonic.UploadMusic(url="https://host/a.mp3", callback_url="https://host/done").answer is Answer.TASK


@pytest.mark.parametrize("operation", [*OPERATIONS, account.GetCredits], ids=lambda cls: cls.__name__)
def test_every_operation_states_name_endpoint_cost_result_fields_and_page(operation):
    platform = operation.__module__.rpartition(".")[2]
    assert operation.operation.startswith(f"{platform}.")
    assert operation.endpoint.path.startswith("/")
    assert operation.cost >= 0
    assert attrs.has(operation.result_type())
    assert "Page: " in operation.__doc__
    assert all(spec.kind for spec in field_specs(operation))


def test_an_operation_that_does_not_say_its_result_is_a_mistake_of_its_author():
    class Nameless(Request):
        pass

    with pytest.raises(TypeError, match="Nameless must say its result"):
        Nameless.result_type()


def test_a_field_of_a_type_that_cannot_be_sent_is_a_mistake_of_its_author():
    @attrs.frozen
    class Odd:
        when: complex = 1j

    with pytest.raises(TypeError, match="when"):
        field_specs(Odd)


@pytest.mark.parametrize("start", [tenths / 10 for tenths in range(0, 3000, 7)])
def test_thirty_seconds_of_voice_are_thirty_wherever_they_start(start):
    sonic.GetVox(clip_id="c", vocal_start_s=start, vocal_end_s=(start * 10 + 300) / 10)


@pytest.mark.parametrize(
    "url", ["http://host.example/a.mp3", "HTTPS://host.example/a", "https://h.example/a?" + "x" * 5000]
)
def test_a_source_may_be_any_public_address(url):
    assert sonic.UploadMusic(url=url).url == url


def test_a_model_for_sample_and_mashup_is_taken_there():
    sonic.Mashup(mashup_clip_ids=["a", "b"], mv="sonic-v4-5-all", **LYRICS)
