"""The environment variable AIMUSIC_LOG: with it, and only with it, open sessions show on stderr what they do."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping

from .errors import ConfigurationError
from .events import logger

LOG = "AIMUSIC_LOG"

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}


class _Shown:
    """What is shown while sessions are open: a handler, unless the program has its own, and the logger's level."""

    def __init__(self, level: int) -> None:
        self.sessions = 0
        self.former = logger.level
        self.handler = None if logger.hasHandlers() else logging.StreamHandler()
        if self.handler is not None:
            self.handler.setFormatter(logging.Formatter(_FORMAT))
            logger.addHandler(self.handler)
        logger.setLevel(level)

    def end(self) -> None:
        """Leave no trace."""
        logger.setLevel(self.former)
        if self.handler is not None:
            logger.removeHandler(self.handler)


_counting = threading.Lock()  # sessions may live in several threads
_shown: list[_Shown] = []  # one at most: however many sessions are open, each line is shown once


def show_logs(environ: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """Show the log as AIMUSIC_LOG says; return what undoes that. Without the variable nothing is changed.

    `info` shows the life of each job, `debug` each request, too. Raises `ConfigurationError` for another word.
    """
    word = environ.get(LOG, "").strip().lower()
    if not word:
        return lambda: None
    if word not in _LEVELS:
        raise ConfigurationError(f"{LOG} must be one of {', '.join(sorted(_LEVELS))}; got {word!r}")
    with _counting:
        if not _shown:
            _shown.append(_Shown(_LEVELS[word]))
        shown = _shown[0]
        shown.sessions += 1

    def undo() -> None:
        with _counting:
            shown.sessions -= 1
            if not shown.sessions:
                _shown.remove(shown)
                shown.end()

    return undo
