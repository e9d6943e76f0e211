"""Finished audio to disk: streamed into a temporary file, renamed when whole, under a name that is safe anywhere."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import aiohttp
import anyio

from .api.results import Clip
from .errors import TransportError
from .settings import scheme_and_host
from .transport.http import told

_AT_ONCE = 4
_CHUNK = 256 * 1024
_SUFFIXES = frozenset({".mp3", ".wav", ".m4a", ".flac", ".ogg"})


async def download_clips(http: aiohttp.ClientSession, clips: Iterable[Clip], folder: Path) -> list[Path]:
    """Save the audio of clips, a few at a time, and return the files in the clips' order.

    Raises `TransportError` for the first that cannot be had; the others are broken off and leave no partial file.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def fetch(clip: Clip) -> Path:
        async with at_once:
            return await _fetch(http, clip, folder)

    handles: list[anyio.TaskHandle[Path]] = []
    try:
        async with anyio.create_task_group() as group:
            handles += [group.create_task(fetch(clip)) for clip in clips]
    except* TransportError as errors:
        raise _first(errors) from None
    return [handle.return_value for handle in handles]


def _first(errors: BaseExceptionGroup[TransportError]) -> TransportError:
    first = errors.exceptions[0]
    return first if isinstance(first, TransportError) else _first(first)


async def _fetch(http: aiohttp.ClientSession, clip: Clip, folder: Path) -> Path:
    url = _address(clip)
    if not scheme_and_host(url)[1]:
        raise TransportError(f"clip {clip.clip_id} has no audio to download (state {clip.state})")
    path = folder / file_name(clip)
    unfinished = folder / f".{secrets.token_hex(8)}.part"
    try:
        with unfinished.open("xb") as file:  # here, not in a thread: a cancelled wait would leave it open
            await _stream(http, url, file.write)
        await asyncio.to_thread(unfinished.replace, path)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise TransportError(f"clip {clip.clip_id} could not be downloaded: {told(error)}") from error
    finally:
        unfinished.unlink(missing_ok=True)  # in the loop's own thread: nothing can be awaited in a cancelled task
    return path


async def _stream(http: aiohttp.ClientSession, url: str, write: Callable[[bytes], int]) -> None:
    limits = aiohttp.ClientTimeout(total=None, connect=30, sock_read=60)
    async with http.get(url, timeout=limits) as response:  # no key: this is not the service's API host
        response.raise_for_status()
        if response.status != 200 or response.content_type == "text/html":
            raise aiohttp.ClientPayloadError(f"HTTP {response.status} with {response.content_type} is no audio")
        async for chunk in response.content.iter_chunked(_CHUNK):
            await asyncio.to_thread(write, chunk)


def _address(clip: Clip) -> str:
    return clip.audio_url or clip.wav_url or ""


def file_name(clip: Clip) -> str:
    """Return `Title [id].mp3`, harmless on every file system: a title is somebody else's text."""
    suffix = PurePosixPath(_address(clip).partition("?")[0]).suffix.lower()
    title = _cut(_harmless(clip.title or ""), 140) or "untitled"
    name = _cut(_harmless(clip.clip_id), 64)
    if name != clip.clip_id:  # two ids must not become one name
        name += hashlib.sha256(clip.clip_id.encode(errors="replace")).hexdigest()[:12]
    return f"{title} [{name}]{suffix if suffix in _SUFFIXES else '.mp3'}"


def _cut(text: str, most: int) -> str:
    """Cut a text to `most` bytes: file systems count those, and allow 255."""
    return text.encode()[:most].decode(errors="ignore").rstrip(" .")


def _harmless(text: str) -> str:
    plain = unicodedata.normalize("NFC", text)
    printable = "".join(" " if unicodedata.category(char).startswith(("C", "Z")) else char for char in plain)
    return re.sub(r"\s+", " ", re.sub(r'[<>:"/\\|?*]', "-", printable)).strip(" .")
