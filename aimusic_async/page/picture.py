"""The picture of a batch as SVG shapes: a lane per job, a tick per request; one path per kind, however many. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from ..events import JobState
from .history import Batch, JobLine, Spent

WIDTH = 960.0
_LEFT_OF_NAMED = 170.0
_MARGIN = 14.0
_TOP = 26.0
"""The axis is above it."""
_STREAM = 30.0
"""Height of the token stream."""
_GAP = 14.0
_NAMED = 40
"""Lanes have names up to this many."""
_NAMED_PITCH = 20.0
_TALLEST = 720.0
"""For lanes without names: each of a thousand jobs is a thin line."""
_CROWDED = 300
"""More requests than this are counted in columns, as their ticks would cover each other."""
_COLUMN = 3.0
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@attrs.frozen
class Text:
    """A text and its position."""

    x: float
    y: float
    text: str


@attrs.frozen(kw_only=True)
class Picture:
    """What the template draws."""

    width: float = WIDTH
    height: float
    left: float
    right: float
    top: float = _TOP
    stream: float = _STREAM
    bar: float
    """Thickness of a lane."""
    mark: float
    """Thickness of the marks on it."""
    tick: float
    """Thickness of a request's tick, or of a column of them."""
    paths: Mapping[str, str]
    """By kind: `waiting`, `running`, `calling`; `polled`, `heard`, `succeeded`, `failed`, `stopped`; `submit`, `poll`,
    `call`, `refused`. What did not happen is missing."""
    names: tuple[Text, ...]
    ticks: tuple[Text, ...]


@attrs.frozen
class _Plan:
    """Turns seconds and lanes into coordinates."""

    left: float
    scale: float
    lanes: float
    pitch: float

    def x(self, at: float) -> float:
        return round(self.left + at * self.scale, 1)

    def y(self, lane: int) -> float:
        return round(self.lanes + (lane + 0.5) * self.pitch, 2)

    @property
    def size(self) -> float:
        """Half of a mark's height."""
        return round(max(1.0, min(4.5, self.pitch * 0.32)), 2)


def picture(batch: Batch) -> Picture:
    """Return the shapes of a batch's picture."""
    count = max(1, len(batch.jobs))
    named = count <= _NAMED
    left = _LEFT_OF_NAMED if named else _MARGIN
    span = max(batch.length, 1.0)
    plan = _Plan(
        left=left,
        scale=(WIDTH - _MARGIN - left) / span,
        lanes=_TOP + _STREAM + _GAP,
        pitch=_NAMED_PITCH if named else min(8.0, _TALLEST / count),
    )
    shapes: dict[str, list[str]] = {}
    for lane, job in enumerate(batch.jobs):
        for kind, shape in _job_shapes(plan, lane, job, batch.length):
            shapes.setdefault(kind, []).append(shape)
    crowded = len(batch.requests) > _CROWDED
    for kind, shape in (_columns if crowded else _request_ticks)(plan, batch.requests):
        shapes.setdefault(kind, []).append(shape)
    return Picture(
        height=round(plan.lanes + count * plan.pitch + 8, 1),
        left=left,
        right=WIDTH - _MARGIN,
        bar=round(plan.pitch * (0.45 if named else 0.75), 2),
        mark=round(min(1.6, max(0.5, plan.pitch / 5)), 2),
        tick=_COLUMN if crowded else 1.6,
        paths={kind: "".join(found) for kind, found in shapes.items()},
        names=tuple(Text(left - 10, plan.y(lane), job.key) for lane, job in enumerate(batch.jobs) if named),
        ticks=tuple(Text(plan.x(at), _TOP - 8, clock(at)) for at in _ticks(span)),
    )


def _request_ticks(plan: _Plan, requests: Sequence[Spent]) -> Iterator[tuple[str, str]]:
    for request in requests:
        yield kind_of(request), f"M{plan.x(request.at):g} {_TOP:g}v{_STREAM:g}"


