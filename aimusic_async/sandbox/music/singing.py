"""The voices: a melody of motifs, one note for each syllable, and the timeline of the words."""

import random
from collections.abc import Sequence

import attrs

from .form import Plan, Slot
from .harmony import SCALES, degree_pitch, nearest
from .score import Note, Word, stream

_FORMS = ("AABA", "ABAB", "AAAB", "ABAC", "AABC")
_STEPS_OF_WALK = (-2, -1, -1, -1, 0, 1, 1, 1, 2)
_START = {"chorus": (4, 7), "bridge": (2, 5), "build": (2, 4), "break": (2, 6)}
_VOWELS = ("a", "o", "u")
_BREATH = 0.85  # of a line's time is sung, the rest is for breath


@attrs.frozen(eq=False)
class Song:
    """What is sung: the notes, the syllable of each note, and the timeline of the words."""

    notes: tuple[Note, ...]
    syllables: tuple[str, ...]
    words: tuple[Word, ...]


@attrs.frozen(eq=False)
class _Motif:
    """Two bars of melody to draw from: how welcome an onset is at each step, and the degree at each half beat."""

    weights: tuple[float, ...]
    degrees: tuple[int, ...]


def sing(plan: Plan) -> Song:
    """Write the singer's part. A crowded text is sung faster; every word gets its time."""
    rng = stream(plan.seed, "words")
    phrase = _Phrases(plan, "melody", plan.style.register)
    notes: list[Note] = []
    sung: list[str] = []
    words: list[Word] = []
    for slot in plan.sung:
        if slot.line is None:
            line = phrase.notes(slot, rng.choice((4, 5, 6, 7)))
            notes += line
            sung += [rng.choice(_VOWELS)] * len(line)
            continue
        line = phrase.notes(slot, slot.line.syllables)
        at = 0
        for word in slot.line.words:
            first, last = line[at], line[at + len(word.syllables) - 1]
            at += len(word.syllables)
            start = first.start
            for piece in word.pieces[:-1]:  # the first half of a tag that the service cuts in two
                cut = start + (first.end - first.start) / 10
                words.append(Word(piece, start, cut, round(rng.uniform(0.6, 0.9), 3)))
                start = cut
            words.append(Word(word.pieces[-1], start, last.end, round(1 - 0.12 * rng.random() ** 2, 3)))
            sung += word.syllables
        notes += line
    return Song(tuple(notes), tuple(sung), tuple(words))


def back(plan: Plan, song: Song) -> tuple[Note, ...]:
    """Write the backing voices: a third or so above the singer where it is fullest, soft chords between."""
    if not plan.sung:
        return ()
    rng = stream(plan.seed, "backing")
    style = plan.style
    lively = {bar.index for bar in plan.bars if bar.section.energy > 0.9}
    bar_s = plan.steps * 15 / style.bpm
    shift = rng.choice((4, 4, -3))
    notes: list[Note] = []
    for note in song.notes:
        index = int(note.start / bar_s)
        if index in lively and note.end - note.start > 0.09:
            pitch = nearest(plan.chord_at(index * plan.steps).tones, note.pitch + shift)
            notes.append(Note(pitch, note.start + 0.012, note.end, round(note.velocity * 0.75, 3)))
    for bar in plan.bars:
        if bar.last and bar.index not in lively and bar.section.energy > 0.45:
            start, end = plan.time(bar.index * plan.steps), plan.time((bar.index + 1) * plan.steps)
            notes += [Note(nearest((tone,), style.register + 3), start, end, 0.4) for tone in bar.chord.tones[:3]]
    notes += [Note(nearest((tone,), style.register), plan.final, plan.seconds, 0.55) for tone in plan.home.tones[:3]]
    notes.sort(key=lambda note: note.start)
    return tuple(notes)


def lead(plan: Plan) -> list[Note]:
    """The melody of the leading instrument, where nobody sings."""
    rng = stream(plan.seed, "lead words")
    phrase = _Phrases(plan, "lead", 72)
    return [
        attrs.evolve(note, velocity=round(note.velocity * 0.9, 3))
        for slot in plan.played
        for note in phrase.notes(slot, max(3, round(slot.steps * rng.uniform(0.22, 0.36))))
    ]


