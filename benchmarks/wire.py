"""Reading a finished task of 2 and of 24 clips, beside pydantic; and `import aimusic_async` beside `import aiohttp`.

Contenders take turns in short rounds and are compared within each round. Pydantic reads the same fields, once as
forgiving as we are (odd values are absent, unknown fields are kept), once as its documentation begins.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from rich.console import Group
from rich.table import Table

from aimusic_async import sonic
from aimusic_async.api.wire import Reply, TaskState, read_task

ROUNDS = 21
CLIPS_A_ROUND = 1_000
IMPORTS = 11


def run(*, seeds: int) -> Group:
    """Measure both; every seed above three adds as many rounds again."""
    more = max(1, seeds // 3)
    return Group(_reading(ROUNDS * more), _importing(IMPORTS * more))


# --- reading ---------------------------------------------------------------------------------------------------------


def _reading(rounds: int) -> Table:
    table = Table(title=f"Reading a finished task: CPU, medians of {rounds} rounds in turns")
    for column in ("way", "2 clips", "ratio to pydantic", "24 clips", "ratio to pydantic"):
        table.add_column(column, justify="left" if column == "way" else "right")
    columns = [_compare(count, rounds) for count in (2, 24)]
    for name in columns[0]:
        cells = []
        for took in columns:
            ratios = (own / other for own, other in zip(took[name], took["pydantic, as forgiving"], strict=True))
            cells += [f"{statistics.median(took[name]) * 1e6:.1f} µs", f"{statistics.median(ratios):.2f}"]
        table.add_row(name, *cells)
    return table


def _compare(clips: int, rounds: int) -> dict[str, list[float]]:
    body = _body(clips)
    operation = sonic.CreateMusic if clips == 2 else sonic.StemsFull

    def ours() -> object:
        progress = read_task(operation, "task", Reply.parse(200, body))
        assert progress.state is TaskState.SUCCEEDED
        return progress.result

    ways: dict[str, Callable[[], object]] = {
        "aimusic_async": ours,
        "pydantic, as forgiving": lambda: ForgivingTask.model_validate_json(body),
        "pydantic, plain": lambda: Task.model_validate_json(body),
        "json.loads alone": lambda: json.loads(body),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    calls = CLIPS_A_ROUND // clips
    for _ in range(rounds):
        for name, read in ways.items():
            cpu = time.process_time()
            for _ in range(calls):
                read()
            took[name].append((time.process_time() - cpu) / calls)
    return took


def _body(clips: int) -> bytes:
    data = [
        {
            "clip_id": f"635af601-b2a0-4005-87c3-629f9e7{number:05}",
            "state": "succeeded",
            "title": "Tin Roof, Slow Rain",
            "tags": "indie folk, brushed drums, upright bass, close female voice, 84 bpm",
            "lyrics": "[Verse]\nTin roof, slow rain\nA kettle and a train\n\n[Chorus]\nStay till it is light again\n"
            * 4,
            "image_url": f"https://files.example/635af601-{number}.jpeg",
            "audio_url": f"https://files.example/635af601-{number}.mp3",
            "video_url": f"https://files.example/635af601-{number}.mp4",
            "created_at": "2026-01-24T10:15:30.123Z",
            "mv": "sonic-v5",
            "gpt_description_prompt": None,
            "duration": "183.48",
            "negative_tags": "",
            "style_weight": 0.65,
            "weirdness_constraint": 0.4,
            "monitoring_id": None,
        }
        for number in range(clips)
    ]
    return json.dumps({"code": 200, "message": "success", "data": data}).encode()


class Clip(BaseModel):
    """One clip, as pydantic's documentation begins."""

    clip_id: str
    state: str = "succeeded"
    title: str | None = None
    tags: str | None = None
    lyrics: str | None = None
    audio_url: str | None = None
    image_url: str | None = None
    video_url: str | None = None
    wav_url: str | None = None
    duration: float | None = None
    created_at: datetime | None = None
    mv: str | None = None
    gpt_description_prompt: str | None = None
    negative_tags: str | None = None
    style_weight: float | None = None
    weirdness_constraint: float | None = None
    error_message: str | None = None
    stem_type: str | None = None


class Task(BaseModel):
    """The answer, as pydantic's documentation begins."""

    code: int | None = None
    message: str | None = None
    data: tuple[Clip, ...] = ()


def _text(value: Any) -> str | None:
    return None if value is None or value == "" or isinstance(value, bool | list | dict) else str(value)


def _number(value: Any) -> float | None:
    try:
        read = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return read if math.isfinite(read) and not isinstance(value, bool) else None


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Text = Annotated[str | None, BeforeValidator(_text)]
Number = Annotated[float | None, BeforeValidator(_number)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]


class ForgivingClip(BaseModel):
    """One clip in which odd values are absent and unknown fields are kept."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    clip_id: str
    state: str = "succeeded"
    title: Text = None
    tags: Text = None
    lyrics: Text = None
    audio_url: Text = None
    image_url: Text = None
    video_url: Text = None
    wav_url: Text = None
    duration: Number = None
    created_at: Moment = None
    mv: Text = None
    gpt_description_prompt: Text = None
    negative_tags: Text = None
    style_weight: Number = None
    weirdness_constraint: Number = None
    error_message: Text = None
    stem_type: Text = None


class ForgivingTask(BaseModel):
    """The answer around forgiving clips."""

    model_config = ConfigDict(extra="allow")

    code: Number = None
    message: Text = None
    data: tuple[ForgivingClip, ...] = ()


# --- importing -------------------------------------------------------------------------------------------------------


def _importing(rounds: int) -> Table:
    table = Table(title=f"A fresh interpreter: CPU (user and system), medians of {rounds} in turns")
    for column in ("program", "CPU", "ratio to import aiohttp", "the same without the bare interpreter"):
        table.add_column(column, justify="left" if column == "program" else "right")
    ours = ("import aimusic_async", "from aimusic_async import MusicSession, sonic")
    programs = ("pass", "import aiohttp", *ours, "import httpx")
    took: dict[str, list[float]] = {program: [] for program in programs}
    for program in programs:
        _cpu_of(program)  # the files are in the system's cache, and compiled
    for _ in range(rounds):
        for program in programs:
            took[program].append(_cpu_of(program))
    bare, base = took["pass"], took["import aiohttp"]
    for program, own in took.items():
        whole = statistics.median(mine / other for mine, other in zip(own, base, strict=True))
        share = statistics.median(
            (mine - none) / (other - none) for mine, other, none in zip(own, base, bare, strict=True)
        )
        table.add_row(program, f"{statistics.median(own) * 1e3:.0f} ms", f"{whole:.2f}", f"{share:.2f}")
    return table


def _cpu_of(program: str) -> float:
    """Return seconds of CPU that an interpreter takes for a program."""
    process = subprocess.Popen([sys.executable, "-c", program])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, program
    return usage.ru_utime + usage.ru_stime
