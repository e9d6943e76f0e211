"""Requests as plain data: whatever can be built can be written down and read again."""

import json
import string

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aimusic_async import InvalidRequest, nuro, sonic
from aimusic_async.api.limits import Above, Between, FieldSpec, Items, MaxLength, OneOf, WebUrl, field_specs
from aimusic_async.api.operations import operations
from aimusic_async.api.plain import from_plain, to_plain
from aimusic_async.api.wire import encode

WORDS = st.text(string.ascii_letters + "äß🎵 \n[]'\"", min_size=1, max_size=40).filter(str.strip)


def values(spec: FieldSpec):
    """Values that a field may have."""
    if isinstance(spec.kind, tuple):
        return st.sampled_from(spec.kind)
    if spec.kind is bool:
        return st.booleans()
    limits = {type(limit): limit for limit in spec.limits}
    if spec.kind in (int, float):
        least = limits[Above].bound + 0.1 if Above in limits else getattr(limits.get(Between), "least", 0)
        most = min(getattr(limits.get(Between), "most", 1e6), 1e6)
        if spec.kind is int:
            return st.integers(int(least + 0.999), int(most))
        return st.floats(least, most)
    if spec.kind is list:
        items = limits[Items]
        choices = [value for limit in spec.entry_limits if isinstance(limit, OneOf) for value in limit.values]
        words = st.sampled_from(choices) if choices else WORDS
        entry = words if spec.entry is str else st.builds(spec.entry, **fields(spec.entry))
        return st.lists(entry, min_size=items.least, max_size=min(items.most, 4))
    if WebUrl in limits:
        return WORDS.map(lambda text: "https://host.example/" + str(len(text)))
    if spec.name == "seed":
        return st.integers(0, 10**9).map(str)
    most = getattr(limits.get(MaxLength), "characters", 40)
    return WORDS.map(lambda text: text[:most]).filter(str.strip)


def fields(cls):
    """A strategy for each field, absent for optional ones half of the time."""
    return {spec.name: st.none() | values(spec) if spec.optional else values(spec) for spec in field_specs(cls)}


@st.composite
def requests(draw, cls):
    """Valid requests of a class; combinations that it refuses are left out."""
    try:
        return cls(**draw(st.fixed_dictionaries(fields(cls))))
    except InvalidRequest:
        assume(False)


@pytest.mark.parametrize("name", operations())
@settings(max_examples=25, deadline=None, suppress_health_check=["filter_too_much", "too_slow"])
@given(data=st.data())
def test_a_request_survives_json_and_means_the_same(name, data):
    request = data.draw(requests(operations()[name]))
    plain = to_plain(request)
    again = from_plain(json.loads(json.dumps(plain)))
    open_fields = {spec.name: None for spec in request.fields() if spec.secret}
    assert again == (attrs.evolve(request, **open_fields) if open_fields else request)
    assert encode(again) == {name: value for name, value in encode(request).items() if name not in open_fields}
    assert plain["op"] == name
    assert to_plain(again) == plain


def test_a_secret_is_not_written_down():
    request = sonic.StemsBasic(clip_id="c", webhook_url="https://h.example", webhook_secret="hush")
    assert to_plain(request) == {"op": "sonic.stems_basic", "clip_id": "c", "webhook_url": "https://h.example"}


def test_sections_of_an_instrumental_are_plain_too():
    plain = {
        "op": "nuro.create_instrumental",
        "version": "v2.0",
        "description": "rain",
        "segments": [{"name": "intro", "duration": 20}, {"name": "chorus", "duration": 40}],
    }
    request = from_plain(plain)
    assert request.segments == (nuro.Segment(name="intro", duration=20), nuro.Segment(name="chorus", duration=40))
    assert to_plain(request) == plain


@pytest.mark.parametrize(
    ("plain", "field", "words"),
    [
        ({}, "op", "must name an operation"),
        ({"op": "sonic.creat_music"}, "op", "did you mean sonic.create_music?"),
        ({"op": 7}, "op", "must name an operation"),
        ({"op": "sonic.get_bpm", "clipid": "c"}, "clipid", "did you mean clip_id?"),
        ({"op": "sonic.get_bpm"}, "clip_id", "is required"),
        ({"op": "sonic.get_bpm", "clip_id": 7}, "clip_id", "must be a string, not int"),
        (
            {"op": "nuro.create_instrumental", "description": "d", "version": "v2.0", "segments": [{"name": "intro"}]},
            "segments",
            "must be a list of Segment",
        ),
        (
            {"op": "nuro.create_instrumental", "description": "d", "version": "v2.0", "segments": ["intro"]},
            "segments",
            "must be a list of Segment",
        ),
        (
            {"op": "sonic.mashup", "mv": "sonic-v5", "prompt": "x", "mashup_clip_ids": ["a", 7]},
            "mashup_clip_ids",
            "int",
        ),
    ],
)
def test_faulty_data_is_refused_with_its_field(plain, field, words):
    with pytest.raises(InvalidRequest) as caught:
        from_plain(plain)
    assert caught.value.field == field
    assert words in str(caught.value)
