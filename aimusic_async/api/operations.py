"""All operations there are, found from their modules: the one list from which everything else derives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any

from . import account, lyrics, nuro, producer, riffusion, sonic
from .request import Request

PLATFORMS: tuple[ModuleType, ...] = (sonic, lyrics, account, producer, nuro, riffusion)


@cache
def operations() -> Mapping[str, type[Request[Any]]]:
    """Return the request classes by their names, such as `sonic.create_music`, in the order of the documentation."""
    found: dict[str, type[Request[Any]]] = {}
    for module in PLATFORMS:
        for thing in vars(module).values():
            is_request = isinstance(thing, type) and issubclass(thing, Request)
            if is_request and thing.__module__ == module.__name__ and not thing.__name__.startswith("_"):
                found[thing.operation] = thing
    return MappingProxyType(found)
