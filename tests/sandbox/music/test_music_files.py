"""Files: that other programs can read them, and that they say what the tune says."""

import io
import subprocess
import sys
import wave

import mido
import numpy as np
import pytest
from PIL import Image

from aimusic_async.sandbox.music import compose
from aimusic_async.sandbox.music.files import cover, midi, mp3, wav
from aimusic_async.sandbox.music.synth import render

SONG = "[Verse]\nLanterns on the water line 🎵\n"
KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


@pytest.fixture(scope="module")
def tune():
    return compose(5, title="Harbour 🎵 Lights", tags="pop", lyrics=SONG, seconds=6.4)


def mp3_frames(data: bytes) -> int:
    """The number of frames of MPEG 1 layer III at 48 kHz in stereo that the file consists of, and of nothing else."""
    at = frames = 0
    while at < len(data):
        head = int.from_bytes(data[at : at + 4])
        assert head >> 17 == 0xFFFA >> 1, "sync, version 1, layer III"
        assert head >> 10 & 3 == 1, "48 kHz"
        assert head >> 6 & 3 != 3, "not mono"
        at += 144 * KBPS[head >> 12 & 15] * 1000 // 48_000 + (head >> 9 & 1)
        frames += 1
    assert at == len(data)
    return frames


@pytest.mark.parametrize("seconds", [0.5, 3.2, 6.4])
def test_the_mp3_lasts_as_long_as_the_tune(seconds):
    data = mp3(compose(5, tags="pop", seconds=seconds))
    assert abs(mp3_frames(data) * 1152 / 48_000 - seconds) < 0.05


def test_the_bit_rate_of_the_mp3_can_be_chosen(tune):
    assert len(mp3(tune, ["Bass"], bitrate=64)) * 2 == pytest.approx(len(mp3(tune, ["Bass"])), rel=0.02)


def test_the_mp3_sounds_as_it_was_rendered(tune):
    soundfile = pytest.importorskip("soundfile")
    heard, rate = soundfile.read(io.BytesIO(mp3(tune)))
    meant = render(tune)
    count = min(len(heard) - 1105, len(meant))
    assert rate == 48_000
    assert np.corrcoef(heard[1105 : 1105 + count, 0], meant[:count, 0])[0, 1] > 0.97


def test_the_wav_can_be_read_and_holds_the_samples(tune):
    with wave.open(io.BytesIO(wav(tune))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 48_000)
        assert file.getnframes() == round(tune.seconds * 48_000)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert np.abs(samples / 32_767 - render(tune)).max() < 1e-4


def test_the_midi_tells_tempo_title_words_and_every_note(tune):
    file = mido.MidiFile(file=io.BytesIO(midi(tune)), charset="utf-8")
    assert file.type == 1
    messages = [message for track in file.tracks for message in track]
    tempos = [message.tempo for message in messages if message.type == "set_tempo"]
    assert [round(mido.tempo2bpm(tempo), 1) for tempo in tempos] == [tune.bpm]
    assert file.tracks[0].name == tune.title
    assert [track.name for track in file.tracks[1:]] == list(tune.parts)
    assert "".join(message.text for message in messages if message.type == "lyrics") == SONG
    assert file.length <= tune.seconds + 0.01
    for track in file.tracks[1:]:
        started = sum(message.type == "note_on" for message in track)
        assert started == sum(message.type == "note_off" for message in track) == len(tune.parts[track.name])
        channels = {message.channel for message in track if message.type == "note_on"}
        assert (channels == {9}) == (track.name in ("Drums", "Percussion"))


def test_a_stem_has_its_own_midi(tune):
    assert [track.name for track in mido.MidiFile(file=io.BytesIO(midi(tune, ["Bass"]))).tracks[1:]] == ["Bass"]


def test_the_cover_is_a_picture_and_another_for_each_seed():
    pictures = [cover(compose(seed, tags="pop"), size=96) for seed in range(8)]
    assert len(set(pictures)) == 8
    for data in pictures:
        picture = Image.open(io.BytesIO(data))
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (96, 96), "RGB")
        assert max(high - low for low, high in picture.getextrema()) > 40, "not one colour only"


def test_the_same_tune_gives_the_same_bytes(tune):
    again = compose(5, title="Harbour 🎵 Lights", tags="pop", lyrics=SONG, seconds=6.4)
    assert (mp3(tune), midi(tune), cover(tune, size=64)) == (mp3(again), midi(again), cover(again, size=64))


@pytest.mark.parametrize("text", ["\x00", "\ud800", "🎵", "[Verse]"])
def test_strange_texts_can_be_written(text):
    tune = compose(1, title=text, tags=text, lyrics=text, seconds=1)
    assert mido.MidiFile(file=io.BytesIO(midi(tune))).tracks
    assert wav(tune)[:4] == b"RIFF"
    assert cover(tune, size=32)[:2] == b"\xff\xd8"


def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it():
    code = """
import importlib, sys
for package in ("numpy", "mido", "PIL"):
    for name in [name for name in sys.modules if name.startswith("aimusic_async")]:
        del sys.modules[name]
    kept, sys.modules[package] = sys.modules.get(package), None
    try:
        importlib.import_module("aimusic_async.sandbox.music.files")
    except ModuleNotFoundError as missing:
        assert "install `aimusic-async[sandbox]`" in str(missing) and missing.name == package, missing
    else:
        raise AssertionError(package)
    del sys.modules[package]
    sys.modules |= {package: kept} if kept else {}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
