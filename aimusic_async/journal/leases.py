"""Whose job it is: the name of a session, and whether the process behind a name surely is no more."""

from __future__ import annotations

import functools
import math
import os
import secrets
import socket
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

LEASE = 30.0
"""Seconds after which the queued and submitted jobs of an owner that was not heard of may be adopted."""
SENDING_LEASE = 240.0
"""The same for what it was sending: longer than any POST takes, connecting included. Its outcome is unknown then."""
HEARTBEAT = 8.0
"""Seconds between two signs of life."""
_JITTER = 1.0
"""Seconds by which two processes may read the clock in another order than they write what it says."""


def steady() -> tuple[str, float]:
    """Return a clock that is never set and that all processes of a machine share: the boot it counts from, and seconds.

    The boot is empty where the system does not name it. The clock stands still while the machine sleeps, as every owner
    on it does.
    """
    return _boot(), time.monotonic()


def silence(heard: tuple[str, float], now: tuple[str, float]) -> float:
    """Return for how many seconds an owner was not heard of, both times as of `steady`.

    Infinite when the machine was restarted in between: no process outlives that. A clock that went back has no other
    explanation where boots have no name; where they do, the owner counts as heard just now.
    """
    (boot, then), (same_boot, later) = heard, now
    if boot != same_boot or (not boot and later < then - _JITTER):
        return math.inf
    return max(later - then, 0.0)


@functools.cache  # a process sees one boot only
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def owner_name(key: str = "") -> str:
    """Return a new name for a session; it names the machine, the process and the hash of its API `key`.

    It is never given twice.
    """
    return f"{_place()}:{os.getpid()}:{key}-{secrets.token_hex(6)}"


def key_of(owner: str) -> str | None:
    """Return the hash of the API key in an owner's name, None when it has none."""
    return owner.rpartition(":")[2].partition("-")[0] or None


def process_id(owner: str) -> int | None:
    """Return the process id in a name; None when it has none."""
    parts = owner.rsplit(":", 2)
    pid = parts[1] if len(parts) == 3 else ""
    return int(pid) if pid.isascii() and pid.isdecimal() and len(pid) < 20 else None


def surely_dead(owner: str) -> bool:
    """Whether the process that made this name has ended. When that is uncertain, False: then its lease has to run out.

    Uncertain are names of other machines and containers, names that `owner_name` did not make, a process id that
    another process has by now, and everything on Windows.
    """
    pid = process_id(owner)
    # `os.kill(…, 0)` asks on POSIX; on Windows it is CTRL_C to a whole group of processes.
    if os.name != "posix" or pid is None or owner.rsplit(":", 2)[0] != _place():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # it lives, and is another user's; or is no process id at all
        return False
    return False


def _place() -> str:
    """Name the place where a process id means one process: a machine since it started, and its namespace of ids."""
    host = socket.gethostname()
    if sys.platform == "darwin":
        return f"{host}/{uuid.getnode():x}"
    with suppress(OSError):
        if boot := _boot():
            return f"{host}/{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    return f"{host}/{secrets.token_hex(8)}"  # equals no other, so nobody here is ever taken for dead