def _columns(plan: _Plan, requests: Sequence[Spent]) -> Iterator[tuple[str, str]]:
    """Stack the requests of each column by kind; the fullest column is as high as the stream."""
    columns: dict[int, Counter[str]] = {}
    for request in requests:
        column = int((plan.x(request.at) - plan.left) // _COLUMN)
        columns.setdefault(column, Counter())[kind_of(request)] += 1
    unit = _STREAM / max(counts.total() for counts in columns.values())
    for column, counts in columns.items():
        y = _TOP + _STREAM
        for kind in ("submit", "poll", "call", "refused"):
            if counts[kind]:
                yield kind, f"M{plan.left + (column + 0.5) * _COLUMN:g} {y:g}v{-counts[kind] * unit:.4g}"
                y = round(y - counts[kind] * unit, 2)


def kind_of(request: Spent) -> str:
    """Return `submit`, `poll` or `call`, or `refused` after a 429."""
    return "refused" if request.refused else request.purpose.value


def _job_shapes(plan: _Plan, lane: int, job: JobLine, length: float) -> Iterator[tuple[str, str]]:
    y, size = plan.y(lane), plan.size
    end = length if job.ended is None else job.ended
    taken = job.accepted if job.accepted is not None else (job.sent[0] if job.sent else None)
    if job.queued is not None:
        yield "waiting", _bar(plan, y, job.queued, end if taken is None else taken)
    if taken is not None:
        yield "calling" if job.accepted is None else "running", _bar(plan, y, taken, end)
    for at in job.polls:
        yield "polled", f"M{plan.x(at)} {y - size:g}v{2 * size:g}"
    if job.streaming is not None:
        yield "heard", f"M{plan.x(job.streaming)} {y - size:g}l{size:g} {size:g}l{-size:g} {size:g}z"
    if job.ended is not None:
        yield _end(plan.x(job.ended), y, size, job.state)


def _end(x: float, y: float, size: float, state: JobState) -> tuple[str, str]:
    """A dot, a cross or a stroke, which differ even without their colours."""
    d = 2 * size
    match state:
        case JobState.SUCCEEDED:
            return "succeeded", f"M{x - size:g} {y:g}a{size:g} {size:g} 0 1 0 {d:g} 0a{size:g} {size:g} 0 1 0 {-d:g} 0z"
        case JobState.FAILED | JobState.UNKNOWN:
            return "failed", f"M{x - size:g} {y - size:g}l{d:g} {d:g}m0 {-d:g}l{-d:g} {d:g}"
        case _:
            return "stopped", f"M{x:g} {y - size:g}v{d:g}"


def _bar(plan: _Plan, y: float, start: float, end: float) -> str:
    """A stretch of a lane, never too short to see."""
    first = plan.x(start)
    return f"M{first:g} {y:g}H{max(plan.x(end), first + 0.8):g}"


def _ticks(span: float) -> list[float]:
    """Round times, eight or so."""
    step = next((step for step in _STEPS if span / step <= 9), _STEPS[-1] * max(1, round(span / _STEPS[-1] / 8)))
    return [float(step * number) for number in range(int(span // step) + 1)]


def clock(seconds: float) -> str:
    """Return `m:ss`, or `h:mm:ss` from an hour on."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def summary(batch: Batch) -> str:
    """Say in a sentence what the picture shows."""
    states = Counter(job.state.value for job in batch.jobs)
    kinds = Counter(request.purpose.value for request in batch.requests)
    refused = sum(request.refused for request in batch.requests)
    ended = ", ".join(f"{count} {state}" for state, count in states.items())
    spent = ", ".join(counted(count, kind) for kind, count in kinds.items())
    return (
        f"{counted(len(batch.jobs), 'job')} in {clock(batch.length)} ({ended or 'none'}); "
        f"{counted(len(batch.requests), 'request')} ({spent or 'none'}), {refused} refused."
    )


def counted(count: int, what: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
