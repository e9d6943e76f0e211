"""References between rows: checked by what results have, before anything is sent; filled in by what came."""

import json

import pytest

from aimusic_async import Clip, InvalidRequest, Lyrics, LyricsText, Song, Stems, UploadedClip, Voice, sonic
from aimusic_async.batch import ManifestError
from aimusic_async.manifest import parse_manifest
from aimusic_async.manifest.references import NothingThere

SONG = {"op": "sonic.create_music", "mv": "sonic-v5", "gpt_description_prompt": "rain"}
CLIPS = (Clip(clip_id="c0", audio_url="https://a.example/0.mp3"), Clip(clip_id="c1", stem_type="Vocals"))
RESULTS = {
    "song": (SONG, Song(task_id="t", clips=CLIPS)),
    "stems": ({"op": "sonic.stems_basic", "clip_id": "x"}, Stems(task_id="t", clips=CLIPS)),
    "upload": ({"op": "sonic.upload_music", "url": "https://a.example/x.mp3"}, UploadedClip(clip_id="u0")),
    "voice": ({"op": "sonic.create_voice", "audio_url": "https://a.example/x.mp3"}, Voice(persona_id="p0")),
    "words": (
        {"op": "lyrics.generate_lyrics", "description": "rain"},
        Lyrics(results=(LyricsText(lyrics="la"), LyricsText(lyrics="lo", title="Lo"))),
    ),
    "tempo": ({"op": "sonic.get_bpm", "clip_id": "x"}, None),
}


def manifest(*rows):
    return parse_manifest("\n".join(map(json.dumps, rows)).encode(), "a.jsonl")


def sources():
    return [{"key": key, **row} for key, (row, _) in RESULTS.items()]


def user(text, **fields):
    return {"op": "sonic.stems_basic", "key": "user", "clip_id": text, **fields}


def fault_of(*rows):
    with pytest.raises(ManifestError) as caught:
        manifest(*rows)
    (fault,) = caught.value.faults
    return str(fault)


GIVES = {
    "$song.clip": "c0",
    "$song.clip[1]": "c1",
    "$song.clips[1]": "c1",
    "$song.clips[1].clip_id": "c1",
    "${song}.clip": "c0",
    "$song.clip.audio_url": "https://a.example/0.mp3",
    "$song.task_id": "t",
    "$stems.part.Vocals": "c1",
    "$stems.part.vocals": "c1",
    "$stems.part[Vocals]": "c1",
    "$stems.clip[0]": "c0",
    "$upload.clip": "u0",
    "$upload.clip[0]": "u0",
    "$upload.clip_id": "u0",
    "$voice.persona_id": "p0",
    "$words.results[1].title": "Lo",
}


@pytest.mark.parametrize("text", GIVES)
def test_a_reference_gives_what_came(text):
    *_, row = manifest(*sources(), user(text))
    assert row.request is None
    (source,) = row.sources
    assert row.filled({source: RESULTS[source][1]}) == sonic.StemsBasic(clip_id=GIVES[text])


def test_lists_take_references_too():
    mashup = {
        "op": "sonic.mashup",
        "mv": "sonic-v5",
        "prompt": "la",
        "mashup_clip_ids": ["$song.clip", "$stems.clip[1]"],
    }
    *_, row = manifest(*sources(), mashup)
    assert row.sources == ("song", "stems")
    request = row.filled({key: RESULTS[key][1] for key in row.sources})
    assert request.mashup_clip_ids == ("c0", "c1")


def test_a_row_may_come_before_the_one_that_it_waits_for():
    first, second = manifest(user("$song.clip"), {"key": "song", **SONG})
    assert (first.sources, second.sources) == (("song",), ())


def test_keys_with_spaces_stand_in_braces():
    *_, row = manifest({"key": "track 1.b", **SONG}, user("${track 1.b}.clip"))
    assert row.sources == ("track 1.b",)


def test_two_dollars_are_one_and_no_reference():
    (row,) = manifest({**SONG, "title": "$$5 a day"})
    assert row.request.title == "$5 a day"


def test_what_the_result_lacks_is_reported_when_it_is_there():
    reported = {
        "$song.clip[2]": r"\$song.clip\[2\]: there are 2, counted from 0",
        "$stems.part.Drums": r"\$stems.part.Drums: the parts are c0, Vocals",
        "$song.clip[1].audio_url": "the result does not say",
    }
    for text, words in reported.items():
        *_, row = manifest(*sources(), user(text))
        (source,) = row.sources
        with pytest.raises(NothingThere, match=words):
            row.filled({source: RESULTS[source][1]})


