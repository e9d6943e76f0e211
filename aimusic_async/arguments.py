"""The kinds of arguments that a session takes: what is of another kind is refused where it is given."""

from __future__ import annotations

import os
from typing import Any

import aiohttp

from .callbacks import WebhookConfig
from .errors import ConfigurationError, InvalidRequest
from .journal.record import storable
from .settings import Settings

_JOURNAL_METHODS = ("apply", "find", "load", "save")


def check_arguments(
    *,
    limiter: object,
    poll_limiter: object,
    journal: object,
    webhook: object,
    http: object,
    settings: object,
) -> None:
    """Raise `ConfigurationError` for the first argument of a session that is of another kind than it takes."""
    _check_limiter("limiter", limiter)
    _check_limiter("poll_limiter", poll_limiter)
    _check_journal(journal)
    _check_kind("webhook", webhook, WebhookConfig, "WebhookConfig(url, secret)")
    hint = " (a proxy is named with proxy=)" if isinstance(http, str) else ""
    _check_kind("http", http, aiohttp.ClientSession, f"an open aiohttp.ClientSession{hint}")
    _check_kind("settings", settings, Settings, "Settings, such as Settings.load(…) makes")


def _check_kind(name: str, value: object, kind: type, wanted: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise _refused(name, wanted, value)


def _check_limiter(name: str, value: Any) -> None:
    if value is None:
        return
    wanted = "a RateLimiter, such as TokenBucket(rate=1/3)"
    methods = (getattr(value, "acquire", None), getattr(value, "pause_until", None))
    if isinstance(value, type) or not all(map(callable, methods)):
        raise _refused(name, wanted, value)


def _check_journal(value: Any) -> None:
    if value is None:
        return
    wanted = "the path of a file, or a JobJournal"
    if isinstance(value, str | os.PathLike):
        check_journal_path(value)
    elif isinstance(value, type) or not all(callable(getattr(value, name, None)) for name in _JOURNAL_METHODS):
        raise _refused("journal", wanted, value)


def check_journal_path(path: str | os.PathLike[str]) -> None:
    """Raise `ConfigurationError` for what names no file."""
    text = os.fspath(path)
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise ConfigurationError(f"journal must be the path of a file; got {text!r:.60}")
    if text == ":memory:" or text.startswith("file:"):
        raise ConfigurationError(
            f"journal must be the path of a file, without SQLite's own words; got {text!r}. To keep jobs in memory "
            "only: MemoryJournal()"
        )


def check_account(name: object) -> str:
    """Return the name of an account; raise `ConfigurationError` for what is none."""
    if not isinstance(name, str) or not name.strip() or "@" in name or not name.isprintable():
        raise ConfigurationError(f"account must be a name without @, such as 'default'; got {name!r}")
    return name


def check_name(field: str, name: object) -> str:
    """Return a name that a journal can keep; raise `InvalidRequest` for what is none."""
    if not isinstance(name, str) or storable(name) != name:
        raise InvalidRequest(field, "must be text that a file can hold, without half characters", name)
    return name


def check_key(key: object) -> str:
    """Return a job's key; raise `InvalidRequest` for what is none."""
    if not isinstance(key, str) or not key:
        raise InvalidRequest("key", "must be text, and not empty", key)
    return key


def _refused(name: str, wanted: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"{name} must be {wanted}; got {_kind_of(value)}")  # its value may hold a secret


def _kind_of(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
