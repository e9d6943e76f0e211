"""A local server that behaves as the AI Music API does, for tests and demonstrations without key, money or network."""

from aimusic_async.sandbox import formats
from aimusic_async.sandbox.books import Books
from aimusic_async.sandbox.faults import Fate, Fault, Faults, RandomFaults, Script
from aimusic_async.sandbox.options import Options
from aimusic_async.sandbox.server import Sandbox

__all__ = ["Books", "Fate", "Fault", "Faults", "Options", "RandomFaults", "Sandbox", "Script", "formats"]
