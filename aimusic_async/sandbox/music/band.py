"""The pitched instruments: what each plays under, between and instead of the singer."""

import random
from collections.abc import Sequence

from . import patterns
from .form import Bar, Plan
from .harmony import nearest, voicing
from .score import Note, stream
from .singing import lead

_CENTRES = {"Guitar": 55, "Keyboard": 60, "Strings": 67, "Synth": 72, "Brass": 62, "Woodwinds": 74}
_STRUM_S = {"Guitar": 0.014, "Keyboard": 0.0, "Strings": 0.0, "Synth": 0.0, "Brass": 0.0, "Woodwinds": 0.0}
_SHORT = 0.55  # of a step sounds when a chord is cut short


def bass(plan: Plan) -> tuple[Note, ...]:
    """Roots on the strong beats, fifths and octaves between, a step towards the next chord at the end of a bar."""
    pen = _Pen(plan, "Bass", strum_s=0.0)
    calm, full = patterns.BASS[plan.style.genre.groove]
    lines = (pen.rng.choice(calm), pen.rng.choice(full))
    for bar in plan.bars:
        if not pen.plays(bar):
            continue
        root = 30 + (bar.chord.root - 30) % 12
        tones = [root + (tone - root) % 12 for tone in bar.chord.tones[:3]]
        target = nearest((plan.chord_at((bar.index + 1) * plan.steps).root,), root)
        towards = target + (2 if target < root else -1)
        pen.line(bar, lines[bar.section.energy > 0.65], tones, 0.8, towards=towards)
    pen.close([30 + (plan.home.root - 30) % 12], 0.85)
    return pen.finished()


def guitar(plan: Plan) -> tuple[Note, ...]:
    """Picked in calm sections, strummed in full ones."""
    return _accompany(plan, "Guitar", patterns.guitar(plan.style.genre.groove))


def keyboard(plan: Plan) -> tuple[Note, ...]:
    """Chords, broken or in rhythm."""
    return _accompany(plan, "Keyboard", patterns.keyboard(plan.style.genre.groove))


def strings(plan: Plan) -> tuple[Note, ...]:
    """Long chords; short repeated ones where the music is for the cinema."""
    calm, full = patterns.STRINGS
    if plan.style.genre.groove == "cinematic":
        full = patterns.OSTINATO
    return _accompany(plan, "Strings", (calm, full))


def synth(plan: Plan) -> tuple[Note, ...]:
    """A carpet of sound if it is a pad, else broken chords."""
    calm, full = patterns.SYNTH
    pad = plan.style.timbres["Synth"] == "warm pad"
    return _accompany(plan, "Synth", (calm[:1], calm[:1]) if pad else (calm, full), centre=62 if pad else None)


def brass(plan: Plan) -> tuple[Note, ...]:
    """Stabs where the music is full, and a swell at the end of a section."""
    return _accompany(plan, "Brass", patterns.BRASS, at_end=patterns.SWELL)


def woodwinds(plan: Plan) -> tuple[Note, ...]:
    """Answers in every second bar, where the singer takes a breath."""
    pen = _Pen(plan, "Woodwinds", strum_s=0.0)
    answers = pen.rng.sample(patterns.WOODWINDS, 2)
    for bar in pen.accompanied():
        if bar.nth % 2:
            tones = voicing(bar.chord.tones[:3], _CENTRES["Woodwinds"])
            pen.line(bar, answers[bar.nth // 2 % 2], tones, 0.66)
    pen.close(voicing(plan.home.tones[:3], 74)[1:2], 0.55)
    return pen.finished()


def _accompany(
    plan: Plan, part: str, lines: tuple[Sequence[str], Sequence[str]], *, centre: int | None = None, at_end: str = ""
) -> tuple[Note, ...]:
    """Play the chords in a rhythm for calm sections and one for full ones."""
    pen = _Pen(plan, part, strum_s=_STRUM_S[part])
    centre = _CENTRES[part] if centre is None else centre
    chosen = (pen.rng.choice(lines[0]), pen.rng.choice(lines[1]))
    other = pen.rng.choice(lines[1])
    for bar in pen.accompanied():
        full = bar.section.energy > 0.65
        line = at_end if at_end and bar.last else other if full and bar.nth % 4 == 3 else chosen[full]
        pen.line(bar, line, voicing(bar.chord.tones, centre), 0.6 + 0.14 * bar.section.energy)
    pen.close(voicing(plan.home.tones, centre), 0.62)
    return pen.finished()


class _Pen:
    """Writes the notes of one part."""

    def __init__(self, plan: Plan, part: str, *, strum_s: float) -> None:
        self.plan = plan
        self.rng: random.Random = stream(plan.seed, part)
        self.strum_s = strum_s
        self.threshold = plan.style.threshold[part]
        self.notes: list[Note] = lead(plan) if part == plan.style.lead else []
        step_s = 15 / plan.style.bpm * plan.steps
        self.leading = {int(note.start / step_s) for note in self.notes}

    def plays(self, bar: Bar) -> bool:
        """Whether the section is full enough for this part; every part is heard where the song is fullest."""
        return bar.section.energy >= self.threshold

    def accompanied(self) -> list[Bar]:
        """The bars in which this part accompanies: not those in which it leads."""
        return [bar for bar in self.plan.bars if self.plays(bar) and bar.index not in self.leading]

    def line(self, bar: Bar, line: str, tones: Sequence[int], velocity: float, *, towards: int = 0) -> None:
        """Write one bar of a pattern."""
        plan, first = self.plan, bar.index * self.plan.steps
        for step, held, sign in patterns.read(line):
            if step >= plan.steps:
                break
            start = plan.time(first + step)
            end = plan.time(first + min(step + (_SHORT if sign == "s" else held), plan.steps))
            loud = velocity + (0.06 if step % 8 == 0 else 0.0) + self.rng.uniform(-0.05, 0.03)
            if sign in "cs":
                self._chord(tones, start, end, loud)
            else:
                octave, tone = divmod(int(sign), len(tones)) if sign != "a" else (0, 0)
                pitch = towards if sign == "a" else tones[tone] + 12 * octave
                self.notes.append(Note(pitch, start, end, round(loud, 3)))

    def close(self, tones: Sequence[int], velocity: float) -> None:
        """Write the last chord of the song."""
        self._chord(tones, self.plan.final, self.plan.seconds, velocity)

    def _chord(self, tones: Sequence[int], start: float, end: float, velocity: float) -> None:
        strum = min(self.strum_s, (end - start) / 16)
        for nth, pitch in enumerate(tones):
            self.notes.append(Note(pitch, start + nth * strum, end, round(velocity, 3)))

    def finished(self) -> tuple[Note, ...]:
        """All notes in the order in which they sound."""
        self.notes.sort(key=lambda note: note.start)
        return tuple(self.notes)
