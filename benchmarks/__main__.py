"""Run the measurements that are named, or all; print their tables."""

from __future__ import annotations

import argparse

from rich.console import Console

from benchmarks import schedules

ALL = {"schedules": schedules.run}


def main() -> None:
    """Parse the names and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*ALL, []], metavar="name", help=", ".join(ALL))
    parser.add_argument("--seeds", type=int, default=3, help="runs to average (default 3)")
    arguments = parser.parse_args()
    console = Console(width=110)
    for name in arguments.names or ALL:
        console.print(ALL[name](seeds=arguments.seeds))


main()
