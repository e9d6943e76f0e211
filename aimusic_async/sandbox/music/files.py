"""Tunes as files, in memory: MP3, WAV and MIDI, and a cover picture."""

import io
import wave
from collections.abc import Collection

try:
    import mido
    import numpy as np
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        f"music needs {_missing.name}: install `aimusic-async[sandbox]`", name=_missing.name
    ) from _missing

from .painting import cover
from .score import PARTS
from .synth import SAMPLE_RATE, render
from .timbres import CHOIR_PROGRAM, EFFECT_PROGRAM, TIMBRES, VOICE_PROGRAM
from .tune import Tune

__all__ = ["SAMPLE_RATE", "cover", "midi", "mp3", "wav"]

_TICKS = 480  # in a beat
_DELAY = 1105  # samples of silence that an encoder and a decoder of MP3 put before the sound
_DRUM_CHANNEL = 9  # counted from 0


def wav(tune: Tune, parts: Collection[str] | None = None) -> bytes:
    """A WAV file of some parts (all if None): 16 bits, stereo, 48 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(_pcm(tune, parts))
    return file.getvalue()


def mp3(tune: Tune, parts: Collection[str] | None = None, *, bitrate: int = 128) -> bytes:
    """An MP3 file of some parts (all if None): stereo, 48 kHz, a constant bit rate in kbit/s, no tags.

    The last 23 ms, which have faded away, make room for the silence that the format puts first. Needs lameenc.
    """
    import lameenc  # noqa: PLC0415  # an extra of its own: it has no build for every system

    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_bit_rate(bitrate)
    encoder.set_in_sample_rate(SAMPLE_RATE)
    encoder.set_channels(2)
    encoder.set_quality(7)
    pcm = _pcm(tune, parts)
    pcm = pcm[: max(len(pcm) - 4 * _DELAY, 4 * _DELAY)]
    return bytes(encoder.encode(pcm) + encoder.flush())


def _pcm(tune: Tune, parts: Collection[str] | None) -> bytes:
    samples = render(tune, parts)
    samples *= np.float32(32_767)
    return np.rint(samples, out=samples).astype("<i2").tobytes()


def midi(tune: Tune, parts: Collection[str] | None = None) -> bytes:
    """A MIDI file of some parts (all if None): tempo and metre first, then a track for each part that plays."""
    file = mido.MidiFile(type=1, ticks_per_beat=_TICKS, charset="utf-8")
    tempo = mido.bpm2tempo(tune.bpm)
    conductor = mido.MidiTrack()
    conductor.append(mido.MetaMessage("track_name", name=_writable(tune.title)))
    conductor.append(mido.MetaMessage("set_tempo", tempo=tempo))
    conductor.append(mido.MetaMessage("time_signature", numerator=tune.style.beats, denominator=4))
    file.tracks.append(conductor)
    free = iter(channel for channel in range(16) if channel != _DRUM_CHANNEL)
    for part in PARTS:
        channel = _DRUM_CHANNEL if part in ("Drums", "Percussion") else next(free)
        if (parts is None or part in parts) and tune.parts[part]:
            file.tracks.append(_track(tune, part, channel, tempo))
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def _track(tune: Tune, part: str, channel: int, tempo: int) -> mido.MidiTrack:
    """One part: its name, its sound, its notes, and the words if it is the singer's."""

    def ticks(seconds: float) -> int:
        return round(seconds * 1_000_000 / tempo * _TICKS)

    events: list[tuple[int, int, mido.Message | mido.MetaMessage]] = []  # tick, order within it, message
    for note in tune.parts[part]:
        start = ticks(note.start)
        end = max(ticks(note.end), start + 1)
        loudness = min(max(round(note.velocity * 127), 1), 127)
        events.append((start, 2, mido.Message("note_on", channel=channel, note=note.pitch, velocity=loudness)))
        events.append((end, 0, mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)))
    if part == "Vocals":
        events += [
            (ticks(word.start_s), 1, mido.MetaMessage("lyrics", text=_writable(word.text))) for word in tune.words
        ]
    events.sort(key=lambda event: event[:2])
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("track_name", name=part))
    if channel != _DRUM_CHANNEL:
        track.append(mido.Message("program_change", channel=channel, program=_program(tune, part)))
    now = 0
    for tick, _, message in events:
        track.append(message.copy(time=tick - now))
        now = tick
    return track


def _program(tune: Tune, part: str) -> int:
    others = {"Vocals": VOICE_PROGRAM, "Backing Vocals": CHOIR_PROGRAM, "FX": EFFECT_PROGRAM}
    return others[part] if part in others else TIMBRES[tune.style.timbres[part]].program


def _writable(text: str) -> str:
    """The text without what UTF-8 cannot hold (half of a surrogate pair)."""
    return text.encode("utf-8", "replace").decode("utf-8")
