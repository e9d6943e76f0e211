"""Keeps what a function was called with out of the tracebacks of what it raises: keys and secrets are among it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def hide_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Let what `function` raises carry none of its frames, whose local variables some tools print."""

    @wraps(function)
    def hidden(*args: P.args, **fields: P.kwargs) -> T:
        try:
            return function(*args, **fields)
        except Exception as error:  # noqa: BLE001 - a TypeError carries them, too
            refused = error.with_traceback(None)
            refused.__cause__ = refused.__context__ = None
        del args, fields
        raise refused

    return hidden
