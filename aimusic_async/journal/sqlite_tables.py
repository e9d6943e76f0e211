"""The journal's tables in a SQLite file: opening them safely, and what is asked of them inside one transaction.

Nothing here knows of threads or event loops. The SQL runs on SQLite 3.31 and later.
"""

from __future__ import annotations

import operator
import os
import random
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from ..errors import JournalError
from ..events import JobState
from .leases import surely_dead
from .protocol import Outcome
from .record import ENDED, JobRecord
from .steps import Step

APPLICATION = 0x61694D75
"""Marks a SQLite file as a journal of ours."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE records (
            id TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL, "group" TEXT NOT NULL, "key" TEXT NOT NULL,
            operation TEXT NOT NULL, request TEXT, cost INTEGER NOT NULL, repeatable INTEGER NOT NULL,
            state TEXT NOT NULL, owner TEXT,
            task_id TEXT, former TEXT NOT NULL, credits INTEGER NOT NULL, answer TEXT, error TEXT, refunded INTEGER,
            attempts INTEGER NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, accepted REAL,
            UNIQUE (account, "group", "key")
        )
        """,
        "CREATE INDEX by_state ON records (account, state)",
        "CREATE INDEX by_change ON records (account, updated)",
        "CREATE INDEX by_task ON records (account, task_id) WHERE task_id IS NOT NULL",
        "CREATE TABLE owners (owner TEXT NOT NULL PRIMARY KEY, until REAL NOT NULL)",
        """
        CREATE TABLE texts (
            account TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (account, name)
        )
        """,
    ),
)
"""What makes each version of the tables from the one before. An entry is never changed again: only added to the end."""

CHECKED = 64 * 2**20
"""Bytes. A file that is smaller is looked through for damage when it is opened."""

_NAMES = tuple(field.name for field in attrs.fields(JobRecord))
_values = operator.attrgetter(*_NAMES)
_STATES = {state.value: state for state in JobState}

_COLUMNS = ", ".join(f'"{name}"' for name in _NAMES)
_SELECT = f"SELECT {_COLUMNS} FROM records"  # noqa: S608 - the names of columns; values are parameters everywhere
_SELECT_ONE = f"{_SELECT} WHERE id = :id"
_INSERT = f"INSERT INTO records ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in _NAMES)})"  # noqa: S608 - as above

_making = threading.Lock()
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_WHY = dict.fromkeys(_BUSY, "was locked by another process for too long; end that process, or try again") | {
    sqlite3.SQLITE_FULL: "cannot be written, the disk is full; make room",
    sqlite3.SQLITE_IOERR: "could not be read or written; look at its disk",
    sqlite3.SQLITE_READONLY: "cannot be written; make the file and its folder writable for you, or name another",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; make the file and its folder writable for you, or name another",
    sqlite3.SQLITE_NOTADB: "is no SQLite file; name another",
    sqlite3.SQLITE_CORRUPT: "is damaged; keep it, for it tells what was paid, and name another or restore a copy",
}


def connect(path: str, *, patience: float) -> sqlite3.Connection:
    """Open the file, make or update its tables, and try a durable write.

    Raises `JournalError`. `patience` is how many seconds to wait for other processes.
    """
    try:
        real = Path(path).resolve()
        _make(real)
        db = sqlite3.connect(real, timeout=patience, isolation_level=None)
        try:
            _prepare(db, path, size=real.stat().st_size, patience=patience)
        except BaseException:
            db.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise told(path, error) from error
    return db


def _make(path: Path) -> None:
    """Make the file, readable by nobody else, if there is none."""
    # Closing any descriptor of a file takes away the locks that this process has on it: so nobody may have come as far
    # as to a lock while this one is open, and a file that is there already is not opened here at all.
    with _making, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare(db: sqlite3.Connection, path: str, *, size: int, patience: float) -> None:
    with transaction(db, writes=False, patience=patience):  # another process may be making it just now
        _version(db, path)  # before anything is changed in it: it may be another program's
    db.execute("PRAGMA journal_mode = TRUNCATE")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = ON")  # macOS: past the cache of the disk; means nothing elsewhere
    db.execute("PRAGMA temp_store = MEMORY")
    with transaction(db, writes=True, patience=patience):
        version = _version(db, path)
        if size < CHECKED and db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise JournalError(_sentence(path, _WHY[sqlite3.SQLITE_CORRUPT]))
        for migration in MIGRATIONS[version:]:
            for statement in migration:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")  # is written also when it is the same: the trial


def _version(db: sqlite3.Connection, path: str) -> int:
    """Return the version of the tables, 0 in an empty file."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or version or tables):
        raise JournalError(_sentence(path, "is another program's SQLite file; name another"))
    if version > len(MIGRATIONS):
        raise JournalError(_sentence(path, "was written by a newer aimusic-async; update this one, or name another"))
    return int(version)


def told(path: str, error: Exception) -> JournalError:
    """Say in one sentence what is wrong with the journal, and what to do."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    why = _WHY.get(code & 0xFF) if code is not None else None
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        why = "was moved or removed while it was open; put it back, and open it again"
    elif isinstance(error, FileNotFoundError):
        why = "cannot be made, its folder does not exist; make the folder, or name another"
    elif isinstance(error, OSError):
        why = f"cannot be made; look at its folder ({error.strerror})"
    told = JournalError(_sentence(path, why or f"could not do what was asked ({type(error).__name__}: {error})"))
    told.__cause__ = error
    return told


def closed(path: str) -> JournalError:
    """Say that the journal is not open."""
    return JournalError(_sentence(path, "is not open; enter it with `async with`"))


def _sentence(path: str, why: str) -> str:
    return f"the journal {path} {why}"


