"""Where the sandbox keeps clips, tasks, voices and prepared files, and the rules for using them again."""

import math
from collections.abc import Iterable
from typing import Literal

from attrs import frozen

from aimusic_async.sandbox import texts
from aimusic_async.sandbox.tasks import Clip, Family, Task

Origin = Literal["any", "made", "uploaded", "extended"]
"""Which clips a field takes: all, those made here, those uploaded, those that continue another song."""


@frozen(kw_only=True)
class Source:
    """A field that names a clip of the caller's own."""

    name: str
    origin: Origin = "any"
    family: Family = "sonic"
    instead: str = ""
    """What the message recommends when the clip has the other origin."""
    several: bool = False
    """Whether the field lists ids."""


class Shelf:
    """Everything that was made, by id. For other accounts they do not exist."""

    def __init__(self) -> None:
        self.clips: dict[str, Clip] = {}
        self.tasks: dict[str, Task] = {}
        self.vanishing: dict[str, float] = {}
        """The loop time from which on a task is not known any more, for those to which that happens."""
        self.personas: dict[str, str] = {}
        """The key of the account that each singer belongs to; likewise for the voices that singers are made from."""
        self.voxes: dict[str, str] = {}
        self.prepared: dict[tuple[str, str], float] = {}
        """When a clip's "wav", "mid" or "timeline" is ready, once it was asked for."""
        self.called: dict[tuple[str, str], float] = {}
        """When the formats of one download of a clip, as "mp3+wav", are all ready."""
        self.downloaded: dict[tuple[str, str], float] = {}
        """When a clip's file in one format is ready, once a download named it."""

    def asked_for(self, clip_id: str, suffix: str) -> list[float]:
        """When a file that has to be asked for is ready, by each way in which it was."""
        return [made[clip_id, suffix] for made in (self.prepared, self.downloaded) if (clip_id, suffix) in made]

    def put(self, task: Task | None = None, clips: Iterable[Clip] = ()) -> None:
        """Keep a task with its clips, and further clips."""
        for clip in clips:
            self.clips[clip.id] = clip
        if task is not None:
            self.tasks[task.id] = task
            self.put(clips=(*task.clips, *(clip for pair in task.pairs for clip in (pair.part, pair.full))))

    def task(self, key: str, family: Family, task_id: str, now: float) -> Task | None:
        """The task with this id, if the account has one of this family that has not vanished."""
        task = self.tasks.get(task_id)
        if task is not None and now >= self.vanishing.get(task_id, math.inf):
            return None
        return task if task is not None and (task.key, task.family) == (key, family) else None

    def clip(self, key: str, source: Source, clip_id: object, now: float) -> Clip:
        """The finished clip that a field names.

        Raises a `Refusal`: 404 when there is none, 400 when it is of the wrong kind, unfinished or failed.
        """
        if not isinstance(clip_id, str) or not clip_id:
            raise texts.invalid(f"The '{source.name}' field should be a string.")
        clip = self.clips.get(clip_id)
        if clip is None or (clip.key, clip.family) != (key, source.family) or clip.state(now) == "pending":
            raise texts.not_found(f"clip '{clip_id}' not found.")
        refuse = f"The clip '{clip_id}' "
        if source.origin == "made" and clip.uploaded:
            raise texts.invalid(f"{refuse}was uploaded.{source.instead}")
        if source.origin == "uploaded" and not clip.uploaded:
            raise texts.invalid(f"{refuse}was not uploaded.{source.instead}")
        if source.origin == "extended" and clip.extends is None:
            raise texts.invalid(f"{refuse}does not extend another clip.")
        state = clip.state(now)
        if state != "succeeded":
            raise texts.invalid(f"{refuse}{'has failed' if state == 'failed' else 'is not finished yet'}.")
        return clip
