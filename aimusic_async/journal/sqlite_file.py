"""A journal's SQLite file: which tables it has, how it is opened safely, and what its errors mean.

Nothing here knows of threads or event loops. The SQL runs on SQLite 3.31 and later.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ..errors import JournalError
from ..renaming import replace
from .leases import process_id, surely_dead

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
    (
        "ALTER TABLE records ADD COLUMN sender TEXT",
        "ALTER TABLE records ADD COLUMN presumed INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE records ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0",
        "UPDATE records SET sender = owner WHERE state = 'sending'",
        "CREATE TEMP TABLE changes (record INTEGER NOT NULL PRIMARY KEY, number INTEGER NOT NULL)",
        "INSERT INTO changes SELECT rowid, row_number() OVER (ORDER BY updated, rowid) FROM records",
        "UPDATE records SET sequence = (SELECT number FROM changes WHERE record = records.rowid)",
        "DROP TABLE changes",
        "DROP INDEX by_change",
        "CREATE INDEX by_sequence ON records (sequence)",
        "CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO counters SELECT 'sequence', count(*) FROM records",
        """
        CREATE TABLE ledgers (
            account TEXT NOT NULL, scope TEXT NOT NULL,
            "limit" INTEGER, spent INTEGER NOT NULL, at_risk INTEGER NOT NULL, PRIMARY KEY (account, scope)
        ) WITHOUT ROWID
        """,
        """
        INSERT INTO ledgers
        SELECT account, 'group:' || "group", NULL, sum(credits),
            sum(CASE WHEN state IN ('sending', 'unknown') OR (repeatable AND state = 'queued' AND attempts > 0)
                THEN cost ELSE 0 END)
        FROM records WHERE "group" <> '' GROUP BY account, "group"
        """,
        # A process of the first version that was asleep cannot read this any more, and so sends nothing.
        "ALTER TABLE records RENAME COLUMN former TO other_tasks",
        "DROP TABLE owners",
        """
        CREATE TABLE owners (
            owner TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL, boot TEXT NOT NULL, heard REAL NOT NULL
        )
        """,
    ),
)
"""What makes each version of the tables from the one before. An entry is never changed again: only added to the end."""

CHECKED = 64 * 2**20
"""Bytes. A file that is smaller is checked for damage when it is opened."""

_making = threading.Lock()
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_WHY = dict.fromkeys(_BUSY, "was locked by another process for too long; end that process, or try again") | {
    sqlite3.SQLITE_FULL: "cannot be written, the disk is full; make room",
    sqlite3.SQLITE_IOERR: "could not be read or written; look at its disk",
    sqlite3.SQLITE_READONLY: "cannot be written; make the file and its folder writable for you, or name another",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; make the file and its folder writable for you, or name another",
    sqlite3.SQLITE_NOTADB: "is no SQLite file; name another",
    sqlite3.SQLITE_CORRUPT: "is damaged; keep it, for it says what was paid, and name another or restore a copy",
}


def connect(path: str, *, patience: float, now: float) -> sqlite3.Connection:
    """Open the file, make or update its tables, and try a durable write. Raises `JournalError`.

    `patience` is how many seconds to wait for other processes; `now`, in Unix seconds, decides which leases of an older
    version still run.
    """
    try:
        real = Path(path).resolve()
        _make(real)
        db = sqlite3.connect(real, timeout=patience, isolation_level=None)
        try:
            _prepare(db, path, real, patience=patience, now=now)
        except BaseException:
            db.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise describe_error(path, error) from error
    return db


def _make(path: Path) -> None:
    """Make the file, readable by nobody else, if there is none."""
    # Closing any descriptor of a file takes away the locks that this process has on it: so nobody may have come as far
    # as to a lock while this one is open, and a file that is there already is not opened here at all.
    with _making, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare(db: sqlite3.Connection, path: str, real: Path, *, patience: float, now: float) -> None:
    with transaction(db, writes=False, patience=patience):  # another process may be making it just now
        _version(db, path)  # before anything is changed in it: it may be another program's
    db.execute("PRAGMA journal_mode = TRUNCATE")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = ON")  # macOS: past the cache of the disk; means nothing elsewhere
    db.execute("PRAGMA temp_store = MEMORY")
    with transaction(db, writes=True, patience=patience):
        version = _version(db, path)
        if real.stat().st_size < CHECKED and db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise not_passing(path, _WHY[sqlite3.SQLITE_CORRUPT])
        if version == 1:
            _refuse_beside_older(db, path, now)
        if 0 < version < len(MIGRATIONS):
            _copy(real, copy_of(real, len(MIGRATIONS)))
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
        raise not_passing(path, "is another program's SQLite file; name another")
    if version > len(MIGRATIONS):
        raise not_passing(path, "was written by a newer aimusic-async; update this one, or name another")
    return int(version)


def _refuse_beside_older(db: sqlite3.Connection, path: str, now: float) -> None:
    """Raise `JournalError` while a process of the first version, which knows no other tables, has the file open."""
    for (owner,) in db.execute("SELECT owner FROM owners WHERE until > ? ORDER BY until DESC", (now,)):
        if not surely_dead(owner):
            pid = process_id(owner)
            who = f"the session {owner!r}" if pid is None else f"process {pid}"
            raise JournalError(f"the journal {path} is in use by an older aimusic-async ({who}); end it first")


def copy_of(path: str | Path, version: int) -> Path:
    """Return where the copy is that is made of a file before its tables are brought to this version."""
    real = Path(path).resolve()
    return real.with_name(f"{real.name}.before-{version}")


def _copy(path: Path, copy: Path) -> None:
    """Copy the file, unless there is a copy already; one that is half made has another name."""
    if copy.exists():
        return
    half = copy.with_name(f"{copy.name}.half")
    half.unlink(missing_ok=True)
    try:
        _make(half)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(half)) as target:
            source.backup(target)  # through another connection: one that may write cannot
        replace(half, copy)
    finally:
        half.unlink(missing_ok=True)


def describe_error(path: str, error: Exception) -> JournalError:
    """Say in one sentence what is wrong with the journal, what to do, and whether it passes."""
    if isinstance(error, JournalError):
        return error
    code: int | None = getattr(error, "sqlite_errorcode", None)
    why = _WHY.get(code & 0xFF) if code is not None else None
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        why = "was moved or removed while it was open; put it back, and open it again"
    elif isinstance(error, FileNotFoundError):
        why = "cannot be made, its folder does not exist; make the folder, or name another"
    elif isinstance(error, OSError):
        why = f"cannot be made; look at its folder ({error.strerror})"
    why = why or f"could not do what was asked ({type(error).__name__}: {error})"
    lasting = code in (sqlite3.SQLITE_ERROR, None) and isinstance(error, sqlite3.Error)
    passing = isinstance(error, OSError | MemoryError | sqlite3.OperationalError) and not lasting
    described = JournalError(f"the journal {path} {why}", passing=passing)
    described.__cause__ = error
    return described


def not_passing(path: str, why: str) -> JournalError:
    """Return an error that stays until somebody does something."""
    return JournalError(f"the journal {path} {why}", passing=False)


def is_busy(error: Exception) -> bool:
    """Whether another process has the file, so that trying at once again would only wait as long again."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY


def concerns_file(error: Exception) -> bool:
    """Whether it is trouble of the file or the machine, and not of the values that were to be written."""
    # Damage comes as a plain `DatabaseError`; subclasses such as `DataError` concern a value.
    trouble = OSError | MemoryError | sqlite3.OperationalError
    return isinstance(error, trouble) or type(error) is sqlite3.DatabaseError


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
    """Get the right to write, before any other process that tries less often.

    SQLite's own waiting tries every tenth of a second. Beside a process that writes all the time, and leaves the file
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