def is_busy(error: Exception) -> bool:
    """Whether another process has the file, so that trying at once again would only wait as long again."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY


@contextmanager
def transaction(db: sqlite3.Connection, *, writes: bool, patience: float) -> Iterator[None]:
    """Do all of the block or nothing. When it is left, all is durable; when nothing changed, nothing was written."""
    if writes:
        _begin(db, patience)
    else:
        db.execute("BEGIN")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("ROLLBACK")
        raise


def _begin(db: sqlite3.Connection, patience: float) -> None:
    """Get the right to write, before any other process that looks less often.

    SQLite's own waiting looks every tenth of a second. Beside a process that writes all the time, and leaves the file
    alone for a fraction of a millisecond only, that took many seconds.
    """
    until = time.monotonic() + patience
    db.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() >= until:
                    raise
                time.sleep(random.uniform(0.0005, 0.002))
            else:
                return
    finally:
        db.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")


class Tables:
    """The tables during one transaction, in which it is `now` all the time. For methods see `JobJournal`."""

    def __init__(self, db: sqlite3.Connection, now: float) -> None:
        self._db = db
        self._now = now
        self._alive: dict[str, bool] = {}

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        """Carry out steps."""
        outcomes: list[Outcome] = []
        for step in steps:
            row = self._db.execute(_SELECT_ONE, {"id": step.id}).fetchone()
            before = None if row is None else _record(row)
            after = step.after(before, now=self._now, alive=self._is_alive)
            if after is not before:
                self._keep(before, after)
            outcomes.append(Outcome(after, changed=after is not before))
        return outcomes

    def _keep(self, before: JobRecord | None, after: JobRecord | None) -> None:
        if after is None:
            assert before is not None
            self._db.execute("DELETE FROM records WHERE id = :id", {"id": before.id})
            return
        if before is None:
            self._db.execute(_INSERT, _row(after))
            return
        there, row = _row(before), _row(after)
        sets = ", ".join(f'"{name}" = :{name}' for name in _NAMES if row[name] != there[name])
        if sets:  # what is the same is not written, so that its index and its pages stay as they are
            self._db.execute(f"UPDATE records SET {sets} WHERE id = :id", row)  # noqa: S608 - the names of columns

    def _is_alive(self, owner: str) -> bool:
        if owner not in self._alive:
            found = self._db.execute("SELECT until FROM owners WHERE owner = :owner", {"owner": owner}).fetchone()
            self._alive[owner] = found is not None and found[0] > self._now and not surely_dead(owner)
        return self._alive[owner]

    def find(
        self,
        account: str,
        *,
        group: str | None,
        states: Collection[JobState] | None,
        key: str | None,
        task_id: str | None,
        changed_since: float | None,
        limit: int | None,
    ) -> list[JobRecord]:
        """Return records."""
        values: dict[str, str | float] = {"account": account, "limit": -1 if limit is None else limit}
        where = ["account = :account"]
        if group is not None:
            where.append('"group" = :group')
            values["group"] = group
        if key is not None:
            where.append('"key" = :key')
            values["key"] = key
        if task_id is not None:
            where.append("task_id = :task_id")
            values["task_id"] = task_id
        if changed_since is not None:
            where.append("updated >= :since")
            values["since"] = changed_since
        if states is not None:
            named = {f"state{index}": state.value for index, state in enumerate(states)}
            where.append(f"state IN ({', '.join(f':{name}' for name in named)})")
            values |= named
        rows = self._db.execute(f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY created, rowid LIMIT :limit", values)
        return [_record(row) for row in rows]

    def prune(self, account: str, older_than: float) -> int:
        """Remove records."""
        ended = {state.name: state.value for state in ENDED}
        states = ", ".join(f":{name}" for name in ended)
        return self._db.execute(
            f"DELETE FROM records WHERE account = :account AND state IN ({states}) AND updated < :before",  # noqa: S608 - names of parameters
            {"account": account, "before": self._now - older_than, **ended},
        ).rowcount

    def lease(self, owner: str, seconds: float) -> None:
        """Keep a lease, and forget those that ran out."""
        self._alive.clear()
        until = self._now + seconds
        self._db.execute(
            "DELETE FROM owners WHERE until <= :now AND owner <> :owner", {"now": self._now, "owner": owner}
        )
        self._db.execute(
            "INSERT INTO owners (owner, until) VALUES (:owner, :until) "
            "ON CONFLICT (owner) DO UPDATE SET until = excluded.until",
            {"owner": owner, "until": until},
        )

    def save(self, account: str, name: str, text: str) -> None:
        """Keep a text."""
        self._db.execute(
            "INSERT INTO texts (account, name, text) VALUES (:account, :name, :text) "
            "ON CONFLICT (account, name) DO UPDATE SET text = excluded.text WHERE text <> excluded.text",
            {"account": account, "name": name, "text": text},
        )

    def load(self, account: str, name: str) -> str | None:
        """Return a text."""
        found = self._db.execute(
            "SELECT text FROM texts WHERE account = :account AND name = :name", {"account": account, "name": name}
        ).fetchone()
        return None if found is None else str(found[0])


def _row(record: JobRecord) -> dict[str, Any]:
    row = dict(zip(_NAMES, _values(record), strict=True))
    row["state"] = record.state.value
    return row


def _record(row: tuple[Any, ...]) -> JobRecord:
    fields = dict(zip(_NAMES, row, strict=True))
    fields["state"] = _STATES[fields["state"]]
    fields["repeatable"] = bool(fields["repeatable"])
    if fields["refunded"] is not None:
        fields["refunded"] = bool(fields["refunded"])
    return JobRecord(**fields)
