"""`nox` runs what CI runs, on every Python found: tests, also with the lowest versions allowed, lint, types.

`nox -s bench` and `nox -s demo` show numbers. `nox -s soak` makes songs while requests fail and processes are
killed: in 3,000 worlds of virtual time, then for real.
"""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.sessions = ["tests", "lowest", "lint", "types"]
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests in asyncio's debug mode, which takes twice as long; arguments go to pytest."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-o", "asyncio_debug=true", *session.posargs)


@nox.session(python=PYTHONS)
def environments(session: nox.Session) -> None:
    """Run one real program in each environment that the SDK has to be at home in: uvloop, Celery, notebooks, …"""
    session.install("-e", ".[environments]")
    session.run("pytest", "-n", "2", "tests/environments", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows, of everything that users install.

    `tests` has the newest. What only we need is new in both; that old and new neighbours deprecate things of each
    other is no fault of ours.
    """
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    (everything,) = extras["all"]  # aimusic-async[cli,…]
    names = everything.partition("[")[2].rstrip("]").split(",")
    wanted = [*project["dependencies"], *(one for name in names for one in extras[name])]
    chosen = Path(session.create_tmp()) / "lowest.txt"
    chosen.write_text("\n".join(one.replace(">=", "==") for one in wanted))
    session.install("-e", ".[dev]", "--constraint", str(chosen))
    quiet = ("-W", "default::DeprecationWarning", "-W", "default::PendingDeprecationWarning")
    session.run("pytest", *quiet, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy --strict and pyright, as the oldest and the newest Python see them."""
    session.install("-e", ".[dev]")
    for version in (PYTHONS[0], PYTHONS[-1]):
        session.run("mypy", "--python-version", version)
        session.run("pyright", "--pythonversion", version)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, beside what people write today; prints tables."""
    session.install("-e", ".[bench,dev]")
    session.run("python", "-m", "benchmarks", *session.posargs)
    if not session.posargs:  # what must hold for any answer, tried longer than the tests have time for
        session.run(
            "pytest",
            "-q",
            "tests/api/test_wire.py",
            "-k",
            "whatever",
            "--timeout",
            "600",
            env={"AIMUSIC_EXAMPLES": "5000"},
        )


@nox.session
def mutants(session: nox.Session) -> None:
    """Put small mistakes into the pure core and see whether the tests notice; --help says more."""
    session.install("-e", ".[dev]", "cosmic-ray")
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Make songs in the sandbox, as a new user does first."""
    session.install("-e", ".[cli,sandbox,mp3]")
    session.run("aimusic", "demo", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Make songs while requests fail and processes are killed, then compare books and journal; --help says more.

    First in virtual time, 3,000 random worlds; then with real processes. Arguments go to the second.
    """
    session.install("-e", ".[dev]")
    session.run("python", "-m", "tests.faults.voyages", "--seeds", "3000")
    session.run("python", "-m", "tests.faults.soak", *session.posargs)
