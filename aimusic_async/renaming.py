"""Gives a file its name in one step, over an older one: on Windows, too, where an open file cannot be replaced."""

from __future__ import annotations

import os
import time
from pathlib import Path

_WINDOWS = os.name == "nt"
_PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Seconds between tries. Scanners of viruses and indexers have each new file open for an instant."""


def replace(source: Path, target: Path) -> None:
    """Rename `source` to `target`, which may exist. Blocks on the disk; raises `OSError`."""
    for pause in _PAUSES if _WINDOWS else ():
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    try:
        source.replace(target)
    except PermissionError as error:
        if _WINDOWS and target.exists():
            what = "cannot be replaced: another program has it open; close that, then try again"
            raise PermissionError(error.errno, what, str(target)) from error
        raise
