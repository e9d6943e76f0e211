"""Sound: that it is there, adds up, stays in bounds and keeps the tempo."""

import numpy as np
import pytest

from aimusic_async.sandbox.music import PARTS, compose
from aimusic_async.sandbox.music.synth import SAMPLE_RATE, render

SONG = "[Verse]\nLanterns on the water line\nEvery window holds a sign\n[Chorus]\nBring the harbour home tonight\n"
VOICES = ("Vocals", "Backing Vocals")


@pytest.fixture(scope="module")
def tune():
    return compose(11, tags="dance pop", lyrics=SONG, seconds=30)


@pytest.fixture(scope="module")
def song(tune):
    return render(tune)


@pytest.fixture(scope="module")
def stems(tune):
    return {part: render(tune, [part]) for part in PARTS}


def test_the_song_is_stereo_of_the_right_length_loud_enough_and_never_clips(song):
    assert song.shape == (30 * SAMPLE_RATE, 2)
    assert song.dtype == np.float32
    assert 0.3 < np.abs(song).max() <= 1
    assert np.sqrt((song**2).mean()) > 0.03
    assert not np.array_equal(song[:, 0], song[:, 1])


def test_twelve_stems_add_up_to_the_song(song, stems):
    assert np.abs(sum(stems.values()) - song).max() < 1e-4


def test_voices_and_instruments_add_up_to_the_song(tune, song):
    voices, others = render(tune, VOICES), render(tune, [part for part in PARTS if part not in VOICES])
    assert np.abs(voices + others - song).max() < 1e-4


def test_every_stem_can_be_heard(stems):
    for part, stem in stems.items():
        assert np.abs(stem).max() > 0.02, part
        assert np.abs(stem).max() <= 1, part


def test_a_stem_is_the_same_whether_the_song_was_rendered_before_or_not(stems):
    fresh = compose(11, tags="dance pop", lyrics=SONG, seconds=30)
    assert np.array_equal(render(fresh, ["Bass"]), stems["Bass"])


def test_two_seeds_sound_different():
    one, two = (render(compose(seed, tags="pop, 120 bpm", seconds=6)) for seed in (1, 2))
    assert abs(np.corrcoef(one[:, 0], two[:, 0])[0, 1]) < 0.5


def test_the_song_ends_in_silence(song):
    assert np.abs(song[-480:]).max() < 1e-3
    assert np.abs(song[-2 * SAMPLE_RATE : -SAMPLE_RATE]).max() > 0.02


def test_the_voices_of_an_instrumental_are_silent():
    assert not render(compose(1, instrumental=True, seconds=3), VOICES).any()


@pytest.mark.parametrize("seconds", [0.001, 0.37, 2.0, 10.013])
def test_the_length_is_exact_to_the_sample(seconds):
    sound = render(compose(2, lyrics="la la la", seconds=seconds))
    assert len(sound) == round(seconds * SAMPLE_RATE)
    assert np.isfinite(sound).all()


def test_a_part_that_is_none_is_refused():
    with pytest.raises(ValueError, match="Kazoo"):
        render(compose(1), ["Kazoo"])


@pytest.mark.parametrize("tags", ["house", "rock, 140 bpm", "drum and bass", "lo-fi"])
def test_the_tempo_that_is_heard_is_the_tempo_that_is_reported(tags):
    tune = compose(1, tags=tags, seconds=12)
    heard = tempo(render(tune, ["Drums"]))
    assert min(abs(heard / tune.bpm / octave - 1) for octave in (0.5, 1, 2)) < 0.015


def tempo(sound) -> float:
    """Beats a minute by the autocorrelation of the onsets, in frames of 5 ms."""
    frames = np.sqrt((sound[: len(sound) // 240 * 240].reshape(-1, 240, 2) ** 2).mean(axis=(1, 2)))
    onsets = np.maximum(np.diff(np.log(frames + 1e-3)), 0)
    onsets -= onsets.mean()
    likeness = np.fft.irfft(np.abs(np.fft.rfft(onsets, 1 << 14)) ** 2)
    bpm = np.arange(70, 190, 0.25)
    score = sum(np.interp(times * 60 * 200 / bpm, np.arange(1 << 13), likeness[: 1 << 13]) for times in (1, 2, 4))
    return float(bpm[np.argmax(score)])


def test_crowded_and_strange_lyrics_can_be_sung_aloud():
    for lyrics in ("word " * 500, "🎵 漢字 \x00 [Verse"):
        assert np.isfinite(render(compose(1, lyrics=lyrics, seconds=5), ["Vocals"])).all()
