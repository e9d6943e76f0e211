"""What operations cost, in credits, and where each figure comes from: the only place that says so.

Prices change; those of the introduction page of 2026-01-24 win where sources differ.
"""

FREE = 0

# The introduction page's price table.
SONG = 10  # create, extend and cover; persona music is taken to be the same
UPLOAD_AND_SONG = 10
CONCAT = 2
PERSONA = 1
BPM = 1
VOX = 1
TAGS = 1
STEMS_BASIC = 10
STEMS_FULL = 50

# Not in that table; from the operations' own pages and from clients.
EDIT = 10  # remaster, replace section, add vocals, add instrumental, sample, mashup
UPLOAD = 2
WAV = 1
DOWNLOAD = 2  # a call, whatever the number of formats
MIDI = 1
TIMELINE = 1  # the first time for a clip; later ones are free
VOICE = 4
LYRICS = 0  # a pot of their own in 2025, free since
PRODUCER_SONG = 10
PRODUCER_FILE = 2
NURO_SONG = 10
RIFFUSION_SONG = 12
RIFFUSION_UPLOAD = 0  # not documented
