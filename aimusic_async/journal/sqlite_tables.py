"""What is asked of a journal's tables in a SQLite file, inside one transaction."""

from __future__ import annotations

import math
import operator
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Unpack

import attrs

from ..errors import JournalError
from ..events import JobState, logger
from .budget import Ledger
from .leases import SENDING_LEASE, silence, surely_dead
from .protocol import Outcome, Wanted
from .record import ENDED, JobRecord, account_id, group_scope
from .sqlite_file import concerns_file, copy_of, describe_error, not_passing, transaction
from .steps import Change, Enter, Moment, Step, apply

_FIELDS = attrs.fields(JobRecord)
_NAMES = tuple(field.name for field in _FIELDS)
_NOTHING = (None,) * len(_NAMES)
_values = operator.attrgetter(*_NAMES)
_STATES = {state.value: state for state in JobState}
_STORED = {"str": str, "JobState": str, "int": int, "bool": int, "float": float, "None": type(None)}
_KINDS = tuple({_STORED[part] for part in str(field.type).split(" | ")} for field in _FIELDS)
"""What each column may hold, by the types of the fields."""

_COLUMNS = tuple("other_tasks" if name == "former" else name for name in _NAMES)  # see the second migration
_SELECT = f"""SELECT {", ".join(f'"{column}"' for column in _COLUMNS)} FROM records"""  # noqa: S608 - the names of columns; values are parameters everywhere
_BY_ID = f"{_SELECT} WHERE id = ?"
_BY_KEY = f'{_SELECT} WHERE account = ? AND "group" = ? AND "key" = ?'
_SET_LEDGER = """
    INSERT INTO ledgers (account, scope, "limit", spent, at_risk) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (account, scope)
    DO UPDATE SET "limit" = excluded."limit", spent = excluded.spent, at_risk = excluded.at_risk
"""
_LARGEST = 2**63 - 1
_LATEST = f"""
    SELECT value FROM counters WHERE name = 'sequence'
    UNION ALL SELECT CAST(coalesce(max(sequence), 0) AS INTEGER) FROM records WHERE sequence <= {_LARGEST}
"""  # noqa: S608 - a number; a text would be larger than any
_HASH = re.compile("[0-9a-f]{16}")
"""Of an API key: the account's name in the first version."""


