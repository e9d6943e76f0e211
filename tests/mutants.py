"""Do the tests notice? Small mistakes are put into the pure core, one at a time, and each file's own tests are run.

python -m tests.mutants                              60 mistakes a file, drawn with a fixed seed; says which survived
python -m tests.mutants --files lifecycle --sample 0 all of one file

A mistake that changes nothing anybody could see is listed in `UNSEEN`, with the reason. The exit code is 1 when the
tests of a file notice less than nine tenths of the others. Needs cosmic-ray, which finds the places and makes them.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).parents[1]
ENOUGH = 0.9

_LIFECYCLE = " ".join(
    f"tests/jobs/test_lifecycle{part}.py" for part in ("_table", "_exactly", "_answers", "", "_machine")
)
_ANSWERS = "tests/api/test_wire.py tests/contract/test_contract.py::test_the_answers_mean_what_is_recorded"
_SCHEDULE = " ".join(f"tests/scheduling/test_{part}.py" for part in ("schedule", "waiting", "watching", "last_polls"))
OWN_TESTS = {
    "api/clips.py": _ANSWERS,
    "api/forgiving.py": _ANSWERS,
    "api/reasons.py": "tests/api/test_reasons.py",
    "api/refusals.py": "tests/api/test_refusals.py",
    "api/reply.py": "tests/api/test_reply.py",
    "api/whose.py": "tests/api/test_whose.py",
    "api/wire.py": _ANSWERS,
    "jobs/lifecycle.py": _LIFECYCLE,
    "jobs/entering.py": _LIFECYCLE,
    "jobs/ending.py": _LIFECYCLE,
    "jobs/polling.py": f"tests/jobs/test_missing_tasks.py {_LIFECYCLE}",
    "journal/steps.py": " ".join(
        f"tests/journal/test_{name}.py" for name in ("steps_exactly", "steps", "journal_laws", "journal")
    ),
    "journal/budget.py": "tests/journal/test_budget.py tests/journal/test_steps_exactly.py",
    "scheduling/schedule.py": _SCHEDULE,
    "scheduling/waiting.py": _SCHEDULE,
    "scheduling/watching.py": _SCHEDULE,
    "scheduling/heap.py": "tests/scheduling/test_heap.py",
    "scheduling/durations.py": "tests/scheduling/test_durations.py tests/scheduling/test_durations_odd.py",
    "scheduling/retry.py": "tests/scheduling/test_retry.py",
    "limiting/level.py": "tests/limiting/test_level.py",
    "limiting/bucket.py": "tests/limiting/test_bucket.py",
    "limiting/line.py": "tests/limiting/test_shared_line.py",
    "limiting/shared.py": "tests/limiting/test_shared.py tests/limiting/test_shared_trouble.py",
    "webhooks/signature.py": "tests/webhooks/test_signature.py",
}
"""Which tests have to notice a mistake in a file."""

UNSEEN: dict[tuple[str, str], str] = {
    ("scheduling/retry.py", "most = 0"): "the first failure counts as one, so neither 0 nor 1 allows a second try",
    (
        "scheduling/retry.py",
        "return min(2.0 ** min(tries - 1, 9), _LONGEST_DELAY)",
    ): "2 ** 9 is longer than the longest",
    ("scheduling/retry.py", "return min(_FIRST_PAUSE * 2.0 ** min(refusals - 1, 9), _LONGEST_PAUSE)"): "as above",
    ("jobs/entering.py", "waits = work.state <= JobState.QUEUED or work.awaiting is not None"): (
        "no open state comes before it"
    ),
    (
        "jobs/ending.py",
        "def let_go(work: Work, error: MusicError, /, cancelled: bool = False) -> list[steps.Step]:",
    ): "how arguments may be given; everybody gives them so",
    ("jobs/ending.py", "def refused(work: Work, why: object, /, final: bool = False) -> list[Effect]:"): "as above",
    (
        "jobs/ending.py",
        "by_hand = state <= JobState.CANCELLED and isinstance(error, JobCancelled) and not work.released",
    ): "it is one of two states, and no other comes before it",
    ("webhooks/signature.py", "@attrs.frozen(kw_only=False)"): "whoever makes one names the fields all the same",
    ("limiting/level.py", "if wait != 0 and self.out:"): "what is less than nothing becomes nothing two lines later",
    ("limiting/shared.py", "_AGAIN = 2.0"): "the tests have another, so as not to wait",
    ("limiting/shared.py", "os.truncate(self._path, 1)"): "SQLite takes a file of one byte for an empty one",
    (
        "limiting/shared.py",
        "if self._wanting <= 1:  # else the next waiter takes over the place",
    ): "who is here is one of them",
    **{
        (
            "limiting/shared.py",
            f"os.close(os.open(self._path, os.O_CREAT | os.O_EXCL {operator} os.O_RDWR, 0o600))",
        ): "a file that is there is opened and closed instead of left alone"
        for operator in ("//", "%", ">>")
    },
    ("limiting/line.py", "served: int = -1"): "places are numbered from 1",
    ("limiting/line.py", "seen: float = math.inf"): "in an empty line there is nothing that a clock could move",
    ("limiting/line.py", "seen: float = +math.inf"): "as above",
    (
        "limiting/line.py",
        "if any(other != name and place >= self.served for other, place in self.places.items()):",
    ): "whose place was served has none any more",
    (
        "limiting/line.py",
        "return [other for other, place in self.places.items() if self.served <= place < own]",
    ): "as above",
    (
        "limiting/line.py",
        "first = secrets.randbits( 47)  # what is said of tokens of a file that was lost concerns none of this one",
    ): "as unlikely",
    ("journal/steps.py", "if scope in limits and limits[scope] is not moved.limit:"): "writes what is there already",
    ("journal/steps.py", "if record.attempts is not self.attempt - 1:"): "small numbers are one object each",
    ("scheduling/retry.py", "class OutcomeUnknown:"): "a class without fields, of which only the type is asked",
    (
        "scheduling/retry.py",
        "case NotSent() if repeat != Repeat.POLL:",
    ): "members of an enum are equal when they are one",
    ("scheduling/schedule.py", "over = submit is not None and worth is not URGENT"): "no worth but that is greater",
    (
        "scheduling/schedule.py",
        "return worth < mine or (mine > 0 and worth != URGENT and (self._owed > 0 or self._in_a_row >= _IN_A_ROW))",
    ): "as above",
    (
        "scheduling/schedule.py",
        "def add(self, job: J, kind: Kind, /, now: float, priority: int = 0, terms: Terms = USUAL) -> None:",
    ): "how arguments may be given",
    (
        "scheduling/schedule.py",
        "def again(self, job: J, kind: Kind, /, not_before: float, terms: Terms = USUAL) -> None:",
    ): "as above",
    ("scheduling/schedule.py", "def not_polled(self, job: J, /, not_before: float) -> None:"): "as above",
    (
        "scheduling/waiting.py",
        "def add(self, job: J, kind: Kind, terms: Terms, /, now: float, priority: int) -> None:",
    ): "as above",
    (
        "scheduling/waiting.py",
        "chance = self._durations.of(terms.task).finished(since= -1.0, age=terms.deadline - now)",
    ): "nothing finishes before it has begun",
    ("scheduling/waiting.py", "if terms.deadline >= math.inf:"): "nothing is later than never",
    (
        "scheduling/waiting.py",
        "return self._lines.setdefault((kind, terms.platform, terms.deadline == math.inf), Heap())",
    ): "two lines all the same, whatever they are called",
    (
        "scheduling/waiting.py",
        "return self._lines.setdefault((kind, terms.platform, terms.deadline >= math.inf), Heap())",
    ): "as above",
    (
        "scheduling/waiting.py",
        "return self._lines.setdefault((kind, terms.platform, terms.deadline is math.inf), Heap())",
    ): "as above",
    (
        "scheduling/waiting.py",
        "return self._lines.setdefault((kind, terms.platform, terms.deadline is not math.inf), Heap())",
    ): "as above",
    (
        "scheduling/waiting.py",
        "return self._lines.setdefault((kind, terms.platform, terms.deadline != math.inf), Heap())",
    ): "as above",
    (
        "scheduling/waiting.py",
        "self._push(job, _Waiting(kind, terms, now, next(self._places), self._line(kind, terms)), ~priority)",
    ): "every rank is one less: the order stays",
    (
        "scheduling/watching.py",
        "return _Stage.UNKNOWN if not self.seen == self.accepted else _Stage.UNKNOWN_POLLED",
    ): "two heaps all the same, both by when a task was last known to run",
    ("scheduling/watching.py", "return _Stage.UNKNOWN if self.seen <= self.accepted else _Stage.UNKNOWN_POLLED"): (
        "no poll is before the task was attached"
    ),
    ("scheduling/watching.py", "return _Stage.FRESH if self.seen is self.accepted else _Stage.POLLED"): (
        "it is one object until a poll"
    ),
    ("scheduling/watching.py", "place: int = - 0"): "it is given a place at once",
    ("scheduling/watching.py", "last_place: int = ~1"): "as above, or has none, which is less than 0",
}
"""By file and changed line: why nobody can see the difference."""


_SAME = ("IsNot_NotEq", "Is_Eq")
"""Mistakes that are none: None and the members of an enum are equal when they are one."""


@attrs.frozen
class Mutant:
    """One mistake."""

    file: str
    operator: str
    occurrence: int
    line: int

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line} {self.operator.removeprefix('core/')} #{self.occurrence}"


def mutants(file: str) -> Iterator[Mutant]:
    """All mistakes that can be made in a file, but those in annotations: nobody evaluates them."""
    path = ROOT / "aimusic_async" / file
    unread = _annotations(path.read_text(encoding="utf-8"))
    tree = get_ast_from_path(path)
    for operator in sorted(plugins.operator_names()):
        kind = plugins.get_operator(operator)
        if kind.arguments() or operator.endswith(_SAME):
            continue
        places = ((start, stop) for node in ast_nodes(tree) for start, stop in kind().mutation_positions(node))
        for occurrence, (start, _) in enumerate(places):
            if not any(first <= start <= last for first, last in unread):
                yield Mutant(file, operator, occurrence, start[0])


def _annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            found.append(node.annotation)
            if isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.unparse(node.annotation) and node.value:
                found.append(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            found.append(node.returns)
    return [((one.lineno, one.col_offset), (one.end_lineno or 0, one.end_col_offset or 0)) for one in found]


class Place:
    """A copy of the project in which one mistake at a time is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("aimusic_async", "tests", "pyproject.toml", "README.md"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)

    def notices(self, mutant: Mutant | None, file: str, *, patience: float) -> tuple[bool, str]:
        """Whether the file's own tests notice a mistake; and the changed line."""
        path = self.folder / "aimusic_async" / file
        before = path.read_text(encoding="utf-8")
        changed = ""
        if mutant is not None:
            after = mutate_code(before, plugins.get_operator(mutant.operator)(), mutant.occurrence)
            if after is None:
                return True, ""
            changed = next(
                (new for old, new in zip(before.splitlines(), after.splitlines(), strict=False) if old != new), ""
            ).strip()
            path.write_text(after, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header"]
        env = os.environ | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", "AIMUSIC_EXAMPLES": "40"}
        try:
            done = subprocess.run(
                [*command, *OWN_TESTS[file].split()],
                cwd=self.folder,
                env=env,
                capture_output=True,
                text=True,
                timeout=patience,
                check=False,
            )
            return done.returncode != 0, changed if mutant is not None else done.stdout[-2000:]
        except subprocess.TimeoutExpired:
            return True, changed
        finally:
            path.write_text(before, encoding="utf-8")


def drawn(file: str, sample: int, seed: int) -> list[Mutant]:
    """So many mistakes of a file, always the same for the same seed and text."""
    every = list(mutants(file))
    chance = random.Random(f"{seed} {file}")
    return sorted(chance.sample(every, sample), key=attrs.astuple) if 0 < sample < len(every) else every


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, do it, print what survived; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="*", default=[], help="parts of paths; default: all that are listed")
    parser.add_argument("--sample", type=int, default=60, help="mistakes a file, 0: all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1, help="at once (default: %(default)s)")
    given = parser.parse_args(argv)
    files = [file for file in OWN_TESTS if not given.files or any(part in file for part in given.files)]
    bad = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.j) as pool:
        places = [Place(Path(folder) / str(number)) for number in range(given.j)]
        for file in files:
            started = time.monotonic()
            fails, output = places[0].notices(None, file, patience=600)
            if fails:
                _say(f"{file}: its own tests fail without any mistake\n{output}")
                bad += 1
                continue
            patience = 20 + 4 * (time.monotonic() - started)
            free = list(places)

            def notice(mutant: Mutant, free: list[Place] = free, patience: float = patience) -> tuple[bool, str]:
                place = free.pop()
                try:
                    return place.notices(mutant, mutant.file, patience=patience)
                finally:
                    free.append(place)

            chosen = drawn(file, given.sample, given.seed)
            seen = unseen = 0
            for mutant, (noticed, changed) in zip(chosen, pool.map(notice, chosen), strict=True):
                reason = UNSEEN.get((file, changed))
                seen += noticed
                unseen += not noticed and reason is not None
                if not noticed:
                    _say(f"  survived: {mutant.name}: {changed}{f'  ({reason})' if reason else ''}")
            counted = len(chosen) - unseen
            bad += seen < ENOUGH * counted
            share = seen / counted if counted else 1.0
            more = f", {unseen} more change nothing" if unseen else ""
            _say(f"{file}: {seen} of {counted} noticed, {share:.0%}{more} ({time.monotonic() - started:.0f} s)")
    return 1 if bad else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for the terminal


if __name__ == "__main__":
    sys.exit(main())
