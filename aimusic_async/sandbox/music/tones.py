"""The tone generator: one note of a pitched instrument as an array of samples."""

import numpy as np
from numpy.typing import NDArray

from .timbres import Timbre

Samples = NDArray[np.float32]
SAMPLE_RATE = 48_000
TABLE = 4096


def table(amplitudes: NDArray[np.float64]) -> Samples:
    """One period of a wave, from the loudness of its partials; its peak is 1."""
    spectrum = np.zeros(TABLE // 2 + 1, dtype=np.complex128)
    count = min(len(amplitudes), TABLE // 2)
    # Phases spread by the square of the number keep the peak low, so that the tone can be loud.
    phases = np.exp(-1j * np.pi / 2 * (1 + np.arange(count) ** 2 / max(count, 1)))
    spectrum[1 : count + 1] = amplitudes[:count] * phases
    wave = np.fft.irfft(spectrum)
    return (wave / max(float(np.abs(wave).max()), 1e-9)).astype(np.float32)


def frequency(pitch: float) -> float:
    """Hertz of a MIDI pitch."""
    return float(440 * 2 ** ((pitch - 69) / 12))


def resonance(at: NDArray[np.float64], peaks: tuple[tuple[float, float, float], ...]) -> NDArray[np.float64]:
    """How much a body with these resonances (hertz, width, gain) lifts each frequency."""
    lift = np.zeros_like(at)
    for centre, width, gain in peaks:
        lift += gain / (1 + ((at - centre) / (width / 2)) ** 2)
    return lift


def oscillate(wave: Samples, phase: NDArray[np.float64]) -> Samples:
    """Read the table along a phase counted in periods."""
    return np.take(wave, (phase * TABLE).astype(np.int64) & (TABLE - 1))


def ramp(samples: Samples, attack: float, release: float) -> None:
    """Fade the samples in and out, in place; seconds."""
    count = samples.shape[-1]
    rise = min(int(attack * SAMPLE_RATE), count)
    fall = min(int(release * SAMPLE_RATE), count)
    if rise:
        samples[..., :rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    if fall:
        samples[..., count - fall :] *= np.linspace(1, 0, fall, dtype=np.float32) ** 2


class Tones:
    """Plays notes of one timbre; keeps the wave tables and the tones that come again."""

    def __init__(self, timbre: Timbre) -> None:
        self._timbre = timbre
        self._tables: dict[int, tuple[Samples, Samples]] = {}
        self._kept: dict[tuple[int, int], Samples] = {}

    def play(self, pitch: int, seconds: float) -> Samples:
        """One tone with its release: one row for both sides, or two rows, left and right."""
        count = round((seconds + self._timbre.release) * SAMPLE_RATE / 64) * 64
        key = (pitch, count)
        if key not in self._kept:
            self._kept[key] = self._tone(pitch, count)
        return self._kept[key]

    def _tone(self, pitch: int, count: int) -> Samples:
        timbre = self._timbre
        time = np.arange(count, dtype=np.float64) / SAMPLE_RATE
        cycles = time * frequency(pitch)
        if timbre.vibrato:
            depth = frequency(pitch) * timbre.vibrato * np.log(2) / 1200 / (2 * np.pi * 5.4)
            cycles -= depth * np.minimum(time / 0.35, 1) * np.cos(2 * np.pi * 5.4 * time)
        bright, dark = self._colours(pitch)
        sides = []
        for side in (-0.5, 0.5) if timbre.detune else (0.0,):
            phase = cycles * 2 ** (side * timbre.detune / 1200) + 0.37 * (side + 0.5) + 1
            tone = oscillate(dark, phase)
            if timbre.bright:
                fade = np.exp(-time / timbre.bright_s, dtype=np.float32) * np.float32(timbre.bright)
                tone = tone + (oscillate(bright, phase) - tone) * fade
            sides.append(tone)
        tone = np.stack(sides)
        if timbre.decay:
            tone *= np.exp(-time / (timbre.decay * 2 ** ((60 - pitch) / 30)), dtype=np.float32)
        if timbre.breath:
            noise = np.random.default_rng(pitch).standard_normal(count, dtype=np.float32)
            tone += np.float32(timbre.breath) * (noise - np.roll(noise, 2))
        tone *= np.float32(timbre.level)
        ramp(tone, timbre.attack, timbre.release)
        return tone

    def _colours(self, pitch: int) -> tuple[Samples, Samples]:
        if pitch not in self._tables:
            timbre = self._timbre
            count = max(min(int(18_000 / frequency(pitch)), 80), 1)
            if timbre.partials:
                weights = np.array(timbre.partials[:count], dtype=np.float64)
            else:
                number = np.arange(1, count + 1, dtype=np.float64)
                weights = number**-timbre.tilt * np.where(number % 2 == 0, timbre.even, 1.0)
            at = np.arange(1, len(weights) + 1, dtype=np.float64) * frequency(pitch)
            weights *= 1 + resonance(at, timbre.body)
            bright, dark = (
                table(weights / (1 + (at / cutoff) ** 2)) for cutoff in (1.35 * timbre.cutoff, 0.5 * timbre.cutoff)
            )
            self._tables[pitch] = (bright, dark if timbre.bright else bright)
        return self._tables[pitch]