def test_what_comes_is_checked_like_everything_else():
    *_, row = manifest(*sources(), {**SONG, "title": "$words.results[0].lyrics"})
    with pytest.raises(InvalidRequest, match="title must be at most 80"):
        row.filled({"words": Lyrics(results=(LyricsText(lyrics="la" * 50),))})


NONSENSE = {
    "$tempo.clip": "sonic.get_bpm: a Bpm has no clips; it has avg_bpm, max_bpm, min_bpm; got $tempo.clip",
    "$tempo.avg_bpm": "sonic.get_bpm: gives a float and not a text; got $tempo.avg_bpm",
    "$song.clipp": "sonic.create_music: a Song has no clipp (did you mean clip?); got $song.clipp",
    "$song.clips": "sonic.create_music: gives a list of Clip and not a text; got $song.clips",
    "$song.clips.title": "sonic.create_music: say which: .title comes after a place such as [0]; got $song.clips.title",
    "$song.task_id[0]": "sonic.create_music: a str is not a list, [0] makes no sense; got $song.task_id[0]",
    "$song.part.Vocals": "sonic.create_music: a Song has no parts; stems have; got $song.part.Vocals",
    "$stems.part": "sonic.stems_basic: say which part: .part.Vocals; got $stems.part",
    "$song.raw": "sonic.create_music: a Song has no raw; it has task_id, clips, failed, full; got $song.raw",
    "$nobody.clip": "there is no row with the key nobody; got $nobody.clip",
    **{
        text: "begins with $ and is not a reference such as $track-01.clip (write $$… for a text that begins with $); "
        f"got {text!r}"
        for text in ("$song", "$", "$song.", "$song.[1]", "$song.clip[x]", "$song..clip", "$song clip", "$song.clip ")
    },
}


@pytest.mark.parametrize("text", NONSENSE)
def test_what_makes_no_sense_is_a_fault_before_anything_is_sent(text):
    assert fault_of(*sources(), user(text)) == f"a.jsonl:{len(RESULTS) + 1}: clip_id: {NONSENSE[text]}"


def test_only_texts_can_be_taken_from_others():
    row = {"key": "song", **SONG}
    reported = fault_of(row, {**SONG, "style_weight": "$song.clip"})
    assert reported == "a.jsonl:2: style_weight: cannot be taken from another row: it is not a text; got '$song.clip'"


def test_circles_are_faults():
    def remaster(key, source):
        return {"op": "sonic.remaster", "key": key, "mv": "sonic-v5", "continue_clip_id": f"${source}.clip"}

    alone = "a.jsonl:1: continue_clip_id: goes in a circle: a → a; got $a.clip"
    assert fault_of(remaster("a", "a")) == alone
    rows = [remaster("d", "b"), remaster("b", "c"), remaster("c", "e"), remaster("e", "b"), {"key": "x", **SONG}]
    assert fault_of(*rows) == "a.jsonl:2: continue_clip_id: goes in a circle: b → c → e → b; got $c.clip"


def test_a_long_chain_is_no_trouble():
    song = {"key": "0", **SONG}
    remaster = {"op": "sonic.remaster", "mv": "sonic-v5"}
    rows = [{**remaster, "key": n, "continue_clip_id": f"${n - 1}.clip"} for n in range(1, 3000)]
    assert len(manifest(song, *rows)) == 3000


def test_a_row_with_faults_of_its_own_is_there_all_the_same():
    reported = fault_of({"key": "song", **SONG, "title": 5}, user("$song.clip"))
    assert reported == "a.jsonl:1: title: must be a string, not int; got 5"


def test_the_name_of_a_row_without_key_follows_from_what_it_refers_to():
    bare = {"op": "sonic.stems_basic"}
    *_, one, two, same = manifest(
        *sources(),
        {**bare, "clip_id": "$song.clip"},
        {**bare, "clip_id": "$song.clip[1]"},
        {**bare, "clip_id": "$song.clip"},
    )
    assert one.key.removesuffix("#1") == same.key.removesuffix("#2") != two.key.removesuffix("#1")
