"""The rhythm section: drums with fills and crashes, hand percussion, and effects between sections.

Pitches are those of the General MIDI drum kit; the effects have three of their own: IMPACT, RISER and SPARKLE.
"""

import random
from collections.abc import Mapping

import attrs

from .form import Plan
from .harmony import voicing
from .patterns import Lines, read
from .score import Note, stream

KICK, RIM, SNARE, CLAP, HAT, OPEN_HAT, CRASH, RIDE = 36, 37, 38, 39, 42, 46, 49, 51
TOMS = (50, 47, 45, 43)
TAMBOURINE, COWBELL, CONGA_HIGH, CONGA_LOW, SHAKER, CLAVES, WOODBLOCK, TRIANGLE = 54, 56, 63, 64, 70, 75, 76, 81
IMPACT, RISER, SPARKLE = 36, 60, 84
"""Effects: a deep boom, noise that rises, and from SPARKLE up bell tones."""

_LOUDNESS = {"X": 1.0, "x": 0.8, "o": 0.4}


@attrs.frozen(eq=False)
class _Groove:
    kick: Lines
    back: Lines
    hat: Lines
    back_drum: int = SNARE
    full_hat: int = HAT
    percussion: tuple[tuple[int, str], ...] = ((SHAKER, "o.x.o.x.o.x.o.x."), (TAMBOURINE, "....x.......x..."))


_GROOVES: Mapping[str, _Groove] = {
    "four on the floor": _Groove(
        ("X...x...X...x...",),
        ("....x.......x...",),
        ("..x...x...x...x.", "o.x.o.x.o.x.o.x.", "oox.oox.oox.ooxo"),
        CLAP,
        OPEN_HAT,
        ((SHAKER, "oxoxoxoxoxoxoxox"), (CONGA_HIGH, "..x..x....x..x.."), (CONGA_LOW, ".......x.......x")),
    ),
    "breakbeat": _Groove(
        ("X.........x.....", "X.x.......x....."),
        ("....X.......X...", "....X..o.o..X..o"),
        ("x.x.x.x.x.x.x.x.", "x.xxx.x.x.xxx.x."),
        SNARE,
        RIDE,
    ),
    "laid back": _Groove(
        ("X......x..x.....", "X.....x...x....."), ("....x.......x...",), ("x.x.x.x.x.x.x.x.", "x.x.x.xox.x.x.x.")
    ),
    "hip hop": _Groove(
        ("X......x..x.....", "X..x......x..x..", "X.....x...x....."),
        ("....X.......X...", "........X......."),
        ("x.x.x.x.x.x.x.x.", "x.x.xxx.x.x.x.xx", "xoxoxoxoxoxoxoxo"),
        CLAP,
    ),
    "sparse": _Groove(
        ("o...............",),
        ("............o...",),
        ("........o.......",),
        RIM,
        RIDE,
        ((SHAKER, "o...o...o...o..."), (TRIANGLE, "........o.......")),
    ),
    "waltz": _Groove(
        ("X...........",),
        ("....o...o...",),
        ("x...x...x...", "x.x.x.x.x.x."),
        RIM,
        RIDE,
        ((TAMBOURINE, "....x...x..."), (TRIANGLE, "x...........")),
    ),
    "one drop": _Groove(
        ("........X.......", "X.......X......."),
        ("........x.......",),
        ("x.x.x.x.x.x.x.x.", "x.xox.xox.xox.xo"),
        RIM,
        HAT,
        ((SHAKER, "o.x.o.x.o.x.o.x."), (CONGA_HIGH, "......x.x.....x."), (CONGA_LOW, "..x......x......")),
    ),
    "swing": _Groove(
        ("x.......o.......", "o...o...o...o..."),
        ("..o.......o...o.", "......o.......o."),
        ("X...x.x.X...x.x.",),
        SNARE,
        RIDE,
        ((SHAKER, "o...x...o...x..."), (WOODBLOCK, "....o.......o...")),
    ),
    "latin": _Groove(
        ("X..x....X..x....", "X.....x.X.....x."),
        ("...x..x....x..x.", "x..x..x...x.x..."),
        ("x.x.x.x.x.x.x.x.",),
        RIM,
        HAT,
        (
            (SHAKER, "oxoxoxoxoxoxoxox"),
            (CLAVES, "x..x..x...x.x..."),
            (CONGA_HIGH, "....x.xx....x.xx"),
            (CONGA_LOW, "..........xx...."),
        ),
    ),
    "funk": _Groove(
        ("X..x......x.....", "X.x.......x..x..", "X.....x...x....."),
        ("....X..o.o..X...", "....X..o....X..o"),
        ("x.x.x.x.x.x.x.x.", "xxxxxxxxxxxxxxxx"),
        SNARE,
        HAT,
        ((TAMBOURINE, "..x...x...x...x."), (COWBELL, "x...x...x...x..."), (CONGA_HIGH, "......xx......xx")),
    ),
    "rock": _Groove(
        ("X.....x.X.......", "X.......X.x.....", "X..x....X.x....."),
        ("....X.......X...",),
        ("x.x.x.x.x.x.x.x.", "X...x...X...x..."),
        SNARE,
        OPEN_HAT,
    ),
    "folk": _Groove(
        ("X.......x.......", "X.....x.x......."),
        ("....o.......o...", "....x.......x..."),
        ("o.x.o.x.o.x.o.x.",),
        RIM,
        HAT,
        ((SHAKER, "oxoxoxoxoxoxoxox"), (TAMBOURINE, "....x.......x...")),
    ),
    "cinematic": _Groove(
        ("X.......x.......", "X.....x...x....."),
        ("....o..o....o..o", "............x.xx"),
        ("................",),
        TOMS[3],
        CRASH,
        ((TAMBOURINE, "x...x...x...x..."), (CONGA_LOW, "x..x..x...x.x...")),
    ),
    "synthwave": _Groove(
        ("X...x...X...x...", "X.......X.x....."), ("....X.......X...",), ("x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo")
    ),
    "ballad": _Groove(
        ("X.........x.....", "X......x..x....."),
        ("........X.......", "....x.......x..."),
        ("x.x.x.x.x.x.x.x.", "x...x...x...x..."),
    ),
    "pop": _Groove(
        ("X.......x.x.....", "X.....x.x.......", "X..x....x.x....."),
        ("....X.......X...",),
        ("x.x.x.x.x.x.x.x.", "x.xox.xox.xox.xo"),
        SNARE,
        OPEN_HAT,
    ),
}


