"""Measurements, each beside what people write today: `nox -s bench`, or `python -m benchmarks [name …]`."""
