"""How long a recording plays."""

import lameenc
import pytest

from aimusic_async.sandbox.audio import Audio, seconds_of


def mp3(seconds, rate=44100, tag=b""):
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_bit_rate(64)
    encoder.set_in_sample_rate(rate)
    encoder.set_channels(1)
    return tag + encoder.encode(b"\0\0" * int(seconds * rate)) + encoder.flush()


def test_the_length_of_a_wav(tone):
    assert seconds_of(tone(7.25)) == 7.25


@pytest.mark.parametrize("rate", [44100, 48000, 22050, 16000])
def test_the_length_of_an_mp3(rate):
    assert seconds_of(bytes(mp3(5, rate))) == pytest.approx(5, abs=0.15)


def test_the_length_of_an_mp3_behind_a_tag():
    tag = b"ID3\x04\0\0\0\0\x02\x01" + b"\0" * 257
    assert seconds_of(bytes(mp3(3, tag=tag))) == pytest.approx(3, abs=0.15)


@pytest.mark.parametrize("data", [b"", b"OggS", b"RIFF\0\0\0\0WAVE", b"\xff\xfb", b"<html>", b"\xff\xfb\x90\x64" * 3])
def test_anything_else_has_no_known_length(data):
    assert seconds_of(data) is None


def test_an_unknown_type_has_a_neutral_ending():
    assert Audio(data=b"x", content_type="audio/strange", seconds=None).suffix == "bin"
