"""The contextvars of who submits a job: what is done for the job later runs in a copy of them."""

from __future__ import annotations

import weakref
from contextvars import Context, copy_context

_NOTHING = object()


class Contexts:
    """Keeps a context for each job, and one for all jobs that are submitted in the same."""

    def __init__(self) -> None:
        self._latest: weakref.ref[Context] | None = None

    def current(self) -> Context | None:
        """Return the caller's context, None when nothing is set in it."""
        now = copy_context()
        if not now:
            return None
        latest = self._latest() if self._latest is not None else None
        # Not `==`, which would compare what the caller keeps there: that may be anything, and take any time.
        if (
            latest is not None
            and len(latest) == len(now)
            and all(latest.get(var, _NOTHING) is value for var, value in now.items())
        ):
            return latest
        self._latest = weakref.ref(now)
        return now


def copy_of(context: Context | None) -> Context:
    """Return a context to run something in: a copy, as who runs now may be in the very same."""
    return Context() if context is None else context.copy()
