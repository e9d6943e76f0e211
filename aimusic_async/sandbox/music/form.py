"""The plan of a song: its bars with their sections and chords, and where each line of the lyrics is sung."""

import math
import random
from collections.abc import Collection, Sequence

import attrs

from .harmony import Chord, chord, dominant, progression
from .lyrics import Block, Line
from .score import stream
from .style import Style

_ENERGY = {"intro": 0.4, "verse": 0.55, "build": 0.7, "chorus": 1.0, "bridge": 0.6, "break": 0.8, "outro": 0.5}
_TEMPLATES = (
    ("verse", "chorus", "verse", "chorus", "bridge", "chorus"),
    ("verse", "build", "chorus", "verse", "build", "chorus", "break", "chorus"),
    ("verse", "verse", "chorus", "verse", "chorus", "bridge", "chorus"),
    ("chorus", "verse", "chorus", "break", "verse", "chorus"),
)
_SINGS = ("verse", "build", "chorus", "bridge")


@attrs.frozen(eq=False)
class Section:
    """A stretch of bars with one character."""

    kind: str
    bars: int
    energy: float
    """How full it is, where the fullest section of the song has 1."""
    lines: tuple[Line, ...] = ()


@attrs.frozen(eq=False)
class Bar:
    """One bar: its place in the song and in its section, and its chord."""

    index: int
    nth: int
    section: Section
    chord: Chord

    @property
    def last(self) -> bool:
        """Whether the section ends with this bar."""
        return self.nth == self.section.bars - 1


@attrs.frozen(eq=False)
class Slot:
    """Where one line is sung, in steps from the beginning; without a line it is sung on vowels."""

    start: float
    steps: float
    kind: str
    nth: int
    line: Line | None


