"""Fetches one file from its host into a part: resumes, checks type and length, tries again."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar, TypeVarTuple

import aiohttp
import attrs

from ..events import logger
from ..scheduling.retry import delay
from ..settings import scheme_and_host
from .hosts import Connections, FileTrouble
from .partial import Known, Part
from .tags import tag_size

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

_WRITE_AT_ONCE = 512 * 1024
_REPORT_EVERY = 0.1
_ATTEMPTS = 5
_TAIL = 16 * 1024

_ANY = frozenset({"application/octet-stream", "binary/octet-stream"})
_TYPES = {
    "audio": (("audio/", "video/"), _ANY | {"application/ogg"}),  # m4a is also served as video/mp4
    "cover": (("image/",), _ANY),
    "video": (("video/",), _ANY),
    "midi": (("audio/",), _ANY),
}


@attrs.frozen(kw_only=True)
class Remote:
    """A file at a host."""

    url: str
    kind: str
    """What it should be: `audio`, `cover`, `video` or `midi`."""
    most_bytes: int
    stall_timeout: float
    """Seconds without a byte."""


Report: TypeAlias = Callable[[int, int | None], None]
"""Called with the number of bytes on disk, and of the whole file."""


async def in_thread(function: Callable[[*Ts], R], *args: *Ts) -> R:
    """Run a blocking function in a thread, to its end even when cancelled: no file is closed under its writer."""
    work = asyncio.get_running_loop().run_in_executor(None, functools.partial(function, *args))
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        work.exception()  # its outcome no longer matters
        raise cancelled
    return work.result()


async def fetch(hosts: Connections, remote: Remote, part: Part, report: Report) -> None:
    """Fetch the whole file into its part, calling `report` with the progress.

    Tries again while that may help, with growing pauses. Raises `FileTrouble`, or `OSError` for the disk. Cancelling
    keeps the bytes fetched so far.
    """
    for tries in itertools.count(1):
        try:
            await _go_on(hosts, remote, part, report)
        except FileTrouble as trouble:
            if not trouble.again or tries == _ATTEMPTS:
                raise
            pause = _pause(trouble, tries)
            host = scheme_and_host(remote.url)[1]  # the rest of an address may be signed
            logger.info("%s from %s: %s; it is tried again in %.1f s", remote.kind, host, trouble.reason, pause)
        else:
            return
        await asyncio.sleep(pause)


def _pause(trouble: FileTrouble, tries: int) -> float:
    """Return the seconds to wait: as the host says, else twice as long each time; not all downloads at once."""
    return trouble.wait if trouble.wait is not None else delay(tries) * random.uniform(0.5, 1.0)


async def _go_on(hosts: Connections, remote: Remote, part: Part, report: Report) -> None:
    source = _hash(remote.url)
    headers = {}
    if part.size and part.known is not None and part.known.source == source and part.known.validator is not None:
        if part.size == part.known.total:
            return
        headers = {"Range": f"bytes={part.size}-", "If-Range": part.known.validator}
    async with hosts.ask(remote.url, headers, stall_timeout=remote.stall_timeout) as response:
        if response.status != 200 and not (headers and _continues(response, part)):
            had, known = part.size, part.known
            await in_thread(part.forget)
            what = "its file has changed" if known is not None and had else "the host sent a part unasked"
            raise FileTrouble(f"{what} (HTTP {response.status})", again=True)
        _check_type(response, remote.kind)
        total = _total(response)
        if total is not None and total > remote.most_bytes:
            await in_thread(part.forget)
            raise _too_large(remote, f"it has {total} bytes")
        if response.status == 200:
            await in_thread(part.begin, _known(response, source, total))
        await _read(response, remote, part, lambda done: report(done, total))
    if total is not None and part.size != total:
        if part.size > total:
            await in_thread(part.forget)
        raise FileTrouble(f"{part.size} of {total} bytes came", again=True)
    if not part.size:
        raise FileTrouble("it is empty")


async def _read(response: aiohttp.ClientResponse, remote: Remote, part: Part, report: Callable[[int], None]) -> None:
    clock = asyncio.get_running_loop().time
    reported = float("-inf")
    kept = bytearray()
    try:
        async for chunk in response.content.iter_any():
            kept += chunk
            if part.size + len(kept) > remote.most_bytes:
                kept.clear()
                await in_thread(part.forget)
                raise _too_large(remote, "more keeps coming")
            if len(kept) >= _WRITE_AT_ONCE:
                await _write(part, kept)
            if clock() >= reported + _REPORT_EVERY:
                reported = clock()
                report(part.size + len(kept))
    finally:  # keeps what came before the connection broke, or before we were cancelled
        if kept:
            await _write(part, kept)


async def _write(part: Part, kept: bytearray) -> None:
    data = bytes(kept)
    kept.clear()
    await in_thread(part.write, data)


def _too_large(remote: Remote, why: str) -> FileTrouble:
    return FileTrouble(f"it is larger than most_bytes={remote.most_bytes}: {why}")


def _continues(response: aiohttp.ClientResponse, part: Part) -> bool:
    """Whether an answer continues the same file where the part ends; some hosts ignore If-Range."""
    known, found = part.known, _content_range(response)
    if response.status != 206 or known is None or found is None or found[0] != part.size:
        return False
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    return (
        (known.etag is None or etag in {None, known.etag})
        and (known.modified is None or modified in {None, known.modified})
        and (known.total is None or found[1] in {None, known.total})
    )


def _content_range(response: aiohttp.ClientResponse) -> tuple[int, int | None] | None:
    """Return where the bytes of an answer begin, and how many the whole file has."""
    found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", response.headers.get("Content-Range", ""))
    return None if found is None else (int(found[1]), None if found[2] == "*" else int(found[2]))


def _total(response: aiohttp.ClientResponse) -> int | None:
    """Return how many bytes the whole file has; None when they come in chunks, whose end is marked."""
    if response.status == 206:
        found = _content_range(response)
        return None if found is None else found[1]
    if response.content_length is None and "chunked" not in response.headers.get("Transfer-Encoding", "").lower():
        raise FileTrouble("the host does not say how long it is, so nobody can tell whether it is complete")
    return response.content_length


def _check_type(response: aiohttp.ClientResponse, kind: str) -> None:
    begins, others = _TYPES[kind]
    found = response.content_type.lower()
    if not found.startswith(begins) and found not in others:
        raise FileTrouble(f"the host sent {found}, which is no {kind}")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FileTrouble("the host sent it compressed, unasked")


def _known(response: aiohttp.ClientResponse, source: str, total: int | None) -> Known:
    etag = response.headers.get("ETag")
    if etag is not None and not etag.startswith('"'):  # a weak one: the bytes may differ
        etag = None
    takes_ranges = response.headers.get("Accept-Ranges", "bytes") != "none"
    modified = response.headers.get("Last-Modified")
    return Known(
        source=source, etag=etag if takes_ranges else None, modified=modified if takes_ranges else None, total=total
    )


def _hash(url: str) -> str:
    """Hash an address without its query, which a signature changes each time."""
    return hashlib.sha256(url.partition("?")[0].encode(errors="replace")).hexdigest()


# --- what exists already ---------------------------------------------------------------------------------------------


async def is_here(hosts: Connections, remote: Remote, path: Path) -> bool:
    """Whether the file at `path` is the remote one, and whole: as long as the host says, and with the same end.

    Tags at its beginning, which we wrote, do not count. False when the host does not say. Raises `FileTrouble` when the
    host cannot be asked, `OSError` when the file cannot be read.
    """
    size, tags, tail = await in_thread(_measure, path)
    if not tail:
        return False
    headers = {"Range": f"bytes=-{len(tail)}"}
    async with hosts.ask(remote.url, headers, stall_timeout=remote.stall_timeout) as response:
        found = _content_range(response) if response.status == 206 else None
        if found is None or found[1] is None or found[0] != found[1] - len(tail):
            return False
        theirs = bytearray()
        async for chunk in response.content.iter_any():
            theirs += chunk
            if len(theirs) > len(tail):
                return False
        # Tags that we wrote come before the music, and may have replaced others.
        return theirs == tail and (found[1] == size or (tags > 0 and found[1] >= size - tags))


def _measure(path: Path) -> tuple[int, int, bytes]:
    """Return a file's size, the size of its tags, and its end."""
    with path.open("rb") as file:
        tags = tag_size(file.read(10))
        size = file.seek(0, 2)
        file.seek(max(size - _TAIL, min(tags, size)))
        return size, tags, file.read()


async def read_small(hosts: Connections, remote: Remote) -> bytes:
    """Return a small file's bytes; never tries again. Raises `FileTrouble`."""
    async with hosts.ask(remote.url, {}, stall_timeout=remote.stall_timeout) as response:
        if response.status != 200:
            raise FileTrouble(f"HTTP {response.status}")
        _check_type(response, remote.kind)
        data = bytearray()
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > remote.most_bytes:
                raise _too_large(remote, "more keeps coming")
        return bytes(data)
