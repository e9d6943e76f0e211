"""The sounds of the pitched instruments, as numbers for the tone generator, with their General MIDI programs."""

from collections.abc import Mapping

import attrs


@attrs.frozen(eq=False)
class Timbre:
    """One sound. Partials fall off by a power law, or are listed; a bright and a dark colour fade into each other."""

    program: int
    """General MIDI program, from 0."""
    level: float = 1.0
    tilt: float = 1.2
    """How fast higher partials get weaker: the exponent of 1/number."""
    even: float = 1.0
    """Loudness of the even partials against the odd ones."""
    partials: tuple[float, ...] = ()
    """Loudness of each partial, instead of the power law."""
    cutoff: float = 6000.0
    """Hertz above which partials get weaker still."""
    body: tuple[tuple[float, float, float], ...] = ()
    """Resonances: hertz, width in hertz, gain."""
    bright: float = 0.0
    """Share of the bright colour, 0-1; the dark one has its cutoff at a quarter."""
    bright_s: float = 0.2
    """Seconds in which the bright colour fades to a third."""
    attack: float = 0.004
    decay: float = 0.0
    """Seconds in which a tone at middle C fades to a third; 0 holds it."""
    release: float = 0.12
    detune: float = 0.0
    """Cents between the left and the right tone; 0 makes one tone for both sides."""
    vibrato: float = 0.0
    """Depth in cents."""
    breath: float = 0.0
    """Loudness of the noise of breath."""


TIMBRES: Mapping[str, Timbre] = {
    "finger bass": Timbre(33, 0.95, tilt=0.85, cutoff=1300, bright=0.55, bright_s=0.12, decay=1.1, release=0.08),
    "upright bass": Timbre(32, 1.0, tilt=1.1, cutoff=900, bright=0.5, bright_s=0.08, decay=0.7, release=0.1),
    "synth bass": Timbre(38, 0.75, tilt=0.7, cutoff=2400, bright=0.7, bright_s=0.1, decay=2.0, release=0.05),
    "sub bass": Timbre(39, 1.1, partials=(1, 0.5, 0.3, 0.12, 0.06, 0.03), attack=0.008, decay=3.0, release=0.09),
    "steel guitar": Timbre(
        25,
        0.8,
        tilt=0.7,
        even=0.8,
        cutoff=6500,
        body=((110, 60, 1.0), (240, 120, 0.8)),
        bright=0.7,
        bright_s=0.12,
        attack=0.002,
        decay=0.8,
        release=0.15,
        detune=2,
    ),
    "nylon guitar": Timbre(
        24,
        0.95,
        tilt=1.0,
        even=0.7,
        cutoff=4200,
        body=((120, 60, 0.9), (220, 90, 0.7)),
        bright=0.5,
        bright_s=0.08,
        attack=0.003,
        decay=0.65,
        release=0.14,
        detune=1,
    ),
    "clean guitar": Timbre(27, 0.8, tilt=0.8, cutoff=5500, bright=0.6, bright_s=0.2, decay=1.0, release=0.08, detune=5),
    "overdriven guitar": Timbre(
        29,
        0.42,
        tilt=0.45,
        even=0.7,
        cutoff=4200,
        body=((800, 500, 0.8),),
        bright=0.5,
        bright_s=0.6,
        attack=0.005,
        decay=3.5,
        release=0.06,
        detune=9,
    ),
    "piano": Timbre(
        0, 0.9, tilt=0.95, cutoff=6000, bright=0.65, bright_s=0.22, attack=0.002, decay=1.5, release=0.18, detune=2
    ),
    "electric piano": Timbre(
        4,
        1.0,
        partials=(1, 0.4, 0.15, 0.3, 0.05, 0.04, 0.15, 0.02, 0.08),
        bright=0.6,
        bright_s=0.25,
        cutoff=5000,
        decay=1.8,
        release=0.15,
        detune=5,
    ),
    "organ": Timbre(
        16, 0.5, partials=(1, 0.8, 0.5, 0.45, 0, 0.25, 0, 0.3), attack=0.01, release=0.05, detune=4, vibrato=4
    ),
    "string ensemble": Timbre(
        48,
        0.6,
        tilt=0.75,
        cutoff=5500,
        body=((450, 200, 0.5), (1100, 500, 0.4)),
        attack=0.11,
        release=0.35,
        detune=11,
        vibrato=7,
    ),
    "cello": Timbre(
        42,
        0.65,
        tilt=0.8,
        cutoff=4000,
        body=((250, 100, 0.7), (700, 300, 0.5)),
        attack=0.08,
        release=0.25,
        detune=6,
        vibrato=10,
    ),
    "warm pad": Timbre(89, 0.5, tilt=0.9, cutoff=2600, attack=0.28, release=0.6, detune=13),
    "pluck synth": Timbre(
        88, 0.85, tilt=0.65, cutoff=8000, bright=0.8, bright_s=0.09, decay=0.35, release=0.2, detune=8
    ),
    "saw lead": Timbre(
        81,
        0.5,
        tilt=0.7,
        cutoff=6500,
        bright=0.4,
        bright_s=0.3,
        attack=0.01,
        decay=2.5,
        release=0.12,
        detune=14,
        vibrato=5,
    ),
    "square lead": Timbre(
        80, 0.55, tilt=0.75, even=0.05, cutoff=7500, bright=0.4, bright_s=0.2, decay=1.5, release=0.08, detune=4
    ),
    "brass section": Timbre(
        61,
        0.6,
        tilt=0.55,
        cutoff=4000,
        body=((1200, 700, 0.7),),
        bright=0.4,
        bright_s=0.5,
        attack=0.035,
        decay=5.0,
        release=0.12,
        detune=8,
        vibrato=4,
    ),
    "trumpet": Timbre(
        56, 0.6, tilt=0.5, cutoff=5000, body=((1300, 600, 1.0),), attack=0.025, release=0.09, vibrato=9, detune=3
    ),
    "flute": Timbre(
        73, 0.9, partials=(1, 0.55, 0.3, 0.12, 0.08, 0.05), attack=0.05, release=0.1, vibrato=13, breath=0.05
    ),
    "clarinet": Timbre(71, 0.8, tilt=0.9, even=0.12, cutoff=4500, attack=0.035, release=0.09, vibrato=5, breath=0.015),
    "saxophone": Timbre(
        65,
        0.7,
        tilt=0.65,
        cutoff=5000,
        body=((600, 250, 0.8), (1500, 500, 0.8)),
        attack=0.03,
        release=0.09,
        vibrato=12,
        breath=0.03,
    ),
}
"""Every sound that the table of genres can ask for."""

VOICE_PROGRAM, CHOIR_PROGRAM, EFFECT_PROGRAM = 53, 52, 96
"""General MIDI programs of the parts that have no timbre here."""