def drums(plan: Plan) -> tuple[Note, ...]:
    """The groove of the genre: lighter in calm sections, a fill before a new section and a crash on its first beat."""
    kit = _Kit(plan, "Drums")
    groove = _GROOVES[plan.style.genre.groove]
    kick, back, hat = (kit.rng.choice(lines) for lines in (groove.kick, groove.back, groove.hat))
    after_fill = False
    for bar in plan.bars:
        energy = bar.section.energy
        full = energy > 0.85
        plays = energy >= plan.style.threshold["Drums"]
        if after_fill or (bar.nth == 0 and full):
            kit.hit(bar.index, 0, CRASH, 0.7)
        after_fill = bar.last and plays and bar.section.bars > 1
        fill_from = plan.steps - 4 if after_fill else plan.steps
        if plays:
            kit.line(bar.index, kick, KICK, 0.95, until=fill_from + 1)
            kit.line(bar.index, back, groove.back_drum, 0.85, until=fill_from)
        kit.line(bar.index, hat, groove.full_hat if full else HAT, 0.3 + 0.2 * energy, until=fill_from)
        if after_fill:
            for nth in range(4):
                drum = TOMS[nth] if energy > 0.5 else SNARE
                if nth == 0 or kit.rng.random() < 0.8:
                    kit.hit(bar.index, fill_from + nth, drum, 0.5 + 0.1 * nth)
    kit.hit(len(plan.bars), 0, KICK, 0.9)
    kit.hit(len(plan.bars), 0, CRASH, 0.75)
    return kit.finished()


def percussion(plan: Plan) -> tuple[Note, ...]:
    """Shakers, tambourines and hand drums over the fuller sections."""
    kit = _Kit(plan, "Percussion")
    lines = _GROOVES[plan.style.genre.groove].percussion
    first = kit.rng.randrange(len(lines))
    for bar in plan.bars:
        energy = bar.section.energy
        if energy >= plan.style.threshold["Percussion"]:
            for drum, line in lines if energy > 0.85 else lines[first : first + 1]:
                kit.line(bar.index, line, drum, 0.7)
    kit.hit(len(plan.bars), 0, lines[first][0], 0.8)
    return kit.finished()


def effects(plan: Plan) -> tuple[Note, ...]:
    """A riser into each full section, a boom on its first beat, bells on calm ones, and both at the end."""
    kit = _Kit(plan, "FX")
    bars = plan.bars
    for bar in bars:
        if bar.nth == 0 and bar.section.energy > 0.85:
            kit.hit(bar.index, 0, IMPACT, 0.8, length=6)
        elif bar.nth == 0:
            for nth, pitch in enumerate(voicing(bar.chord.tones, SPARKLE + 6) * 2):
                kit.hit(bar.index, 2 * nth, max(pitch, SPARKLE), 0.5 - 0.05 * nth, length=4)
        following = bars[bar.index + 1] if bar.index + 1 < len(bars) else None
        if following is None or (bar.last and following.section.energy > 0.85):
            kit.hit(bar.index, 0, RISER, 0.7, length=plan.steps)
    kit.hit(len(bars), 0, IMPACT, 0.8, length=6)
    return kit.finished()


class _Kit:
    """Writes hits on a grid."""

    def __init__(self, plan: Plan, part: str) -> None:
        self.plan = plan
        self.rng: random.Random = stream(plan.seed, part)
        self.notes: list[Note] = []

    def line(self, bar: int, line: str, drum: int, loudness: float, *, until: int = 99) -> None:
        """Write one bar of a drum line, up to a step."""
        for step, _, sign in read(line):
            if step < min(until, self.plan.steps):
                self.hit(bar, step, drum, loudness * _LOUDNESS[sign] * self.rng.uniform(0.92, 1.0))

    def hit(self, bar: int, step: int, drum: int, velocity: float, *, length: float = 1) -> None:
        """Write one hit."""
        at = bar * self.plan.steps + step
        start = self.plan.time(at)
        end = min(self.plan.time(at + length), self.plan.seconds)
        if start < end:
            self.notes.append(Note(drum, start, end, round(velocity, 3)))

    def finished(self) -> tuple[Note, ...]:
        """All hits in the order in which they sound."""
        self.notes.sort(key=lambda note: note.start)
        return tuple(self.notes)
