"""What the tests of the page share."""

import attrs
import pytest


@attrs.define(eq=False)
class _Sheet:
    key: str
    task_id: str | None = None
    credits: int = 0
    error: Exception | None = None

    def exception(self):
        return self.error


@pytest.fixture(scope="session")
def sheet():
    """Makes what stands for a job: all that an event says about it."""
    return _Sheet
