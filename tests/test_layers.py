"""The house: every room imports from the floors below it only, nothing in a circle, nothing heavy at import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import aimusic_async

ROOT = Path(aimusic_async.__file__).parent

FLOORS = {
    "errors": 0, "events": 0, "proxies": 0, "settings": 0, "running": 0, "callbacks": 0, "clock": 0, "slices": 0,
    "home": 0, "hiding": 0, "renaming": 0, "contexts": 0, "logs": 0,
    "api": 1,
    "journal": 2, "scheduling": 2, "limiting": 2, "transport": 2,
    "jobs": 3,
    "webhooks": 4, "files": 4, "manifest": 4, "page": 4,
    "session": 5, "methods": 5, "arguments": 5, "orders": 5, "sandboxed": 5, "platforms": 5,
    "batch": 6,
    "cli": 7, "__main__": 7,
}  # fmt: skip
APART = {"sandbox"}  # stands beside the house: nothing of the client's in it, and only at the door do we ask for it
ASKS_FOR_THE_SANDBOX = {
    "session.py", "sandboxed.py", "cli/common.py", "cli/demo.py", "cli/sandbox.py", "cli/switches.py",
}  # fmt: skip


def modules():
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def exists(name):
    """Whether a dotted name is a module of the project."""
    path = ROOT.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imported(path):
    """The project's modules that a file imports, as paths below the package such as `jobs.job`."""
    package = ["aimusic_async", *path.relative_to(ROOT).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("aimusic_async")}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            if name.startswith("aimusic_async"):
                inner = {f"{name}.{alias.name}" for alias in node.names}
                found |= {one if exists(one) else name for one in inner}
    return {name.removeprefix("aimusic_async").lstrip(".") for name in found} - {""}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_the_floors_below(path):
    here = path.relative_to(ROOT)
    room = here.parts[0].removesuffix(".py")
    for name in imported(path):
        other = name.split(".")[0]
        if other == room:
            continue
        if room in APART:
            pytest.fail(f"{here} imports {name}: the sandbox knows nothing of the client")
        elif other in APART:
            assert str(here) in ASKS_FOR_THE_SANDBOX
        else:
            assert FLOORS[other] <= FLOORS[room], f"{here} imports {name} from a floor above"


def test_no_import_goes_in_a_circle():
    graph = {}
    for path in modules():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = imported(path)
    done, under_way = set(), []

    def visit(name):
        if name in done or name not in graph:
            return
        assert name not in under_way, " → ".join([*under_way, name])
        under_way.append(name)
        for other in sorted(graph[name]):
            visit(other)
        under_way.pop()
        done.add(name)

    for name in graph:
        visit(name)


def test_importing_every_public_name_loads_no_extra_and_starts_nothing():
    code = """
import sys, threading
from aimusic_async import *
heavy = {"numpy", "typer", "rich", "PIL", "mido", "lameenc", "jinja2", "aimusic_async.sandbox", "aimusic_async.cli"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_every_file_says_in_its_first_line_what_it_is():
    for path in ROOT.rglob("*.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        assert docstring, path


def test_every_public_name_has_a_docstring():
    for name in aimusic_async.__all__:
        thing = getattr(aimusic_async, name)
        assert getattr(thing, "__doc__", None) or name in {"Event", "ClipId"}, name


def test_the_version_is_the_packages():
    from importlib.metadata import version

    assert version("aimusic-async") == aimusic_async.__version__
