"""Getting the files of songs: fetching, naming, tagging."""