@attrs.frozen(eq=False)
class Plan:
    """The whole song before the parts are written. A step is a quarter of a beat."""

    seed: int
    seconds: float
    style: Style
    bars: tuple[Bar, ...]
    sung: tuple[Slot, ...]
    """What the singer sings."""
    played: tuple[Slot, ...]
    """What the leading instrument plays where nobody sings."""
    home: Chord
    """The chord that ends the song, from `final` seconds on."""

    @property
    def steps(self) -> int:
        """Steps in a bar."""
        return 4 * self.style.beats

    @property
    def final(self) -> float:
        """Second at which the last chord starts."""
        return self.time(len(self.bars) * self.steps)

    def time(self, step: float) -> float:
        """The second at which a step (counted from the beginning) is played, with the swing of the style."""
        beat, within = divmod(step, 4)
        if swing := self.style.swing:
            within = within * (1 + swing) if within < 2 else 2 * (1 + swing) + (within - 2) * (1 - swing)
        return (beat + within / 4) * 60 / self.style.bpm

    def chord_at(self, step: float) -> Chord:
        """The chord that sounds at a step."""
        index = int(step // self.steps)
        return self.bars[index].chord if index < len(self.bars) else self.home


def draw(seed: int, seconds: float, style: Style, blocks: Sequence[Block], *, vocal: bool) -> Plan:
    """Lay out a song of so many seconds: as many whole bars as leave some two seconds for the last chord."""
    rng = stream(seed, "form")
    bar_s = style.beats * 60 / style.bpm
    count = max(int((seconds - min(2.0, seconds / 2)) / bar_s), 0)
    lines = [line for block in blocks for line in block.lines]
    sections = _from_lyrics(count, bar_s, blocks, rng) if lines else []
    dense = bool(lines) and not sections
    sections = sections or _from_template(count, rng, dense=dense)
    steps = 4 * style.beats
    if dense:
        room = count * steps or 0.7 * seconds * style.bpm / 15
        sung = _crowded(lines, room)
    else:
        sung = _slots(sections, bar_s, steps, wordless=("chorus",) if lines else _SINGS) if vocal else []
    played = _slots(sections, bar_s, steps, wordless=("break",) if vocal else (*_SINGS, "break"), words=False)
    top = max((section.energy for section in sections), default=1.0)
    sections = [attrs.evolve(section, energy=section.energy / top) for section in sections]
    return Plan(
        seed=seed,
        seconds=seconds,
        style=style,
        bars=_bars(seed, sections, style),
        sung=tuple(sung),
        played=tuple(played),
        home=chord(style.key, style.scale, 0),
    )


def _bars(seed: int, sections: Sequence[Section], style: Style) -> tuple[Bar, ...]:
    rng = stream(seed, "harmony")
    cycles = {kind: progression(style.scale, kind, rng) for kind in ("verse", "chorus", "bridge")}
    cycles["build"] = cycles["bridge"] if rng.random() < 0.5 else cycles["verse"]
    cycles["intro"] = cycles["outro"] = cycles[rng.choice(("verse", "chorus"))]
    cycles["break"] = cycles["chorus"]
    hold = 2 if style.genre.groove == "sparse" else 1
    bars: list[Bar] = []
    for section in sections:
        cycle = cycles[section.kind]
        for nth in range(section.bars):
            degree = cycle[nth // hold % len(cycle)]
            bars.append(Bar(len(bars), nth, section, chord(style.key, style.scale, degree, seventh=style.sevenths)))
    if len(bars) > 1:
        bars[-1] = attrs.evolve(bars[-1], chord=dominant(style.key))
    return tuple(bars)


def _section(kind: str, bars: int, lines: tuple[Line, ...] = ()) -> Section:
    return Section(kind, bars, _ENERGY[kind], lines)


def _from_template(count: int, rng: random.Random, *, dense: bool = False) -> list[Section]:
    """Intro, sections of one length as a template orders them, a chorus last, and an outro if there is time."""
    template = rng.choice(_TEMPLATES)
    unit = 8 if count >= 40 else 4 if count >= 12 else 2
    intro = 0 if dense or count < 5 else max(unit // 2, 1)
    outro = unit // 2 if count >= 22 and not dense else 0
    body = count - intro - outro
    number = body // unit
    kinds = [template[nth % len(template)] for nth in range(number - 1)] + ["chorus"] * (body > 0)
    sections = [_section("intro", intro)] if intro else []
    sections += [_section(kind, unit) for kind in kinds[:-1]]
    if kinds:
        sections.append(_section("chorus", body - unit * (len(kinds) - 1)))
    return sections + ([_section("outro", outro)] if outro else [])


def _bars_for(line: Line, bar_s: float, *, hurried: bool) -> int:
    """Bars that a line wants, or, hurried, the fewest that it can be sung in."""
    if hurried:
        return max(math.ceil(line.syllables / 6 / bar_s), 1)
    wanted = math.ceil((line.syllables / 3.8 + 0.8) / bar_s)
    return 2 if wanted == 1 and bar_s < 1.8 else wanted + wanted % 2 if wanted > 2 else wanted


def _from_lyrics(count: int, bar_s: float, blocks: Sequence[Block], rng: random.Random) -> list[Section]:
    """Sections as the lyrics tag them, with music before, between and after; none if the lyrics need more bars."""
    for hurried in (False, True):
        sung = [sum(_bars_for(line, bar_s, hurried=hurried) for line in block.lines) for block in blocks]
        if not hurried:
            sung = [bars + bars % 2 for bars in sung]
        if sum(sung) <= count:
            break
    else:
        return []
    spare = count - sum(sung)
    intro = min(spare // 2, 4, max(count // 5, 1))
    spare -= intro
    sections = [_section("intro", intro)] if intro else []
    for nth, (block, bars) in enumerate(zip(blocks, sung, strict=True)):
        later = sum(1 for each in blocks[nth + 1 :] if each.lines)
        if block.lines:
            sections.append(_section(block.kind, bars, block.lines))
            extra = 4 if block.kind == "chorus" and later and spare >= 12 else 0
        else:
            extra = min(4 if sections else 0, spare)
        if extra:
            sections.append(_section("break", extra))
            spare -= extra
    if spare > 8:  # more time than words: the song goes on without them
        outro = 4
        more = [section for section in _from_template(spare - outro, rng) if section.kind != "intro"]
        missing = spare - outro - sum(section.bars for section in more)
        sections += [*([_section("break", missing)] if missing else []), *more, _section("outro", outro)]
    elif spare:
        sections.append(_section("outro", spare))
    return sections


def _slots(
    sections: Sequence[Section], bar_s: float, steps: int, *, wordless: Collection[str], words: bool = True
) -> list[Slot]:
    """A place for each line within its section, and phrases of two bars in sections of the wordless kinds."""
    slots: list[Slot] = []
    start = 0
    for section in sections:
        if section.lines and words:
            sizes = [_bars_for(line, bar_s, hurried=False) for line in section.lines]
            if sum(sizes) > section.bars:
                sizes = [_bars_for(line, bar_s, hurried=True) for line in section.lines]
            at = start
            for nth, (line, bars) in enumerate(zip(section.lines, sizes, strict=True)):
                slots.append(Slot(at * steps, bars * steps, section.kind, nth, line))
                at += bars
        elif not section.lines and section.kind in wordless:
            sizes = [2] * (section.bars // 2) + [1] * (section.bars % 2)
            slots += [
                Slot((start + 2 * nth) * steps, bars * steps, section.kind, nth, None) for nth, bars in enumerate(sizes)
            ]
        start += section.bars
    return slots


def _crowded(lines: Sequence[Line], room: float) -> list[Slot]:
    """More words than bars: every line gets time in proportion to its syllables, in all the steps that there are."""
    step = room / sum(line.syllables + 1 for line in lines)
    slots, at = [], 0.0
    for nth, line in enumerate(lines):
        size = (line.syllables + 1) * step
        slots.append(Slot(at, size, "verse", nth, line))
        at += size
    return slots
