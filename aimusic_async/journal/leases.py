"""Whose job it is: the name of a session, and whether the process behind a name surely is no more."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
import uuid
from pathlib import Path


LEASE = 30.0
"""Seconds after which the queued and submitted jobs of an owner that was not heard of may be adopted."""
SENDING_LEASE = 240.0
"""The same for what it was sending: longer than any POST takes, connecting included. Its outcome is unknown then."""
HEARTBEAT = 8.0
"""Seconds between two signs of life."""


def steady() -> tuple[str, float]:
    """Return a clock that is never set and that all processes of this machine share: the boot that it counts from, seconds.

    It stands still while the machine sleeps, as every owner on it does.
    """
    return _boot(), time.monotonic()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "boot"  # elsewhere a restart looks like a clock that was set back: see `SqliteJournal`


def owner_name() -> str:
    """Return a new name for a session; it tells the machine and the process, and is never given twice."""
    return f"{_place()}:{os.getpid()}:{secrets.token_hex(6)}"


def surely_dead(owner: str) -> bool:
    """Whether the process that made this name has ended. In doubt False: then its lease has to run out.

    In doubt are names of other machines and containers, names that `owner_name` did not make, a process id that another
    process has by now, and everything on Windows.
    """
    parts = owner.rsplit(":", 2)
    # `os.kill(…, 0)` asks on POSIX; on Windows it is CTRL_C to a whole group of processes.
    if os.name != "posix" or len(parts) != 3 or parts[0] != _place():
        return False
    pid = parts[1]
    if not (pid.isascii() and pid.isdecimal()):
        return False
    try:
        os.kill(int(pid), 0)
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
    try:
        return f"{host}/{_boot()}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return f"{host}/{secrets.token_hex(8)}"  # equals no other, so nobody here is ever taken for dead
