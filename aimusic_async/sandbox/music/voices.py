"""The singers: a tone shaped by the resonances of a vowel, with the noise of the consonant before it."""

import numpy as np

from .lyrics import sound
from .tones import SAMPLE_RATE, Samples, frequency, oscillate, ramp, resonance, table

# Hertz, width and gain of the resonances of each vowel, for a voice in the middle.
_VOWELS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "a": ((800, 130, 1.0), (1200, 150, 0.55), (2700, 260, 0.40), (3400, 300, 0.25)),
    "e": ((480, 110, 1.0), (1900, 180, 0.40), (2600, 260, 0.40), (3500, 300, 0.22)),
    "i": ((330, 90, 1.0), (2200, 200, 0.35), (2950, 280, 0.40), (3600, 300, 0.22)),
    "o": ((500, 110, 1.0), (900, 130, 0.50), (2500, 260, 0.26), (3300, 300, 0.18)),
    "u": ((350, 90, 1.0), (750, 120, 0.30), (2400, 250, 0.2), (3200, 300, 0.14)),
    "": ((300, 120, 1.0), (1100, 300, 0.12), (2300, 300, 0.05)),  # lips nearly closed
}
_HISS = {"s": (6500.0, 0.10, 0.16), "z": (6000.0, 0.06, 0.10), "f": (5000.0, 0.07, 0.08), "h": (1500.0, 0.06, 0.07)}
_HISS |= {"c": (4000.0, 0.05, 0.13), "j": (3500.0, 0.06, 0.12), "x": (5000.0, 0.06, 0.12), "v": (3000.0, 0.04, 0.05)}
_HISS |= {"t": (5000.0, 0.025, 0.18), "k": (2500.0, 0.025, 0.16), "p": (1200.0, 0.02, 0.14), "q": (2500.0, 0.025, 0.15)}
_HISS |= {"d": (3500.0, 0.015, 0.10), "g": (2000.0, 0.015, 0.10), "b": (900.0, 0.015, 0.10)}
_RELEASE = 0.07


class Singer:
    """Sings syllables; keeps the tables of the vowels at each pitch."""

    def __init__(self, *, high: bool, breath: float = 0.008, vibrato: float = 24.0) -> None:
        self._size = 1.12 if high else 0.96  # smaller heads have higher resonances
        self._breath = breath
        self._vibrato = vibrato
        self._tables: dict[tuple[int, str], Samples] = {}
        self._rng = np.random.default_rng(5)
        self._noise = self._rng.standard_normal(1 << 16, dtype=np.float32)

    def sing(self, pitch: int, seconds: float, syllable: str, *, detune: float = 0.0, scoop: float = 60.0) -> Samples:
        """One syllable, one row. `detune` and `scoop` (how far below the tone starts) are in cents."""
        vowel, consonant = sound(syllable)
        count = max(int((seconds + _RELEASE) * SAMPLE_RATE), 64)
        time = np.arange(count, dtype=np.float64) / SAMPLE_RATE
        cents = detune - scoop * np.exp(-time / 0.045)
        if seconds > 0.3:
            cents += self._vibrato * np.clip((time - 0.2) / 0.4, 0, 1) * np.sin(2 * np.pi * 5.6 * time + detune)
        phase = np.cumsum(2 ** (cents / 1200)) * (frequency(pitch) / SAMPLE_RATE)
        tone = oscillate(self._table(pitch, vowel), phase)
        opening = min(int((0.09 if consonant in ("m", "n", "l", "r", "w") else 0.04) * SAMPLE_RATE), count)
        closed = oscillate(self._table(pitch, ""), phase[:opening])
        tone[:opening] += (closed - tone[:opening]) * np.linspace(1, 0, opening, dtype=np.float32)
        tone += self._some_noise(count) * np.float32(self._breath)
        ramp(tone, 0.025, _RELEASE + min(seconds * 0.1, 0.05))
        if consonant in _HISS:
            self._hiss(tone, consonant)
        return tone[np.newaxis]

    def _hiss(self, tone: Samples, consonant: str) -> None:
        centre, seconds, loudness = _HISS[consonant]
        count = min(int(seconds * SAMPLE_RATE), len(tone))
        noise = self._some_noise(count)
        carrier = np.cos(2 * np.pi * centre / SAMPLE_RATE * np.arange(count)).astype(np.float32)
        smooth = np.convolve(noise, np.full(9, 1 / 3, dtype=np.float32), mode="same")
        fade = np.linspace(1, 0, count, dtype=np.float32)
        tone[:count] *= 1 - fade
        tone[:count] += smooth * carrier * fade * np.float32(loudness)

    def _some_noise(self, count: int) -> Samples:
        start = int(self._rng.integers(len(self._noise)))
        return np.take(self._noise, np.arange(start, start + count), mode="wrap")

    def _table(self, pitch: int, vowel: str) -> Samples:
        key = (pitch, vowel)
        if key not in self._tables:
            tuned = frequency(pitch)
            at = np.arange(1, max(min(int(9000 / tuned), 60), 1) + 1, dtype=np.float64) * tuned
            peaks = tuple((centre * self._size, width * 1.6, gain) for centre, width, gain in _VOWELS[vowel])
            source = (at / tuned) ** -0.4  # what the throat gives before the mouth shapes it
            self._tables[key] = table(source * (0.03 + resonance(at, peaks)))
        return self._tables[key]