class Tables:
    """The tables of an open file, for one thread. Each method belongs into a `transaction`; see `JobJournal`."""

    def __init__(
        self,
        db: sqlite3.Connection,
        path: str,
        *,
        patience: float,
        clock: Callable[[], float],
        steady: Callable[[], tuple[str, float]],
        warned: set[object],
    ) -> None:
        self._db = db
        self._path = path
        self._patience = patience
        self._clock = clock
        self._steady = steady
        self._sound: set[tuple[type, ...]] = set()  # types of rows that can be read
        self._warned = warned  # ids of rows that cannot, and of which a warning says so
        self._begin()

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[None]:
        """Do all of the block or nothing; when it is left, all is durable. It is the same `now` all the time."""
        with transaction(self._db, writes=writes, patience=self._patience):
            self._begin()
            yield
            self._flush()

    def _begin(self) -> None:
        self._now = self._clock()
        self._sequence: int | None = None
        self._ledgers: dict[tuple[str, str], Ledger] = {}
        self._moved: set[tuple[str, str]] = set()  # ledgers that are to be written
        self._silences: dict[str, float] = {}

    def _flush(self) -> None:
        rows = [(*name, *attrs.astuple(self._ledgers[name])) for name in self._moved]
        self._moved.clear()
        if rows:
            self._db.executemany(_SET_LEDGER, rows)

    # --- steps -------------------------------------------------------------------------------------------------------

    def apply(self, steps: Iterable[Step]) -> list[Outcome]:
        """Carry out steps. One that cannot be stored changes nothing, and its outcome says why."""
        return [self._apply(step) for step in steps]

    def _apply(self, step: Step) -> Outcome:
        before = None
        try:
            before = self._find_one(step)
            account = step.record.account if isinstance(step, Enter) else before.account if before else ""
            moment = Moment(self._now, self._silence, lambda scope: self._ledger(account, scope))
            sequence = self.latest() + 1
            change = apply(step, before, moment, sequence=sequence)
            if change is None:
                return Outcome(before, changed=False)
            self._keep(account, before, change)
        except Exception as error:
            if concerns_file(error):
                raise
            return Outcome(before, changed=False, error=describe_error(self._path, error))
        self._sequence = sequence
        return Outcome(change.record, changed=True)

    def _find_one(self, step: Step) -> JobRecord | None:
        if isinstance(step, Enter):  # an id that an older version made does not follow from the key
            rows = self._rows(_BY_KEY, (step.record.account, step.record.group, step.record.key))
        else:
            rows = self._rows(_BY_ID, (step.id,))
        for row in rows:
            return self._record(row)
        return None

    def _keep(self, account: str, before: JobRecord | None, change: Change) -> None:
        """Keep a change, or raise and keep nothing of it: one statement writes, and ledgers wait for the end."""
        after = change.record
        ledgers = {(account, scope): ledger for scope, ledger in change.ledgers.items()}
        moved = [name for name, ledger in ledgers.items() if ledger != self._ledgers[name]]
        for ledger in map(ledgers.__getitem__, moved):
            if max(abs(ledger.spent), abs(ledger.at_risk), abs(ledger.limit or 0)) > _LARGEST:
                raise OverflowError("a budget's credits are too many to be stored")
        if after is None:
            assert before is not None
            self._hold_sequence(self.latest() + 1)
            self._db.execute("DELETE FROM records WHERE id = ?", (before.id,))
        else:  # what is the same is not written, so that its index and its pages stay as they are
            there = _NOTHING if before is None else _values(before)
            row = {name: new for name, old, new in zip(_COLUMNS, there, _values(after), strict=True) if new != old}
            if "state" in row:
                row["state"] = after.state.value  # an enum takes twice the time of a whole statement
            if before is None:
                columns, marks = '", "'.join(row), ", ".join("?" * len(row))
                sql = f'INSERT INTO records ("{columns}") VALUES ({marks})'  # noqa: S608 - the names of columns
                self._db.execute(sql, (*row.values(),))
            else:
                columns = '" = ?, "'.join(row)
                sql = f'UPDATE records SET "{columns}" = ? WHERE id = ?'  # noqa: S608 - as above
                self._db.execute(sql, (*row.values(), before.id))
        self._moved.update(moved)
        self._ledgers |= ledgers

    def _ledger(self, account: str, scope: str) -> Ledger:
        known = self._ledgers.get((account, scope))
        if known is None:
            asked = 'SELECT "limit", spent, at_risk FROM ledgers WHERE account = ? AND scope = ?'
            row = self._db.execute(asked, (account, scope)).fetchone()
            known = self._ledgers[account, scope] = Ledger(*row or ())
        return known

    def latest(self) -> int:
        """Return the number of the latest change."""
        if self._sequence is None:
            self._sequence = max(int(number) for (number,) in self._db.execute(_LATEST))
        return self._sequence

    def _hold_sequence(self, number: int) -> None:
        """Keep the number of the latest change by itself, when the record that has it may be gone."""
        asked = "UPDATE counters SET value = :number WHERE name = 'sequence' AND value < :number"
        self._db.execute(asked, {"number": number})

    # --- records -----------------------------------------------------------------------------------------------------

    def find(self, account: str, **wanted: Unpack[Wanted]) -> list[JobRecord]:
        """Return records."""
        states, after, limit = wanted.get("states"), wanted.get("after"), wanted.get("limit")
        given = {
            "account = ?" if after is None else "+account = ?": account,  # with a plus its indexes are not taken
            '"group" = ?': wanted.get("group"),
            '"key" = ?': wanted.get("key"),
            "task_id = ?": wanted.get("task_id"),
            "sequence > ?": after,
        }
        where = {condition: value for condition, value in given.items() if value is not None}
        values = [*where.values(), *(states or ()), -1 if limit is None else limit]
        conditions = [*where] if states is None else [*where, f"state IN ({', '.join('?' * len(states))})"]
        order = "created, rowid" if after is None else "sequence"
        found = []
        for row in self._rows(f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?", values):
            try:
                found.append(self._record(row))
            except JournalError as error:
                if row[0] not in self._warned:
                    self._warned.add(row[0])
                    logger.warning("%s; it is left out", error)
        return found

    def _rows(self, sql: str, values: Sequence[object]) -> Iterable[tuple[Any, ...]]:
        rows = self._db.execute(sql, values)
        try:
            return rows.fetchall()
        except sqlite3.OperationalError as error:
            if "UTF-8" not in str(error):
                raise
        self._db.text_factory = _text_or_bytes  # slow, so only when there is a text that is none
        try:
            return self._db.execute(sql, values).fetchall()
        finally:
            self._db.text_factory = str

    def _record(self, row: tuple[Any, ...]) -> JobRecord:
        """Read a row. Raises `JournalError` when it holds what this version does not write."""
        fields = dict(zip(_NAMES, row, strict=True))
        kinds = tuple(map(type, row))
        if kinds not in self._sound:
            odd = [name for name, kind, known in zip(_NAMES, kinds, _KINDS, strict=True) if kind not in known]
            if odd:
                raise self._unreadable(fields, odd[0])
            self._sound.add(kinds)
        state = fields["state"] = _STATES.get(word := fields["state"])
        if state is None:
            raise self._unreadable(fields | {"state": word}, "state")
        fields["repeatable"] = bool(fields["repeatable"])
        if fields["refunded"] is not None:
            fields["refunded"] = bool(fields["refunded"])
        return JobRecord(**fields)

    def _unreadable(self, fields: dict[str, Any], odd: str) -> JournalError:
        what = f"the job {fields['key']!r} of the group {fields['group']!r}"
        return not_passing(self._path, f"holds {what}, which this version cannot read ({odd}: {fields[odd]!r:.50})")

    def prune(self, account: str, older_than: float) -> int:
        """Remove records."""
        number = self.latest()  # while they are there
        marks = ", ".join("?" * len(ENDED))
        sql = f"DELETE FROM records WHERE account = ? AND state IN ({marks}) AND updated < ?"  # noqa: S608 - as above
        removed = self._db.execute(sql, (account, *ENDED, self._now - older_than)).rowcount
        if removed:
            self._hold_sequence(number)
        return removed

    def ledgers(self, account: str) -> dict[str, Ledger]:
        """Return the ledgers."""
        self._flush()
        asked = 'SELECT scope, "limit", spent, at_risk FROM ledgers WHERE account = ?'
        return {scope: Ledger(*row) for scope, *row in self._db.execute(asked, (account,))}

    # --- owners ------------------------------------------------------------------------------------------------------

    def _silence(self, owner: str) -> float:
        if owner not in self._silences:
            row = self._db.execute("SELECT boot, heard FROM owners WHERE owner = ?", (owner,)).fetchone()
            self._silences[owner] = math.inf if row is None else self._silence_of(owner, row)
        return self._silences[owner]

    def _silence_of(self, owner: str, heard: tuple[str, float]) -> float:
        return math.inf if surely_dead(owner) else silence(heard, self._steady())

    def owners(self, account: str) -> dict[str, float]:
        """Return the silence of those that have not ended."""
        rows = self._db.execute("SELECT owner, boot, heard FROM owners WHERE account = ?", (account,)).fetchall()
        silences = {owner: self._silence_of(owner, (boot, heard)) for owner, boot, heard in rows}
        return {owner: seconds for owner, seconds in silences.items() if seconds < math.inf}

    def beat(self, owner: str, account: str, *, alive: bool) -> None:
        """Write down that an owner lives, and forget those that have not been heard of for long."""
        self._silences.clear()
        now = self._steady()
        rows = self._db.execute("SELECT owner, boot, heard FROM owners").fetchall()
        gone = [(name,) for name, boot, heard in rows if silence((boot, heard), now) > SENDING_LEASE]
        self._db.executemany("DELETE FROM owners WHERE owner = ?", gone if alive else [*gone, (owner,)])
        if alive:
            self._db.execute("INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?)", (owner, account, *now))

    # --- texts and accounts ------------------------------------------------------------------------------------------

    def save(self, account: str, name: str, text: str) -> None:
        """Keep a text."""
        self._db.execute(
            "INSERT INTO texts (account, name, text) VALUES (?, ?, ?) "
            "ON CONFLICT (account, name) DO UPDATE SET text = excluded.text WHERE text <> excluded.text",
            (account, name, text),
        )

    def load(self, account: str, name: str) -> str | None:
        """Return a text."""
        found = self._db.execute("SELECT text FROM texts WHERE account = ? AND name = ?", (account, name)).fetchone()
        return None if found is None else str(found[0])

    def migrate_accounts(self, account: str, key_hash: str) -> list[str]:
        """Give the jobs of the first version, which named accounts by the hash of their key, to accounts with names."""
        counts = dict(self._db.execute("SELECT account, count(*) FROM records GROUP BY account").fetchall())
        texts = [name for (name,) in self._db.execute("SELECT DISTINCT account FROM texts")]
        hashes = sorted(name for name in {*counts, *texts} if _HASH.fullmatch(name))
        others = [name for name in hashes if name != key_hash and name in counts]
        adopted = others[0] if len(others) == 1 and key_hash not in counts and account not in counts else None
        sentences = []
        for name in hashes:
            legacy = f"legacy-{name}"
            mine = name in (key_hash, adopted)
            theirs = account_id(legacy, account.partition("@")[2]) if "@" in account else legacy
            kept = self._rename(name, account if mine else theirs, theirs)
            if name == adopted:
                sentences.append(
                    f"the journal {self._path} had jobs of one other API key only ({counts[name]}); they now belong to "
                    f"the account {account!r}. If they are another account's, restore {copy_of(self._path, 2)} and "
                    "open it with that account's key first"
                )
            if kept or (not mine and name in counts):
                why = f"have keys that {account!r} uses too" if mine else "belong to another API key"
                sentences.append(
                    f"in the journal {self._path}, older jobs ({kept or counts[name]}) {why}; open a session with "
                    f"account={legacy!r} to see and resume them"
                )
        return sentences

    def _rename(self, old: str, new: str, spare: str) -> int:
        """Give all of an account to another, and what is there already to a spare one; return how many that were."""
        self._flush()
        ledgers = self.ledgers(old)
        self._db.execute("UPDATE OR IGNORE records SET account = ? WHERE account = ?", (new, old))
        rows = self._db.execute(
            'SELECT "group", sum(credits), sum(CASE WHEN state IN (?, ?) OR '
            "(repeatable AND state = ? AND attempts > 0) THEN cost ELSE 0 END) "
            'FROM records WHERE account = ? GROUP BY "group"',
            (JobState.SENDING, JobState.UNKNOWN, JobState.QUEUED, old),
        ).fetchall()
        there = {group_scope(group): (spent, at_risk) for group, spent, at_risk in rows}
        for scope, ledger in ledgers.items():
            spent, at_risk = there.get(scope, (0, 0))
            self._add(new, scope, ledger.limit, ledger.spent - spent, ledger.at_risk - at_risk)
            if scope in there:
                self._add(spare, scope, ledger.limit, spent, at_risk)
        kept = self._db.execute("UPDATE OR IGNORE records SET account = ? WHERE account = ?", (spare, old)).rowcount
        for name in (new, spare):
            self._db.execute("UPDATE OR IGNORE texts SET account = ? WHERE account = ?", (name, old))
        self._db.execute("DELETE FROM ledgers WHERE account = ?", (old,))
        return kept

    def _add(self, account: str, scope: str, limit: int | None, spent: int, at_risk: int) -> None:
        there = self._ledger(account, scope)
        limit = limit if there.limit is None else there.limit
        self._ledgers[account, scope] = Ledger(limit, there.spent + spent, there.at_risk + at_risk)
        self._moved.add((account, scope))


def _text_or_bytes(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
