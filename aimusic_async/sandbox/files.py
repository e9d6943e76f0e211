"""Songs, stems, notes and covers as files: made when first asked for, one at a time, and kept until the end."""

import asyncio
import functools
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web
from attrs import define, field

from aimusic_async.sandbox import texts
from aimusic_async.sandbox.audio import mp3_frames
from aimusic_async.sandbox.desk import World
from aimusic_async.sandbox.formats import missing
from aimusic_async.sandbox.music import Tune
from aimusic_async.sandbox.music.m4a import m4a
from aimusic_async.sandbox.tasks import Clip

TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "m4a": "audio/mp4", "mid": "audio/midi", "jpeg": "image/jpeg"}
STREAMING = (
    "The song is still being made and the sandbox does not stream; "
    "its file is at the audio_url that it shows once its state is 'succeeded'."
)
GONE = "No such file."


def render(tune: Tune, parts: tuple[str, ...] | None, suffix: str) -> bytes:
    """The bytes of one file. Needs the extra `sandbox` (numpy and others), which is loaded here and not before."""
    from aimusic_async.sandbox.music import files  # noqa: PLC0415  # heavy, and an extra

    if suffix == "jpeg":
        return files.cover(tune)
    if suffix == "mid":
        return files.midi(tune, parts)
    if suffix == "wav":
        return files.wav(tune, parts)
    mp3 = files.mp3(tune, parts)
    if suffix == "mp3":
        return mp3
    return m4a([frame for frame, _ in mp3_frames(mp3)], rate=files.SAMPLE_RATE, samples=1152)


def _write(path: Path, make: Callable[[], bytes]) -> None:
    if not path.exists():
        unfinished = path.with_suffix(path.suffix + ".part")
        unfinished.write_bytes(make())
        unfinished.replace(path)


@define
class Files:
    """The folder of rendered files, and the one thread that fills it."""

    world: World
    _folder: Path = field(init=False)
    _worker: ThreadPoolExecutor = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="aimusic-sandbox-"))
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aimusic-sandbox")

    async def close(self) -> None:
        """Finish the rendering that is under way, and remove the folder."""
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /files/<name>`: ranges, conditions and HEAD included."""
        found = self._find(request.match_info["name"])
        if found is None:
            return web.json_response(texts.not_found(GONE).answer().body, status=404)
        clip, suffix = found
        if self._fresh(clip, suffix):
            status = self.world.options.fresh_file_status
            return web.Response(status=status, text=texts.gateway_page(status), content_type="text/html")
        path = self._folder / request.match_info["name"]
        uploaded = clip.audio is not None and suffix == clip.audio.suffix
        if not uploaded and (why := missing(suffix)):
            return web.json_response({"error": why}, status=501, reason=why)
        if not path.exists():
            make: Callable[[], bytes]
            if clip.audio is not None and uploaded:
                make = functools.partial(bytes, clip.audio.data)
            else:
                make = functools.partial(render, self.world.tunes.of(clip), clip.parts, suffix)
            await asyncio.get_running_loop().run_in_executor(self._worker, _write, path, make)
        kind = clip.audio.content_type if clip.audio is not None and uploaded else TYPES[suffix]
        return web.FileResponse(path, headers={"Content-Type": kind})

    async def streaming(self, _request: web.Request) -> web.StreamResponse:
        """`GET /files/streaming/<name>`: the address that a running clip shows; there is nothing behind it yet."""
        return web.json_response(texts.not_found(STREAMING).answer().body, status=404)

    def _fresh(self, clip: Clip, suffix: str) -> bool:
        """Whether the host of the files does not give this one out yet."""
        seconds, shelf = self.world.options.fresh_file_seconds / self.world.options.speed, self.world.shelf
        if clip.uploaded or not seconds:
            return False
        made = [clip.settles_at] if suffix in clip.files else shelf.asked_for(clip.id, suffix)
        return self.world.now() < min(made) + seconds

    def _find(self, name: str) -> tuple[Clip, str] | None:
        """The clip and the kind of file that a name stands for, if that file is to be had now."""
        stem, _, suffix = name.removeprefix("image_").rpartition(".")
        world, now = self.world, self.world.now()
        clip = world.shelf.clips.get(stem)
        if clip is None or clip.state(now) != "succeeded" or (suffix == "jpeg") != name.startswith("image_"):
            return None
        times = [clip.settles_at] if suffix in clip.files else []
        if suffix in TYPES:
            times += world.shelf.asked_for(clip.id, suffix)
        ready_at = max((at for at in times if at <= now), default=float("inf"))
        lifetime = world.options.url_lifetime
        if now < ready_at or (lifetime is not None and now >= ready_at + lifetime / world.options.speed):
            return None
        return clip, suffix
