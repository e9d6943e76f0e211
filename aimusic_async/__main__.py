"""`python -m aimusic_async` is the `aimusic` command."""

from aimusic_async.cli import main

if __name__ == "__main__":
    main()