class _Phrases:
    """Turns a slot and a number of syllables into notes, by the motifs of one melody."""

    def __init__(self, plan: Plan, name: str, centre: int) -> None:
        self.plan = plan
        self.name = name
        self.motifs: dict[str, _Motif] = {}
        self.form = stream(plan.seed, f"{name}/form").choice(_FORMS)
        style = plan.style
        self.centre = centre
        self.base = min((12 * octave for octave in range(8)), key=lambda low: abs(low + style.key + 3 - centre))

    def notes(self, slot: Slot, count: int) -> list[Note]:
        """So many notes within the slot, the last one held."""
        plan, style = self.plan, self.plan.style
        motif = self._motif(slot.kind, self.form[slot.nth % 4])
        onsets = _onsets(motif, count, slot.steps)
        until = slot.steps * 0.97 if count > slot.steps / 2 else slot.steps * _BREATH
        ends = [*onsets[1:], max(until, onsets[-1] + (slot.steps - onsets[-1]) / 2)]
        notes: list[Note] = []
        size = len(motif.degrees)
        for nth, (onset, end) in enumerate(zip(onsets, ends, strict=True)):
            at = slot.start + onset
            pitch = degree_pitch(style.key, style.scale, motif.degrees[int(onset / 2) % size], self.base)
            if onset % 4 == 0 or nth == count - 1 or end - onset >= 3:
                pitch = nearest(plan.chord_at(at).tones, pitch)
            pitch = self._reachable(pitch, notes[-1].pitch if notes else None)
            start, stop = plan.time(at), plan.time(slot.start + min(end, onset + 10))
            stop -= (stop - start) * 0.04
            velocity = 0.62 + 0.2 * (onset % 4 == 0) + 0.12 * (slot.kind == "chorus")
            notes.append(Note(pitch, start, min(stop, plan.seconds), round(velocity, 3)))
        return notes

    def _reachable(self, pitch: int, before: int | None) -> int:
        """The pitch, or the same tone in another octave: within the range, and no long leap from the note before."""
        around = self.centre if before is None else before
        octaves = [pitch + shift for shift in (-24, -12, 0, 12, 24) if -9 <= pitch + shift - self.centre <= 12]
        if pitch in octaves and (before is None or abs(pitch - before) <= 7):
            return pitch
        return min(octaves, key=lambda each: abs(each - around))

    def _motif(self, kind: str, variant: str) -> _Motif:
        name = f"{kind}/{variant}"
        if name not in self.motifs:
            style = self.plan.style
            rng = stream(self.plan.seed, f"{self.name}/{name}")
            self.motifs[name] = _invent(
                rng, kind, style.beats, end_home=variant in "BC", degrees=len(SCALES[style.scale])
            )
        return self.motifs[name]


def _invent(rng: random.Random, kind: str, beats: int, *, end_home: bool, degrees: int) -> _Motif:
    """A new motif: a rhythm that leans on the beats, and a walk that returns to where it belongs."""
    low, high = _START.get(kind, (0, 3))
    degree = centre = rng.randint(low, high)
    steps = 8 * beats
    weights = []
    for step in range(steps):
        metre = 1.0 if step % (4 * beats) == 0 else 0.7 if step % 4 == 0 else 0.5 if step % 2 == 0 else 0.05
        weights.append(metre + rng.uniform(0, 0.55 if step % 2 == 0 else 0.2))
    walk = []
    for _ in range(steps // 2):
        walk.append(degree)
        degree += rng.choice(_STEPS_OF_WALK)
        if abs(degree - centre) > 4:
            degree += 1 if degree < centre else -1
    goal = rng.choice((0, degrees, 2)) if end_home else rng.choice((1, 4, 4, 6))
    while abs(goal - walk[-3]) > 4:
        goal += degrees if goal < walk[-3] else -degrees
    walk[-3:] = [goal + (walk[-3] > goal) - (walk[-3] < goal), goal, goal]
    return _Motif(tuple(weights), tuple(walk))


def _onsets(motif: _Motif, count: int, steps: float) -> Sequence[float]:
    """Where the notes of a line begin, in steps: on the grid as the motif likes, or evenly if there are too many."""
    window = int(min(steps * _BREATH, max(3 * count, 6)))
    free = len(motif.weights)
    if count > window * 0.8:
        return [nth * steps * 0.96 / count for nth in range(count)]
    order = sorted(range(window), key=lambda step: -motif.weights[step % free] - 0.25 * (step == 0))
    return sorted(order[:count])
