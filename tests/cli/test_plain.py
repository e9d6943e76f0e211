"""Results as JSON: every class of result, every field but `raw`, under names that stay."""

import json
from datetime import UTC, datetime

import attrs
import pytest

from aimusic_async.api import results
from aimusic_async.api.operations import operations
from aimusic_async.api.results import Clip, Song
from aimusic_async.cli.plain import moment, plain, plain_error
from aimusic_async.errors import InvalidRequest


@pytest.mark.parametrize(
    "kind", sorted({cls.result_type() for cls in operations().values()}, key=lambda cls: cls.__name__)
)
def test_every_result_is_plain_data_under_the_names_of_its_fields(kind):
    values = {"int": 1, "float": 1.5, "str": "https://x/y"}
    given = {
        field.name: values.get(getattr(field.type, "__name__", str(field.type)), ())
        for field in attrs.fields(kind)
        if field.default is attrs.NOTHING
    }
    made = plain(kind(**given, raw={"key": object()}))
    assert list(made) == [field.name for field in attrs.fields(kind) if field.name != "raw"]
    assert json.loads(json.dumps(made)) == made


def test_what_is_inside_is_plain_too():
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    song = Song(task_id="t", clips=(Clip(clip_id="c", created_at=when, raw={"x": 1}),))
    (clip,) = plain(song)["clips"]
    assert (clip["created_at"], clip["duration"], "raw" in clip) == ("2026-01-02T03:04:05+00:00", None, False)
    assert clip.keys() == {field.name for field in attrs.fields(results.Clip)} - {"raw"}


def test_other_things_keep_their_shape():
    assert plain({1: ("a", None)}) == {"1": ["a", None]}
    assert plain_error(InvalidRequest("title", "is bad", "x")) == {
        "type": "InvalidRequest",
        "message": "title is bad; got 'x'",
    }
    assert moment(0) == "1970-01-01T00:00:00+00:00"
