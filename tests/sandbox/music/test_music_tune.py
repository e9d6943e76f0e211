"""Composition: what follows from seed, tags, lyrics and length."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimusic_async.sandbox.music import PARTS, Tune, compose

SONG = """[Verse 1]
Lanterns on the water line
Every window holds a sign

[Chorus]
Bring the harbour home tonight
Carry me back into the light
"""


def notes_of(tune: Tune) -> dict:
    return dict(tune.parts)


def test_the_same_request_gives_the_same_tune():
    one, two = (compose(7, tags="indie folk", lyrics=SONG, seconds=30) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert notes_of(one) == notes_of(two)
    assert one.words == two.words


def test_every_seed_gives_another_tune():
    tunes = [compose(seed, tags="pop", lyrics=SONG) for seed in range(40)]
    assert len({tune.parts["Vocals"] for tune in tunes}) == 40
    assert len({tune.parts["Keyboard"] for tune in tunes}) == 40
    assert len({(tune.bpm, tune.key, tune.scale) for tune in tunes}) > 30


@pytest.mark.parametrize("tags", ["", "house", "waltz", "lo-fi", "rock", "drum and bass", "slow sad piano", "ambient"])
def test_every_part_plays_within_the_tune_and_within_midi(tags):
    for seed in range(5):
        tune = compose(seed, tags=tags, lyrics=SONG, seconds=30)
        assert tuple(tune.parts) == PARTS
        for part, notes in tune.parts.items():
            assert notes, part
            assert list(notes) == sorted(notes, key=lambda note: note.start)
            for note in notes:
                assert 0 <= note.pitch <= 127
                assert 0 <= note.start < note.end <= 30
                assert 0 < note.velocity <= 1


def test_parts_answer_only_to_their_names():
    parts = compose(1).parts
    assert "Drums" in parts
    assert "Kazoo" not in parts
    with pytest.raises(KeyError):
        parts["Kazoo"]


def test_the_words_are_the_lyrics_and_lie_on_the_notes_of_the_singer():
    for seed in range(20):
        tune = compose(seed, lyrics=SONG, seconds=30)
        assert "".join(word.text for word in tune.words) == SONG
        starts = [note.start for note in tune.parts["Vocals"]]
        ends = [note.end for note in tune.parts["Vocals"]]
        before = 0.0
        for word in tune.words:
            assert before <= word.start_s < word.end_s <= 30
            assert 0 <= word.p_align <= 1
            before = word.end_s
            if not word.text.endswith("[Verse "):  # the half of a tag is no sung word
                assert word.end_s in ends
                assert word.start_s in starts or word.text.startswith("1]")


def test_one_note_is_sung_for_each_syllable_and_the_singer_has_one_throat():
    tune = compose(3, lyrics=SONG, seconds=30)
    assert len(tune.parts["Vocals"]) == len(tune.song.syllables)
    for note, following in zip(tune.parts["Vocals"], tune.parts["Vocals"][1:], strict=False):
        assert note.end <= following.start


def test_more_words_than_time_are_sung_faster_so_that_all_fit():
    lyrics = "so many words that nobody could ever sing them all in time\n" * 80
    tune = compose(1, lyrics=lyrics, seconds=20)
    assert "".join(word.text for word in tune.words) == lyrics
    assert tune.words[-1].end_s <= 20


def test_more_time_than_words_goes_on_without_words():
    tune = compose(1, lyrics="[Verse]\nhello\n", seconds=120)
    assert "".join(word.text for word in tune.words) == "[Verse]\nhello\n"
    assert tune.parts["Vocals"][-1].start > 60


def test_nobody_sings_in_an_instrumental():
    tune = compose(1, lyrics=SONG, instrumental=True)
    assert tune.parts["Vocals"] == tune.parts["Backing Vocals"] == tune.words == ()


def test_lyrics_of_section_tags_alone_are_an_instrumental():
    assert compose(1, lyrics="[Instrumental]").instrumental
    assert not compose(1, lyrics="").instrumental


def test_a_singer_without_lyrics_hums():
    tune = compose(1, lyrics="")
    assert tune.parts["Vocals"]
    assert tune.words == ()


@pytest.mark.parametrize(("tags", "bpm"), [("rock, 137 bpm", 137), ("97.5bpm", 97.5), ("tempo: 80, house", 80)])
def test_a_tempo_in_the_tags_is_kept(tags, bpm):
    assert compose(5, tags=tags).bpm == bpm


def test_tags_steer_tempo_key_metre_and_range():
    for seed in range(10):
        assert 118 <= compose(seed, tags="house").bpm <= 130
        assert compose(seed, tags="slow pop").bpm <= 80
        assert compose(seed, tags="sad dark pop").scale in ("minor", "dorian")
        assert compose(seed, tags="happy folk").scale in ("major", "mixolydian")
        assert (compose(seed, tags="pop in C# minor").key, compose(seed, tags="in C# minor").scale) == (1, "minor")
        assert compose(seed, tags="waltz").style.beats == 3
        assert compose(seed, tags="female vocals").style.register > compose(seed, tags="male vocals").style.register
        tune = compose(seed)
        assert tune.bpm_min < tune.bpm < tune.bpm_max


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 4000])
def test_a_length_that_cannot_be_is_refused(seconds):
    with pytest.raises(ValueError, match="seconds"):
        compose(1, seconds=seconds)


HOSTILE = [
    "",
    " ",
    "\x00",
    "[",
    "]",
    "[]",
    "[Verse",
    "[Verse]",
    "[[Verse]]",
    "🎵🎶 🎤",
    "\ud800",
    "a" * 5000,
    "b" * 5000,
]
HOSTILE += [
    "x " * 2500,
    "漢字" * 2500,
    "\n" * 5000,
    "[Chorus] " * 500,
    "\r\n\u2028\u200b",
    "שלום עולם",
    "Ünïcödé ñ",
    "한국어",
]


@pytest.mark.parametrize("lyrics", HOSTILE)
@pytest.mark.parametrize("seconds", [0.01, 1.0, 20.0])
def test_hostile_lyrics_are_sung_or_left(lyrics, seconds):
    check(compose(1, title=lyrics, tags=lyrics, lyrics=lyrics, seconds=seconds), lyrics)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(),
    st.text(max_size=60),
    st.text(st.sampled_from("aeb [](){}\n\t\r\x00🎵漢'-19"), max_size=300) | st.text(max_size=200),
    st.floats(0.001, 90),
)
def test_anything_can_be_composed(seed, tags, lyrics, seconds):
    check(compose(seed, tags=tags, lyrics=lyrics, seconds=seconds), lyrics)


def check(tune: Tune, lyrics: str) -> None:
    for notes in tune.parts.values():
        assert all(0 <= note.start < note.end <= tune.seconds and 0 <= note.pitch <= 127 for note in notes)
    if tune.words:
        assert "".join(word.text for word in tune.words) == lyrics
        assert all(0 <= word.start_s <= word.end_s <= tune.seconds for word in tune.words)
        assert all(one.end_s <= two.start_s for one, two in zip(tune.words, tune.words[1:], strict=False))


def test_composing_needs_none_of_the_packages_that_render():
    code = (
        "import sys; from aimusic_async.sandbox.music import compose; compose(1, lyrics='la la').parts['Drums'];"
        "assert not {'numpy', 'lameenc', 'mido', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
