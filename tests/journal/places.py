"""The places where a journal may keep its records. Add a new kind of journal to `PLACES`: it has to pass every test."""

import contextlib
import sqlite3
from pathlib import Path

import attrs

from aimusic_async.journal.memory import MemoryJournal
from aimusic_async.journal.record import JobRecord, account_id, record_id
from aimusic_async.journal.sqlite import SqliteJournal
from aimusic_async.journal.steps import Enter

ACCOUNT = account_id("default", "api.test")


class Place:
    """Where records are kept; all journals that it opens share them, its clock and its boot."""

    elsewhere = None
    """Python that makes a journal of this place in another process; None where there is no such thing."""

    def __init__(self, folder):
        self.folder = folder
        self.time = 1_000_000.0
        self.steady = 1000.0

    def now(self):
        return self.time

    async def wait(self, seconds):
        """Let this time pass on both of the journal's clocks."""
        self.time += seconds
        self.steady += seconds


class Memory(Place):
    def __init__(self, folder):
        super().__init__(folder)
        self.journal = MemoryJournal(clock=self.now, steady=lambda: self.steady)

    @contextlib.asynccontextmanager
    async def open(self):
        yield self.journal


class Sqlite(Place):
    def __init__(self, folder):
        super().__init__(folder)
        self.boot = "first"
        self.path = Path(folder) / "jobs.sqlite"
        clocks = f"clock=lambda: {self.time}, steady=lambda: ({self.boot!r}, {self.steady})"
        self.elsewhere = f"SqliteJournal({str(self.path)!r}, {clocks})"

    def open(self):
        return SqliteJournal(self.path, clock=self.now, steady=lambda: (self.boot, self.steady))


PLACES = [Memory, Sqlite]


def record(key="one", *, group="", owner="mine", account=ACCOUNT, **rest):
    fields = {"operation": "sonic.create_music", "request": '{"op":"sonic.create_music"}', "cost": 10} | rest
    return JobRecord(id=record_id(account, group, key), account=account, group=group, key=key, owner=owner, **fields)


def one(key="one", group=""):
    return record_id(ACCOUNT, group, key)


@attrs.frozen
class Put(Enter):
    """The record is to be as it is here: a step of the tests' own."""

    gone: bool = False

    def after(self, record, moment):
        if self.gone:
            return None
        return attrs.evolve(self.record, sequence=0)


def look(path, question, *values):
    """Ask the file past the journal."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        return db.execute(question, values).fetchall()


async def keys(journal):
    return [found.key for found in await journal.find(ACCOUNT)]


async def make(path, *steps):
    """Make a journal that knows what these steps say."""
    async with SqliteJournal(path) as journal:
        await journal.apply(steps)
