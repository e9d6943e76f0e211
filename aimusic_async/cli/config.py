"""Where the command line finds the API key, and where it keeps its files. The key is never shown.

The first that has one wins: the environment, the file named by `--key-file`, the file `key` in the user's configuration
folder. Other users must not be able to read a key file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

import attrs
import platformdirs

from ..errors import ConfigurationError
from ..renaming import replace
from ..settings import API_KEY, Settings

_NAME = "aimusic"
_LONGEST = 4096  # bytes of a key file: it holds one line


def config_key_file() -> Path:
    """Return the file that `aimusic config set-key` writes."""
    return platformdirs.user_config_path(_NAME) / "key"


def default_journal() -> Path:
    """Return the file of the journal, unless another is named."""
    return platformdirs.user_state_path(_NAME) / "jobs.db"


@attrs.frozen(kw_only=True)
class Place:
    """One place that may hold the key, and what was found there."""

    name: str
    """`environment`, `key_file` or `config_file`."""
    where: str
    """The variable, or the path."""
    key: str | None = attrs.field(default=None, repr=False)
    problem: str = ""
    """Why it cannot be used although it exists."""


def places(key_file: Path | None, environ: Mapping[str, str] | None = None) -> tuple[Place, ...]:
    """Return the places in their order of precedence, each with what was found there."""
    environ = os.environ if environ is None else environ
    found = [Place(name="environment", where=API_KEY, key=environ.get(API_KEY) or None)]
    if key_file is not None:
        found.append(_in_file("key_file", key_file, needed=True))
    return (*found, _in_file("config_file", config_key_file(), needed=False))


def find_key(key_file: Path | None, environ: Mapping[str, str] | None = None) -> Place:
    """Return the place that has the key.

    Raises `ConfigurationError` when there is none, and for a file that must not be used.
    """
    for place in places(key_file, environ):
        if place.key is not None:
            return place
        if place.problem:
            raise ConfigurationError(place.problem)
    raise ConfigurationError(
        f"no API key: set {API_KEY}, or keep it with `aimusic config set-key`, or name its file with --key-file; "
        "--sandbox needs none"
    )


def _in_file(name: str, path: Path, *, needed: bool) -> Place:
    try:
        key = read_key(path)
    except ConfigurationError as error:
        return Place(name=name, where=str(path), problem=str(error))
    if key is None and needed:
        return Place(name=name, where=str(path), problem=f"there is no key file {path}")
    return Place(name=name, where=str(path), key=key)


def read_key(path: Path) -> str | None:
    """Return the key in a file, None when there is no such file.

    Raises `ConfigurationError` for a file that is empty, unreadable, or readable by other users.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LONGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"cannot read the key file {path}: {error.strerror}") from error
    if os.name == "posix" and stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"other users can access the key file {path}: run `chmod 600 {path}`, then try again")
    key = content.decode("utf-8-sig", "replace").strip()
    if not key or len(content) > _LONGEST:
        raise ConfigurationError(f"the key file {path} holds no key: it should be one line")
    return key


def keep_key(key: str, path: Path) -> None:
    """Write the key into a file that only this user can read. Raises `ConfigurationError` for what is no key."""
    if not key:
        raise ConfigurationError("no key was given; nothing was kept")
    Settings(api_key=key)  # refuses what cannot be a key
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{key}\n")
        replace(unfinished, path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
