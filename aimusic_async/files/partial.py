"""A file that is not whole yet: kept under a hidden name beside its place, locked, and resumed by the next run."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import itertools
import json
import os
import secrets
import sys
from pathlib import Path
from typing import BinaryIO, Self

import attrs
from attrs.validators import instance_of, optional

from ..renaming import replace
from .names import alike

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


@attrs.frozen(kw_only=True)
class Known:
    """What the host said about the file of which this is a part."""

    source: str = attrs.field(validator=instance_of(str))
    """A hash of its address."""
    etag: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    """A strong ETag, or None."""
    modified: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    total: int | None = attrs.field(default=None, validator=optional(instance_of(int)))
    """Bytes of the whole."""

    @property
    def validator(self) -> str | None:
        """The value for If-Range; without one, nobody can tell whether the file is still the same."""
        return self.etag or self.modified

    @classmethod
    def read(cls, text: bytes) -> Self | None:
        """Read what `write` returned; None for anything else, such as half of it."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None

    def write(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(attrs.asdict(self)).encode()


class Part:
    """The part of one file. Every method blocks; call one at a time.

    Only one process holds a part. A process that finds it held works on another part of the same file: both get a whole
    file, and the later rename wins. The lock ends with the process, however that ends.
    """

    def __init__(self, final: Path) -> None:
        self._final = final
        self._info: BinaryIO | None = None
        self._data: BinaryIO | None = None
        self._path = final
        self._info_path: Path | None = None
        self.size: int = 0
        """Bytes on disk."""
        self.known: Known | None = None
        """The file that it belongs to; None when there is nothing to resume."""

    @property
    def path(self) -> Path:
        """Where the bytes are."""
        return self._path

    def open(self) -> None:
        """Take the first part of this file that nobody holds, or create one. Raises `OSError`."""
        for number in itertools.count():
            info_path, self._path = _paths(self._final, number)
            try:
                self._info = _lock(info_path)
            except _NoLocks:  # a network file system, say: then a name that nobody else has, and no run finds again
                _, self._path = _paths(self._final, secrets.token_hex(8))
                break
            if self._info is not None:
                self._info_path = info_path
                self.known = Known.read(self._info.read())
                break
        self._data = os.fdopen(os.open(self._path, _FLAGS, 0o666), "r+b")
        self.size = self._data.seek(0, io.SEEK_END)
        known = self.known
        if known is None or known.validator is None or (known.total is not None and self.size > known.total):
            self.forget()

    def begin(self, known: Known) -> None:
        """Discard the bytes, and record which file the next ones belong to."""
        self.forget()
        self.known = known
        self._note(known.write())

    def write(self, data: bytes) -> None:
        """Append bytes so that they outlive this process."""
        assert self._data is not None
        self._data.write(data)
        self._data.flush()
        self.size += len(data)

    def forget(self) -> None:
        """Discard the bytes; the file starts over."""
        assert self._data is not None
        self._data.seek(0)
        self._data.truncate()
        self.size, self.known = 0, None
        self._note(b"")

    def seal(self) -> None:
        """Close the bytes, so that tags can be written; if the process dies from now on, nothing can be resumed."""
        self.known = None
        self._note(b"")
        self._close_data()

    def finish(self, final: Path) -> None:
        """Give the file its name; from now on it is whole, even after a power cut. Raises `OSError`."""
        self._close_data()
        with self._path.open("r+b") as file:
            os.fsync(file.fileno())
        replace(self._path, final)
        self.size = 0

    def release(self) -> None:
        """Release the part: bytes that can be resumed stay, all others are removed."""
        self._close_data()
        if self._info and self.size and self.known is not None and self.known.validator is not None:
            _close(self._info)
        else:
            if self._path != self._final:
                with contextlib.suppress(OSError):
                    self._path.unlink()
            _remove(self._info, self._info_path)
        self._info = None

    def _note(self, text: bytes) -> None:
        if self._info is not None:
            self._info.seek(0)
            self._info.truncate()
            self._info.write(text)
            self._info.flush()

    def _close_data(self) -> None:
        data, self._data = self._data, None
        _close(data)


def clear(final: Path) -> None:
    """Remove the parts of a file that is whole now, except those that somebody holds."""
    for info_path in final.parent.glob(f"{_stem(final)}*.part-info"):
        with contextlib.suppress(OSError, _NoLocks):
            if (info := _lock(info_path)) is not None:
                info_path.with_suffix(".part").unlink(missing_ok=True)
                _remove(info, info_path)


class _NoLocks(Exception):
    """The file system has no locks."""


def _paths(final: Path, number: int | str) -> tuple[Path, Path]:
    """Return the paths of a part's notes and bytes: hidden names that no file system finds too long."""
    name = f"{_stem(final)}-{number}" if number else _stem(final)
    return final.with_name(f"{name}.part-info"), final.with_name(f"{name}.part")


def _stem(final: Path) -> str:
    return "." + hashlib.sha256(alike(final.name).encode(errors="surrogateescape")).hexdigest()[:24]


def _lock(path: Path) -> BinaryIO | None:
    """Open and lock a file for this process alone; None when another holds it."""
    while True:
        file = os.fdopen(os.open(path, _FLAGS, 0o666), "r+b")
        try:
            if sys.platform == "win32":
                file.seek(1 << 30)  # far behind the text: on Windows nobody else can read what is locked
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                file.seek(0)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno in _TAKEN:
                return None
            with contextlib.suppress(OSError):
                path.unlink()
            raise _NoLocks from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # its last owner removed it while we opened it


def _remove(file: BinaryIO | None, path: Path | None) -> None:
    if sys.platform == "win32":  # an open file cannot be removed there, nor one that the next owner has open
        _close(file)
        file = None
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()
    _close(file)


def _close(file: BinaryIO | None) -> None:
    if file is not None:
        file.close()
