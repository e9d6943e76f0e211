"""Results as plain data: through JSON and back they are the same."""

import json

import attrs
import pytest

from aimusic_async import Clip, Credits, InvalidRequest, LyricsTimeline, MusicSession, from_plain, sonic, to_plain
from aimusic_async.api import results


@pytest.fixture
async def song():
    async with MusicSession.sandbox(speed=600) as music:
        return await music.run(sonic.CreateMusic(prompt="x", mv="sonic-v5"))


async def test_a_song_goes_through_json_and_back(song):
    plain = json.loads(json.dumps(to_plain(song)))
    again = from_plain(plain)
    assert again == song
    assert again.raw == song.raw
    assert again.clips[0].created_at == song.clips[0].created_at
    assert plain["result"] == "song"


@pytest.mark.parametrize(
    "result",
    [
        Credits(credits=3, extra_credits=4),
        Clip(clip_id="c-1", duration=12.5),
        LyricsTimeline(alignment=(results.AlignedWord(word="la", start_s=0.5, end_s=1.0),)),
        results.Midi(
            midi_url="https://cdn.example/a.mid",
            instruments=(results.MidiInstrument(notes=(results.MidiNote(pitch=60, start=0.0, end=1.0),)),),
        ),
    ],
    ids=lambda result: type(result).__name__,
)
def test_every_kind_of_result_does(result):
    assert from_plain(json.loads(json.dumps(to_plain(result)))) == result


def test_every_class_of_results_has_a_name():
    named = {cls for cls in vars(results).values() if isinstance(cls, type) and attrs.has(cls)}
    from aimusic_async.api.plain_results import _classes

    assert set(_classes().values()) == named


@pytest.mark.parametrize(
    "data", [{"result": "sonnet"}, {"result": "song"}, {"result": "clip", "clip_id": "c", "created_at": "yesterday"}]
)
def test_what_is_no_result_is_refused(data):
    with pytest.raises(InvalidRequest, match="result"):
        from_plain(data)


def test_what_is_neither_request_nor_result_is_refused():
    with pytest.raises(InvalidRequest, match="must be a request, or the result of one"):
        to_plain(object())
