"""The `aimusic` command; its libraries are the extra `cli`, loaded when it runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from .app import app  # noqa: PLC0415 - without the extra there is still a clear word
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich", "click"}:
            raise
        sys.exit("aimusic needs the extra `cli`: pip install 'aimusic-async[cli]'")
    app()
