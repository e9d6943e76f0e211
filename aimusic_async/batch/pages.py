"""The page of a batch: its songs with the stems and timelines that other rows made of them, and how the batch went."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..api.results import LyricsTimeline, Song, Stems
from ..errors import ConfigurationError
from ..events import logger
from ..page import History, Track, tracks_of, write_page
from .ended import Ended

_MOST_ROWS = 2_000
"""Rows that one page shows; no browser copes with more."""


async def write_batch_page(out: Path, ended: Sequence[Ended], history: History, *, title: str) -> Path | None:
    """Write the page into the folder of the files; None when there is nothing to show, or an extra is missing."""
    tracks = tracks_of_batch(ended)
    if not tracks:
        return None
    if len(ended) > _MOST_ROWS:
        logger.warning("no page is written: it would show %d rows, and shows %d at most", len(ended), _MOST_ROWS)
        return None
    try:
        return await asyncio.to_thread(write_page, out, tracks, history, title=title)
    except ConfigurationError as error:
        logger.warning("no page is written: %s", error)
        return None


def tracks_of_batch(ended: Sequence[Ended]) -> list[Track]:
    """Return the tracks: the clips of every song, and for every row that should have become a song why it did not."""
    stems: dict[str, Stems] = {}
    timelines: dict[str, LyricsTimeline] = {}
    parts: list[Path] = []
    for one in ended:
        clip_id = getattr(None if one.job is None else one.job.request, "clip_id", None)
        if isinstance(one.result, Stems) and clip_id is not None:
            stems[clip_id] = one.result
            parts += one.files
        elif isinstance(one.result, LyricsTimeline) and clip_id is not None:
            timelines[clip_id] = one.result
    tracks: list[Track] = []
    for one in ended:
        facts = {"row": one.row.key, "operation": one.row.operation.operation}
        if isinstance(one.result, Song):
            if one.job is not None:
                facts["credits"] = str(one.job.credits)
            mine = {clip.clip_id for clip in (*one.result.clips, *one.result.full)}
            own: dict[str, Any] = {
                "stems": {clip: stems[clip] for clip in mine if clip in stems},
                "timelines": {clip: timelines[clip] for clip in mine if clip in timelines},
            }
            tracks += tracks_of(one.result, [*one.files, *(parts if own["stems"] else ())], **own, facts=facts)
        elif one.error is not None and issubclass(one.row.operation.result_type(), Song):
            title = one.row.fields.get("title")
            failed = str(one.error)
            tracks.append(
                Track(
                    key=one.row.key, title=title if isinstance(title, str) else one.row.key, failed=failed, facts=facts
                )
            )
    return tracks
