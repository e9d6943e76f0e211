"""Run the measurements that are named, or all; print their tables."""

from __future__ import annotations

import argparse

from rich.console import Console

from benchmarks import journal, limiter, overhead, rates, scale, schedules, shared_limiter, stalls, wire, worlds

ALL = {
    "schedules": schedules.run,
    "worlds": worlds.run,
    "overhead": overhead.run,
    "scale": scale.run,
    "stalls": stalls.run,
    "limiter": limiter.run,
    "shared_limiter": shared_limiter.run,
    "rates": rates.run,
    "wire": wire.run,
    "journal": journal.run,
}


def main() -> None:
    """Parse the names and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*ALL, []], metavar="name", help=", ".join(ALL))
    parser.add_argument("--seeds", type=int, default=8, help="runs to average (default 8)")
    parser.add_argument("--quick", action="store_true", help="few runs: two, and ten of what takes seconds")
    arguments = parser.parse_args()
    console = Console(width=120)
    for name in arguments.names or ALL:
        seeds = (10 if name == "worlds" else 2) if arguments.quick else arguments.seeds
        console.print(ALL[name](seeds=seeds))


if __name__ == "__main__":
    main()
