"""What an import loads: no more than is asked for; and every public name is what its module defines."""

import ast
import importlib
import inspect
import subprocess
import sys
from types import ModuleType

import pytest

import aimusic_async

PLATFORMS = {f"aimusic_async.api.{name}" for name in ("sonic", "lyrics", "producer", "nuro", "riffusion")}
REST = {"aimusic_async.methods", "aimusic_async.files.download", "aimusic_async.sandbox", "aimusic_async.cli", "cattrs"}


def loaded_by(code):
    """The modules that a fresh interpreter has after `code`."""
    shown = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", shown], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def as_type_checkers_see_it():
    """The public names and their modules, from the imports that only type checkers read."""
    (block,) = (node for node in ast.parse(inspect.getsource(aimusic_async)).body if isinstance(node, ast.If))
    for node in block.body:
        for alias in node.names:
            assert alias.asname == alias.name, "only `import name as name` exports a name from a typed package"
            yield alias.name, f"aimusic_async.{node.module}" if node.module else "aimusic_async"


def test_the_package_alone_loads_nothing():
    loaded = loaded_by("import aimusic_async")
    assert {name for name in loaded if name.startswith("aimusic_async")} == {"aimusic_async"}
    assert not {"aiohttp", "anyio", "attr", "attrs", "cattrs"} & loaded


def test_a_session_loads_no_operations_and_no_converter():
    assert not (PLATFORMS | REST) & loaded_by("from aimusic_async import MusicSession; MusicSession('key')")


def test_a_request_loads_neither_http_nor_other_platforms():
    loaded = loaded_by("from aimusic_async import sonic; sonic.GetBpm(clip_id='c')")
    assert PLATFORMS & loaded == {"aimusic_async.api.sonic"}
    assert not ({"aiohttp", "asyncio", "aimusic_async.session"} | REST) & loaded


def test_an_error_loads_nothing_else():
    loaded = loaded_by("from aimusic_async import MusicError")
    assert {name for name in loaded if name.startswith("aimusic_async.")} == {"aimusic_async.errors"}


def test_type_checkers_and_python_know_the_same_names():
    seen = dict(as_type_checkers_see_it())
    assert sorted(seen) == sorted(aimusic_async.__all__)
    for name, home in seen.items():
        module = importlib.import_module(home)
        assert getattr(aimusic_async, name) is getattr(module, name), name


def test_every_public_name_comes_from_the_module_that_defines_it():
    for name, home in as_type_checkers_see_it():
        thing = getattr(aimusic_async, name)
        if isinstance(thing, ModuleType):
            assert thing.__name__ == f"{home}.{name}"
        elif isinstance(thing, type):
            assert thing.__module__ == home


def test_a_star_import_and_dir_give_every_public_name():
    names = {}
    exec("from aimusic_async import *", names)
    assert names.keys() - {"__builtins__"} == set(aimusic_async.__all__)
    assert set(aimusic_async.__all__) | {"__version__"} <= set(dir(aimusic_async))


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'aimusic_async' has no attribute 'Sogn'"):
        _ = aimusic_async.Sogn
    with pytest.raises(ImportError, match="Sogn"):
        exec("from aimusic_async import Sogn")


def test_a_platform_of_a_session_is_always_the_same_object():
    music = aimusic_async.MusicSession("key")
    assert music.sonic is music.sonic
    assert music.sonic is not aimusic_async.MusicSession("key").sonic
